"""Every way in which a tool ends badly has its error."""

import pytest

from processors.errors import (
    CorruptMedia,
    LimitExceeded,
    MediaTooLarge,
    OutOfCapacity,
    OutputInvalid,
    ProcessingError,
    ToolFailed,
    ToolMisbehaved,
    UnsupportedMedia,
)
from processors.tools.failures import failure, overdue


@pytest.mark.parametrize(
    "returncode, words, kind",
    [
        (1, "av_interleaved_write_frame(): No space left on device", OutOfCapacity),
        (1, "Invalid data found when processing input\nNo space left on device", OutOfCapacity),
        (1, "Error writing trailer: Disk quota exceeded", OutOfCapacity),
        (1, "av_interleaved_write_frame(): File too large", LimitExceeded),
        (1, "malloc: Cannot allocate memory", LimitExceeded),
        (1, "x264 [error]: malloc of size 44329344 failed", LimitExceeded),
        (1, "Number of streams exceeds max_streams parameter (1000)\nCannot allocate memory", MediaTooLarge),
        (1, "source: Invalid data found when processing input", CorruptMedia),
        (1, "moov atom not found", CorruptMedia),
        (1, "Decoder (codec apv) not found for input stream #0:0", UnsupportedMedia),
        (1, "Error while processing the decoded data for stream #0:0", OutputInvalid),
        (1, "[aac] more samples than frame size\nError submitting audio frame to the encoder", OutputInvalid),
        (1, "Error submitting packet to decoder: Unknown error", CorruptMedia),
        (1, "Unknown error", ToolFailed),
        (255, "Exiting normally, received signal 15.", ToolFailed),
        (-7, "", ToolFailed),
        (-11, "", ToolMisbehaved),
        (139, "", ToolMisbehaved),
        (134, "Assertion failed", ToolMisbehaved),
        (-9, "", OutOfCapacity),
        (137, "", OutOfCapacity),
        (153, "", LimitExceeded),
        (152, "", LimitExceeded),
        (-24, "", LimitExceeded),
    ],
)
def test_failures_are_mapped(returncode: int, words: str, kind: type[ProcessingError]) -> None:
    failed = failure("ffmpeg", returncode, words)
    assert type(failed) is kind
    assert words[-50:] in str(failed.detail)


@pytest.mark.parametrize(
    "words, kind", [("source: End of file", CorruptMedia), ("bwrap: Can't mkdir /store", ToolFailed)]
)
def test_what_ffprobe_cannot_open_is_damaged_but_not_when_the_sandbox_failed(
    words: str, kind: type[ProcessingError]
) -> None:
    assert type(failure("ffprobe", 1, words)) is kind


def test_success_is_no_failure() -> None:
    assert failure("ffmpeg", 0, "Invalid data found when processing input") is None


def test_the_detail_stays_small() -> None:
    failed = failure("ffmpeg", 1, "x" * 60_000 + "the end")
    assert failed is not None and failed.detail is not None
    assert len(failed.detail) < 5_000 and failed.detail.endswith("the end")


def test_who_computed_all_the_time_will_do_so_again() -> None:
    assert overdue("ffprobe", 120, 2, 220.0, "").retriable is False
    assert overdue("ffprobe", 120, 2, 20.0, "").retriable is True


def test_a_moment_is_too_short_to_tell_who_computed() -> None:
    assert overdue("ffprobe", 0.01, 1, 0.02, "").code == "tool-timed-out"
