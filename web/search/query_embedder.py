"""Embedding of search queries, with the model of the searched space."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from processors.errors import BackendError
from processors.models.embeddings import Embeddings, LocalEmbeddings, RemoteEmbeddings, model_name
from schemas.embed import Space
from web.http.fair_semaphore import CALLER, FairSemaphore
from web.search.vector_file import Floats

log = logging.getLogger("kinolog.web")

#: Concurrent requests to the backends; half of them at most for one caller, who may have so many more waiting.
_REQUESTS, _WAITING = 4, 100


class SpaceUnavailable(Exception):
    """A query cannot be embedded for this space now; the message is for the user who searches."""


class QueryVectors:
    """The configured embedding backends; a local model is loaded with the first query and unloaded when idle."""

    def __init__(self, backends: Mapping[str, LocalEmbeddings | RemoteEmbeddings], timeout_s: float) -> None:
        self._backends = backends
        self._timeout_s = timeout_s
        # A slot is held until the backend has finished, so what timed out cannot pile up in it.
        self._slots = FairSemaphore(_REQUESTS, per_caller=_REQUESTS // 2, queue=_WAITING)
        #: Running requests, also those whose search has timed out.
        self._requests: set[asyncio.Task[Floats]] = set()

    async def vector(self, text: str, space: Space) -> Floats:
        """The vector of `text` in `space`. Raises SpaceUnavailable, also when it takes too long, and QueueFull."""
        caller = CALLER.get()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._slots.acquire(caller)
                # A request that is cancelled kills its model: the next query would wait for it to be loaded again.
                embedding = asyncio.create_task(self._embed(text, space))
                self._requests.add(embedding)
                embedding.add_done_callback(partial(self._done, caller))
                return await asyncio.shield(embedding)
        except TimeoutError:
            raise SpaceUnavailable(f"the model {space.model} is still loading: try again in a moment") from None

    async def close(self) -> None:
        """Stop the models' processes."""
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        for backend in self._backends.values():
            await backend.close()

    async def _embed(self, text: str, space: Space) -> Floats:
        for backend in self._of(space):
            try:
                embedded = await backend.embed([text], "query")
            except BackendError as error:
                log.warning("query model failed", extra={"code": error.code, "detail": error.detail})
                raise SpaceUnavailable(f"the model {space.model} is not available: {error}") from error
            # How passages were cut makes no difference to a query.
            if replace(embedded.space, chunker=space.chunker) == space:
                vector: Floats = embedded.vectors[0]
                return vector
        raise SpaceUnavailable(f"the model {space.model} of these vectors is not configured here")

    def _of(self, space: Space) -> list[Embeddings]:
        return [each for each in self._backends.values() if model_name(each.backend) == space.model]

    def _done(self, caller: str, embedding: "asyncio.Task[Floats]") -> None:
        self._slots.release(caller)
        self._requests.discard(embedding)
        if not embedding.cancelled():
            embedding.exception()  # the search may have timed out
