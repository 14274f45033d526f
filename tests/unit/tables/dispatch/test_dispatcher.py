"""Which executor gets which ready step, and what a late, lost or repeated word changes: nothing."""

import pytest

from schemas.executors import StepSlots
from tables.dispatch import explain
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.executors import FULL_TURNS, SHORT_TURNS
from tables.dispatch.values import Rules
from tests.unit.tables.dispatch.lane import KINDS, Lane, jobs, key_of, listed, ready, report


def test_jobs_spread_over_idle_executors() -> None:
    lane = Lane(*(report(name) for name in "abcd"))
    lane.ready(*(ready(f"j{n}", "transcode") for n in range(4)))
    assert sorted(given.session_id for given in lane.give()) == ["a/1", "b/1", "c/1", "d/1"]


def test_a_heavy_step_waits_for_the_cpus_of_any_executor_rather_than_behind_another() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("film1", "transcode", expected_s=600.0), ready("film2", "transcode", expected_s=600.0))
    assert jobs(lane.give()) == ["film1"]
    lane.report(report("b"))
    assert [(given.job_id, given.session_id) for given in lane.give()] == [("film2", "b/1")]


def test_a_memo_does_not_wait_behind_a_film() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("film", "transcode", expected_s=600.0))
    lane.give()
    lane.ready(ready("film2", "transcode", expected_s=600.0), ready("memo", "transcode", expected_s=2.0, since=1.0))
    assert [(given.job_id, given.turn) for given in lane.give()] == [("memo", "short")]


def test_short_work_has_the_cpus_to_itself_where_nothing_heavier_goes_first() -> None:
    lane = Lane(report("a"))
    lane.ready(*(ready(f"memo{n}", "transcode", expected_s=2.0, since=float(n)) for n in range(3)))
    assert [(given.job_id, given.turn) for given in lane.give()] == [("memo0", "full"), ("memo1", "short")]


def test_a_film_is_not_starved_by_memos() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("memo0", "transcode", expected_s=2.0))
    (first,) = lane.give()
    lane.accept(first)
    lane.ready(ready("film", "transcode", expected_s=600.0, since=1.0))
    lane.ready(*(ready(f"memo{n}", "transcode", expected_s=2.0, since=2.0) for n in range(1, 9)))
    assert jobs(lane.give()) == ["memo1"]  # on the short turn
    lane.end(first)
    assert [(given.job_id, given.turn) for given in lane.give()] == [("film", "full")]


def test_long_work_of_a_step_is_not_starved_by_short_work_of_it_and_long_work_of_others() -> None:
    lane = Lane(report("a"))
    lane.ready(*(ready(f"film{n}", "transcode", expected_s=600.0, since=1.0) for n in range(9)))
    lane.ready(*(ready(f"memo{n}", "transcribe", expected_s=2.0, since=2.0) for n in range(99)))
    running = {given.turn: given for given in lane.give()}
    lane.ready(ready("talk", "transcribe", expected_s=600.0))
    for turn in ("short", "short", "full", "short", "full"):
        lane.end(running[turn])
        running |= {given.turn: given for given in lane.give()}
    assert running["full"].job_id == "film1"  # the talk, which is older, has had its turn


def test_a_short_attempt_does_not_wait_for_a_slot_that_a_long_one_has() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("talk", "transcribe", expected_s=600.0))
    lane.give()
    lane.ready(ready("memo", "transcribe", expected_s=2.0))
    assert jobs(lane.give()) == ["memo"]


def test_a_step_that_an_executor_does_not_run_beside_others_waits_for_the_cpus() -> None:
    lane = Lane(report("a", steps={"transcribe": StepSlots(slots=1, short=False)}))
    lane.ready(ready("talk", "transcribe", expected_s=600.0), ready("memo", "transcribe", expected_s=2.0, since=1.0))
    (talk,) = lane.give()
    lane.end(talk)
    assert jobs(lane.give()) == ["memo"]


def test_the_cpus_are_free_again_when_an_attempt_only_publishes() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("film1", "transcode"), ready("film2", "transcode"))
    (first,) = lane.give()
    lane.accept(first)
    lane.report(report("a", 2, attempts=listed(first._replace(turn=""))))
    assert jobs(lane.give()) == ["film2"]


def test_the_executor_that_has_a_large_input_is_preferred() -> None:
    lane = Lane(report("a"), report("b", cached=("film",)), report("c"))
    lane.ready(ready("j", "transcode", input_id="film"))
    assert lane.give()[0].session_id == "b/1"


def test_a_large_input_does_not_make_a_step_wait_for_a_busy_executor() -> None:
    lane = Lane(report("a", slots={"probe": 1}, cached=("film",)), report("b", slots={"probe": 1}))
    lane.ready(ready("j1", input_id="film"), ready("j2", input_id="film"))
    assert [given.session_id for given in lane.give()] == ["a/1", "b/1"]


def test_steps_of_under_a_second_are_queued_ahead_one_per_slot_where_no_slot_is_free() -> None:
    lane = Lane(report("a", slots={"probe": 1}), report("b", slots={"probe": 1}))
    lane.ready(*(ready(f"j{n}", expected_s=0.2) for n in range(9)))
    gives = lane.give()
    assert sorted(given.session_id for given in gives) == ["a/1", "a/1", "b/1", "b/1"]
    assert {given.session_id for given in gives[:2]} == {"a/1", "b/1"}


def test_nothing_is_queued_ahead_of_a_slot_that_is_taken_for_long() -> None:
    lane = Lane(report("a", slots={"probe": 2}))
    lane.ready(ready("long", expected_s=60.0), *(ready(f"j{n}", expected_s=0.2, since=1.0) for n in range(9)))
    assert jobs(lane.give()) == ["long", "j0", "j1"]


def test_instant_steps_go_in_batches() -> None:
    lane = Lane(report("a"), report("b"))
    lane.ready(*(ready(f"j{n}", "noop") for n in range(300)))
    assert [given.session_id for given in lane.give()] == ["a/1"] * 256 + ["b/1"] * 44


def test_an_executor_without_a_slot_is_given_nothing_until_it_reports_again() -> None:
    lane = Lane(report("a"), report("b", seq=7))
    lane.ready(ready("j", "transcode"))
    (given,) = lane.give()
    session = given.session_id
    lane.dispatcher.refused(key_of(given), session, 8)
    (again,) = lane.give()
    assert again.session_id != session
    lane.ready(*(ready(f"k{n}", "transcode") for n in range(3)))
    assert lane.give() == []
    lane.report(report(session[0], 8))
    assert lane.give() == []
    lane.report(report(session[0], 9))
    assert [given.session_id for given in lane.give()] == [session]


def test_what_was_refused_and_given_again_has_its_whole_time_to_be_accepted() -> None:
    lane = Lane(report("a"), report("b"))
    lane.ready(ready("j", "transcode"))
    (given,) = lane.give()
    lane.wait(1.9)
    lane.dispatcher.refused(key_of(given), given.session_id, 1)
    assert len(lane.give()) == 1
    lane.wait(1.0)
    lane.report(report("a", 2))
    assert lane.give() == []


def test_a_request_that_is_on_its_way_takes_a_slot_even_when_another_executor_has_accepted_it() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j"))
    (given,) = lane.give()
    lane.wait(2.0)
    lane.report(report("b", slots={"probe": 1}))
    assert lane.give()[0].session_id == "b/1"
    lane.accept(given)
    lane.ready(ready("k"))
    lane.report(report("b", 2, slots={"probe": 1}))
    assert lane.give() == []
    lane.wait(2.0)
    lane.report(report("b", 3, slots={"probe": 1}))
    assert lane.give()[0].session_id == "b/1"


def test_a_late_refusal_of_an_attempt_that_went_elsewhere_takes_nothing_back() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("j", "transcode"))
    (given,) = lane.give()
    lane.wait(2.0)
    lane.report(report("b"))
    (again,) = lane.give()
    lane.dispatcher.refused(key_of(given), given.session_id, 1)
    assert again.session_id == "b/1" and lane.give() == []


def test_what_is_not_accepted_goes_elsewhere_and_its_executor_is_mute_until_it_reports() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("j", "transcode"), ready("k", "probe"))
    lane.give()
    lane.wait(1.9)
    assert lane.give() == []
    lane.wait(0.2)
    assert lane.give() == []
    lane.report(report("b"))
    assert {(given.job_id, given.session_id) for given in lane.give()} == {("j", "b/1"), ("k", "b/1")}


def test_what_is_accepted_in_time_stays() -> None:
    lane = Lane(report("a"), report("b"))
    lane.ready(ready("j"))
    lane.accept(*lane.give())
    lane.wait(3.0)
    assert lane.give() == []


def test_a_mute_executor_that_has_it_after_all_keeps_its_slot_taken() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j"))
    (given,) = lane.give()
    lane.wait(2.0)
    lane.ready(ready("k"))
    lane.report(report("a", 2, slots={"probe": 1}, attempts=listed(given)))
    assert lane.give() == []
    lane.accept(given)
    lane.end(given)
    assert jobs(lane.give()) == ["k"]


def test_a_new_session_ends_what_was_given_to_the_one_before() -> None:
    lane = Lane(report("a", slots={"probe": 3}))
    lane.ready(ready("j"), ready("k"))
    first, second = lane.give()
    lane.accept(first)
    assert lane.report(report("a", start=2, slots={"probe": 3})) == [key_of(first)]
    assert [(given.job_id, given.session_id) for given in lane.give()] == [(second.job_id, "a/2")]


def test_a_report_of_the_session_before_changes_nothing() -> None:
    lane = Lane(report("a"))
    lane.wait(1.0)
    lane.report(report("a", start=2))
    lane.report(report("a", 9, start=1), age_s=0.5)
    lane.ready(ready("j"))
    assert lane.give()[0].session_id == "a/2"


def test_two_processes_of_one_name_do_not_take_turns() -> None:
    """Each report of one would end what the other works on."""
    lane = Lane(report("a"))
    lane.report(report("a", start=2))
    lane.ready(ready("j"))
    (given,) = lane.give()
    lane.accept(given)
    for seq in range(2, 6):
        lane.wait(1.0)
        assert lane.report(report("a", seq, start=1)) == []
        assert lane.report(report("a", seq, start=2, attempts=listed(given))) == []
    lane.ready(ready("k"))
    assert lane.give()[0].session_id == "a/2"


def test_a_silent_executor_loses_what_it_has_not_accepted_and_keeps_what_it_has() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("j"))
    lane.accept(*lane.give())
    lane.wait(5.0)
    lane.ready(ready("k", "transcode"))
    lane.give()
    lane.wait(1.0)
    lane.report(report("b"))
    assert [(given.job_id, given.session_id) for given in lane.give()] == [("k", "b/1")]
    lane.ready(ready("l"))
    assert lane.give()[0].session_id == "b/1"


def test_a_silent_executor_that_reports_again_is_given_work_again_and_can_fall_silent_again() -> None:
    lane = Lane(report("a"))
    for turn in range(2, 5):
        lane.wait(7.0)
        lane.ready(ready(f"j{turn}"))
        assert lane.give() == []
        lane.report(report("a", turn))
        (given,) = lane.give()
        lane.end(given)


def test_a_draining_executor_is_given_nothing() -> None:
    lane = Lane(report("a", draining=True))
    lane.ready(ready("j"))
    assert lane.give() == []
    assert explain.waiting_reason(lane.dispatcher.ledger, ("j", "probe")) == "no_executor"


def test_attempts_that_a_report_lists_take_slots_until_a_report_does_not_list_them() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    foreign = Lane(report("a"))
    foreign.ready(ready("x"))
    lane.report(report("a", 2, slots={"probe": 1}, attempts=listed(*foreign.give())))
    lane.ready(ready("j"))
    assert lane.give() == []
    lane.report(report("a", 3, slots={"probe": 1}))
    assert jobs(lane.give()) == ["j"]


def test_an_old_report_does_not_bring_back_an_attempt_that_has_ended() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j"), ready("k"))
    (first,) = lane.give()
    lane.accept(first)
    lane.end(first)
    lane.report(report("a", 2, slots={"probe": 1}, attempts=listed(first)))
    assert jobs(lane.give()) == ["k"]


def test_a_report_that_is_older_than_the_gift_does_not_free_the_slot() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j"), ready("k"))
    lane.accept(*lane.give())
    lane.report(report("a", 2, slots={"probe": 1}))
    assert lane.give() == []


def test_events_of_attempts_that_are_over_change_nothing() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j"))
    (first,) = lane.give()
    lane.accept(first)
    lane.end(first)
    lane.ready(ready("j"))
    assert lane.give() == []
    lane.dispatcher.accepted(ready("j"), first.session_id, lane.now)
    lane.end(first)
    assert lane.give() == []
    lane.ready(ready("j", attempt=2))
    (second,) = lane.give()
    assert second.attempt == 2
    lane.end(first)
    lane.ready(ready("k"))
    assert lane.give() == []


def test_a_cancelled_job_is_given_to_nobody() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j"), ready("k", since=1.0), ready("k", "audio"), ready("l", run_at=200.0))
    lane.give()
    for job in "kl":
        lane.dispatcher.cancelled(job)
    lane.wait(150.0)
    lane.report(report("a", 2))
    assert "k" not in jobs(lane.give()) and not lane.dispatcher.ledger.attempts.keys() - {("j", "probe")}


def test_a_cancelled_job_is_not_waited_for() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(ready("j", expected_s=0.2))
    lane.give()
    lane.ready(ready("slow", expected_s=60.0, since=1.0), ready("quick", expected_s=0.2, since=2.0))
    assert lane.give() == []  # nothing is queued ahead past the first in the queue
    lane.dispatcher.cancelled("slow")
    assert jobs(lane.give()) == ["quick"]


def test_an_owner_at_its_cap_does_not_hold_up_what_may_be_queued_ahead() -> None:
    lane = Lane(report("a", slots={"probe": 1, "audio": 1}), rules=Rules(owner_caps={"ann": 1}))
    lane.ready(ready("j", expected_s=0.2))
    lane.give()
    lane.ready(ready("slow", owner="ann", since=1.0), ready("quick", expected_s=0.2, owner="ben", since=2.0))
    assert lane.give() == []
    lane.ready(ready("other", "audio", owner="ann"))
    assert jobs(lane.give()) == ["other"]
    assert jobs(lane.give()) == ["quick"]


def test_an_executor_that_is_gone_leaves_nothing() -> None:
    lane = Lane(report("a", cached=("film",)))
    lane.ready(ready("j"), ready("k"))
    first, second = lane.give()
    lane.accept(first)
    assert lane.dispatcher.gone("a", lane.now) == [key_of(first)]
    executors = lane.dispatcher.ledger.executors
    assert (len(executors), executors._holders, executors.slots("probe")) == (0, {}, 0)
    lane.report(report("b"))
    assert jobs(lane.give()) == [second.job_id]


def test_not_before_its_time() -> None:
    lane = Lane(report("a"))
    lane.ready(ready("j", run_at=103.0))
    assert lane.give() == [] and lane.dispatcher.next_wake() == 103.0
    lane.wait(3.0)
    assert jobs(lane.give()) == ["j"]


def test_jobs_that_are_cancelled_long_before_their_time_leave_nothing() -> None:
    lane = Lane(report("a"))
    for number in range(5_000):
        lane.ready(ready(f"j{number}", run_at=1e9))
        lane.dispatcher.cancelled(f"j{number}")
    assert len(lane.dispatcher._later) < 2_000


def test_steps_that_nobody_knows_are_left_out_of_a_report() -> None:
    lane = Lane(report("a"))
    for number in range(2, 50):
        lane.report(report("a", number, slots={"probe": 1, f"unknown{number}": 1}))
    assert lane.dispatcher.ledger.executors._slots.keys() <= {*KINDS, FULL_TURNS, SHORT_TURNS}
    lane.ready(ready("j"))
    assert jobs(lane.give()) == ["j"]


def test_a_paused_queue_gives_nothing_and_goes_on_where_it_was() -> None:
    lane = Lane(report("a"))
    lane.dispatcher.pause("probe")
    lane.ready(ready("j"), ready("k", "audio"))
    assert jobs(lane.give()) == ["k"]
    lane.dispatcher.resume("probe")
    assert jobs(lane.give()) == ["j"]


def test_no_more_of_a_step_at_a_time_than_its_limit_over_all_executors() -> None:
    lane = Lane(report("a"), report("b"))
    lane.dispatcher.limit("probe", 3)
    lane.ready(*(ready(f"j{n}") for n in range(9)))
    gives = lane.give()
    assert len(gives) == 3
    lane.end(gives[0])
    assert len(lane.give()) == 1
    lane.dispatcher.limit("probe", None)
    assert len(lane.give()) == 1


def test_the_limit_is_free_again_when_an_attempt_of_a_lost_executor_has_ended() -> None:
    lane = Lane(report("a"), report("b"))
    lane.dispatcher.limit("noop", 1)
    lane.ready(ready("j", "noop"), ready("k", "noop", since=1.0))
    (given,) = lane.give()
    lane.accept(given)
    lane.report(report(given.session_id[0], start=2))
    assert lane.give() == []
    lane.end(given, completed=False)
    assert jobs(lane.give()) == ["k"]


def test_requests_that_nobody_accepts_do_not_use_up_the_limit() -> None:
    lane = Lane(report("a"), rules=Rules(owner_cap=1))
    lane.dispatcher.limit("probe", 1)
    lane.ready(ready("j", owner="ann"))
    for seq in range(2, 5):
        assert jobs(lane.give()) == ["j"]
        lane.wait(2.1)
        lane.report(report("a", seq))
    lane.accept(*lane.give())
    lane.dispatcher.ended(key_of(ready("j")), lane.now, completed=True)
    lane.ready(ready("k", owner="ann"))
    assert jobs(lane.give()) == ["k"]


def test_no_more_of_an_owner_at_a_time_than_its_cap() -> None:
    lane = Lane(report("a"), report("b"), rules=Rules(owner_cap=2, owner_caps={"vip": 3, "shut": 0}))
    owners = ("ann", "ben", "shut", "vip")
    lane.ready(*(ready(f"{owner}{n}", "noop", owner=owner) for owner in owners for n in range(9)))
    gives = lane.give()
    assert sorted(given.job_id[:3] for given in gives) == ["ann"] * 2 + ["ben"] * 2 + ["vip"] * 3
    assert explain.waiting_reason(lane.dispatcher.ledger, ("ann8", "noop")) == "owner_cap"
    lane.end(*(given for given in gives if given.job_id.startswith("ann")))
    assert [given.job_id[:3] for given in lane.give()] == ["ann"] * 2
    lane.dispatcher.change(Rules())
    assert len(lane.give()) == 36 - 9


def test_a_single_job_behind_a_thousand_of_another_owner_is_next() -> None:
    lane = Lane(report("a"))
    lane.ready(*(ready(f"j{n}", "transcode", owner="crowd") for n in range(1000)))
    (first,) = lane.give()
    lane.ready(ready("single", "transcode", owner="one", since=1.0))
    assert explain.rank(lane.dispatcher.ledger, ("single", "transcode")) == 1
    lane.end(first)
    assert jobs(lane.give()) == ["single"]


def test_older_jobs_go_first_whatever_became_ready_first() -> None:
    lane = Lane(report("a", slots={"transcode": 1, "transcribe": 1}))
    lane.ready(ready("young", "transcode", since=2.0), ready("old", "transcribe", since=1.0))
    assert jobs(lane.give()) == ["old"]


def test_a_failed_attempt_waits_at_the_place_of_its_job() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(*(ready(f"j{n}", since=float(n)) for n in range(3)))
    (first,) = lane.give()
    lane.end(first, completed=False)
    lane.ready(ready("j0", attempt=2, since=0.0))
    assert jobs(lane.give()) == ["j0"]


def test_owners_are_charged_for_what_their_work_took_not_for_what_was_expected() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    lane.ready(*(ready(f"{owner}{n}", owner=owner, since=float(n)) for owner in ("long", "short") for n in range(9)))
    order = []
    for _ in range(8):
        (given,) = lane.give()
        lane.accept(given)
        lane.now += 5.0 if given.job_id.startswith("long") else 1.0
        lane.report(report("a", int(lane.now), slots={"probe": 1}, attempts=listed(given)))
        lane.end(given)
        order.append(given.job_id[:-1])
    assert order.count("long") == 2


class TestStart:
    """A dispatcher that starts among executors that the one before it has given work to."""

    def started(self, *session: str) -> Dispatcher:
        dispatcher = Dispatcher(KINDS, Rules(), number=5)
        for name in session:
            dispatcher.report(report(name, 3, poke=4), 99.0, 100.0)
        dispatcher.ready(ready("j"), 100.0)
        return dispatcher

    def test_it_gives_nothing_before_it_knows_what_was_given(self) -> None:
        dispatcher = self.started("a", "b")
        assert [(poke.session_id, poke.number) for poke in dispatcher.begin(100.0)] == [("a/1", 5), ("b/1", 5)]
        dispatcher.report(report("a", 4, poke=5), 100.1, 100.1)
        dispatcher.caught_up()  # too early: one has not answered
        dispatcher.report(report("b", 4, poke=5), 100.2, 100.2)
        assert dispatcher.phase == "reading" and dispatcher.give(100.2) == []
        dispatcher.caught_up()
        assert jobs(dispatcher.give(100.3)) == ["j"]

    def test_an_acceptance_that_was_on_its_way_is_not_given_again(self) -> None:
        dispatcher = self.started("a")
        dispatcher.begin(100.0)
        dispatcher.report(report("a", 4, poke=5), 100.1, 100.1)
        dispatcher.accepted(ready("j"), "a/1", 100.2)
        dispatcher.caught_up()
        assert dispatcher.give(100.3) == []

    def test_owners_whose_work_runs_already_go_after_those_who_have_nothing(self) -> None:
        dispatcher = Dispatcher(KINDS, Rules(), number=5)
        dispatcher.report(report("a", 3, poke=5, slots={"transcode": 2}, full_turns=2), 100.0, 100.0)
        dispatcher.accepted(ready("r", "transcode", owner="ann", expected_s=60.0), "a/1", 100.0)
        dispatcher.ready(ready("j", "transcode", owner="ann", since=1.0), 100.0)
        dispatcher.ready(ready("k", "transcode", owner="ben", since=2.0), 100.0)
        dispatcher.begin(100.0)
        dispatcher.caught_up()
        assert jobs(dispatcher.give(100.0)) == ["k"]

    def test_it_waits_for_those_who_do_not_answer_for_six_seconds_and_gives_them_nothing_before_they_do(self) -> None:
        dispatcher = self.started("a")
        dispatcher.begin(100.0)
        assert dispatcher.next_wake() == pytest.approx(105.0)  # when its last report is six seconds old
        dispatcher.report(report("a", 4, poke=4), 104.0, 104.0)
        dispatcher.tick(106.0)
        dispatcher.caught_up()
        assert dispatcher.phase == "giving" and dispatcher.give(106.0) == []
        dispatcher.report(report("a", 5, poke=5), 106.1, 106.1)
        assert jobs(dispatcher.give(106.2)) == ["j"]

    def test_it_does_not_wait_for_silent_executors(self) -> None:
        dispatcher = Dispatcher(KINDS, Rules(), number=5)
        dispatcher.report(report("a", 3), 50.0, 100.0)
        assert len(dispatcher.begin(100.0)) == 1
        assert dispatcher.phase == "reading"

    def test_an_executor_that_starts_meanwhile_needs_no_poke(self) -> None:
        dispatcher = self.started()
        dispatcher.begin(100.0)
        dispatcher.caught_up()
        dispatcher.report(report("new"), 100.1, 100.1)
        assert jobs(dispatcher.give(100.2)) == ["j"]

    def test_an_executor_that_restarts_instead_of_answering_is_not_waited_for(self) -> None:
        dispatcher = self.started("a")
        dispatcher.begin(100.0)
        dispatcher.report(report("a", start=2), 100.1, 100.1)
        dispatcher.caught_up()
        assert jobs(dispatcher.give(100.2)) == ["j"]


class TestExplanations:
    """Why a step waits, for people."""

    def test_the_reason_why_a_step_waits(self) -> None:
        lane = Lane(report("a", slots={"probe": 1}))
        ledger = lane.dispatcher.ledger
        lane.ready(ready("j"), ready("k", since=1.0), ready("l", run_at=200.0), ready("m", "audio"))
        lane.give()
        reasons = [explain.waiting_reason(ledger, (job, "probe")) for job in "jkl"]
        assert reasons == [None, "queued", "run_at"]
        assert explain.waiting_reason(ledger, ("m", "audio")) == "no_executor"
        lane.dispatcher.limit("probe", 1)
        assert explain.waiting_reason(ledger, ("k", "probe")) == "capped"
        lane.dispatcher.pause("probe")
        assert explain.waiting_reason(ledger, ("k", "probe")) == "paused"
        assert explain.eta_s(ledger, ("k", "probe"), lane.now) is None

    def test_the_estimate_knows_how_many_slots_there_are(self) -> None:
        lane = Lane(report("a"), report("b"))
        lane.ready(*(ready(f"j{n}", expected_s=10.0, since=float(n)) for n in range(12)))
        lane.give()
        ledger = lane.dispatcher.ledger
        assert explain.rank(ledger, ("j11", "probe")) == 8
        assert explain.eta_s(ledger, ("j11", "probe"), lane.now) == 8 * 10.0 / 4 + 10.0

    def test_what_may_never_begin_has_no_estimate(self) -> None:
        lane = Lane(report("a"))
        lane.dispatcher.limit("probe", 0)
        lane.ready(ready("j", expected_s=10.0))
        assert lane.give() == [] and explain.eta_s(lane.dispatcher.ledger, ("j", "probe"), lane.now) is None

    def test_steps_that_cannot_go_are_not_counted(self) -> None:
        lane = Lane(report("a", slots={"transcode": 1, "transcribe": 1}))
        lane.ready(ready("i", "transcode"))
        lane.give()
        lane.ready(ready("j", "transcribe"), ready("k", "transcode", since=1.0))
        assert explain.rank(lane.dispatcher.ledger, ("k", "transcode")) == 2
        lane.dispatcher.pause("transcribe")
        assert explain.rank(lane.dispatcher.ledger, ("k", "transcode")) == 1

    def test_expectations_come_from_what_such_steps_took(self) -> None:
        lane = Lane(report("a"))
        for number in range(3):
            lane.ready(ready(f"j{number}", "transcode", size=100.0))
            (given,) = lane.give()
            lane.accept(given)
            lane.now += 20.0
            lane.report(report("a", number + 2, attempts=listed(given)))
            lane.end(given)
        lane.ready(ready("memo", "transcode", size=10.0), ready("film", "transcode", size=1000.0))
        attempts = lane.dispatcher.ledger.attempts
        assert attempts["memo", "transcode"].cost_s == pytest.approx(2.0)
        assert attempts["memo", "transcode"].line.short and not attempts["film", "transcode"].line.short


def test_a_request_counts_as_lost_only_when_its_acceptance_would_be_known() -> None:
    lane = Lane(report("a"), report("b"))
    lane.ready(ready("1"))
    [first] = lane.give()
    lane.now += 3.0
    lane.dispatcher.tick(lane.now, read_until=lane.now - 2.5)
    assert lane.dispatcher.is_overdue(lane.now) and not lane.give()
    lane.dispatcher.tick(lane.now, read_until=lane.now)
    [second] = lane.give()
    assert second.session_id != first.session_id
