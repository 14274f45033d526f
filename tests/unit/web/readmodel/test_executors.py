"""Executors by their reports: as they come."""

import time
from types import SimpleNamespace

from streams.kafka.executor_reports import silent_before
from streams.settings import Settings
from tests.unit.streams.kafka.test_executor_reports import dated
from web.readmodel import executors as module
from web.readmodel.executors import Executors
from web.views.executors import executor_view


def test_the_latest_report_of_each_executor_counts_and_old_ones_are_forgotten() -> None:
    executors, now = Executors(Settings()), time.time()
    executors.take([dated("a", now - 200.0, "noop"), dated("b", now - 1.0), dated("b", now, "noop")])
    assert executors.current() is None, "the log has not been read"
    executors._known.set()
    assert [(found.report.executor_id, list(found.report.steps)) for found in executors.current() or ()] == [
        ("b", ["noop"])
    ]
    assert executors.slots()["noop"] == 1 and executors.slots()["probe"] == 0


def test_executors_are_alive_by_the_brokers_clock_whatever_this_machines_says() -> None:
    long_ago = time.time() - 32 * 86_400.0
    executors = Executors(Settings(), lambda: long_ago)
    executors.take([dated("a", long_ago - 1.0, "noop")])
    executors._known.set()
    assert executors.slots()["noop"] == 1


def test_of_the_reports_of_a_busy_executor_only_the_last_one_is_decoded() -> None:
    records = [SimpleNamespace(key=key, offset=n) for n, key in enumerate([b"a", b"b", b"a", None, None])]
    assert [record.offset for record in module._last_by_key(records)] == [2, 1, 3, 4]


def test_an_executor_is_marked_when_it_is_silent_drains_or_has_another_version() -> None:
    now = time.time()
    reports = [dated("a", now, "noop"), dated("b", now, draining=True), dated("c", now - 7.0)]
    views = [executor_view(found, silent_before(reports, now), "1", lambda _: True) for found in reports]
    assert [view.status for view in views] == ["active", "draining", "silent"]
    assert (views[0].slots, views[0].outdated) == ({"noop": 1}, False)
    assert executor_view(reports[0], 0.0, "2", lambda _: True).outdated
