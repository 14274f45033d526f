"""What is asked, as terms: for the full-text index and for marking them in what was found. Pure."""

import html
import re
import unicodedata
from collections.abc import Sequence

#: Scripts that are written without spaces: each character is a word of its own to the index.
_UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_CHARACTER = re.compile(rf"([{_UNSPACED}])")
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_PART = re.compile(r'"([^"]*)"|(\S+)')
#: Ends a word for the index and shows nowhere.
_GAP = "\u200b"


def spread(text: str) -> str:
    """`text` as it is indexed: characters of unspaced scripts stand apart."""
    return _CHARACTER.sub(rf"{_GAP}\1{_GAP}", text)


def gathered(text: str) -> str:
    """`text` as it was before `spread`."""
    return text.replace(_GAP, "")


def match_queries(asked: str) -> list[str]:
    """FTS5 queries for `asked`, the stricter first: all of its parts, any of them. Empty: it has no words.

    Words in quotes are one part: they are found next to each other.
    """
    phrases = [f'"{" ".join(part)}"' for part in _parts(asked)]
    return list(dict.fromkeys([" AND ".join(phrases), " OR ".join(phrases)])) if phrases else []


def _parts(asked: str) -> list[list[str]]:
    """The words of each part."""
    parts = [_TOKEN.findall(quoted or word) for quoted, word in _PART.findall(gathered(asked))]
    return [part for part in parts if part]


def held(text: str, asked: str) -> frozenset[tuple[str, ...]]:
    """Which parts of `asked` are in `text`, folded."""
    words = [_folded(token) for token in _TOKEN.findall(text)]
    wanted = {tuple(map(_folded, part)) for part in _parts(asked)}
    return frozenset(part for part in wanted if _holds(words, part))


def _holds(words: Sequence[str], part: tuple[str, ...]) -> bool:
    return any(tuple(words[at : at + len(part)]) == part for at in range(len(words) - len(part) + 1))


def highlighted(text: str, asked: str) -> str:
    """`text` as HTML, escaped, with the words of `asked` in <mark>."""
    terms = {_folded(token) for token in _TOKEN.findall(asked)}
    pieces, end = [], 0
    for token in _TOKEN.finditer(text):
        if _folded(token.group()) in terms:
            pieces += [html.escape(text[end : token.start()]), f"<mark>{html.escape(token.group())}</mark>"]
            end = token.end()
    return "".join([*pieces, html.escape(text[end:])])


def _folded(token: str) -> str:
    plain = unicodedata.normalize("NFKD", token.casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))
