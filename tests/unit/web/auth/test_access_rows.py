"""Which records of media.tokens count: not those of strangers, nor those that were superseded."""

from typing import NamedTuple

import msgspec

from schemas.access import TokenRow
from web.auth.access_rows import SIGNED_FROM_HERE, AccessFold, AccessRows, RefusedRecord
from web.auth.row_signatures import RowSigner

TOPIC = "media.tokens"
SIGNER = RowSigner([b"a secret"])


class LogRecord(NamedTuple):
    """What the fold uses of a consumer's record."""

    offset: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Log:
    """A log on which everybody can write, and a replica that reads it."""

    def __init__(self, signer: RowSigner = SIGNER) -> None:
        self.rows, self.refused, self.records = AccessRows(), list[RefusedRecord](), list[LogRecord]()
        self._fold = AccessFold(TOPIC, signer, self.refused.append)

    def write(self, key: str, value: bytes | None, headers: list[tuple[str, bytes]] | None = None) -> LogRecord:
        record = LogRecord(len(self.records), key.encode(), value, headers or [])
        self.records.append(record)
        self._fold(self.rows, [record])
        return record

    def sign(self, key: str, value: bytes | None, version: int, signer: RowSigner = SIGNER) -> LogRecord:
        return self.write(key, value, signer.headers(TOPIC, key.encode(), version, value))

    def repeat(self, record: LogRecord) -> LogRecord:
        return self.write(record.key.decode(), record.value, record.headers)

    def reasons(self) -> list[str]:
        return [record.reason for record in self.refused]


def token(token_id: str = "tok_1", revoked_at: float | None = None) -> bytes:
    return msgspec.json.encode(
        TokenRow(id=token_id, digest="0" * 64, role="admin", created_at=1.0, revoked_at=revoked_at)
    )


def test_a_strangers_grant_does_not_count() -> None:
    log = Log()
    log.sign(SIGNED_FROM_HERE, None, 1)
    log.write("tok_1", token())
    log.sign("tok_2", token("tok_2"), 1, RowSigner([b"a guess"]))
    assert log.rows.tokens == {}
    assert log.reasons() == ["unsigned", "forged"]


def test_a_strangers_tombstone_or_garbage_removes_nothing() -> None:
    log = Log()
    log.sign("tok_1", token(), 1)
    log.write("tok_1", None)
    log.write("tok_1", b"garbage")
    log.sign("tok_1", None, 2, RowSigner([b"a guess"]))
    assert log.rows.tokens.keys() == {"tok_1"}
    assert len(log.refused) == 3


def test_a_revoked_token_stays_revoked_when_its_grant_is_written_again() -> None:
    log = Log()
    grant = log.sign("tok_1", token(), 1)
    log.sign("tok_1", token(revoked_at=2.0), 2)
    log.repeat(grant)
    assert log.rows.tokens["tok_1"].revoked_at == 2.0
    assert log.reasons() == ["replayed"]


def test_a_removed_row_stays_removed_when_an_earlier_record_is_written_again() -> None:
    log = Log()
    grant = log.sign("tok_1", token(), 1)
    log.sign("tok_1", None, 2)
    log.repeat(grant)
    assert log.rows.tokens == {}
    assert log.reasons() == ["replayed"]


def test_a_record_that_a_producer_repeats_is_no_alarm() -> None:
    log = Log()
    log.repeat(log.sign("tok_1", token(), 1))
    assert log.rows.tokens.keys() == {"tok_1"}
    assert log.refused == []


def test_of_two_replicas_that_write_the_same_version_the_first_counts() -> None:
    log = Log()
    log.sign("tok_1", token(), 1)
    log.sign("tok_1", token(revoked_at=2.0), 2)
    log.sign("tok_1", token(), 2)
    assert log.rows.tokens["tok_1"].revoked_at == 2.0
    assert log.refused == []


def test_unsigned_rows_of_an_earlier_version_count_up_to_the_first_signed_one() -> None:
    log = Log()
    log.write("tok_1", token())
    log.write("tok_2", token("tok_2"))
    log.write("tok_2", None)
    log.write(SIGNED_FROM_HERE, None)  # by a stranger: it signs nothing
    log.write("tok_3", token("tok_3"))
    assert log.rows.tokens.keys() == {"tok_1", "tok_3"}
    log.sign(SIGNED_FROM_HERE, None, 1)
    log.write("tok_4", token("tok_4"))
    log.write("tok_1", None)
    assert log.rows.tokens.keys() == {"tok_1", "tok_3"}
    assert log.reasons() == ["unsigned", "unsigned"]
    assert {"tok_1", "tok_3"} <= set(log.rows.outdated()), "they have to be signed"


def test_rows_of_the_secret_before_a_rotation_count_and_are_signed_again() -> None:
    log = Log(RowSigner([b"the next secret", b"a secret"]))
    log.sign("tok_1", token(), 1)
    assert log.rows.tokens.keys() == {"tok_1"}
    assert log.rows.outdated() == ["tok_1"]
    log.sign("tok_1", token(), 2, RowSigner([b"the next secret"]))
    assert log.rows.outdated() == []
