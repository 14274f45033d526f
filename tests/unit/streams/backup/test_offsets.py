"""Rows of a restored log refer to the same records as before."""

import msgspec

from streams.backup.offsets import OffsetMap, translated

URLS = "media.source-urls"


def offsets() -> OffsetMap:
    """Records 100, 101 and 105 of the commands, and 7 and 9 of the URLs, were restored; partition 1."""
    found = OffsetMap()
    for topic, earlier in (("media.commands", (100, 101, 105)), (URLS, (7, 9))):
        for offset in earlier:
            found.add(topic, 1, offset)
    return found


def moved(content: object, partition: int = 1) -> object:
    return msgspec.json.decode(translated(msgspec.json.encode(content), partition, offsets(), URLS))


def test_a_row_has_applied_the_same_commands_as_before() -> None:
    for before, after in ((100, 0), (101, 1), (103, 1), (105, 2), (200, 2)):
        assert moved({"id": "job_1", "at": {"media.commands": before}}) == {
            "id": "job_1",
            "at": {"media.commands": after},
        }


def test_offsets_count_from_the_first_that_is_left() -> None:
    found = offsets()
    found.begin("media.commands", 1, 1)
    assert (found.applied("media.commands", 1, 103), found.exact("media.commands", 1, 100)) == (2, 1)
    assert found.applied("media.commands", 1, 99) is None


def test_what_was_applied_before_the_first_restored_record_is_not_claimed() -> None:
    """All of it: the next record that comes has offset 0, and must not count as a repeat."""
    assert moved({"at": {"media.commands": 99, "media.uploads": 5}}) == {"at": {}}
    assert moved({"at": {"media.commands": 105}}, partition=0) == {"at": {}}


def test_an_input_finds_its_full_url_also_in_a_command() -> None:
    command = [{"id": "e1", "data": {"input": {"url": "https://example.org", "url_offset": 9}}}]
    assert moved(command) == [{"id": "e1", "data": {"input": {"url": "https://example.org", "url_offset": 1}}}]
    assert moved({"input": {"url_offset": 8}}) == {"input": {"url_offset": None}}, "it has ended: nobody else's is read"


def test_losses_of_the_earlier_log_are_none_of_the_restored_one() -> None:
    assert moved({"at": {"media.commands": 101}, "lost": ["media.commands"]}) == {"at": {"media.commands": 1}}


def test_garbage_and_rows_without_offsets_stay_byte_for_byte() -> None:
    for value in (b'{"at"', b"\x00\xff", b'{ "id":  "job_1" }', b'"at"'):
        assert translated(value, 1, offsets(), URLS) == value
