"""An embedding endpoint that knows the meaning of a few words, for tests that need no model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

#: Words with one meaning share a dimension; the last one is for everything else.
_MEANINGS = (("country", "nation", "fellow"), ("bread", "dough", "bake", "oven"), ("ship", "harbour"))
DIM = len(_MEANINGS) + 1


def meaning(text: str) -> list[float]:
    """How often each meaning occurs."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    counts = [float(sum(word in same for word in words)) for same in _MEANINGS]
    return [*counts, 0.1]


class FakeEmbeddings:
    """Hugging Face's feature extraction, by `meaning`. While `stuck`, it answers nobody."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[list[str]] = []
        self.stuck = False

    async def serve(self, request: web.Request) -> web.Response:
        """Vectors of the inputs."""
        texts = (await request.json())["inputs"]
        self.asked.append(texts)
        if self.stuck:
            await asyncio.Event().wait()
        return web.json_response([meaning(text) for text in texts])


@asynccontextmanager
async def fake_embeddings() -> AsyncIterator[FakeEmbeddings]:
    """A running endpoint."""
    endpoint, app = FakeEmbeddings(), web.Application()
    app.router.add_post("/embed", endpoint.serve)
    async with TestServer(app) as server:
        endpoint.url = str(server.make_url("/embed"))
        yield endpoint
