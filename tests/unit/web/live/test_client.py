"""A live client gets every change in order; progress is thinned out, and never newer than a change."""

import asyncio

import pytest

from web.live import client as client_module
from web.live.client import TOO_SLOW, Client
from web.live.ws_frames import Frame
from web.readmodel.subscriptions import Subscription

STEP = ("job_1", "transcode")


def frame(text: str) -> Frame:
    return Frame(text.encode())


def a_client(queue_bytes: int = 1_000) -> Client:
    return Client(Subscription(frozenset({"all"}), None), queue_bytes)


async def test_changes_come_at_once_and_in_order() -> None:
    client = a_client()
    for seq in (1, 2, 3):
        client.add_change(seq, [], frame(str(seq)))
    assert await client.next_frames() == [frame("1"), frame("2"), frame("3")]


async def test_a_change_replaces_progress_of_its_steps_that_has_not_been_sent() -> None:
    client = a_client()
    client.add_progress(STEP, frame("half"))
    client.add_progress(("job_2", "transcode"), frame("other"))
    client.add_change(1, [STEP], frame("completed"))
    assert await client.next_frames() == [frame("completed")]
    assert await client.next_frames() == [frame("other")]


async def test_only_the_latest_progress_is_sent_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PROGRESS_EVERY_S", 3_600.0)
    client = a_client()
    client.add_progress(STEP, frame("10"))
    client.add_progress(STEP, frame("20"))
    assert await client.next_frames() == [frame("20")]
    client.add_progress(STEP, frame("30"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await client.next_frames()


async def test_a_queue_frame_is_not_repeated_until_a_change() -> None:
    client = a_client()
    client.add_queue("noop", frame("positions"))
    assert await client.next_frames() == [frame("positions")]
    client.add_queue("noop", frame("positions"))
    assert not client._queue_frames
    client.add_change(1, [], frame("change"))
    client.add_queue("noop", frame("positions"))
    assert client._queue_frames


async def test_a_client_that_does_not_read_is_closed_before_its_queue_grows() -> None:
    client = a_client(queue_bytes=10)
    for seq in range(1, 100):
        client.add_change(seq, [], frame("12345"))
    assert client.close_reason.result() == TOO_SLOW
    assert not client._changes


async def test_changes_that_the_snapshot_contains_are_not_sent_again() -> None:
    client = a_client()
    client.add_change(1, [], frame("1"))
    client.add_change(2, [], frame("2"))
    client.skip_to(1)
    client.add_change(1, [], frame("1"))
    assert await client.next_frames() == [frame("2")]
