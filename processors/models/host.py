"""A model in a child process of its own: loaded once, asked one thing at a time, killed when it must end."""

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

from processors.errors import ModelFailed, ModelLost, ModelOutgrown, ModelTimedOut, ModelUnavailable
from processors.models.protocol import LENGTH_BYTES, Frame, InvalidFrame, Kind, decode, encode, length_of
from processors.tools.child_process import offline, tethered
from processors.tools.cpu_priority import NICE_HEAVY, stand_back
from schemas.base import Json

log = logging.getLogger(__name__)

#: Between looks at how much memory the model has.
_WATCH_S = 0.2
#: From SIGKILL to giving up on the process's end.
_REAP_S = 5.0
#: Kept of what the process says on stderr.
_SAID_BYTES = 16 * 1024
_DETAIL_CHARS = 4000

#: Takes a part of an answer; cheap, called on the event loop.
OnPartial = Callable[[Json], None]


@dataclass(frozen=True, kw_only=True)
class ModelBounds:
    """What a model may use."""

    #: Resident memory; beyond it the process is killed.
    memory_bytes: int
    #: Longest that loading may take.
    load_s: float = 300.0
    #: Without a request for so long it is unloaded; 0: never.
    idle_s: float = 600.0
    #: Whether it may reach the network: a name that no folder here has is fetched when it is loaded.
    network: bool = False


def _ignore(part: Json) -> None:
    """Nobody waits for parts."""


@dataclass
class ModelHost:
    """One model, in a process that is started at the first request and again after it has ended.

    Cancelling a request kills the process: native code does not listen to anything else. It dies with us, too.
    """

    #: What loads it, "package.module:function": see processors/models/protocol.py, Loader.
    loader: str
    #: Given to the loader.
    options: Json
    bounds: ModelBounds
    #: For people, in the log and in errors.
    name: str
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _process: asyncio.subprocess.Process | None = None
    _said: bytearray = field(default_factory=bytearray)
    _listening: asyncio.Task[None] | None = None
    _unloading: asyncio.TimerHandle | None = None
    _reaping: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def pid(self) -> int | None:
        """Process id of the loaded model; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def ask(self, request: Json, *, timeout_s: float, on_partial: OnPartial = _ignore) -> Json:
        """The model's answer; waits for its turn first. Plain values and bytes, both ways.

        Raises ModelUnavailable, ModelFailed, ModelLost, ModelTimedOut, ModelOutgrown. Whatever else than an answer
        ends the request ends the process as well, except an error that the model itself raised.
        """
        async with self._one_at_a_time:
            self._keep()
            whole = False
            try:
                await self._loaded()
                answer = await self._bounded(self._exchange("ask", request, on_partial), timeout_s)
                whole = True
                return answer
            except ModelFailed:
                whole = True
                raise
            finally:
                if not whole:
                    await self._end()
                self._unload_later()

    async def close(self) -> None:
        """End the process. A repeat is harmless; a later request starts it again."""
        self._keep()
        await self._end()

    async def _loaded(self) -> None:
        if self.pid is not None:
            return
        await self._end()
        self._process = await self._spawn()
        stand_back(self._process.pid, NICE_HEAVY)
        self._said.clear()
        self._listening = asyncio.create_task(self._listen(self._process))
        try:
            await self._bounded(self._exchange("start", self.options, _ignore), self.bounds.load_s)
        except ModelFailed as error:
            raise ModelUnavailable(f"The model {self.name} cannot be loaded.", detail=error.detail) from error
        log.info("model loaded", extra={"model": self.name, "pid": self.pid})

    async def _spawn(self) -> asyncio.subprocess.Process:
        argv = tethered([sys.executable, "-P", "-m", "processors.models.child", self.loader])
        try:
            return await asyncio.create_subprocess_exec(
                *(argv if self.bounds.network else await offline(argv)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise ModelUnavailable(f"The model {self.name} cannot be started.", detail=str(error)) from error

    async def _bounded(self, exchange: Coroutine[Any, Any, Json], timeout_s: float) -> Json:
        """The outcome of an exchange within time and memory."""
        talking = asyncio.ensure_future(exchange)
        watching = asyncio.ensure_future(self._outgrown())
        try:
            done, _ = await asyncio.wait({talking, watching}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if talking in done:
                return await talking
            if watching in done:
                message = f"The model {self.name} took more than the {self.bounds.memory_bytes >> 20} MiB it may have."
                raise ModelOutgrown(message, detail=f"{watching.result() >> 20} MiB")
            raise ModelTimedOut(f"The model {self.name} did not answer within {timeout_s:.0f} s.")
        finally:
            for task in (talking, watching):
                task.cancel()
            await asyncio.gather(talking, watching, return_exceptions=True)

    async def _outgrown(self) -> int:
        """Return when the process has more memory than it may have, with how much it is."""
        while (resident := resident_bytes(self.pid)) <= self.bounds.memory_bytes:
            await asyncio.sleep(_WATCH_S)
        return resident

    async def _exchange(self, kind: Kind, body: Json, on_partial: OnPartial) -> Json:
        """Send one frame, hand partial ones on, return the last one's body."""
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

    def _failed(self, told: Json) -> ModelFailed | ModelOutgrown:
        detail = str(told.get("trace", ""))[-_DETAIL_CHARS:]
        if told.get("memory"):
            return ModelOutgrown(f"The model {self.name} ran out of memory.", detail=detail)
        return ModelFailed(f"The model {self.name} failed: {told.get('type')}.", detail=detail)

    async def _lost(self, error: Exception) -> ModelLost:
        """What ended the process, as an error."""
        await self._end()
        code = self._process.returncode if self._process is not None else None
        said = self._said.decode(errors="replace").strip()
        detail = f"ended with {code}: {error!r}: {said[-_DETAIL_CHARS:]}"
        return ModelLost(f"The process of the model {self.name} ended unexpectedly.", detail=detail)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(_SAID_BYTES):
            self._said += chunk
            del self._said[:-_SAID_BYTES]

    async def _end(self) -> None:
        """Kill the whole process group and reap it; finished also when we are cancelled meanwhile."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        reaping = asyncio.create_task(self._reap(self._process, self._listening))
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
            log.exception("a killed model does not end", extra={"model": self.name, "pid": process.pid})

    def _keep(self) -> None:
        if self._unloading is not None:
            self._unloading.cancel()
            self._unloading = None

    def _unload_later(self) -> None:
        if self.bounds.idle_s > 0 and self.pid is not None:
            self._unloading = asyncio.get_running_loop().call_later(self.bounds.idle_s, self._unload)

    def _unload(self) -> None:
        self._unloading = None
        if not self._one_at_a_time.locked() and self.pid is not None:
            log.info("model unloaded", extra={"model": self.name, "idle_s": self.bounds.idle_s})
            ending = asyncio.create_task(self._end())
            self._reaping.add(ending)
            ending.add_done_callback(self._reaping.discard)


def resident_bytes(pid: int | None) -> int:
    """Memory that a process has; 0 when it is gone. Source: proc(5), statm."""
    if pid is None:
        return 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


#: What Python, the libraries and their caches look at. All else is no model's business, and some of it is secret.
_SHOWN = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE"})
_SHOWN_PREFIXES = ("LC_", "XDG_", "HF_", "TORCH_", "CT2_", "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "NVIDIA_")
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The child's: without secrets, and able to import us from a checkout that is not installed."""
    kept = {name: value for name, value in environ.items() if _is_shown(name)}
    root = str(Path(__file__).resolve().parents[2])
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")])),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def _is_shown(name: str) -> bool:
    return name in _SHOWN or (name.startswith(_SHOWN_PREFIXES) and not any(word in name for word in _SECRET))
