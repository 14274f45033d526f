"""What the files in deploy/ start works: nothing else may be written, and no other setting is there."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streams.broker.process import Broker
from streams.supervisor.child import ReadySocket
from tests import bucket
from tests.conftest import eventually
from tests.deployments import DEPLOYMENTS, SECRETS
from tests.e2e.deploy.sealed import Deployment
from tests.e2e.system import Api

_STAY = ("control", "executor", "web")
_READY_S = 90.0
#: Libraries of models are large, and on a busy machine their processes come last.
_JOB_S = 400.0
_FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2"]
_ENCODE = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]

StartDeployment = Callable[[str], Deployment]


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """Two seconds of video."""
    subprocess.run([*_FFMPEG, *_ENCODE, tmp_path / "silent.mp4"], check=True, timeout=60)
    return tmp_path / "silent.mp4"


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Two seconds of video in which somebody speaks."""
    voice, made = tmp_path / "voice.wav", tmp_path / "spoken.mp4"
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", voice, "Hello world."], check=True, timeout=60)
    subprocess.run([*_FFMPEG, "-i", voice, *_ENCODE, made], check=True, timeout=60)
    return made


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Address of a bucket server."""
    with bucket.moto() as found:
        yield found


@pytest.fixture
def deploy(
    fresh_broker: Broker, endpoint: str, tmp_path: Path, free_port: Callable[[], int]
) -> Iterator[StartDeployment]:
    """Deployments of one kind, with neighbours on this machine."""
    made: list[Deployment] = []
    neighbours = {
        "KINOLOG_KAFKA__BOOTSTRAP": fresh_broker.bootstrap,
        "KINOLOG_KAFKA__REPLICATION_FACTOR": "1",
        "KINOLOG_WEB__PORT": str(free_port()),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
    }

    def make(kind: str) -> Deployment:
        made.append(Deployment(DEPLOYMENTS[kind](), tmp_path, neighbours))
        return made[-1]

    yield make
    for deployment in made:
        deployment.kill()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", DEPLOYMENTS)
async def test_a_deployment_publishes_a_video(kind: str, deploy: StartDeployment, endpoint: str, silent: Path) -> None:
    await bucket.make_bucket(endpoint)
    deployment = deploy(kind)
    await _start(deployment)
    async with _session(deployment) as session:
        api = Api(session)
        job = await api.ended((await api.upload(silent, pipeline="video"))["job_id"], _JOB_S)
    assert job["status"] == "completed", job
    for name in ("executor", "web"):
        await _require_no_complaint(deployment, name)
    assert [deployment.zombies(name) for name in _STAY] == [[], [], []]
    assert await deployment.stop() == dict.fromkeys(_STAY, 0)


@pytest.mark.timeout(900)
async def test_models_work_in_a_container(deploy: StartDeployment, spoken: Path) -> None:
    deployment = deploy("compose")
    await _start(deployment)
    async with _session(deployment) as session:
        api = Api(session)
        job = await api.ended((await api.upload(spoken))["job_id"], _JOB_S)
        assert {step["name"]: step["status"] for step in job["steps"]} == dict.fromkeys(
            ("probe", "transcode", "thumbnails", "audio", "transcribe", "captions", "embed"), "completed"
        ), job
        [hit] = await eventually(lambda: _found(session, "world"), _JOB_S, every_s=1.0)
        assert hit["asset_id"] == job["asset_id"]
    assert deployment.zombies("executor") == []


async def _start(deployment: Deployment) -> None:
    """Start every part, and return once all are ready."""
    applied = await deployment.run("topics", deployment.parts["topics"].argv)
    assert applied.returncode == 0, applied.stderr
    await asyncio.gather(*(_ready(deployment, name) for name in _STAY))
    async with _session(deployment) as session:
        await eventually(lambda: _is_ready(session), _READY_S)


async def _ready(deployment: Deployment, name: str) -> None:
    """Start a part and return once it is ready, by the means that its file names."""
    notification = ReadySocket()
    try:
        deployment.start(name, **({"NOTIFY_SOCKET": notification.address} if deployment.parts[name].notifies else {}))
        if deployment.parts[name].notifies:
            await asyncio.wait_for(notification.wait(), _READY_S)
        await eventually(lambda: deployment.is_healthy(name), _READY_S, every_s=0.5)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{name} did not get ready:\n{deployment.log(name)}") from error
    finally:
        notification.close()


def _session(deployment: Deployment) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {SECRETS['KINOLOG_AUTH__TOKEN']}"}
    return aiohttp.ClientSession(f"http://127.0.0.1:{deployment.environ['KINOLOG_WEB__PORT']}", headers=headers)


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    async with session.get("/readyz") as answer:
        return answer.status == 200


async def _found(session: aiohttp.ClientSession, words: str) -> Any:
    """Hits by meaning; None while web loads its model."""
    async with session.get("/v1/search", params={"q": words, "mode": "vector", "limit": "1"}) as answer:
        return (await answer.json()).get("data")


async def _require_no_complaint(deployment: Deployment, name: str) -> None:
    """Everything that `doctor` looks at is well where the part runs."""
    examined = await deployment.run(name, [deployment.parts[name].argv[0], "doctor", "--json"])
    assert examined.returncode == 0, examined.stdout
    levels = {check["check"]: check["level"] for check in json.loads(examined.stdout)["checks"]}
    assert set(levels.values()) == {"ok"}, examined.stdout
