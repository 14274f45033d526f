"""The processes of kinolog on a cluster with ACLs, each with a user of its own."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from streams.kafka.acls import ROLES, acls_of, create_acls
from streams.kafka.admin import apply_topics, topic_states
from streams.process.ports import free_port
from streams.settings import Settings, load, to_environ
from tests.chaos.processes import Service
from tests.e2e.system import Api
from tests.secured_broker import SecuredBroker

_READY_S = 120.0


def restricted(data_dir: Path, **environ: str) -> Settings:
    """Settings of a system on a cluster that is named later."""
    own = {
        "KINOLOG_DATA_DIR": str(data_dir),
        "KINOLOG_KAFKA__BOOTSTRAP": "to be replaced:1",
        "KINOLOG_PARTITIONS": "2",
        "KINOLOG_WEB__PORT": str(free_port()),
        "KINOLOG_AUTH__TOKEN": "an-admin-token-of-this-test",
        "KINOLOG_AUTH__SIGNING_SECRET": "a-signing-secret-of-this-test-with-32-bytes",
    }
    return load(own | environ)


async def grant(broker: SecuredBroker, settings: Settings) -> None:
    """Give every role its rights."""
    for role in ROLES:
        await create_acls(broker.by_password("admin"), f"User:{role}", acls_of(role, settings))


async def operated(broker: SecuredBroker, settings: Settings) -> Settings:
    """The settings as those of the operator, who has applied the topics."""
    await grant(broker, settings)
    operator = settings.with_cluster(broker.by_password("operator"))
    await apply_topics(operator)
    assert all(state.partitions for state in await topic_states(operator))
    return operator


def environ_of(broker: SecuredBroker, settings: Settings, role: str) -> dict[str, str]:
    """The environment of a command with the rights of `role`; "admin" has all."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    return inherited | to_environ(settings.with_cluster(broker.by_password(role)))


@contextlib.asynccontextmanager
async def running(
    broker: SecuredBroker, settings: Settings, folder: Path, roles: tuple[str, ...] = ("control", "executor", "web")
) -> AsyncIterator[Api]:
    """These processes, once web is ready or, without control, listens; their logs are in `folder`."""
    parts = []
    for role in roles:
        argv = [sys.executable, "-m", "streams.cli", role]
        parts.append(Service(role, argv, environ_of(broker, settings, role), folder / f"{role}.log"))
    headers = {"Authorization": f"Bearer {settings.auth.token}"}
    url = f"http://127.0.0.1:{settings.web.port}"
    try:
        for part in parts:
            await part.start()
        async with aiohttp.ClientSession(url, headers=headers) as session:
            await _until_ready(session, "/readyz" if "control" in roles else "/readyz?exclude=control")
            yield Api(session)
    finally:
        ends = [await part.retire() for part in parts]
    assert not any(ends), ends


async def _until_ready(session: aiohttp.ClientSession, path: str) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(path) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.2)
