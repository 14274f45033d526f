"""Transcripts as the step `transcribe` writes them, for tests that need none of its models."""

from collections.abc import Sequence

import msgspec

from schemas.transcribe import SpeechModel, Transcript, TranscriptSegment

#: Kennedy's inaugural address, 20 January 1961, as it is said in jfk.flac.
JFK = (
    (320, 7_900, " And so, my fellow Americans, ask not what your country can do for you,"),
    (8_100, 10_600, " ask what you can do for your country."),
)
BAKING = (
    (0, 4_000, " Knead the dough until it is smooth, and let it rise for two hours."),
    (4_500, 9_000, " Bake the bread in a hot oven until its crust is brown."),
)


def transcript(segments: Sequence[tuple[int, int, str]] = JFK) -> Transcript:
    """A transcript of these segments: (start_ms, end_ms, text)."""
    return Transcript(
        language="en",
        duration_ms=max((end for _, end, _ in segments), default=0),
        model=SpeechModel(backend="by hand"),
        segments=tuple(
            TranscriptSegment(id=n, start_ms=start, end_ms=end, text=text)
            for n, (start, end, text) in enumerate(segments)
        ),
    )


def transcript_json(segments: Sequence[tuple[int, int, str]] = JFK) -> bytes:
    """The content of `transcript.json`."""
    return msgspec.json.encode(transcript(segments))
