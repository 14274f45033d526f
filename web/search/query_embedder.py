"""A query's vector, by the model of the space that is searched."""

import asyncio
import logging
from collections.abc import Mapping

from msgspec.structs import replace

from processors.errors import BackendError
from processors.models.embeddings import Embeddings, LocalEmbeddings, RemoteEmbeddings, model_name
from schemas.embed import Space
from web.search.vector_file import Floats

log = logging.getLogger("kinolog.web")


class SpaceUnavailable(Exception):
    """A query cannot be embedded for this space now; the message says why, to whoever searches."""


class QueryVectors:
    """Asks the backends of the settings' chain; a local model is loaded with the first query and unloaded when idle."""

    def __init__(self, backends: Mapping[str, LocalEmbeddings | RemoteEmbeddings], timeout_s: float) -> None:
        self._backends = backends
        self._timeout_s = timeout_s
        #: Keeps what goes on after its asker has gone.
        self._asking: set[asyncio.Task[Floats]] = set()

    async def vector(self, text: str, space: Space) -> Floats:
        """The vector of `text` in `space`. Raises SpaceUnavailable, also when it takes too long."""
        # A request that is cancelled kills its model: the next query would wait for it to be loaded again.
        asking = asyncio.create_task(self._asked(text, space))
        self._asking.add(asking)
        asking.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(asking)
        except TimeoutError:
            raise SpaceUnavailable(f"the model {space.model} is still being loaded: try again in a moment") from None

    async def close(self) -> None:
        """End the models' processes."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for backend in self._backends.values():
            await backend.close()

    async def _asked(self, text: str, space: Space) -> Floats:
        for backend in self._of(space):
            try:
                embedded = await backend.embed([text], "query")
            except BackendError as error:
                log.warning("query model failed", extra={"code": error.code, "detail": error.detail})
                raise SpaceUnavailable(f"the model {space.model} cannot be asked now: {error}") from error
            # How passages were cut makes no difference to a query.
            if replace(embedded.space, chunker=space.chunker) == space:
                vector: Floats = embedded.vectors[0]
                return vector
        raise SpaceUnavailable(f"the model {space.model} that these vectors are of is not available here")

    def _of(self, space: Space) -> list[Embeddings]:
        return [found for found in self._backends.values() if model_name(found.backend) == space.model]

    def _done(self, asking: "asyncio.Task[Floats]") -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # whoever asked may have gone
