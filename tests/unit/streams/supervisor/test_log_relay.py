"""The log of several processes, read as one."""

import asyncio
import io
import json
import os
import re

from streams.supervisor.log_relay import Lines, Relay, marked


def test_a_line_that_comes_in_pieces_is_one_line() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o\n") == [b"two"]
    assert lines.flush() == []


def test_a_child_that_never_ends_its_line_does_not_fill_the_memory() -> None:
    lines = Lines()
    assert lines.feed(b"x" * 300_000) == [b"x" * 300_000]
    assert lines.feed(b"y\n") == [b"y"]


def test_our_own_lines_pass_and_foreign_ones_get_their_process() -> None:
    ours = b"17:55:17 control  INFO    started"
    assert marked(ours, "control", "text") == ours
    assert marked(b"Traceback (most recent call last):", "control", "text").split()[0] == b"control"


def test_a_machine_gets_json_even_from_a_child_that_writes_prose() -> None:
    assert marked(b'{"event": "x"}', "web", "json") == b'{"event": "x"}'
    row = json.loads(marked(b"Segmentation fault \xff", "web", "json"))
    assert (row["process"], row["event"]) == ("web", "Segmentation fault �")


async def test_the_last_words_of_a_child_are_not_lost() -> None:
    out = io.BytesIO()
    relay = Relay("web", "text", out)
    os.write(relay.write_fd, b"first\nno line end")
    relay.started()
    relay.close()
    assert [line.split(maxsplit=1)[1] for line in out.getvalue().splitlines()] == [b"first", b"no line end"]


async def test_the_system_goes_on_when_nobody_reads_its_log() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with os.fdopen(write_fd, "wb", buffering=0) as broken:
        relay = Relay("web", "text", broken)
        os.write(relay.write_fd, b"unheard\n")
        relay.started()
        await asyncio.sleep(0)
        relay.close()


async def test_a_child_is_never_held_up_by_a_log_that_nobody_reads() -> None:
    """A paused terminal stopped all parts at their next line."""
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "wb", buffering=0) as stuck:
        relay = Relay("web", "json", stuck)
        os.set_blocking(relay.write_fd, False)
        for _ in range(500):
            os.write(relay.write_fd, b'{"event": "%b"}\n' % (b"x" * 1000))
            await asyncio.sleep(0)
        seen = os.read(read_fd, 1_000_000).splitlines()
        os.write(relay.write_fd, b'{"event": "last"}\n')
        relay.started()
        relay.close()
        seen += os.read(read_fd, 1_000_000).splitlines()
    os.close(read_fd)
    *_, said, last = [json.loads(line) for line in seen if line.endswith(b"}")]
    assert re.fullmatch(r"log lines lost: nobody read them lines=\d+", said["event"])
    assert last == {"event": "last"}
