"""Which compute type a GPU gets, and what is taken for a GPU that does not compute."""

import math

import pytest

from processors.models.gpu import (
    GpuUnusable,
    compute_types,
    first_that_computes,
    is_out_of_memory,
    load_libraries,
    require_one,
)

_CPU = {"int8", "int8_float32", "float32"}
#: What CTranslate2 says of cards before Volta, and after Ampere.
_PASCAL = {"int8", "int8_float32", "float32"}
_HOPPER = {"int8", "int8_float16", "int8_bfloat16", "int8_float32", "float16", "bfloat16", "float32"}


@pytest.mark.parametrize(
    "configured, device, supported, is_fallback, expected",
    [
        (None, "cpu", _CPU, False, ["int8"]),
        (None, "cuda", _HOPPER, False, ["float16", "int8", "float32"]),
        (None, "cuda", _PASCAL, False, ["int8", "float32"]),  # linuxserver/docker-faster-whisper#71
        ("bfloat16", "cuda", _HOPPER, False, ["bfloat16"]),
        ("float16", "cpu", _CPU, True, ["int8"]),  # chosen for the GPU
        ("float32", "cpu", _CPU, True, ["float32"]),
        ("float16", "cpu", _CPU, False, ["float16"]),  # the library says that there is none
        (None, "cuda", set(), False, ["float32"]),
    ],
)
def test_a_device_gets_the_fastest_type_that_it_has(
    configured: str | None, device: str, supported: set[str], is_fallback: bool, expected: list[str]
) -> None:
    assert list(compute_types(configured, device, supported, is_fallback=is_fallback)) == expected


def test_a_type_that_is_refused_or_gives_no_numbers_is_passed_over() -> None:
    # Reports: OpenNMT/CTranslate2#1865 (int8 is listed, and refused), MahmoudAshraf97/whisper-diarization#327 (NaN).
    def build(kind: str) -> str:
        if kind == "int8":
            raise RuntimeError("cuBLAS failed with status CUBLAS_STATUS_NOT_SUPPORTED")
        return kind

    def trial(model: str) -> list[float]:
        return [0.5, math.nan if model == "float16" else 1.0]

    assert first_that_computes(["float16", "int8", "float32"], build, trial) == "float32"
    with pytest.raises(GpuUnusable) as caught:
        first_that_computes(["float16", "int8"], build, trial)
    assert "float16: the result is not a number" in str(caught.value)
    assert "NOT_SUPPORTED" in str(caught.value)


@pytest.mark.parametrize(
    "error, expected",
    [
        (RuntimeError("CUDA failed with error out of memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (MemoryError(), True),
        (RuntimeError("unspecified launch failure"), False),
        (ValueError("out of memory of what was said"), False),
    ],
)
def test_a_lack_of_memory_is_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_libraries_that_are_missing_are_named_with_the_command() -> None:
    with pytest.raises(GpuUnusable, match=r"libnowhere\.so\.12 not found.*kinolog\[gpu\]"):
        load_libraries(["libc.so.6", "libnowhere.so.12"])


def test_a_gpu_is_named_by_its_number() -> None:
    assert (require_one("cuda", 2, "Toys"), require_one("cuda:1", 2, "Toys")) == (0, 1)
    with pytest.raises(GpuUnusable, match="Toys finds no GPU"):
        require_one("cuda", 0, "Toys")
    with pytest.raises(GpuUnusable, match="there is no cuda:2"):
        require_one("cuda:2", 2, "Toys")
