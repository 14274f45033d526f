"""Model hosts: a model in its own child process, loaded once, serving one request at a time."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processors.errors import (
    GpuUnavailable,
    ModelFailed,
    ModelLoadTimedOut,
    ModelLost,
    ModelOutgrown,
    ModelTimedOut,
    ModelUnavailable,
)
from processors.models.gpu import GpuUnusable
from processors.models.protocol import LENGTH_BYTES, Frame, InvalidFrame, Kind, decode, encode, length_of
from processors.tools.child_process import offline, tethered
from processors.tools.cpu_priority import NICE_HEAVY, lower_priority
from schemas.base import Json

log = logging.getLogger(__name__)

#: Interval of memory checks.
_WATCH_S = 0.2
#: Time to wait for the exit after SIGKILL.
_REAP_S = 5.0
#: Bytes of stderr that are kept.
_STDERR_BYTES = 16 * 1024
_DETAIL_CHARS = 4000

#: Receives a part of a response; must be cheap: called on the event loop.
OnPartial = Callable[[Json], None]


@dataclass(frozen=True, kw_only=True)
class ModelLimits:
    """Resource limits of a model process."""

    #: Maximum resident memory; the process is killed beyond it.
    memory_bytes: int
    #: Time limit of loading.
    load_s: float = 300.0
    #: Idle time after which it is unloaded; 0: never.
    idle_s: float = 600.0
    #: Allow network access, to download a model that is not on this machine.
    network: bool = False


def _ignore(part: Json) -> None:
    """Discard partial responses."""


@dataclass
class ModelHost:
    """One model in a child process, started at the first request and restarted after it exits.

    Cancelling a request kills the process: native code cannot be interrupted. It exits with its parent.
    """

    #: Its loader, "package.module:function": see processors/models/protocol.py, Loader.
    loader: str
    #: Options of the loader.
    options: Json
    limits: ModelLimits
    #: Name for log lines and errors.
    name: str
    #: End the process after any failed request: nothing works any more in one whose GPU has failed.
    ends_on_error: bool = False
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _process: asyncio.subprocess.Process | None = None
    _stderr: bytearray = field(default_factory=bytearray)
    _reading: asyncio.Task[None] | None = None
    _unloading: asyncio.TimerHandle | None = None
    _reaping: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def pid(self) -> int | None:
        """Process id of the loaded model; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def request(self, request: Json, *, timeout_s: float, on_partial: OnPartial = _ignore) -> Json:
        """Send a request and return the response; waits for earlier requests. Plain values and bytes, both ways.

        Raises ModelUnavailable, GpuUnavailable, ModelFailed, ModelLost, ModelTimedOut, ModelOutgrown. Unless the model
        itself raised the error and `ends_on_error` is unset, a failed or cancelled request kills the process.
        """
        async with self._lock:
            self._cancel_unload()
            intact = False
            try:
                await self._ensure_loaded()
                response = await self._limited(self._exchange("ask", request, on_partial), timeout_s)
                intact = True
                return response
            except ModelFailed:
                intact = not self.ends_on_error
                raise
            finally:
                if not intact:
                    await self._end()
                self._unload_later()

    async def close(self) -> None:
        """Stop the process. A repeat is harmless; a later request starts it again."""
        self._cancel_unload()
        await self._end()

    async def _ensure_loaded(self) -> None:
        if self.pid is not None:
            return
        await self._end()
        self._process = await self._spawn()
        lower_priority(self._process.pid, NICE_HEAVY)
        self._stderr.clear()
        self._reading = asyncio.create_task(self._read_stderr(self._process))
        try:
            about = await self._limited(self._exchange("start", self.options, _ignore), self.limits.load_s)
        except ModelFailed as error:
            raise ModelUnavailable(f"The model {self.name} cannot be loaded.", detail=error.detail) from error
        except ModelTimedOut as error:
            message = f"The model {self.name} was not loaded within {self.limits.load_s:.0f} s."
            raise ModelLoadTimedOut(message) from error
        log.info("model loaded", extra={"model": self.name, "pid": self.pid, **about})

    async def _spawn(self) -> asyncio.subprocess.Process:
        argv = tethered([sys.executable, "-P", "-m", "processors.models.child", self.loader])
        try:
            return await asyncio.create_subprocess_exec(
                *(argv if self.limits.network else await offline(argv)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise ModelUnavailable(f"The model {self.name} cannot be started.", detail=str(error)) from error

    async def _limited(self, exchange: Coroutine[Any, Any, Json], timeout_s: float) -> Json:
        """The result of an exchange within the limits of time and memory."""
        exchanging = asyncio.ensure_future(exchange)
        watching = asyncio.ensure_future(self._memory_exceeded())
        try:
            done, _ = await asyncio.wait({exchanging, watching}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if exchanging in done:
                return await exchanging
            if watching in done:
                message = f"The model {self.name} exceeded its memory limit of {self.limits.memory_bytes >> 20} MiB."
                raise ModelOutgrown(message, detail=f"{watching.result() >> 20} MiB")
            raise ModelTimedOut(f"The model {self.name} did not respond within {timeout_s:.0f} s.")
        finally:
            for task in (exchanging, watching):
                task.cancel()
            await asyncio.gather(exchanging, watching, return_exceptions=True)

    async def _memory_exceeded(self) -> int:
        """Wait until the process exceeds its memory limit, and return its memory."""
        while (resident := resident_bytes(self.pid)) <= self.limits.memory_bytes:
            await asyncio.sleep(_WATCH_S)
        return resident

    async def _exchange(self, kind: Kind, body: Json, on_partial: OnPartial) -> Json:
        """Send one frame, pass partial responses on, and return the body of the last one."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(kind, body))
            await self._process.stdin.drain()
            while (frame := await self._next_frame(self._process)).kind == "partial":
                on_partial(frame.body)
        except (OSError, asyncio.IncompleteReadError, InvalidFrame) as error:
            raise await self._lost(error) from error
        if frame.kind == "failed":
            raise self._failed(frame.body)
        return frame.body

    async def _next_frame(self, process: asyncio.subprocess.Process) -> Frame:
        assert process.stdout is not None
        length = length_of(await process.stdout.readexactly(LENGTH_BYTES))
        return decode(await process.stdout.readexactly(length))

    def _failed(self, body: Json) -> ModelFailed | ModelOutgrown | GpuUnavailable:
        detail = str(body.get("trace", ""))[-_DETAIL_CHARS:]
        if body.get("type") == GpuUnusable.__name__:
            return GpuUnavailable(f"The model {self.name} cannot use a GPU.", detail=body.get("message"))
        if body.get("memory"):
            return ModelOutgrown(f"The model {self.name} ran out of memory.", detail=detail)
        return ModelFailed(f"The model {self.name} failed: {body.get('type')}.", detail=detail)

    async def _lost(self, error: Exception) -> ModelLost:
        """The error for an exited process."""
        await self._end()
        code = self._process.returncode if self._process is not None else None
        stderr = self._stderr.decode(errors="replace").strip()
        detail = f"exited with {code}: {error!r}: {stderr[-_DETAIL_CHARS:]}"
        return ModelLost(f"The process of the model {self.name} exited unexpectedly.", detail=detail)

    async def _read_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(_STDERR_BYTES):
            self._stderr += chunk
            del self._stderr[:-_STDERR_BYTES]

    async def _end(self) -> None:
        """Kill the whole process group and reap it, also if cancelled meanwhile."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has exited
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        reaping = asyncio.create_task(self._reap(self._process, self._reading))
        self._reaping.add(reaping)
        reaping.add_done_callback(self._reaping.discard)
        await asyncio.shield(reaping)

    async def _reap(self, process: asyncio.subprocess.Process, listening: "asyncio.Task[None] | None") -> None:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_REAP_S):
                await process.wait()
                if listening is not None:
                    await listening
        except TimeoutError:
            log.exception("killed model does not exit", extra={"model": self.name, "pid": process.pid})

    def _cancel_unload(self) -> None:
        if self._unloading is not None:
            self._unloading.cancel()
            self._unloading = None

    def _unload_later(self) -> None:
        if self.limits.idle_s > 0 and self.pid is not None:
            self._unloading = asyncio.get_running_loop().call_later(self.limits.idle_s, self._unload)

    def _unload(self) -> None:
        self._unloading = None
        if not self._lock.locked() and self.pid is not None:
            log.info("model unloaded", extra={"model": self.name, "idle_s": self.limits.idle_s})
            ending = asyncio.create_task(self._end())
            self._reaping.add(ending)
            ending.add_done_callback(self._reaping.discard)


def resident_bytes(pid: int | None) -> int:
    """Resident memory of a process; 0 if it is gone. Source: proc(5), statm."""
    if pid is None:
        return 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


#: Variables that Python, the libraries and their caches need. All others are withheld, because some are secret.
_PASSED = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE"})
_PASSED_PREFIXES = ("LC_", "XDG_", "HF_", "TORCH_", "CT2_", "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "NVIDIA_")
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the child: without secrets, and able to import kinolog from a checkout."""
    kept = {name: value for name, value in environ.items() if _is_passed(name)}
    root = str(Path(__file__).resolve().parents[2])
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")])),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def _is_passed(name: str) -> bool:
    return name in _PASSED or (name.startswith(_PASSED_PREFIXES) and not any(word in name for word in _SECRET))
