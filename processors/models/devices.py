"""Devices of local models: a model runs on a GPU or on the CPU, and on the CPU when the GPU fails."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processors.errors import (
    BackendError,
    GpuUnavailable,
    ModelFailed,
    ModelLoadTimedOut,
    ModelLost,
    ModelOutgrown,
    ModelUnavailable,
)
from processors.models.host import ModelHost, ModelLimits, OnPartial
from schemas.base import Json

log = logging.getLogger(__name__)

CPU, AUTO, GPU = "cpu", "auto", "cuda"
#: What a machine with a GPU has: the device of NVIDIA's driver, that of Windows' Linux, that of AMD's driver.
_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
#: How long a GPU that failed is left alone: it may come back, as after an update of its driver.
_PAUSE_S = 300.0
#: Errors after which the next device is tried. Others concern the input, or have taken the time of the request.
_DEVICE_ERRORS = (GpuUnavailable, ModelUnavailable, ModelLoadTimedOut, ModelFailed, ModelLost, ModelOutgrown)

#: Called before each try; returns what receives its partial responses.
Begin = Callable[[], OnPartial]


def devices(setting: str) -> tuple[str, ...]:
    """Devices to try, in order: the one that is set. "auto": a GPU, if this machine has one, then the CPU."""
    if setting != AUTO:
        return (setting,)
    return (GPU, CPU) if has_gpu() else (CPU,)


def has_gpu() -> bool:
    """Whether the driver of a GPU runs on this machine, without calling it."""
    return any(Path(file).exists() for file in _GPU_FILES)


def on_devices(loader: str, options: Json, limits: ModelLimits, name: str, in_order: Sequence[str]) -> "ModelOnDevices":
    """The model of a loader with the options `device` and `is_fallback`, with a host for each device. See ModelHost."""
    return ModelOnDevices(
        {
            device: ModelHost(
                loader,
                {**options, "device": device, "is_fallback": device != in_order[0]},
                limits,
                name,
                ends_on_error=device != CPU,
            )
            for device in in_order
        }
    )


def _discard() -> OnPartial:
    return lambda _part: None


@dataclass
class ModelOnDevices:
    """A model on the first of its devices that works.

    A GPU that fails is left alone for some minutes.
    """

    #: In order of preference, by device.
    hosts: Mapping[str, ModelHost]
    _paused_until: dict[str, float] = field(default_factory=dict)

    @property
    def needs_cpus(self) -> bool:
        """Whether the next request is expected to be computed by the CPU."""
        return self._usable()[0] == CPU

    @property
    def is_able(self) -> bool:
        """Whether a device is left: False while the only one is a GPU that cannot be used."""
        return not self._is_paused(self._usable()[-1])

    async def request(self, request: Json, *, timeout_s: float, begin: Begin = _discard) -> Json:
        """The response of the first device that gives one. Raises as ModelHost.request does, the error of the last."""
        *others, last = self._usable()
        for device in others:
            try:
                return await self.hosts[device].request(request, timeout_s=timeout_s, on_partial=begin())
            except _DEVICE_ERRORS as error:
                self._pause(device, error)
        try:
            return await self.hosts[last].request(request, timeout_s=timeout_s, on_partial=begin())
        except GpuUnavailable as error:
            self._pause(last, error)
            raise

    async def close(self) -> None:
        """Stop the processes. A repeat is harmless."""
        for host in self.hosts.values():
            await host.close()

    def _usable(self) -> list[str]:
        *others, last = self.hosts
        return [device for device in others if not self._is_paused(device)] + [last]

    def _is_paused(self, device: str) -> bool:
        return self._paused_until.get(device, 0.0) > time.monotonic()

    def _pause(self, device: str, error: BackendError) -> None:
        self._paused_until[device] = time.monotonic() + _PAUSE_S
        log.warning(
            "a model leaves its device alone for a while",
            extra={
                "model": self.hosts[device].name,
                "device": device,
                "code": error.code,
                "detail": error.detail,
                "again_in_s": _PAUSE_S,
            },
        )
