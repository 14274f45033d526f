"""/v1/stats/system: how far control is behind, and the disks of this machine."""

import asyncio
import contextlib
from pathlib import Path

from aiohttp import web

from processors.storage.local_store import LocalStore
from streams.doctor.machine import existing
from web.api.common import data_response
from web.api.uploads.tus_completion import tus_path
from web.http.routing import Routes
from web.services import Services, services
from web.views.models import Answer, ControlView, DiskView, SystemView

routes = Routes("Statistics")


@routes.get("/v1/stats/system", access="admin", responses={200: Answer[SystemView]})
async def show_system(request: web.Request) -> web.Response:
    """Show how far control is behind, and the space of the disks that this replica sees.

    A store in a bucket, and the log of a broker on another machine, have no disk here.
    """
    parts = services(request)
    records, waited_s = parts.control.lag()
    control = ControlView(behind_records=records, behind_s=round(waited_s, 1), troubles=parts.control.troubles())
    return data_response(SystemView(control=control, disks=await asyncio.to_thread(_disks, parts)))


def _folders(parts: Services) -> dict[str, Path]:
    """What is kept on disks of this machine, and where."""
    media = {"media": existing(parts.store.root)} if isinstance(parts.store, LocalStore) else {}
    return {"log": parts.settings.data_path / "kafka", **media, "uploads": existing(tus_path(parts.settings))}


def _disks(parts: Services) -> list[DiskView]:
    """The disks, each once however much is on it. The log's folder exists where its broker runs."""
    kept: dict[int, list[str]] = {}
    spaces: dict[int, Path] = {}
    for name, folder in _folders(parts).items():
        with contextlib.suppress(OSError):
            device = folder.stat().st_dev
            kept.setdefault(device, []).append(name)
            spaces.setdefault(device, folder)
    return [_disk(parts, folder, kept[device]) for device, folder in spaces.items()]


def _disk(parts: Services, folder: Path, keeps: list[str]) -> DiskView:
    space = parts.reserve.space(folder)
    return DiskView(
        keeps=keeps,
        size_bytes=space.size_bytes,
        free_bytes=space.free_bytes,
        reserve_bytes=space.reserve_bytes,
        below_reserve=parts.reserve.missing_bytes(folder) > 0,
    )
