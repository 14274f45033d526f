"""An input through the steps of the pipeline `standard`, without a log."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from processors.contract import Processor
from processors.models.speech import LocalSpeech
from processors.tools.limits import Limits
from processors.tools.sandbox import Sandbox
from processors.transcribe import Transcriber
from schemas.base import Json
from schemas.jobs import Input as Source
from streams.process.ports import free_port
from tests.inputs.expected import Input
from tests.steps import Ending, Steps

#: What is done with every input that the probe accepts; then what is said in it.
_MEDIA_STEPS, _SPEECH_STEPS = ("transcode", "thumbnails", "audio"), ("transcribe", "captions")
_BACKENDS = "KINOLOG_TRANSCRIBE__BACKENDS"


class Pipeline:
    """The steps of one run, and where its inputs are put."""

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self._steps = Steps(root, sandbox, ("probe", *_MEDIA_STEPS, *_SPEECH_STEPS), limits=Limits())

    @property
    def stored(self) -> Path:
        """The folder of the store."""
        return self._steps.stored

    async def process(self, item: Input, path: Path, asset_id: str) -> dict[str, Ending]:
        """How each step ended that was begun, by its name."""
        folder = self._steps.drop / asset_id
        folder.mkdir()
        placed = folder / (item.filename or path.name)
        await asyncio.to_thread(shutil.copyfile, path, placed)
        async with self._transcriber(item) as transcriber:
            return await self._endings(item, Source(path=str(placed)), placed.name, asset_id, transcriber)

    async def _endings(
        self, item: Input, source: Source, name: str, asset_id: str, transcriber: Processor | None
    ) -> dict[str, Ending]:
        endings: dict[str, Ending] = {}
        inputs: dict[str, Json] = {}

        async def run(step: str, processor: Processor | None = None) -> bool:
            ending = await self._steps.run(step, source, name, asset_id, inputs, processor=processor)
            endings[step] = ending
            if ending.outputs is not None:
                inputs[step] = ending.outputs
            return ending.outputs is not None

        if await run("probe"):
            for step in _MEDIA_STEPS:
                await run(step)
            if item.transcribes and "audio" in inputs and await run("transcribe", transcriber):
                await run("captions")
        return endings

    @asynccontextmanager
    async def _transcriber(self, item: Input) -> AsyncIterator[Processor | None]:
        """One that asks an endpoint with the input's answer, where it has one."""
        if not item.endpoint:
            yield None
            return
        async with _endpoint(item) as url:
            yield self._steps.processor("transcribe", {_BACKENDS: url})

    async def close(self) -> None:
        """End the models' processes."""
        transcriber = self._steps.processors["transcribe"]
        assert isinstance(transcriber, Transcriber)
        for backend in transcriber.chain.values():
            if isinstance(backend, LocalSpeech):
                await backend.model.close()


@asynccontextmanager
async def _endpoint(item: Input) -> AsyncIterator[str]:
    """A speech endpoint on loopback that gives the input's chunks, without times of words."""
    chunks = [{"timestamp": [start_s, end_s], "text": text} for start_s, end_s, text in item.endpoint]
    answer = {"text": " ".join(text for _, _, text in item.endpoint), "chunks": chunks}

    async def transcribe(_: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/", transcribe)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()
