"""What is counted against a record, where the count is kept, and that it always fits there."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.quarantine import Quarantine, RecordPosition, commit_with_metadata, is_about_content
from streams.worker.topic_ids import TopicIds

COMMANDS = TP("media.commands", 3)
#: Source: Kafka, offset.metadata.max.bytes.
MOST_BYTES = 4096


def counted(*offsets: int) -> Quarantine:
    quarantine = Quarantine()
    for offset in offsets:
        quarantine.add(RecordPosition(COMMANDS, offset), "RuntimeError('boom')")
    return quarantine


def test_the_count_is_there_after_the_process_its_disk_and_its_machine_are_gone() -> None:
    kept = counted(7, 7, 9).metadata(COMMANDS, 5)
    later = Quarantine()
    later.load(COMMANDS, kept)
    assert [later.crashes(RecordPosition(COMMANDS, offset)).times for offset in (6, 7, 8, 9)] == [0, 2, 0, 1]
    assert later.crashes(RecordPosition(COMMANDS, 7)).error == "RuntimeError('boom')"


def test_it_goes_when_a_later_offset_is_committed() -> None:
    quarantine = counted(7)
    assert quarantine.metadata(COMMANDS, 7)
    assert quarantine.metadata(COMMANDS, 8) == ""
    assert quarantine.metadata(TP("media.uploads", 3), 0) == ""


@pytest.mark.parametrize("text", ["", "a note of a tool", "[1, 2]", '{"offset": 3}'])
def test_what_others_keep_there_counts_for_nothing(text: str) -> None:
    quarantine = counted(7)
    quarantine.load(COMMANDS, text)
    assert quarantine.crashes(RecordPosition(COMMANDS, 7)).times == 0


@given(st.lists(st.integers(0, 2**63 - 1), max_size=30), st.text(max_size=300))
def test_it_always_fits(offsets: list[int], error: str) -> None:
    """An offset whose metadata is too long could never be committed again."""
    quarantine = Quarantine()
    for offset in offsets:
        quarantine.add(RecordPosition(COMMANDS, offset), error)
    assert len(quarantine.metadata(COMMANDS, 0).encode()) <= MOST_BYTES


def test_only_what_is_the_records_own_doing_is_counted() -> None:
    about_it = [RuntimeError(), RecursionError(), MessageSizeTooLargeError()]
    about_others = [
        KafkaTimeoutError(),
        KafkaConnectionError(),
        NodeNotReadyError(),
        TopicAuthorizationFailedError(),
        TimeoutError(),
        OSError(28, "No space left on device"),
    ]
    assert [is_about_content(error) for error in about_it] == [True] * len(about_it)
    assert [is_about_content(error) for error in about_others] == [False] * len(about_others)


def test_what_happens_between_two_records_is_nobodys_doing() -> None:
    quarantine, place = Quarantine(), RecordPosition(COMMANDS, 7)
    with quarantine.handling(place):
        assert quarantine.handled == place
    assert quarantine.handled is None


async def test_every_commit_keeps_it() -> None:
    committed: dict[Any, OffsetAndMetadata] = {}

    async def commit(offsets: Mapping[Any, OffsetAndMetadata]) -> None:
        committed.update(offsets)

    place, other = TopicPartition(*COMMANDS), TopicPartition("media.uploads", 3)
    offsets = {place: OffsetAndMetadata(6, ""), other: 4}
    await commit_with_metadata(counted(7), TopicIds(), commit, offsets)
    assert committed == {
        place: OffsetAndMetadata(6, counted(7).metadata(COMMANDS, 6)),
        other: OffsetAndMetadata(4, ""),
    }
