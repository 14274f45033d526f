"""Live clients: whatever they miss, however slow they are, they end with what REST returns."""

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.jobs import Job, Queue, Watermark
from schemas.step_events import StepCaptioned, StepProgressed
from schemas.transcribe import Caption
from tests.properties import examples
from tests.unit.web.replica import ALL, Listener, Replica, replica_below
from tests.unit.web.rows import NOW, a_job, a_step, as_json
from web.live import hub
from web.live.client import TOO_SLOW
from web.live.hub import REBUILT
from web.live.progress_follower import ProgressFollower
from web.readmodel import live_queries
from web.readmodel.projector import Batch
from web.readmodel.subscriptions import Subscription, parse
from web.views.build import job_view


async def rest(replica: Replica) -> dict[str, Any]:
    """What REST shows, by id."""
    from web.readmodel.changelog import job_rows

    rows = await replica.model.read(lambda db: db.execute("SELECT row FROM job_rows").fetchall())
    jobs = [job_rows.decode(row) for (row,) in rows]
    return {job.id: as_json(job_view(job, replica.progress.overlay(job))) for job in jobs}


def ended_after_10_s(number: int) -> Job:
    step = a_step("transcode", "completed", attempt=1, started_at=NOW, finished_at=NOW + 10)
    return a_job(number, "completed", (step,))


def progressed(number: int, progress: float) -> StepProgressed:
    return StepProgressed(
        job_id=f"job_{number:06}",
        asset_id=f"asset_{number:06}",
        run=1,
        step="transcode",
        attempt=1,
        lease_id="lease-transcode",
        progress=progress,
    )


STATUSES = ("waiting", "queued", "active", "completed", "failed")
WRITE = st.tuples(
    st.just("write"), st.lists(st.tuples(st.integers(1, 6), st.sampled_from([*STATUSES, "gone"])), max_size=4)
)
#: What may happen: control writes, a client comes, reads, goes away and comes back with its cursor, a watermark, an
#: admin pauses the queue and resumes it.
OWNERS = (None, "anna", "bert", None, "anna", "bert", "anna")
HAPPENING = st.one_of(
    WRITE,
    st.tuples(st.sampled_from(["come", "come_for_anna", "watermark", "queues", "pause", "resume"]), st.none()),
    st.tuples(st.sampled_from(["read", "drop"]), st.integers(0, 3)),
)


class World:
    """A replica, its clients, and every state change that ever was, by moment."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.clients: list[Listener] = []
        self.story: list[tuple[str, str]] = []
        self.joined: list[int] = []
        #: Whether the queue was ever paused or resumed.
        self.was_switched = False
        self._moment = 0

    async def happen(self, what: str, with_what: Any) -> None:
        await getattr(self, what)(with_what)

    async def write(self, rows: list[tuple[int, str]]) -> None:
        known = set(await rest(self.replica))
        batch: list[Any] = []
        for number, status in rows:
            self._moment += 1
            job = a_job(number, updated_at=1e9 + self._moment) if status == "gone" else self._job(number, status)
            if status != "gone":
                known.add(job.id)
                batch.append(job)
                self.story.append((job.id, job_view(job).updated_at))
            elif job.id in known:
                known.discard(job.id)
                batch.append(job.id)
                self.story.append((job.id, "gone"))
        await self.replica.write(*batch)

    def _job(self, number: int, status: str) -> Any:
        requested_at = self._moment if status == "queued" else None
        steps = (a_step("transcode", "active" if status == "active" else "waiting", requested_at=requested_at),)
        job_status = "waiting" if status == "queued" else status
        return a_job(number, job_status, steps, updated_at=1e9 + self._moment, owner=OWNERS[number])

    async def pause(self, _: None) -> None:
        self.was_switched = True
        await self.replica.pause("transcode")

    async def resume(self, _: None) -> None:
        self.was_switched = True
        await self.replica.pause("transcode", paused=False)

    async def queues(self, _: None) -> None:
        self.replica.hub.publish_queues()

    async def watermark(self, _: None) -> None:
        await self.replica.write(Watermark(at={"media.commands": self._moment}))

    async def come(self, _: None) -> None:
        self.clients.append(await self.replica.listen())
        self.joined.append(len(self.story))

    async def come_for_anna(self, _: None) -> None:
        self.clients.append(await self.replica.listen(subscription=Subscription(frozenset({"all"}), "anna")))
        self.joined.append(len(self.story))

    async def read(self, n: int) -> None:
        """The client takes what is there; one that was let go for being too slow comes back with its cursor."""
        if n < len(self.clients):
            if self.clients[n].client.close_reason.done():
                await self.drop(n)
            await self.clients[n].read()

    async def drop(self, n: int) -> None:
        """The connection is lost with whatever was queued; the client comes back with its cursor."""
        if n >= len(self.clients):
            return
        old = self.clients[n]
        self.replica.hub.leave(old.client)
        again = await self.replica.listen(old.cursor, old.client.subscription)
        if "snapshot" in again.kinds:
            assert self.was_switched, "the history reaches back far enough"
            old.jobs, old.changes, self.joined[n] = {}, [], len(self.story)
        old.client, old.cursor, old.changes = again.client, again.cursor or old.cursor, old.changes + again.changes
        for job_id, moment in again.changes:
            if moment == "gone":
                old.jobs.pop(job_id, None)
        old.jobs |= again.jobs


@example([("write", [(1, "queued")]), ("come", None), ("queues", None), ("write", [(1, "waiting")])])
@given(st.lists(HAPPENING, max_size=25))
@settings(max_examples=examples(40))
def test_every_client_gets_every_change_once_in_order_and_ends_with_what_rest_returns(happenings: list[Any]) -> None:
    async def run(replica: Replica) -> None:
        await replica.write(ended_after_10_s(0))  # from now on it is known how long the step takes
        world = World(replica)
        for what, with_what in happenings:
            await world.happen(what, with_what)
        for n in range(len(world.clients)):
            await world.read(n)  # who was let go comes back
        replica.hub.publish_queues()
        for client, joined in zip(world.clients, world.joined, strict=True):
            await client.read()
            owner = client.client.subscription.owner
            seen = [change for change in world.story[joined:] if owner in (None, OWNERS[int(change[0][4:])])]
            for job_id in {job_id for job_id, _ in world.story}:
                received = [change for change in client.changes if change[0] == job_id]
                assert received == [change for change in seen if change[0] == job_id]
            assert world.was_switched or not client.repeats
            views = await rest(replica)
            assert client.jobs == {i: job for i, job in views.items() if owner in (None, job.get("owner"))}

    async def begin(folder: Path) -> None:
        # two or three changes: who does not read is let go
        async with replica_below(folder, live_queue_bytes=1_500) as replica:
            await run(replica)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(begin(Path(folder)))


@pytest.fixture
async def replica(tmp_path: Path) -> Any:
    async with replica_below(tmp_path, live_queue_bytes=20_000) as found:
        yield found


async def test_a_change_between_the_snapshot_and_its_publication_is_not_sent_twice(replica: Replica) -> None:
    """The read model is ahead of the hub for a moment: it commits first."""
    batch: Batch = {"jobs": [replica._record(a_job(1, "active"))]}
    applied = await replica.model.apply(batch, keep_history=True)
    listener = await replica.listen()
    await replica.follower._publish(batch, applied)
    await listener.read()
    assert (listener.kinds, list(listener.jobs)) == (["snapshot"], ["job_000001"])


async def test_a_client_that_does_not_read_is_closed_and_resumes_with_all_it_missed(
    replica: Replica,
) -> None:
    listener = await replica.listen()
    for n in range(100):
        await replica.write(a_job(n))
    assert listener.client.close_reason.result() == TOO_SLOW
    again = await replica.listen(listener.cursor)
    assert again.kinds == ["job"] * 100


async def test_a_cursor_older_than_the_history_gets_a_snapshot(tmp_path: Path) -> None:
    async with replica_below(tmp_path, live_history=10) as replica:
        early = await replica.listen()
        for n in range(50):
            await replica.write(a_job(n))
        assert (await replica.listen(early.cursor)).kinds == ["snapshot"]


async def test_a_cursor_of_another_log_gets_a_snapshot(replica: Replica) -> None:
    cursor = (await replica.listen()).cursor
    replica.position.log = "another mark"
    assert (await replica.listen(cursor)).kinds == ["snapshot"]


async def test_only_superseded_progress_is_left_out(replica: Replica) -> None:
    await replica.write(a_job(1, "active", (a_step("transcode", "active"),)))
    listener = await replica.listen()
    for n in range(1, 10):
        moved = replica.progress.fold(progressed(1, n / 10))
        assert moved is not None
        replica.hub.publish_progress(moved)
    await listener.read()
    assert listener.kinds == ["snapshot", "progress"]
    for share in (0.95, 0.97):
        moved = replica.progress.fold(progressed(1, share))
        assert moved is not None
        replica.hub.publish_progress(moved)
    await replica.write(a_job(1, "completed"))
    await listener.read()
    assert listener.kinds == ["snapshot", "progress", "job"]
    assert listener.jobs["job_000001"]["progress"] == 100.0


async def test_a_snapshot_is_bounded_and_has_running_jobs_first(tmp_path: Path) -> None:
    async with replica_below(tmp_path, live_snapshot_jobs=3) as replica:
        await replica.write(a_job(1, "active"), *(a_job(n, "completed") for n in range(2, 9)))
        assert list((await replica.listen()).jobs) == ["job_000001", "job_000008", "job_000007"]


async def test_a_snapshot_of_many_jobs_comes_in_frames_that_every_websocket_client_takes(replica: Replica) -> None:
    """Clients close at a frame of 1 MiB, and come back to the same one."""
    await replica.write(*(a_job(n, "completed", passthrough="x" * 2_000) for n in range(1, 1_001)))
    listener = await replica.listen()
    assert len(listener.jobs) == 1_000
    parts = [orjson.loads(frame.text) for frame in listener.frames]
    assert len(parts) > 1 and {part["type"] for part in parts} == {"snapshot"}
    assert max(len(frame.wire) for frame in listener.frames) < 512 * 1024
    assert [part["last"] for part in parts] == [*[False] * (len(parts) - 1), True]
    # A connection that is lost in between starts again.
    assert ["cursor" in part for part in parts] == [part["last"] for part in parts]


def waiting(number: int, **more: Any) -> Any:
    return a_job(number, steps=(a_step("transcode", requested_at=number),), **more)


async def test_every_job_moves_up_when_one_leaves_the_queue_and_each_client_hears_once(replica: Replica) -> None:
    await replica.write(*(waiting(n, owner="anna" if n % 2 else "bert") for n in range(1, 7)))
    subscriptions = (parse("all", None), parse("all", "anna"), parse("job:job_000006", "bert"))
    admin, anna, one = [await replica.listen(subscription=each) for each in subscriptions]
    replica.hub.publish_queues()
    for n in (1, 2):
        await replica.write(a_job(n, "active", (a_step("transcode", "active"),), owner="anna" if n % 2 else "bert"))
    replica.hub.publish_queues()
    for listener in (admin, anna, one):
        await listener.read()
        replica.hub.publish_queues()
        assert not listener.client._queue_frames, "the queue has not changed since"
    assert positions(admin) == {"job_000003": 1, "job_000004": 2, "job_000005": 3, "job_000006": 4}
    assert positions(anna) == {"job_000003": 1, "job_000005": 3}
    assert positions(one) == {"job_000006": 4}
    assert one.kinds == ["snapshot", "queue"], "the last places only, and nothing of other jobs"


async def test_a_pause_and_a_resume_reach_every_client_with_a_waiting_job(replica: Replica) -> None:
    await replica.write(ended_after_10_s(0), *(waiting(n, owner="anna" if n % 2 else "bert") for n in range(1, 5)))
    requested = (("all", None), ("all", "anna"), ("job:job_000002", "bert"), ("queue:probe", None))
    subscriptions = [parse(*each) for each in requested]
    admin, anna, one, other = [await replica.listen(subscription=each) for each in subscriptions]
    assert step_of(one, 2) == {"queue_position": 2, "eta_s": 10.0}
    await replica.pause("transcode")
    for listener in (admin, anna, one, other):
        await listener.read()
    assert one.kinds == ["snapshot", "queue", "job"], "clients that know job frames only get it too"
    assert step_of(one, 2) == {"queue_position": 2, "paused": True} and one.jobs["job_000002"]["eta_s"] is None
    assert paused(admin) == {"job_000001", "job_000002", "job_000003", "job_000004"}
    assert (paused(anna), paused(other)) == ({"job_000001", "job_000003"}, set())
    await replica.pause("transcode", paused=False)
    for listener in (admin, anna, one):
        await listener.read()
        assert paused(listener) == set()
    assert step_of(one, 2) == {"queue_position": 2, "eta_s": 10.0} and one.jobs["job_000002"]["eta_s"] == 10.0


async def test_pausing_a_long_queue_sends_each_client_little_and_misses_no_job_of_theirs(tmp_path: Path) -> None:
    async with replica_below(tmp_path) as replica:
        await replica.write(*(waiting(n) for n in range(1, 8_001)))
        last, admin = [await replica.listen(subscription=parse(of, None)) for of in ("job:job_008000", "all")]
        for switched in (True, False):
            await replica.pause("transcode", paused=switched)
            await last.read()
            await admin.read()
            assert paused(last) == ({"job_008000"} if switched else set())
            assert len(paused(admin)) == (1_000 if switched else 0), "all of the snapshot"
        assert len(admin.kinds) < 150


async def test_a_client_that_missed_a_pause_resumes_with_a_snapshot(replica: Replica) -> None:
    await replica.write(waiting(1))
    gone = await replica.listen()
    await replica.pause("transcode")
    back = await replica.listen(gone.cursor)
    assert (back.kinds, paused(back)) == (["snapshot"], {"job_000001"})
    assert (await replica.listen(back.cursor)).kinds == [], "once is enough"
    await replica.pause("transcode")
    assert (await replica.listen(back.cursor)).kinds == [], "it was paused already"


async def test_a_step_whose_queue_is_paused_has_no_eta_before_it_is_queued_either(replica: Replica) -> None:
    """Its time is work to come, and nobody knows when."""
    await replica.write(ended_after_10_s(0), a_job(1, steps=(a_step("transcode"),)))
    await replica.pause("transcode")
    (view,) = [job for job_id, job in (await rest(replica)).items() if job_id == "job_000001"]
    assert view["eta_s"] is None and not {"eta_s", "paused"} & view["steps"][0].keys()


async def test_a_step_that_runs_when_its_queue_is_paused_keeps_its_eta(replica: Replica) -> None:
    await replica.write(ended_after_10_s(0), a_job(1, "active", (a_step("transcode", "active"),)))
    await replica.pause("transcode")
    listener = await replica.listen()
    assert step_of(listener, 1) == {"eta_s": 10.0}
    moved = replica.progress.fold(progressed(1, 0.5))
    assert moved is not None and moved.eta_s == 5.0
    await replica.write(a_job(1, steps=(a_step("transcode", requested_at=NOW),)))
    assert replica.progress.fold(progressed(1, 0.9)) is None, "a late message of an attempt that was given back"


async def test_paused_queues_survive_a_restart_of_the_replica(tmp_path: Path) -> None:
    async with replica_below(tmp_path) as before:
        await before.write(waiting(1))
        await before.pause("transcode")
    after = Replica(tmp_path)
    with closing(after.model):
        saved = await after.model.saved()
        assert saved is not None
        await after.follower._restore(saved, rebuilding=False)
        assert (await rest(after))["job_000001"]["steps"][0]["paused"] is True


async def test_a_queue_that_cannot_be_read_is_passed_over(replica: Replica) -> None:
    broken = replica._record(Queue(step="transcode", paused=True, changed_at=NOW))._replace(value=b'{"step":1}')
    await replica.take({"jobs": [broken, replica._record(waiting(2))]})
    assert "job_000002" in await rest(replica)


def step_of(listener: Listener, number: int) -> dict[str, Any]:
    """What a client knows of the wait of a job's only step."""
    step = listener.jobs[f"job_{number:06}"]["steps"][0]
    return {name: step[name] for name in ("queue_position", "paused", "eta_s") if name in step}


def paused(listener: Listener) -> set[str]:
    return {job_id for job_id, job in listener.jobs.items() if job["steps"][0].get("paused")}


async def test_a_job_beyond_the_positions_of_one_frame_gets_its_own_position(replica: Replica) -> None:
    await replica.write(a_job(0), *(waiting(n) for n in range(1, 300)), waiting(300, owner="anna"))
    anna, admin = (
        await replica.listen(subscription=parse("", "anna")),
        await replica.listen(subscription=parse("", None)),
    )
    for listener in (anna, admin):
        forget_positions(listener)
    replica.hub.publish_queues()
    await admin.read()
    assert sorted(positions(admin).values()) == list(range(1, 201))
    await anna.read()
    assert positions(anna) == {"job_000300": 300}


async def test_a_job_that_has_left_a_queue_has_no_position(replica: Replica) -> None:
    await replica.write(waiting(1), waiting(2))
    listener = await replica.listen()
    replica.hub.publish_queues()
    await replica.write(a_job(1, steps=(a_step("transcode"),)))  # tried again: what comes before it runs first
    await listener.read()
    assert listener.kinds == ["snapshot", "queue", "job"]
    assert positions(listener) == {"job_000002": 2}
    replica.hub.publish_queues()
    await listener.read()
    assert positions(listener) == {"job_000002": 1}


async def test_positions_from_before_a_snapshot_are_dropped(replica: Replica) -> None:
    await replica.write(waiting(1), waiting(2))
    client = replica.hub.join(ALL)
    replica.hub.publish_queues()
    await replica.write(a_job(1, steps=(a_step("transcode"),)))
    listener = await replica.opened(client)
    await listener.read()
    assert (listener.kinds, positions(listener)) == (["snapshot"], {"job_000002": 1})


async def test_a_snapshot_has_no_position_that_contradicts_its_rows(replica: Replica) -> None:
    """The read model is ahead of the queues for a moment: it commits first."""
    await replica.write(waiting(1))
    batch: Batch = {"jobs": [replica._record(a_job(1, steps=(a_step("transcode"),)))]}
    applied = await replica.model.apply(batch, keep_history=True)
    listener = await replica.listen()
    await replica.follower._publish(batch, applied)
    await listener.read()
    assert (listener.kinds, positions(listener)) == (["snapshot"], {})


async def test_positions_wait_until_a_batch_is_published(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(hub, "QUEUES_EVERY_S", 0.0)
    listener = await replica.listen()
    async with replica.hub.publishing:  # as the follower does
        publishing = asyncio.create_task(replica.hub.run())
        for _ in range(10):
            await asyncio.sleep(0)
        assert listener.client.needs_positions
    await eventually(lambda: not listener.client.needs_positions)
    publishing.cancel()


def forget_positions(listener: Listener) -> None:
    for job in listener.jobs.values():
        job["steps"][0].pop("queue_position", None)


def positions(listener: Listener) -> dict[str, int]:
    found = {job_id: job["steps"][0].get("queue_position") for job_id, job in listener.jobs.items()}
    return {job_id: place for job_id, place in found.items() if place}


@pytest.mark.parametrize(
    "topic, expected",
    [
        ("job:job_000001", [1]),
        ("asset:asset_000002", [2]),
        ("queue:thumbnails", [3]),
        ("job:job_000001,queue:thumbnails", [1, 3]),
        ("owner:anna", [2]),
        ("owner:b%2Crt,asset:asset_000002", [2, 3]),
        ("owner:nobody", []),
    ],
)
async def test_a_subscription_gets_its_own_in_the_snapshot_and_after(
    replica: Replica, topic: str, expected: list[int]
) -> None:
    rows = [a_job(1), a_job(2, owner="anna"), a_job(3, steps=(a_step("thumbnails"),), owner="b,rt")]
    await replica.write(*rows)
    listener = await replica.listen(subscription=parse(topic, None))
    assert sorted(listener.jobs) == [f"job_{n:06}" for n in expected]
    await replica.write(*(replace(row, updated_at=row.updated_at + 1) for row in rows))
    await listener.read()
    assert [job_id for job_id, _ in listener.changes] == [f"job_{n:06}" for n in expected]


async def test_a_deleted_job_is_sent_to_subscribers_of_its_owner(replica: Replica) -> None:
    await replica.write(a_job(1, owner="anna"), a_job(2, owner="bert"))
    listener = await replica.listen(subscription=parse("owner:anna", None))
    await replica.write("job_000001", "job_000002")
    await listener.read()
    assert listener.changes == [("job_000001", "gone")]


async def test_an_owner_gets_only_their_own_jobs_also_after_a_resume(replica: Replica) -> None:
    mine = Subscription(frozenset({"all"}), "anna")
    listener = await replica.listen(subscription=mine)
    await replica.write(a_job(1, owner="anna"), a_job(2, owner="bert"), a_job(3), "job_000001")
    await listener.read()
    assert listener.changes == [("job_000001", listener.changes[0][1]), ("job_000001", "gone")]
    again = await replica.listen((await replica.listen(subscription=mine)).cursor, mine)
    assert again.changes == []


async def test_a_rebuild_closes_all_clients_rather_than_going_back_in_time(replica: Replica) -> None:
    listener = await replica.listen()
    replica.hub.close_all(REBUILT)
    assert listener.client.close_reason.result() == REBUILT


async def test_a_client_that_leaves_is_removed_from_every_topic(replica: Replica) -> None:
    listener = await replica.listen(subscription=parse("job:job_1,all,queue:noop", None))
    assert len(replica.hub) == 1
    replica.hub.leave(listener.client)
    assert len(replica.hub) == 0 and not replica.hub._by_topic


async def test_the_last_change_of_the_model_is_known_even_without_history(replica: Replica) -> None:
    replica.position.rebuilding = True
    await replica.write(a_job(1), a_job(2))
    moment = await replica.model.read(live_queries.moment, 2)
    assert moment.seq == 2 and sum(moment.offsets) == 2


def captioned(number: int, lease_id: str = "lease-transcribe") -> StepCaptioned:
    caption = Caption(id=7, start_ms=1000, end_ms=2000, text="Ask not.", language="en")
    names = {"job_id": f"job_{number:06}", "asset_id": f"asset_{number:06}", "step": "transcribe"}
    return StepCaptioned(run=1, attempt=1, lease_id=lease_id, caption=caption, **names)


async def test_live_captions_reach_every_subscriber_who_may_see_the_job(replica: Replica) -> None:
    running = a_job(1, "active", steps=(a_step("transcribe", "active"),), owner="anna")
    await replica.write(running)
    mine = await replica.listen(subscription=Subscription(frozenset({"asset:asset_000001"}), "anna"))
    theirs = await replica.listen(subscription=Subscription(frozenset({"all"}), "bert"))
    follower = ProgressFollower(replica.settings, replica.model, replica.progress, replica.hub)
    for message in (captioned(1), captioned(1, "lease-of-a-zombie"), captioned(2)):
        follower._apply(message)
    [frame] = await mine.client.next_frames()
    assert orjson.loads(frame.text) == {
        "type": "caption",
        "job_id": "job_000001",
        "asset_id": "asset_000001",
        "id": 7,
        "start_ms": 1000,
        "end_ms": 2000,
        "text": "Ask not.",
        "language": "en",
    }
    assert not theirs.client._captions
    for _ in range(1000):
        follower._apply(captioned(1))
    assert len(await mine.client.next_frames()) < 1000, "a client that does not read must not fill the memory"
