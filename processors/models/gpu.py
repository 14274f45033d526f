"""GPUs, as model processes use them: where CUDA's libraries are, and whether a GPU computes.

Nothing here may be called in a process that runs an event loop: a driver that hangs cannot be interrupted, and a broken
library ends the process.
"""

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from processors.models.protocol import SendPartial
from schemas.base import Json

Built = TypeVar("Built")

#: The libraries of CUDA that CTranslate2 opens by name when it computes. Source: CTranslate2 4, Installation, GPU.
CTRANSLATE2_LIBRARIES = ("libcublasLt.so.12", "libcublas.so.12", "libcudnn.so.9")
#: Parts that cuDNN opens by name when it needs them, and the process ends where it finds none.
_CUDNN_PARTS = ("libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9")
#: Default compute types of a GPU, fastest first. Cards before Volta have no fast float16; cards after Hopper failed at
#: int8 up to CTranslate2 4.6. Source: CTranslate2, Quantization.
GPU_TYPES = ("float16", "int8", "float32")
_CPU_TYPE = "int8"
#: cuDNN and cuBLAS are found in packages of this name, in which no interpreter looks for libraries.
_PACKAGE = "nvidia"


class GpuUnusable(Exception):
    """No GPU can be used; the message says why and what to do."""


def load_libraries(names: Sequence[str] = CTRANSLATE2_LIBRARIES) -> None:
    """Open CUDA's libraries, so that whoever opens them by name later finds them; nothing needs LD_LIBRARY_PATH.

    Raises GpuUnusable, and names what is missing.
    """
    folders = list(_library_folders())
    missing = [name for name in names if not _open(name, folders)]
    if missing:
        raise GpuUnusable(
            f"{', '.join(missing)} not found: CTranslate2 needs them on a GPU. Run `pip install 'kinolog[gpu]'`."
        )
    for part in _CUDNN_PARTS:
        _open(part, folders)


def _open(name: str, folders: Sequence[Path]) -> bool:
    """Open a library by name, from where the system looks first. Returns whether it is found."""
    for place in (name, *(str(folder / name) for folder in folders)):
        try:
            ctypes.CDLL(place, ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return True
    return False


def _library_folders() -> Iterator[Path]:
    """The folders with libraries of NVIDIA's Python packages."""
    spec = importlib.util.find_spec(_PACKAGE)
    for root in spec.submodule_search_locations or () if spec is not None else ():
        yield from sorted(Path(root).glob("*/lib"))


def compute_types(
    configured: str | None, device: str, supported: Collection[str], *, is_fallback: bool
) -> tuple[str, ...]:
    """Compute types to try on a device, in order: the configured one alone, or those that are fast there.

    `supported`: what CTranslate2 says of the device. `is_fallback`: a configured type that the device lacks is passed
    over, as it was chosen for the device that failed.
    """
    if configured and (configured in supported or not is_fallback):
        return (configured,)
    if device == "cpu":
        return (_CPU_TYPE,)
    return tuple(kind for kind in GPU_TYPES if kind in supported) or ("float32",)


def first_that_computes(kinds: Sequence[str], build: Callable[[str], Built], trial: Callable[[Built], Any]) -> Built:
    """The model of the first compute type whose trial gives finite numbers.

    Cards compute nonsense in a type, or refuse it, though the library lists it. Raises GpuUnusable.
    """
    import numpy as np

    errors: list[str] = []
    for kind in kinds:
        try:
            model = build(kind)
            if np.isfinite(np.asarray(trial(model), dtype=np.float32)).all():
                return model
            errors.append(f"{kind}: the result is not a number")
        except (RuntimeError, ValueError) as error:
            errors.append(f"{kind}: {error}")
        print(f"the GPU does not compute: {errors[-1]}", file=sys.stderr)  # noqa: T201  the host keeps it
    raise GpuUnusable(f"The GPU does not compute: {'; '.join(errors)}")


def require_one(device: str, count: int, library: str) -> int:
    """The number of the GPU "cuda" or "cuda:NUMBER", of `count` that a library finds. Raises GpuUnusable."""
    number = int(device.partition(":")[2] or 0)
    if count == 0:
        raise GpuUnusable(f"{library} finds no GPU.")
    if number >= count:
        raise GpuUnusable(f"{library} finds {count} GPUs, from cuda:0 on; there is no cuda:{number}.")
    return number


class Survey:
    """What a GPU can be used for, as a model that computes nothing."""

    def run(self, _request: Json, _send_partial: SendPartial) -> Json:
        """Names of this machine's GPUs; a loader that returns has found one."""
        return {"names": gpu_names()}


def gpu_names() -> list[str]:
    """Names of this machine's GPUs by NVIDIA, as far as its driver tells. Source: README of NVIDIA's driver, /proc."""
    found = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = [line.partition(":") for line in file.read_text(errors="replace").splitlines()]
        found += [value.strip() for key, _, value in lines if key == "Model"]
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out, of the machine or of a GPU."""
    # Both libraries raise RuntimeError or a subclass of it.
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())
