"""The chain of audit entries shows every change."""

import re
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from schemas.audit import AuditLink, AuditRecorded
from streams import audit
from streams.audit import HASH_HEADER, AuditRecord, Chain, Sealed, Verifier, digest, verify


def entry(action: str = "POST /v1/uploads", after: AuditLink | None = None) -> AuditRecorded:
    return AuditRecorded(chain="", seq=0, prev="", at=1_780_000_000.0, action=action, owner="anna", after=after)


def records(first_offset: int = 0) -> list[AuditRecord]:
    """Two replicas, the second of which came when the first had written twice; then both write."""
    one, two = Chain("web-1/a"), Chain("web-2/b")
    sealed = [one.seal(entry("open")), one.seal(entry())]
    link = AuditLink(offset=first_offset + 1, hash=sealed[1].hash)
    sealed += [two.seal(entry("open", link)), one.seal(entry()), two.seal(entry()), one.seal(entry())]
    return [found(first_offset + offset, record) for offset, record in enumerate(sealed)]


def found(offset: int, sealed: Sealed) -> AuditRecord:
    return AuditRecord(offset, sealed.value, tuple(sealed.headers))


def test_what_nobody_touched_is_vouched_for() -> None:
    verdict = verify(records())
    assert (verdict.findings, verdict.entries, verdict.first_offset) == ([], 6, 0)
    assert verdict.heads.keys() == {"web-1/a", "web-2/b"}


def test_a_record_that_the_producer_sent_twice_is_no_fault() -> None:
    log = records()
    again = [*log[:4], *[record._replace(offset=record.offset + 1) for record in log[3:]]]
    assert verify(again).findings == []


def test_an_older_part_that_the_retention_has_removed_is_no_fault_but_told() -> None:
    verdict = verify(records(100)[2:])
    assert (verdict.findings, verdict.first_offset) == ([], 102)


def resealed(record: AuditRecord) -> AuditRecord:
    """Another owner, with a hash that fits: somebody knew what he did."""
    value = record.value.replace(b"anna", b"bert")
    others = tuple(header for header in record.headers if header[0] != HASH_HEADER)
    return record._replace(value=value, headers=(*others, (HASH_HEADER, digest(value).encode())))


@pytest.mark.parametrize(
    "tamper, said",
    [
        (lambda log: [*log[:3], log[3]._replace(value=log[3].value.replace(b"anna", b"bert")), *log[4:]], "changed"),
        (lambda log: [*log[:3], resealed(log[3]), *log[4:]], "the entry before it was changed"),
        (lambda log: [*log[:3], *log[4:]], "offset 3 to 3: removed"),
        (
            lambda log: [*log[:3], *[record._replace(offset=record.offset - 1) for record in log[4:]]],
            "chain web-1/a goes from 2 to 4",
        ),
        (
            lambda log: [log[0], *[record._replace(offset=record.offset - 1) for record in log[2:3]]],
            "differs from the one when this entry was written",
        ),
        (
            lambda log: [*log[:3], log[5]._replace(offset=3), log[4], log[3]._replace(offset=5)],
            "chain web-1/a goes from 2 to 4",
        ),
        (lambda log: [*log, AuditRecord(6, b"{}", ())], "not an audit entry"),
        (lambda log: log[3:] and [log[1]._replace(offset=0), *log[2:]], "starts at 2"),
    ],
    ids=[
        "changed",
        "changed-and-hashed",
        "removed",
        "closed-up",
        "end-cut-off",
        "reordered",
        "foreign",
        "start-cut-off",
    ],
)
def test_every_change_is_found(tamper: Callable[[list[AuditRecord]], list[AuditRecord]], said: str) -> None:
    findings = verify(tamper(records())).findings
    assert any(re.search(re.escape(said), finding) for finding in findings), findings


def long_log(count: int) -> Iterator[AuditRecord]:
    chain = Chain("web-1/a")
    for offset in range(count):
        yield found(offset, chain.seal(entry()))


def test_verifying_a_long_log_takes_no_more_memory_than_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_WINDOW", 100)
    tracemalloc.start()
    try:
        assert verify(long_log(5_000)).findings == []
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 500_000


def test_a_link_to_a_record_far_back_is_left_for_a_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_WINDOW", 100)
    log = list(long_log(500))
    late = Chain("web-2/b").seal(entry("open", AuditLink(offset=3, hash=digest(log[4].value))))
    verifier = Verifier()
    for record in [*log, found(500, late)]:
        verifier.take(record)
    [link] = verifier.open_links
    assert (link.after.offset, verifier.verdict.findings) == (3, [])
    verifier.check(link, digest(log[3].value))
    assert "differs from the one when this entry was written" in verifier.verdict.findings[0]


def test_a_topic_full_of_garbage_is_counted_and_not_kept() -> None:
    verdict = verify(AuditRecord(offset, b"garbage", ()) for offset in range(3_000))
    assert (len(verdict.findings), verdict.faults) == (audit.MAX_FINDINGS, 3_000)
