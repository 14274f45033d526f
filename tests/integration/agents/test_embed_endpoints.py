"""The step `embed` against endpoints that misbehave: its state, how often it is tried, and its code."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from agents.embed import make
from agents.executor.attempts import Attempt, AttemptIdentity
from agents.executor.execution import AttemptResources, execute
from processors.storage.local_store import LocalStore
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.embed import STEP
from schemas.jobs import Job, Step
from schemas.step_events import AttemptAccepted, RetryDue, StepRequested
from streams.settings import Settings
from streams.settings.work import Embed
from tables.reducer import advance
from tests.transcripts import transcript_json
from tests.unit.agents.executor.fakes import resources_below
from tests.unit.web.rows import NOW, a_job, a_step

DIM = 8
LOADING = (503, {"error": "Model bge is currently loading", "estimated_time": 20.0})
KEY = "assets/asset_000001/transcribe/1-lease_0/transcript.json"


class FakeEndpoint:
    """A feature-extraction endpoint that answers what a test puts into `responses`, and vectors afterwards."""

    def __init__(self) -> None:
        self.responses: list[tuple[int, Any]] = []
        self.requests: list[list[str]] = []
        self.stuck = False

    async def serve(self, request: web.Request) -> web.StreamResponse:
        texts = (await request.json())["inputs"]
        self.requests.append(texts)
        if self.stuck:
            await asyncio.Event().wait()
        status, body = self.responses.pop(0) if self.responses else (200, vectors(len(texts)))
        return web.json_response(body, status=status) if not isinstance(body, str) else web.Response(text=body)


def vectors(count: int, dim: int = DIM) -> list[list[float]]:
    found: list[list[float]] = np.random.default_rng(7).normal(size=(count, dim)).tolist()
    return found


Serve = Callable[[], Awaitable[tuple[FakeEndpoint, str]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A function that starts another endpoint, and gives it with its address."""
    servers: list[TestServer] = []

    async def begin() -> tuple[FakeEndpoint, str]:
        endpoint, app = FakeEndpoint(), web.Application()
        app.router.add_post("/embed", endpoint.serve)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return endpoint, str(servers[-1].make_url("/embed"))

    yield begin
    for server in servers:
        await server.close()


@pytest.fixture
def resources(tmp_path: Path) -> AttemptResources:
    """A resources with the transcript in its store."""
    found = resources_below(tmp_path)
    assert isinstance(found.store, LocalStore)
    path = found.store.local_path(KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(transcript_json())
    return found


class Outcome:
    """A job put through control and executor, without a log between them; delays pass at once."""

    def __init__(self, resources: AttemptResources, backends: list[str]) -> None:
        settings = Settings(embed=Embed(backends=tuple(backends), timeout_s=0.5))
        self._processor = make(Runner(Limits()), settings)
        self._resources = resources
        self.delays_s: list[float] = []
        self.codes: list[str] = []
        self.job: Job = _waiting_for_embed()

    @property
    def step(self) -> Step:
        return self.job.steps[-1]

    async def run(self) -> "Outcome":
        now = NOW
        self._advance(replace_request(self.job), now)
        while self.step.status not in ("completed", "failed"):
            if self.step.status == "delayed":
                self._note_delay(now)
                now = self.step.due_at or now
                self._advance(RetryDue(**_about(self.job)), now)
            await self._attempt(now)
        return self

    def _note_delay(self, now: float) -> None:
        assert self.step.due_at is not None and self.step.error is not None
        self.delays_s.append(self.step.due_at - now)
        self.codes.append(self.step.error.code)

    async def _attempt(self, now: float) -> None:
        lease = f"lease_{self.step.attempt}"
        requested = self._requested
        self._advance(
            AttemptAccepted(**_about(self.job), lease_id=lease, executor_id="e", requested_at=now),
            now,
        )
        attempt = Attempt(AttemptIdentity(requested, STEP, lease, "e"))
        self._advance(await execute(attempt, self._processor, self._resources), now)

    def _advance(self, event: Any, now: float) -> None:
        job, effects = advance(self.job, event, now)
        assert isinstance(job, Job)
        self.job = job
        requests = [effect for effect in effects if isinstance(effect, StepRequested)]
        if requests:
            [self._requested] = requests


def _about(job: Job) -> dict[str, Any]:
    step = job.steps[-1]
    return {"job_id": job.id, "asset_id": job.asset_id, "run": step.run, "step": "embed", "attempt": step.attempt}


def _waiting_for_embed() -> Job:
    done = a_step("transcribe", "completed", outputs={"transcript": KEY}, attempt=1)
    waiting = a_step("embed", "waiting")
    embed = replace(waiting, spec=replace(waiting.spec, after=("transcribe",)), attempt=1, requested_at=NOW)
    return a_job(1, "active", (done, embed))


def replace_request(job: Job) -> RetryDue:
    """Something that changes nothing, so that control publishes the implied effects again: the request."""
    return RetryDue(**_about(job))


@pytest.fixture
def run(resources: AttemptResources) -> Callable[..., Awaitable[Outcome]]:
    return lambda *backends: Outcome(resources, list(backends)).run()


Run = Callable[..., Awaitable[Outcome]]


async def test_an_endpoint_that_sleeps_twice_is_waited_for_and_costs_no_attempt(serve: Serve, run: Run) -> None:
    endpoint, url = await serve()
    endpoint.responses = [LOADING, (502, {})]
    outcome = await run(url)
    assert outcome.step.status == "completed"
    assert (outcome.delays_s, outcome.codes) == ([60.0, 60.0], ["endpoint-asleep"] * 2)
    assert (outcome.step.asleep, outcome.step.failures, outcome.step.attempt) == (2, 0, 3)
    assert outcome.step.outputs is not None and outcome.step.outputs["backend"] == url


async def test_an_endpoint_that_sleeps_on_gives_way_to_the_next_one(serve: Serve, run: Run) -> None:
    (sleeper, asleep), (_, awake) = await serve(), await serve()
    sleeper.responses = [LOADING] * 10
    outcome = await run(asleep, awake)
    assert outcome.delays_s == [60.0] * 3
    assert outcome.step.status == "completed"
    assert outcome.step.outputs is not None and outcome.step.outputs["backend"] == awake


async def test_an_endpoint_that_sleeps_on_alone_fails_after_its_normal_attempts(serve: Serve, run: Run) -> None:
    endpoint, url = await serve()
    endpoint.responses = [LOADING] * 10
    outcome = await run(url)
    assert outcome.step.status == "failed"
    assert outcome.step.error is not None and outcome.step.error.code == "endpoint-asleep"
    assert (outcome.step.asleep, outcome.step.failures) == (3, 3)


async def test_an_endpoint_that_does_not_answer_is_tried_again_and_given_up(serve: Serve, run: Run) -> None:
    endpoint, url = await serve()
    endpoint.stuck = True
    outcome = await run(url)
    assert outcome.step.status == "failed"
    assert outcome.step.error is not None and outcome.step.error.code == "endpoint-timed-out"
    assert (outcome.step.failures, len(endpoint.requests)) == (3, 3)


@pytest.mark.parametrize(
    "nonsense",
    [
        (200, "<html>welcome</html>"),
        (200, {"generated_text": "hello"}),
        (200, [["a"]]),
        (200, vectors(2)),
        (200, vectors(1, DIM - 1)),
    ],
    ids=["no JSON", "another task", "no numbers", "too many", "wrong dimension"],
)
async def test_nonsense_fails_at_once_with_its_own_code(serve: Serve, run: Run, nonsense: tuple[int, Any]) -> None:
    endpoint, url = await serve()
    endpoint.responses = [nonsense]
    outcome = await run(f"{url}#model=bge&dim={DIM}")
    assert outcome.step.status == "failed"
    assert outcome.step.error is not None and outcome.step.error.code == "endpoint-answer-invalid"
    assert len(endpoint.requests) == 1


async def test_a_refusal_fails_at_once_with_its_own_code(serve: Serve, run: Run) -> None:
    endpoint, url = await serve()
    endpoint.responses = [(401, {"error": "who are you"})]
    outcome = await run(url)
    assert outcome.step.error is not None and outcome.step.error.code == "endpoint-refused"
    assert len(endpoint.requests) == 1


async def test_a_wrong_dimension_gives_way_to_the_next_backend(serve: Serve, run: Run) -> None:
    (wrong, first), (_, second) = await serve(), await serve()
    wrong.responses = [(200, vectors(1, 3))]
    outcome = await run(f"{first}#dim={DIM}", f"{second}#model=bge&revision=7&dim={DIM}")
    assert outcome.step.outputs is not None
    assert outcome.step.outputs["backend"] == f"{second}#model=bge&revision=7&dim={DIM}"
    space = outcome.step.outputs["space"]
    assert (space["model"], space["revision"], space["dim"]) == ("bge", "7", DIM)
