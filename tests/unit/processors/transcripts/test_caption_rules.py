# ruff: noqa: RUF001 - letters of other scripts
"""Every cue of 22 generated transcripts in 11 languages and 10 scripts keeps the caption rules."""

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import pytest

from processors.transcripts.cues import ReadingSpeed, cues
from schemas.transcribe import TranscriptSegment, Word
from tests.inputs.judges.text import broken, broken_between
from tests.inputs.observed import Cue


class _Language(NamedTuple):
    words: str
    #: Between words; between clauses; behind a sentence.
    space: str
    comma: str
    full_stop: str
    #: How fast it is spoken, letters a second.
    letters_per_s: float


_LANGUAGES = {
    "English": _Language(
        "the a of to in and quick building street nobody nevertheless understanding river morning because they were "
        "walking along it was you responsibility train arrived",
        " ",
        ",",
        ".",
        14,
    ),
    "German": _Language(
        "der die das und in mit Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz Straße Haus gestern "
        "beschlossen Eisenbahnknotenpunkt wir gehen heute nicht",
        " ",
        ",",
        "!",
        12,
    ),
    "Russian": _Language(
        "вчера вечером когда поезд наконец пришёл все побежали к дверям и никто не заметил дождя достопримечательность",
        " ",
        ",",
        ".",
        14,
    ),
    "Greek": _Language(
        "σήμερα ο καιρός ήταν πολύ καλός και πήγαμε όλοι μαζί στη θάλασσα εκεί να το με ευχαρίστηση", " ", ",", ".", 14
    ),
    "Arabic": _Language(
        "كان الطقس جميلا جدا اليوم لذلك ذهبنا جميعا إلى البحر وجلسنا على الشاطئ وتحدثنا وقتا طويلا في من",
        " ",
        "،",
        "؟",
        11,
    ),
    "Hebrew": _Language(
        "היום היה מזג אוויר נהדר ולכן הלכנו כולנו יחד לים ישבנו על החוף ודיברנו הרבה זמן של את", " ", ",", ".", 11
    ),
    "Hindi": _Language(
        "आज मौसम बहुत अच्छा था इसलिए हम सब समुद्र के किनारे गए और वहाँ बैठकर बहुत देर तक बातें करते रहे",
        " ",
        ",",
        " ।",
        14,
    ),
    "Thai": _Language(
        "วันนี้ อากาศ ดี มาก เรา จึง ไป ทะเล ด้วยกัน และ นั่ง คุยกัน บน ชายหาด เป็น เวลา นาน หลังจากนั้น ๆ", "", "", "", 12
    ),
    "Chinese": _Language(
        "今天 的 天气 非常 好 所以 我们 大家 一起 去 了 海边 在 沙滩 上 聊 很久 然后 吃了 午饭",
        "",
        "，",
        "。",
        5,
    ),
    "Japanese": _Language(
        "今日 は 天気 が とても 良い ので みんな で 海 へ 行って 砂浜 で 長い 間 話 を しました コンピューター",
        "",
        "、",
        "。",
        6.5,
    ),
    "Korean": _Language(
        "오늘은 날씨가 아주 좋아서 우리 모두 바다에 갔습니다 그리고 역 근처의 가게에서 점심을 먹었습니다",
        " ",
        ",",
        ".",
        5.5,
    ),
}


def _sentence(chance: random.Random, language: _Language) -> list[str]:
    words = chance.choices(language.words.split(), k=chance.randint(1, 22))
    words = [word + (language.comma if chance.random() < 0.12 else "") for word in words[:-1]] + words[-1:]
    *_, last = language.full_stop.partition(" ")
    return [*words, last] if last else [*words[:-1], words[-1] + language.full_stop]


def _transcript(language: _Language, *, timed: bool) -> list[TranscriptSegment]:
    """Segments of one to three sentences, with uneven words and pauses."""
    chance, at, segments = random.Random(len(language.words)), 400, []
    for number in range(25):
        words = []
        for _ in range(chance.randint(1, 3)):
            for text in _sentence(chance, language):
                span_ms = int(
                    1000 * (len(text) + len(language.space)) / language.letters_per_s * chance.uniform(0.7, 1.3)
                )
                words.append(Word(text=text, start_ms=at, end_ms=at + int(span_ms * chance.uniform(0.7, 1))))
                at += span_ms
            at += chance.choice([0, 150, 400])
        whole = language.space.join(word.text for word in words)
        first, last = words[0].start_ms, words[-1].end_ms
        segments.append(
            TranscriptSegment(id=number, start_ms=first, end_ms=last, text=whole, words=tuple(words) if timed else ())
        )
        at += chance.choice([0, 50, 300, 700, 1500, 5000])
    return segments


def _letters(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("timed", [True, False], ids=["with word times", "without"])
@pytest.mark.parametrize("name", _LANGUAGES)
def test_every_cue_of_a_transcript_can_be_read(name: str, timed: bool) -> None:
    transcript = _transcript(_LANGUAGES[name], timed=timed)
    shown = [Cue(start_s=cue.start_ms / 1000, end_s=cue.end_ms / 1000, lines=cue.lines) for cue in cues(transcript)]
    assert [wrong for cue in shown for wrong in broken(cue)] == []
    assert [wrong for one, two in pairwise(shown) for wrong in broken_between(one, two)] == []
    assert _letters("".join("".join(cue.lines) for cue in shown)) == _letters("".join(one.text for one in transcript))


#: A cue is shown at most so long after its start, and after the first word of the next one; and a gap's length.
_LONGEST_MS, _LATE_MS, _GAP_MS = 7000, 500, 84


@pytest.mark.parametrize("speed", [(5.0, 2.0), (12.0, 5.0), (25.0, 12.0)], ids=str)
@pytest.mark.parametrize("timed", [True, False], ids=["with word times", "without"])
@pytest.mark.parametrize("name", _LANGUAGES)
def test_every_cue_keeps_the_reading_speed_or_is_shown_as_long_as_speech_allows(
    name: str, timed: bool, speed: tuple[float, float]
) -> None:
    transcript, reading = _transcript(_LANGUAGES[name], timed=timed), ReadingSpeed(*speed)
    found = cues(transcript, reading)
    first_words_ms = [cue.start_ms for cue in found[1:]] + [found[-1].end_ms + _LONGEST_MS]
    if timed:
        first_words_ms = [*_first_words_ms(transcript, [_letters("".join(cue.lines)) for cue in found])[1:], 10**9]
    for cue, next_ms in zip(found, first_words_ms, strict=True):
        needed_ms = reading.needed_ms("".join(cue.lines))  # at least: a space between lines may be one letter more
        allowed_ms = min(next_ms + (_LATE_MS if timed else 0), cue.start_ms + _LONGEST_MS) - _GAP_MS
        assert cue.end_ms - cue.start_ms >= needed_ms or cue.end_ms >= allowed_ms, cue
    assert _letters("".join("".join(cue.lines) for cue in found)) == _letters("".join(one.text for one in transcript))


def _first_words_ms(transcript: Sequence[TranscriptSegment], texts: Sequence[str]) -> list[int]:
    """When the first word of each text begins."""
    starts_ms = [
        word.start_ms for segment in transcript for word in segment.words for _ in _letters(word.text)
    ]  # of every letter
    begins = accumulate((len(text) for text in texts[:-1]), initial=0)
    return [starts_ms[at] for at in begins]


def test_slower_readers_get_longer_cues() -> None:
    words = ["Nobody", "can", "read", "all", "of", "that", "so", "quickly", "and", "of", "that", "I", "am", "sure."]
    spoken = tuple(Word(text=text, start_ms=at * 100, end_ms=at * 100 + 100) for at, text in enumerate(words))
    transcript = [TranscriptSegment(id=0, start_ms=0, end_ms=spoken[-1].end_ms, text=" ".join(words), words=spoken)]
    lasts_ms = [cues(transcript, ReadingSpeed(speed))[0].end_ms for speed in (30, 20, 12)]
    assert lasts_ms == [2034, 3050, 5084]


@pytest.mark.parametrize("end, clause", [("؟", "،"), ("۔", "؛"), ("।", ","), ("॥", ","), ("។", ","), ("။", "၊")])
def test_sentences_end_and_no_line_begins_with_the_punctuation_of_other_scripts(end: str, clause: str) -> None:
    texts = [*(f"mmmm{number}" for number in range(9)), clause, *(f"nnnn{number}" for number in range(6)), end, "oooo"]
    words = tuple(Word(text=text, start_ms=at * 400, end_ms=at * 400 + 380) for at, text in enumerate(texts))
    found = cues([TranscriptSegment(id=0, start_ms=0, end_ms=words[-1].end_ms, text=" ".join(texts), words=words)])
    lines = [line for cue in found for line in cue.lines]
    assert not any(line.startswith((end, clause)) for line in lines)
    assert found[-1].lines == ("oooo",)
