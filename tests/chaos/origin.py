"""A foreign server on loopback, with files for downloads; it can be made to fail."""

from aiohttp import web

#: A picture that a browser would show: what `cache` keeps.
_GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


class Origin:
    """Answers every path with the same picture, or with an error while it is `down`."""

    def __init__(self) -> None:
        self.port = 0
        self.down = False
        self._runner: web.AppRunner | None = None

    def url(self, name: str) -> str:
        """Address of one file."""
        return f"http://127.0.0.1:{self.port}/{name}.gif"

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get("/{name}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        return web.Response(body=_GIF, content_type="image/gif")
