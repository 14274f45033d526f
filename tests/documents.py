"""Code blocks of the documents, word by word: tests run what a reader would copy."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]

_HEADING = re.compile(r"#+ (?P<title>.*)")
_FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)")


class Block(NamedTuple):
    """One fenced code block."""

    #: Of the section that it is in, without backticks.
    heading: str
    language: str
    text: str


def blocks(document: str) -> Iterator[Block]:
    """The code blocks of a document, by its path in the checkout."""
    heading, language, lines = "", None, list[str]()
    for line in (CHECKOUT / document).read_text().splitlines():
        fence = _FENCE.match(line)
        if fence and language is None:
            language, lines = fence["language"], []
        elif fence and language is not None:
            yield Block(heading, language, textwrap.dedent("\n".join(lines)) + "\n")
            language = None
        elif language is not None:
            lines.append(line)
        elif title := _HEADING.match(line):
            heading = title["title"].replace("`", "")


def block(document: str, heading: str, language: str) -> str:
    """The one block of this language in a section."""
    [text] = [b.text for b in blocks(document) if (b.heading, b.language) == (heading, language)]
    return text
