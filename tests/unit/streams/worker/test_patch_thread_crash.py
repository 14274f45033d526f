"""A thread of Faust that finds no broker prints nothing; any other error is printed."""

import asyncio
import contextlib
import logging

import pytest
from aiokafka.errors import KafkaConnectionError
from mode.threads import ServiceThread

from streams.worker import patch_thread_crash


class Failing(ServiceThread):
    """A thread that cannot start."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def on_start(self) -> None:
        raise self.error


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("on_crash", "_start_thread"):
        monkeypatch.setattr(ServiceThread, name, getattr(ServiceThread, name))  # to be put back
    patch_thread_crash.install()


async def printed(error: Exception, capfd: pytest.CaptureFixture[str]) -> str:
    """What a thread prints that cannot start."""
    logging.disable()  # what it logs is another matter, and may be late
    try:
        thread = Failing(error)
        with contextlib.suppress(type(error)):  # unless the thread has ended before its start is waited for
            await thread.start()
        assert thread._thread is not None
        await asyncio.to_thread(thread._thread.join)
    finally:
        logging.disable(logging.NOTSET)
    return capfd.readouterr().err


async def test_a_missing_broker_is_not_printed(patched: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert await printed(KafkaConnectionError("no broker"), capfd) == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_is_printed(patched: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert "ValueError: a bug" in await printed(ValueError("a bug"), capfd)
