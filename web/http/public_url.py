"""The service's URL as its clients know it: the base of every URL in a response."""

from aiohttp import web


def public_base(request: web.Request, configured: str | None, *, behind_proxy: bool) -> str:
    """Base without a trailing slash: the configured one, else scheme and host of the request.

    `behind_proxy`: X-Forwarded-Proto and X-Forwarded-Host are a trusted proxy's.
    """
    if configured is not None:
        return configured
    scheme, host = request.scheme, request.host
    if behind_proxy:
        scheme = _last(request, "X-Forwarded-Proto") or scheme
        host = _last(request, "X-Forwarded-Host") or host
    return f"{scheme}://{host}"


def _last(request: web.Request, name: str) -> str:
    """What the nearest proxy appended."""
    return request.headers.get(name, "").rpartition(",")[2].strip()
