"""What users of other queues reported: each is a sequence of events that a dispatcher must survive."""

from schemas.jobs import PRIORITIES
from tables.dispatch import explain
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.queue_reports import queue_reports
from tables.dispatch.values import Rules
from tests.unit.tables.dispatch.lane import KINDS, Lane, jobs, key_of, ready, report


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


def test_a_cancellation_frees_its_own_place_only_and_once_its_attempt_has_ended() -> None:
    """Source: kestra-io/kestra#13211 and #19679: each started others beyond the limit, or kept its place for ever."""
    lane = Lane(report("a", slots={"probe": 9}))
    lane.dispatcher.limit("probe", 2)
    lane.ready(*(ready(f"j{n}", since=float(n)) for n in range(6)))
    running, other = lane.give()
    lane.accept(running, other)
    lane.dispatcher.cancelled("j3")
    assert lane.give() == []
    lane.dispatcher.cancelled(running.job_id)
    assert lane.give() == []
    lane.end(running, completed=False)
    assert jobs(lane.give()) == ["j2"]
    lane.end(other)
    assert jobs(lane.give()) == ["j4"]


def test_a_limit_holds_for_what_a_killed_executor_had_until_that_has_ended_also_for_the_next_dispatcher() -> None:
    """Source: rails/solid_queue#735 and #546, akira/exq#188: twice the limit after a kill, or none ever again."""
    lane = Lane()
    lane.dispatcher = Dispatcher(KINDS, Rules())
    lane.report(report("b", slots={"probe": 9}))
    lane.dispatcher.limit("probe", 1)
    lane.dispatcher.accepted(ready("lost"), "killed/1", lane.now)
    lane.ready(ready("next"))
    lane.dispatcher.begin(lane.now)
    lane.dispatcher.caught_up()
    assert lane.give() == []
    lane.dispatcher.ended(key_of(ready("lost")), lane.now, completed=False)
    assert jobs(lane.give()) == ["next"]


def test_what_is_due_while_its_queue_is_paused_waits_and_then_goes_at_once() -> None:
    """Source: OptimalBits/bull#1087 and taskforcesh/bullmq#427: it went although the queue was paused."""
    lane = Lane(report("a", slots={"probe": 9}))
    lane.ready(ready("later", run_at=103.0))
    lane.dispatcher.pause("probe")
    lane.wait(5.0)
    lane.report(report("a", 2, slots={"probe": 9}))
    assert lane.give() == []
    assert explain.waiting_reason(lane.dispatcher.ledger, ("later", "probe")) == "paused"
    lane.dispatcher.resume("probe")
    assert jobs(lane.give()) == ["later"]


def test_what_urgent_work_overtakes_is_said_to_be_queued_not_to_lack_an_executor() -> None:
    """Source: multica-ai/multica#8551: an hour behind urgent work was called waiting for an agent."""
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("old", priority="low"), *(ready(f"urgent{n}", priority="high", since=1.0) for n in range(3)))
    [given] = lane.give()
    lane.accept(given)
    assert given.job_id == "urgent0"
    assert explain.waiting_reason(lane.dispatcher.ledger, ("old", "probe")) == "queued"
    assert order(lane).index("old") > 0
