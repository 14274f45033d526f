"""What is kept for people of what cannot be handled."""

from types import SimpleNamespace

from schemas.base import ErrorRecord
from streams.kafka.dead_letters import dead_letter


def test_a_letter_always_fits_into_a_record() -> None:
    """One that does not would end the process that writes it, and the next one, and the next one."""
    message = SimpleNamespace(topic="t", partition=0, offset=1, key=b"\xff" * 10**6)
    error = ErrorRecord(code="not-json", message="m" * 10**6, detail="d" * 10**6)
    letter = dead_letter(message, b"\xff" * 10**6, error, "control")
    assert len(letter.value) < 200_000
    assert len(letter.key or b"") < 10_000
    assert all(len(text) < 1000 for _, text in letter.headers)
