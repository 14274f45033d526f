"""Terms of a text query: for the full-text index, and for highlighting them in results. Pure."""

import html
import re
import unicodedata
from collections.abc import Sequence

#: Scripts written without spaces: each character is indexed as a word.
_UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_CHARACTER = re.compile(rf"([{_UNSPACED}])")
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_PART = re.compile(r'"([^"]*)"|(\S+)')
#: Invisible character that separates words for the index.
_GAP = "\u200b"


def spread(text: str) -> str:
    """`text` as it is indexed: characters of unspaced scripts are separated."""
    return _CHARACTER.sub(rf"{_GAP}\1{_GAP}", text)


def gathered(text: str) -> str:
    """The inverse of `spread`."""
    return text.replace(_GAP, "")


def match_queries(query: str) -> list[str]:
    """FTS5 queries for `query`, the stricter first: all of its parts, then any of them. Empty without words.

    Words in quotes are one part: they must be adjacent.
    """
    phrases = [f'"{" ".join(part)}"' for part in _parts(query)]
    return list(dict.fromkeys([" AND ".join(phrases), " OR ".join(phrases)])) if phrases else []


def _parts(query: str) -> list[list[str]]:
    """The words of each part."""
    parts = [_TOKEN.findall(quoted or word) for quoted, word in _PART.findall(gathered(query))]
    return [part for part in parts if part]


def matched_parts(text: str, query: str) -> frozenset[tuple[str, ...]]:
    """The parts of `query` that are in `text`, folded."""
    words = [_folded(token) for token in _TOKEN.findall(text)]
    parts = {tuple(map(_folded, part)) for part in _parts(query)}
    return frozenset(part for part in parts if _contains(words, part))


def _contains(words: Sequence[str], part: tuple[str, ...]) -> bool:
    return any(tuple(words[at : at + len(part)]) == part for at in range(len(words) - len(part) + 1))


def highlighted(text: str, query: str) -> str:
    """`text` as escaped HTML, with the words of `query` in <mark>."""
    terms = {_folded(token) for token in _TOKEN.findall(query)}
    chunks, end = [], 0
    for token in _TOKEN.finditer(text):
        if _folded(token.group()) in terms:
            chunks += [html.escape(text[end : token.start()]), f"<mark>{html.escape(token.group())}</mark>"]
            end = token.end()
    return "".join([*chunks, html.escape(text[end:])])


def _folded(token: str) -> str:
    plain = unicodedata.normalize("NFKD", token.casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))
