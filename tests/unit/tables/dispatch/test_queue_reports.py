"""What is reported of the queues is what the dispatcher will do."""

from schemas.queues import MAX_QUEUED, QueueReported
from tables.dispatch import explain
from tables.dispatch.queue_reports import queue_reports
from tables.dispatch.values import Rules
from tests.unit.tables.dispatch.lane import KINDS, Lane, jobs, ready, report


def reported(lane: Lane, step: str) -> QueueReported:
    return queue_reports(lane.dispatcher.ledger, KINDS, 7)[step]


def order(lane: Lane, step: str) -> dict[str, int]:
    return {attempt.job_id: attempt.position for attempt in reported(lane, step).first}


def test_positions_are_the_turns_that_jobs_get() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(*(ready(f"ann{n}", owner="ann", since=float(n)) for n in range(20)))
    lane.give()
    lane.ready(ready("bob", owner="bob", since=30.0), ready("urgent", priority="high", owner="ann", since=40.0))
    places = order(lane, "probe")
    assert [job for job, _ in sorted(places.items(), key=lambda item: item[1])][:2] == ["urgent", "bob"]
    for job, position in places.items():
        assert explain.rank(lane.dispatcher.ledger, (job, "probe")) == position


def test_owners_in_turn_are_reported_as_they_then_go() -> None:
    lane = Lane(report("a", slots={"probe": 1}), rules=Rules(silent_s=1e6))
    lane.ready(*(ready(f"{owner}{n}", owner=owner, since=float(n)) for owner in ("ann", "bob") for n in range(5)))
    [running] = lane.give()
    expected = [job for job, _ in sorted(order(lane, "probe").items(), key=lambda item: item[1])]
    went: list[str] = []
    while expected[len(went) :]:
        lane.accept(running)
        lane.wait(1.0)
        lane.end(running)
        [running] = lane.give()
        went += jobs([running])
    assert went == expected


def test_a_report_is_bounded_and_counts_everything() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(*(ready(f"j{n}") for n in range(MAX_QUEUED + 100)))
    found = reported(lane, "probe")
    assert (len(found.first), found.waiting, found.dispatcher) == (MAX_QUEUED, MAX_QUEUED + 100, 7)


def test_a_memo_does_not_wait_for_the_films_before_it() -> None:
    lane = Lane(report("a"))
    lane.ready(*(ready(f"film{n}", "transcode", expected_s=600.0) for n in range(3)))
    lane.give()
    lane.ready(*(ready(f"memo{n}", "transcode", expected_s=2.0, since=float(n + 1)) for n in range(3)))
    lane.give()
    assert order(lane, "transcode") == {"memo1": 1, "memo2": 2, "film1": 1, "film2": 2}
    waits = {attempt.job_id: attempt.wait_s for attempt in reported(lane, "transcode").first}
    assert waits == {"memo1": 2.0, "memo2": 4.0, "film1": 600.0, "film2": 1200.0}


def test_heavy_steps_that_share_the_cpus_wait_for_each_other() -> None:
    lane = Lane(report("a"))
    lane.ready(*(ready(f"film{n}", "transcode", expected_s=600.0) for n in range(3)))
    lane.give()
    lane.ready(ready("talk", "transcribe", expected_s=60.0, since=5.0))
    assert order(lane, "transcribe") == {"talk": 3}
    lane.dispatcher.pause("transcode")
    assert order(lane, "transcribe") == {"talk": 1}, "what is paused is passed over"
    assert order(lane, "transcode") == {"film1": 1, "film2": 2}


def test_what_cannot_start_has_a_reason_and_no_estimate() -> None:
    lane = Lane(report("a", slots={"probe": 1}), rules=Rules(owner_caps={"ann": 1}))
    lane.ready(ready("j0", owner="ann"), ready("j1", owner="ann"), ready("k", "audio"))
    lane.give()
    (capped,) = reported(lane, "probe").first
    assert (capped.capped_owner, capped.wait_s, reported(lane, "probe").reason) == (True, None, "")
    (unserved,) = reported(lane, "audio").first
    assert (unserved.wait_s, reported(lane, "audio").reason, reported(lane, "audio").slots) == (None, "no_executor", 0)
    lane.dispatcher.pause("audio")
    assert reported(lane, "audio").reason == "paused"
    assert reported(lane, "transcribe").reason == "no_executor", "known before anybody waits"


def test_a_limited_queue_is_waited_for() -> None:
    lane = Lane(report("a", slots={"probe": 4}))
    lane.dispatcher.limit("probe", 1)
    lane.ready(*(ready(f"j{n}", expected_s=10.0) for n in range(3)))
    lane.give()
    found = reported(lane, "probe")
    assert (found.reason, [attempt.wait_s for attempt in found.first]) == ("capped", [10.0, 20.0])
    lane.dispatcher.limit("probe", 0)
    assert [attempt.wait_s for attempt in reported(lane, "probe").first] == [None, None]
