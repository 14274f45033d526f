"""A model on a GPU that fails in every way in which those of others did, and a CPU beside it."""

import ctypes
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from processors.errors import GpuUnavailable, ModelFailed, ModelOutgrown
from processors.models import devices as devices_module
from processors.models.devices import CPU, ModelOnDevices, devices, on_devices
from processors.models.host import ModelLimits, OnPartial
from schemas.base import Json

_LOADER = "tests.integration.processors.models.toys:on_device"
# Reports: SYSTRAN/faster-whisper#1431 (missing), SYSTRAN/faster-whisper#1017 (aborts), m-bain/whisperX#1297 (aborts),
# OpenNMT/CTranslate2#1842 (raises), McCloudS/subgen#72 (full), linuxserver/docker-faster-whisper#14 (full later).
_WAYS = ["missing", "raises", "full", "aborts", "hangs", "raises later", "full later", "aborts later"]

MakeModel = Callable[..., ModelOnDevices]


@pytest.fixture
async def make_model(tmp_path: Path) -> AsyncIterator[MakeModel]:
    """`make_model(way, *devices)`: a toy whose GPU fails in that way while `tmp_path / "broken"` is there."""
    made: list[ModelOnDevices] = []
    (tmp_path / "broken").touch()

    def make(way: str, *in_order: str) -> ModelOnDevices:
        limits = ModelLimits(memory_bytes=512 * 1024**2, load_s=3 if way == "hangs" else 60, idle_s=0)
        options = {"gpu": way, "broken": str(tmp_path / "broken")}
        made.append(on_devices(_LOADER, options, limits, "toy", in_order))
        return made[-1]

    yield make
    for model in made:
        await model.close()


async def _echo(model: ModelOnDevices) -> Json:
    return await model.request({"do": "echo", "what": 1}, timeout_s=60)


@pytest.mark.parametrize("way", _WAYS)
async def test_a_gpu_that_fails_costs_no_answer(
    make_model: MakeModel, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    model = make_model(way, "cuda", CPU)
    assert not model.needs_cpus
    with caplog.at_level(logging.WARNING):
        assert (await _echo(model))["device"] == "cpu"
        assert (await _echo(model))["device"] == "cpu"
    assert model.needs_cpus
    assert model.is_able
    said = [record for record in caplog.records if record.name == devices_module.__name__]
    assert len(said) == 1, "the second request left the GPU alone"


async def test_a_gpu_that_works_again_is_used_again(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Reports: immich-app/immich#21910 (the driver came late), immich-app/immich#10334 (the GPU was lost).
    monkeypatch.setattr(devices_module, "_PAUSE_S", 0.0)
    model = make_model("missing", "cuda", CPU)
    assert (await _echo(model))["device"] == "cpu"
    (tmp_path / "broken").unlink()
    assert (await _echo(model))["device"] == "cuda"


async def test_what_a_gpu_said_before_it_failed_is_begun_again(make_model: MakeModel) -> None:
    tries: list[list[Json]] = []

    def begin() -> OnPartial:
        tries.append([])
        return tries[-1].append

    await make_model("aborts later", "cuda", CPU).request({"do": "echo", "what": 1}, timeout_s=60, begin=begin)
    assert tries == [[{"began_on": "cuda"}], [{"began_on": "cpu"}]]


async def test_the_only_gpu_may_come_back_and_takes_no_work_until_then(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reports: DataBiosphere/toil#5400, dask/distributed#1874 (a broken worker is idle, and so gets all tasks).
    model = make_model("missing", "cuda:1")
    assert model.is_able
    with pytest.raises(GpuUnavailable) as caught:
        await _echo(model)
    assert caught.value.retriable
    assert caught.value.detail == "The toy finds no GPU."
    assert not model.is_able
    (tmp_path / "broken").unlink()
    now = devices_module.time.monotonic()
    monkeypatch.setattr(devices_module.time, "monotonic", lambda: now + 301)
    assert model.is_able
    assert (await _echo(model))["device"] == "cuda:1"


async def test_an_error_of_the_input_leaves_the_only_gpu_able(make_model: MakeModel) -> None:
    # Report: warpem/warp#499 (files that were missing were taken for a fault of the machine).
    model = make_model("none", "cuda")
    with pytest.raises(ModelFailed):
        await model.request({"do": "upset"}, timeout_s=60)
    assert model.is_able


async def test_after_an_error_a_gpu_has_a_new_process_and_a_cpu_has_not(make_model: MakeModel) -> None:
    # Reports: stanford-oval/genienlp#181, JuliaGPU/CUDA.jl#606 (an error of a GPU is for ever, in its process).
    for device, served in (("cuda", 1), (CPU, 3)):
        model = make_model("none", device)
        await _echo(model)
        with pytest.raises(ModelFailed):
            await model.request({"do": "upset"}, timeout_s=60)
        assert (await _echo(model))["served"] == served


async def test_a_full_gpu_is_a_lack_of_memory(make_model: MakeModel) -> None:
    with pytest.raises(ModelOutgrown):
        await _echo(make_model("full later", "cuda"))


def test_auto_is_the_gpu_and_then_the_cpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices_module, "_GPU_FILES", (str(tmp_path / "nvidiactl"),))
    assert devices("auto") == ("cpu",)
    (tmp_path / "nvidiactl").touch()
    assert devices("auto") == ("cuda", "cpu")
    assert (devices("cpu"), devices("cuda:1")) == (("cpu",), ("cuda:1",))


_BY_NAME = """
import ctypes
from processors.models.gpu import load_libraries
load_libraries(["libcudnn.so.9"])
for name in ("libcudnn.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9"):
    ctypes.CDLL(name)
"""


def test_libraries_in_packages_are_found_by_name_without_a_search_path() -> None:
    # Reports: SYSTRAN/faster-whisper#153, OHF-Voice/wyoming-faster-whisper#30 (LD_LIBRARY_PATH had to name them).
    root = Path(__file__).resolve().parents[4]
    environ = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    with pytest.raises(OSError, match="libcudnn"):
        ctypes.CDLL("libcudnn.so.9")
    subprocess.run([sys.executable, "-c", _BY_NAME], cwd=root, env=environ, check=True)
