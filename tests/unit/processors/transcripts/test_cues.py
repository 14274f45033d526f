"""Captions: short, apart from each other, harmless, and with every word that was said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.transcripts.cues import LINES, cues, overlaps
from processors.transcripts.line_breaks import COLUMNS, columns
from processors.transcripts.subtitle_files import plain_text, subrip, webvtt
from schemas.transcribe import TranscriptSegment, Word
from tests.inputs.judges.text import broken
from tests.inputs.observed import Cue

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
        assert all(line and columns(line) <= COLUMNS for line in cue.lines)
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


_LANGUAGES = {
    "English": "Well, the first thing that I would like to say about the new building is that nobody asked the people "
    "who live next to it, and the second thing is that it is far too high for a street of that width.",
    "German": "Das Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz wurde vor Jahren beschlossen.",
    "Russian": "Вчера вечером, когда поезд наконец пришёл, все побежали к дверям, и никто не заметил дождя.",
    "Japanese": "今日は天気がとても良いので、みんなで海へ行って、砂浜で長い間話をした。",
    "Chinese": "今天的天气非常好，所以我们大家一起去了海边，在沙滩上聊了很久。然后，我们吃了午饭。",  # noqa: RUF001
    "Thai": "วันนี้อากาศดีมากเราจึงไปทะเลด้วยกันและนั่งคุยกันบนชายหาด",
    "Korean": "오늘은 날씨가 아주 좋아서 우리 모두 바다에 갔습니다. 그리고 역 근처의 가게에서 점심을 먹었습니다.",
    "Arabic": "كان الطقس جميلا جدا اليوم، لذلك ذهبنا جميعا إلى البحر وجلسنا على الشاطئ وتحدثنا وقتا طويلا.",
    "Hindi": "आज मौसम बहुत अच्छा था, इसलिए हम सब समुद्र के किनारे गए और वहाँ बैठकर बहुत देर तक बातें करते रहे।",
}


@pytest.mark.parametrize("text", _LANGUAGES.values(), ids=_LANGUAGES)
@pytest.mark.parametrize("cps", [5, 7])
def test_captions_can_be_read_in_every_script_without_times_of_words(text: str, cps: int) -> None:
    found = cues([TranscriptSegment(id=0, start_ms=400, end_ms=400 + len(text) * 1000 // cps, text=text)])
    shown = [Cue(start_s=cue.start_ms / 1000, end_s=cue.end_ms / 1000, lines=cue.lines) for cue in found]
    assert [wrong for cue in shown for wrong in broken(cue)] == []
    assert "".join("".join(cue.lines) for cue in found).replace(" ", "") == text.replace(" ", "")


def _one(text: str, start_ms: int, end_ms: int) -> TranscriptSegment:
    return TranscriptSegment(id=0, start_ms=start_ms, end_ms=end_ms, text=text)


def test_words_of_a_moment_share_a_cue_that_can_be_read() -> None:
    found = cues([_one("Yes.", 1000, 1050), _one("No.", 1050, 1100), _one("Perhaps.", 9000, 9010)])
    assert found == [(1000, 1834, ("Yes. No.",)), (9000, 9834, ("Perhaps.",))]


def test_no_word_is_shown_for_half_a_minute() -> None:
    assert cues([_one("Yes.", 0, 30_000)]) == [(0, 7000, ("Yes.",))]


def test_a_cue_is_shown_longer_where_its_words_are_quick_but_not_long_past_the_next() -> None:
    first, second = cues(
        [
            spoken("Nobody can read all of that so quickly anyway, and of that I am absolutely sure.", 0, 100),
            spoken("That is why I say it slowly.", 1600, 400),
        ]
    )
    assert first.end_ms == 2100
    assert second.start_ms == 2100


def test_a_line_does_not_end_with_an_article() -> None:
    (cue,) = cues([spoken("everybody there wants to go and have a look at the old house once again", 0, 280)])
    assert not cue.lines[0].endswith((" the", " a", " at", " and", " to"))


def test_times_before_the_media_are_shown_from_its_start() -> None:
    assert cues([_one("x", -5, 9)]) == [(0, 834, ("x",))]
