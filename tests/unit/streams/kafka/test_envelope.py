"""Whatever stands in a record, every entry comes out, understood or with a reason."""

import base64
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import CancelJob
from streams.kafka.envelope import (
    MAX_DEPTH,
    UNPARSABLE_HEADER,
    Entry,
    Unreadable,
    batch,
    binary,
    iso_time,
    read,
    structured,
    too_deep,
)

COMMAND = CancelJob(job_id="job_1", asset_id="asset_1")


def event(number: int = 1) -> bytes:
    return structured(COMMAND, event_id=str(number), source="test", subject="asset_1", correlation_id="job_1")


def test_a_batch_comes_back_in_order() -> None:
    entries = read(batch(event(n) for n in range(5)))
    assert [entry.event.id for entry in entries if isinstance(entry, Entry)] == ["0", "1", "2", "3", "4"]
    assert all(isinstance(entry, Entry) and entry.message == COMMAND for entry in entries)


@pytest.mark.parametrize("zone, at", [("Asia/Kolkata", 1_000.5), ("America/St_Johns", 2_000.5)])
def test_times_are_utc_in_whatever_zone_the_machine_is(monkeypatch: pytest.MonkeyPatch, zone: str, at: float) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert iso_time(at) == f"1970-01-01T00:{int(at) // 60:02}:{int(at) % 60:02}.500Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_bad_entry_spoils_itself_and_not_its_neighbours() -> None:
    entries = read(batch([event(1), b'{"specversion": 3}', event(2), b"null", b'"text"']))
    assert [type(entry) for entry in entries] == [Entry, Unreadable, Entry, Unreadable, Unreadable]


def test_one_event_is_read_in_structured_and_in_binary_mode_alike() -> None:
    value, headers = binary(COMMAND, event_id="1", source="test", subject="asset_1", correlation_id="job_1")
    for entry in (*read(event()), *read(value, headers)):
        assert isinstance(entry, Entry)
        assert (entry.event.id, entry.event.correlationid, entry.message) == ("1", "job_1", COMMAND)


def test_extensions_that_nobody_knows_are_ignored_in_both_modes() -> None:
    value, headers = binary(COMMAND, event_id="1", source="test", subject="a")
    assert isinstance(read(value, [*headers, ("ce_tenant", b"x"), ("other", b"\xff")])[0], Entry)
    plain = msgspec.json.decode(event())
    assert isinstance(read(msgspec.json.encode({**plain, "tenant": "x"}))[0], Entry)


def test_unknown_types_and_wrong_fields_say_so() -> None:
    unknown = event().replace(b"media.job.cancel.v1", b"media.job.cancel.v9")
    wrong = event().replace(b'"job_id":"job_1"', b'"job_id":7')
    found = [entry for entry in (*read(unknown), *read(wrong)) if isinstance(entry, Unreadable)]
    assert [entry.code for entry in found] == ["unknown-type", "invalid-message"]
    assert "job_id" in found[1].reason


def test_a_tombstone_is_an_entry_that_cannot_be_read() -> None:
    assert [entry.code for entry in read(None) if isinstance(entry, Unreadable)] == ["empty-record"]


@given(st.binary(max_size=300), st.lists(st.tuples(st.sampled_from(["ce_type", "ce_id", "x"]), st.binary(max_size=20))))
def test_no_bytes_make_it_raise(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    for entry in read(value, headers):
        assert isinstance(entry, (Entry, Unreadable))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_json_makes_it_raise(value: object) -> None:
    read(msgspec.json.encode([value, value]))


def test_thousands_of_brackets_are_unreadable_and_no_error() -> None:
    for raw in (b"[" * 20_000, b'{"a":' * 20_000, batch([event().replace(b'"job_1"', b"[" * 20_000)])):
        [entry] = read(raw)
        assert isinstance(entry, Unreadable)


def test_what_can_be_read_but_not_written_again_is_too_deep() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    nested = event().replace(b'"job_id":"job_1"', b'"more":' + deep + b',"job_id":"job_1"')
    [entry] = read(nested)
    assert isinstance(entry, Unreadable)
    assert entry.code == "too-deep"


def test_depth_is_told_from_width_and_from_text() -> None:
    wide = b"[" + b",".join([b"[]"] * 500) + b"]"
    text = b'["' + b"[{" * 500 + b'\\"' + b"[" * 500 + b'"]'
    assert not too_deep(wide)
    assert not too_deep(text)
    assert too_deep(b"[" * (MAX_DEPTH + 1))


def test_a_header_without_a_value_is_none() -> None:
    value, headers = binary(COMMAND, event_id="1", source="test", subject="asset_1")
    assert isinstance(read(value, [*headers, ("ce_time", None), ("trace", None)])[0], Entry)
    assert isinstance(read(value, [("ce_type", None)])[0], Unreadable)


UPLOAD = b'{"input":{"object":"media/a.mp4"},"asset_id":"asset_1"}'
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "upstream", "type": "media.upload.completed.v1"}


def headers_of(content_type: str, **attributes: str) -> list[tuple[str, bytes]]:
    return [("content-type", content_type.encode())] + [(f"ce_{k}", v.encode()) for k, v in attributes.items()]


def test_the_content_type_says_that_a_record_is_structured_though_it_has_ce_headers_too() -> None:
    """Connectors copy the attributes into headers for routing; the event was a dead letter."""
    whole = msgspec.json.encode({**ATTRIBUTES, "data": msgspec.Raw(UPLOAD)})
    for content_type in ("application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"):
        [entry] = read(whole, headers_of(content_type, **ATTRIBUTES))
        assert isinstance(entry, Entry), entry
        assert entry.message.asset_id == "asset_1"  # type: ignore[attr-defined]  # an upload event
    [entry] = read(UPLOAD, headers_of("application/json; charset=utf-8", **ATTRIBUTES))
    assert isinstance(entry, Entry), entry


def test_data_that_an_sdk_wrote_in_base64_is_read() -> None:
    encoded = base64.b64encode(UPLOAD).decode()
    [entry] = read(msgspec.json.encode({**ATTRIBUTES, "data_base64": encoded}))
    assert isinstance(entry, Entry), entry
    assert bytes(entry.event.data) == UPLOAD
    [entry] = read(msgspec.json.encode({**ATTRIBUTES, "data_base64": encoded[:-3] + "!"}))
    assert isinstance(entry, Unreadable)
    assert (entry.code, "data_base64" in entry.reason) == ("invalid-message", True)


def test_a_field_that_is_null_counts_as_absent() -> None:
    nulls = b'{"input":{"object":"media/a.mp4","url":null},"priority":null,"owner":null}'
    for entry in read(nulls, headers_of("application/json", **ATTRIBUTES)):
        assert isinstance(entry, Entry), entry
        assert entry.message.priority == "normal"  # type: ignore[attr-defined]  # an upload event
    [entry] = read(b'{"input":null,"priority":null}', headers_of("application/json", **ATTRIBUTES))
    assert isinstance(entry, Unreadable)
    assert "input" in entry.reason


def test_an_empty_id_or_source_is_none() -> None:
    """All events without an id would be one event: only the first became a job."""
    for attribute in ("id", "source"):
        [entry] = read(UPLOAD, headers_of("application/json", **{**ATTRIBUTES, attribute: ""}))
        assert isinstance(entry, Unreadable)
        assert entry.code == "not-an-event"


def test_a_record_that_cannot_be_parsed_says_why() -> None:
    [entry] = read(b"raw", [(UNPARSABLE_HEADER, b"its headers cannot be read")])
    assert entry == Unreadable(b"raw", "unparsable-record", "its headers cannot be read")
