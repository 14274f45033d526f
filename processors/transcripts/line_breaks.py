"""Line breaks of captions in any script: how wide a text is, and where it may be cut. Pure.

Source: Unicode UAX 11 (width) and UAX 14 (breaks); JIS X 4051 and W3C CLREQ (what begins no line).
"""

import re
import unicodedata
from collections.abc import Iterator

#: Most columns of a line: 42 letters, or 16 wide ones. Source: Netflix, Timed Text Style Guide, general; Japanese.
COLUMNS, WIDE_COLUMNS = 42, 32
#: These begin no line: closing punctuation, small kana, marks of repetition and length, Thai vowels behind a letter.
_CLOSING = frozenset(
    ",.;:!?%)]}»”’、。，．；：！？％）］｝」』】〉》〕…‥・ー々ゝゞぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶะาำฯๆ،؛؟۔।॥។၊။"  # noqa: RUF001
)
#: These end none: opening brackets, Thai vowels before a letter.
_OPENING = frozenset("([{«“‘（［｛「『【〈《〔เแโใไ")  # noqa: RUF001
#: Scripts without spaces: Thai, Lao, Burmese, Khmer, kana, Han. Source: Unicode blocks.
_RUN_ON = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u9fff\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff]"
)
#: Where a line should not end: these belong to what follows. Source: Netflix, Timed Text Style Guide, line treatment.
_ARTICLES = (
    "a an the der die das den dem des ein eine einen einem einer le la les un une du el los las una il lo i gli o os"
)
_PREPOSITIONS = "of to in on at by for from with and or but von zu mit und de des et à y en e do da"
_LEADING = frozenset(f"{_ARTICLES} {_PREPOSITIONS}".split())
_JOINER = "\u200d"


def is_wide(text: str) -> bool:
    """Whether a letter takes two columns."""
    return any(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def columns(text: str) -> int:
    """Width of a line: wide letters count twice, marks not at all."""
    return sum(
        0 if unicodedata.category(letter) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def most_columns(text: str) -> int:
    """Columns that a line of a caption with this text may have."""
    return WIDE_COLUMNS if is_wide(text) else COLUMNS


def is_run_on(letter: str) -> bool:
    """Whether the letter is of a script that is written without spaces."""
    return bool(_RUN_ON.match(letter))


def begins_no_line(text: str) -> bool:
    """Whether it must follow what is before it."""
    return text[:1] in _CLOSING and bool(text)


def is_leading(word: str) -> bool:
    """Whether a word is an article, a preposition or a conjunction: a line should not end with it."""
    return word.lower() in _LEADING


def units(text: str) -> list[str]:
    """The shortest pieces of a text without spaces between which a line may break, none wider than a line."""
    pieces: list[str] = []
    for cluster in _clusters(text):
        if pieces and not _breaks(pieces[-1], cluster):
            pieces[-1] += cluster
        else:
            pieces.append(cluster)
    return [part for piece in pieces for part in _chopped(piece, most_columns(text))]


def _breaks(before: str, after: str) -> bool:
    if after[0] in _CLOSING or before[-1] in _OPENING:
        return False
    return is_run_on(before[-1]) or is_run_on(after[0])


def _chopped(piece: str, limit: int) -> Iterator[str]:
    """The piece, or parts of it that fit in a line."""
    part = ""
    for cluster in _clusters(piece):
        if part and columns(part + cluster) > limit:
            yield part
            part = ""
        part += cluster
    yield part


def _clusters(text: str) -> Iterator[str]:
    """Letters with their marks. Source: Unicode UAX 29, extended grapheme clusters, without Hangul jamo and flags."""
    cluster = ""
    for letter in text:
        joins = unicodedata.category(letter) in ("Mn", "Me", "Mc", "Cf", "Sk") or cluster.endswith(_JOINER)
        if cluster and not joins:
            yield cluster
            cluster = ""
        cluster += letter
    if cluster:
        yield cluster
