"""What users of other queues reported: each is a sequence of events that a dispatcher must survive."""

from schemas.jobs import PRIORITIES
from tables.dispatch.queue_reports import queue_reports
from tests.unit.tables.dispatch.lane import KINDS, Lane, jobs, ready, report


def order(lane: Lane) -> list[str]:
    found = queue_reports(lane.dispatcher.ledger, KINDS, 1)["probe"]
    return [attempt.job_id for attempt in sorted(found.first, key=lambda attempt: attempt.position)]


def test_a_step_that_is_tried_again_keeps_its_priority_and_its_place() -> None:
    """Source: OptimalBits/bull#1755: retried jobs went behind those of lower priority."""
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(*(ready(f"low{n}", priority="low", since=float(n)) for n in range(5)), ready("urgent", priority="high"))
    [urgent] = lane.give()
    lane.accept(urgent)
    lane.end(urgent, completed=False)
    lane.ready(ready("urgent", attempt=2, priority="high"))
    assert order(lane)[0] == "urgent" and jobs(lane.give()) == ["urgent"]


def test_what_is_tried_again_while_the_queue_is_paused_goes_once_it_is_resumed() -> None:
    """Source: OptimalBits/bull#2540 and #1813: such jobs waited for ever."""
    lane = Lane(report("a", slots={"probe": 9}))
    lane.ready(ready("failed"), ready("waiting"))
    gives = lane.give()
    lane.accept(*gives)
    lane.dispatcher.pause("probe")
    lane.end(*gives, completed=False)
    lane.ready(ready("failed", attempt=2), ready("waiting", attempt=2), ready("new"))
    assert lane.give() == [] and order(lane) == ["failed", "new", "waiting"]
    lane.dispatcher.resume("probe")
    assert sorted(jobs(lane.give())) == ["failed", "new", "waiting"]


def test_an_endless_stream_of_urgent_work_leaves_turns_for_the_rest() -> None:
    """Source: sidekiq/sidekiq#1543, #5741 and hibiken/asynq#314: strict priorities starve, weights by pulls do, too."""
    lane = Lane(report("a", slots={"probe": 1}))
    for priority in PRIORITIES[1:]:
        lane.ready(ready(priority, priority=priority))
    went = []
    for n in range(30):
        lane.ready(ready(f"urgent{n}", priority="high", since=float(n)))
        [given] = lane.give()
        went += jobs([given])
        lane.accept(given)
        lane.end(given)
    assert {"normal", "low"} <= set(went[:20])


def test_thousands_that_cannot_go_do_not_stand_before_one_that_can() -> None:
    """Source: pulp/pulpcore#7970: 17,000 blocked tasks at the head of the queue starved the others for hours."""
    lane = Lane(report("a"))
    lane.dispatcher.limit("transcode", 0)
    lane.ready(*(ready(f"film{n}", "transcode", expected_s=600.0, since=float(n)) for n in range(17_000)))
    lane.ready(ready("talk", "transcribe", expected_s=60.0, since=1e6))
    found = queue_reports(lane.dispatcher.ledger, KINDS, 1)
    assert [(attempt.job_id, attempt.position) for attempt in found["transcribe"].first] == [("talk", 1)]
    assert jobs(lane.give()) == ["talk"]
