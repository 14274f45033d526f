"""Captions: short, apart from each other, harmless, and with every word that was said."""

import re

from hypothesis import given
from hypothesis import strategies as st

from processors.media.cues import LINE_CHARS, LINES, cues, overlaps, plain_text, subrip, webvtt
from schemas.transcribe import TranscriptSegment, Word

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=60)


@st.composite
def transcripts(draw: st.DrawFn) -> list[TranscriptSegment]:
    """Segments with words, whose times may touch, overlap or stand still."""
    at, found = 0, []
    for number in range(draw(st.integers(0, 8))):
        words = []
        for text in draw(st.lists(TEXT, min_size=1, max_size=25)):
            start = at + draw(st.integers(-200, 1500))
            at = max(start, 0) + draw(st.integers(0, 900))
            words.append(Word(start_ms=max(start, 0), end_ms=at, text=text))
        timed = draw(st.booleans())
        joined = " ".join(word.text for word in words)
        found.append(
            TranscriptSegment(
                id=number,
                start_ms=words[0].start_ms,
                end_ms=max(at, words[0].start_ms),
                text=joined,
                words=tuple(words) if timed else (),
            )
        )
    return found


@given(transcripts())
def test_cues_are_short_apart_and_lose_nothing(segments: list[TranscriptSegment]) -> None:
    found = cues(segments)
    assert not overlaps(found)
    for cue in found:
        assert cue.end_ms > cue.start_ms >= 0
        assert 1 <= len(cue.lines) <= LINES
        assert all(0 < len(line) <= LINE_CHARS for line in cue.lines)
    said = "".join("".join(segment.text.split()) for segment in segments)
    assert "".join("".join("".join(cue.lines).split()) for cue in found) == said


@given(transcripts())
def test_nothing_that_was_said_is_read_as_markup(segments: list[TranscriptSegment]) -> None:
    vtt, srt = webvtt(cues(segments)), subrip(cues(segments))
    for text in (vtt, srt):
        payload = [line for line in text.splitlines() if not re.fullmatch(r"[\d:.,]+ --> [\d:.,]+", line)]
        assert not any("<" in line or "-->" in line for line in payload)
    assert vtt.startswith("WEBVTT\n")


def one(text: str, *words: tuple[str, int, int]) -> TranscriptSegment:
    spoken = tuple(Word(text=word, start_ms=start, end_ms=end) for word, start, end in words)
    return TranscriptSegment(id=0, start_ms=spoken[0].start_ms, end_ms=spoken[-1].end_ms, text=text, words=spoken)


def test_a_pause_and_the_end_of_a_sentence_begin_a_new_cue() -> None:
    found = cues(
        [
            one("Hello there. Who is it?", ("Hello", 0, 500), ("there.", 500, 900), ("Who", 950, 1200)),
            one("Me.", ("Me.", 4000, 4400)),
        ]
    )
    assert [cue.lines for cue in found] == [("Hello there.",), ("Who",), ("Me.",)]
    assert [cue.start_ms for cue in found] == [0, 950, 4000]


def spoken(text: str, start_ms: int = 0, word_ms: int = 300) -> TranscriptSegment:
    """A segment said at even pace."""
    times = range(start_ms, start_ms + word_ms * len(text.split()), word_ms)
    return one(text, *((word, at, at + word_ms) for word, at in zip(text.split(), times, strict=True)))


def test_no_word_is_left_alone_where_a_sentence_is_too_long_for_one_cue() -> None:
    sentence = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen end."
    found = cues([spoken(sentence)])
    assert len(found) == 2
    assert min(len(" ".join(cue.lines).split()) for cue in found) >= 7


def test_what_is_too_long_is_cut_where_the_speaker_begins_anew() -> None:
    found = cues(
        [
            spoken("ask not what your country can do for you", 0, 450),
            spoken("ask what you can do for your country.", 4050, 450),
        ]
    )
    assert [" ".join(cue.lines) for cue in found] == [
        "ask not what your country can do for you",
        "ask what you can do for your country.",
    ]


def test_what_is_too_long_is_cut_at_a_comma_before_anywhere_else() -> None:
    found = cues(
        [spoken("when the train at last came in late that night, everybody who had waited for it ran to the doors")]
    )
    assert " ".join(found[0].lines).endswith("night,")


def test_scripts_without_spaces_get_none() -> None:
    found = cues([one("你好世界", ("你好", 0, 500), ("世界", 500, 1000))])
    assert found[0].lines == ("你好世界",)


def test_the_formats_are_written_as_their_readers_expect() -> None:
    found = cues(
        [one("a & <b>", ("a", 3_661_005, 3_661_500), ("&", 3_661_500, 3_662_000), ("<b>", 3_662_000, 3_663_000))]
    )
    assert webvtt(found, "X: 1") == "WEBVTT\nX: 1\n\n01:01:01.005 --> 01:01:03.000\na &amp; &lt;b&gt;\n"
    assert subrip(found) == "1\n01:01:01,005 --> 01:01:03,000\na & ‹b›\n"  # noqa: RUF001
    assert plain_text([one("  a   b ", ("a", 0, 1))]) == "a b\n"
