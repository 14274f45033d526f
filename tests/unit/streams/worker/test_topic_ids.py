"""A commit counts only for the topic that it was made for."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.worker.topic_ids import TopicIds, without_topic_id

UPLOADS = "media.uploads"


class Client:
    """A client whose brokers know the topic by that id; without one they are too old to have any."""

    def __init__(self, topic_id: int | None, error: Exception | None = None) -> None:
        self._id, self._error = topic_id, error

    def get_random_node(self) -> int:
        return 0

    async def send(self, _node: int, _request: Any, *, group: Any) -> Any:
        assert group is not None
        if self._error is not None:
            raise self._error
        assert self._id is not None
        return SimpleNamespace(topics=[(0, UPLOADS, UUID(int=self._id), False, [()], 0, {})])


async def _ids(topic_id: int) -> TopicIds:
    ids = TopicIds()
    await ids.load(Client(topic_id), [UPLOADS])
    return ids


@pytest.mark.parametrize("text", ["", '[[7,1,"ValueError: a b"]]'])
async def test_the_id_is_added_to_a_commit_and_the_rest_is_kept(text: str) -> None:
    first, second = await _ids(1), await _ids(2)
    committed = first.add_to(UPLOADS, text)
    assert without_topic_id(committed) == text
    assert not first.is_of_another(UPLOADS, committed)
    assert second.is_of_another(UPLOADS, committed)


async def test_commits_of_earlier_versions_have_no_id_and_count() -> None:
    ids = await _ids(1)
    for text in ("", '[[7,1,"x"]]'):
        assert without_topic_id(text) == text and not ids.is_of_another(UPLOADS, text)


@pytest.mark.parametrize("error", [NotImplementedError("Metadata v9"), KafkaConnectionError()])
async def test_without_ids_every_commit_counts(error: Exception) -> None:
    ids = await _ids(1)
    committed = ids.add_to(UPLOADS, "")
    await ids.load(Client(None, error), [UPLOADS])
    assert not ids.is_of_another(UPLOADS, committed) and ids.add_to(UPLOADS, "x") == "x"


async def test_topics_of_another_size_are_named() -> None:
    ids = await _ids(1)
    assert ids.of_other_size(1) == frozenset() and ids.of_other_size(8) == {UPLOADS}
