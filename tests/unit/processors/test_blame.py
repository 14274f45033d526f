"""A user is told to export a file again only where a player would fail on it, too; our own faults are called ours."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from processors import errors
from processors.errors import Fault, InvalidMedia, OutputIncomplete, ProcessingError

CHECKOUT = Path(__file__).parents[3]
FOLDERS = ("processors", "agents", "tables", "streams", "web")
ASKS = re.compile(r"\b(export|upload|re-?encode|convert) ", re.IGNORECASE)
OURS = re.compile(r"fault in (kinolog|the tool)")

#: Where a file is refused, and why every player refuses it, too, or which limit it exceeds.
REFUSALS = {
    ("processors/media/sniff.py", "EmptyMedia"): "no bytes",
    ("processors/media/sniff.py", "UnsupportedMedia"): "its first bytes are of something else",
    ("processors/media/truncation.py", "CorruptMedia"): "without a moov box no player finds a frame",
    ("processors/media/truncation.py", "MediaTooLarge"): "a limit: top-level boxes",
    ("processors/media/description.py", "CorruptMedia"): "no track has a moment that could be played",
    ("processors/probe.py", "NothingToShow"): "neither video nor audio",
    ("processors/media_limits.py", "MediaTooLarge"): "limits: duration, pixels, frame rate, channels, tracks",
    ("processors/damage.py", "CorruptMedia"): "not one frame and not one sample can be decoded",
    ("processors/compress.py", "MediaTooLarge"): "a limit: the bytes that the submitter allows",
    ("processors/media/compression.py", "NothingToShow"): "neither video nor audio",
    ("processors/media/transcode_plan.py", "NothingToShow"): "neither video nor audio",
    ("processors/thumbnails.py", "CorruptMedia"): "the decoder complained, and not one frame came out",
    ("processors/audio.py", "CorruptMedia"): "not one sample can be decoded",
    ("processors/tools/failures.py", "CorruptMedia"): "the demuxer or the decoder found no media",
    ("processors/tools/failures.py", "UnsupportedMedia"): "no decoder for its codec",
    ("processors/tools/failures.py", "MediaTooLarge"): "a limit: tracks",
    ("processors/tools/failures.py", "LimitExceeded"): "limits: memory, CPU time, size of a file",
    ("processors/tools/ffmpeg.py", "MediaTooLarge"): "a limit: metadata",
    ("processors/tools/written_files.py", "LimitExceeded"): "limits: files, bytes",
    ("processors/fetch/body.py", "EmptyMedia"): "no bytes",
    ("processors/fetch/body.py", "UnsupportedMedia"): "its first bytes are of something else",
    ("processors/fetch/body.py", "MediaTooLarge"): "a limit: bytes",
}


class Use(NamedTuple):
    """A place that makes an error, with all text that can be in its message."""

    path: str
    kind: type[ProcessingError]
    text: str
    line: int


def _classes(kind: type[ProcessingError]) -> Iterator[type[ProcessingError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _classes(child)


KINDS = {kind.__name__: kind for kind in _classes(ProcessingError)}


def _uses() -> Iterator[Use]:
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            if path != Path(errors.__file__):
                yield from _uses_in(path)


def _uses_in(path: Path) -> Iterator[Use]:
    tree = ast.parse(path.read_text())
    texts = {
        target.id: _text(node.value, {})
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        kind, parts = _made(node)
        if kind is not None:
            text = " ".join(_text(part, texts) for part in parts)
            yield Use(str(path.relative_to(CHECKOUT)), kind, text, getattr(node, "lineno", 0))


def _made(node: ast.AST) -> tuple[type[ProcessingError] | None, list[ast.expr]]:
    """The error that a call makes, or an entry of a table (…, kind, message); with the expressions of its text."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
        return KINDS[node.func.id], [*node.args]
    if isinstance(node, ast.Tuple) and len(node.elts) >= 2:
        kind, message = node.elts[-2:]
        is_text = isinstance(message, ast.Constant) or (isinstance(message, ast.Name) and message.id not in KINDS)
        if isinstance(kind, ast.Name) and kind.id in KINDS and is_text:
            return KINDS[kind.id], [message]
    return None, []


def _text(node: ast.AST, known: dict[str, str]) -> str:
    """All constant text below a node; names are looked up."""
    return " ".join(
        known.get(part.id, "") if isinstance(part, ast.Name) else str(part.value)
        for part in ast.walk(node)
        if isinstance(part, ast.Name) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
    )


USES = list(_uses())


def test_the_walk_finds_the_errors() -> None:
    assert len([use for use in USES if issubclass(use.kind, InvalidMedia)]) >= 20
    assert {use.kind.__name__ for use in USES} >= {
        "OutputInvalid",
        "OutputIncomplete",
        "ToolMisbehaved",
        "CorruptMedia",
    }


def test_a_file_is_refused_only_for_reasons_that_hold_for_every_player_or_for_a_limit() -> None:
    found = {(use.path, use.kind.__name__) for use in USES if issubclass(use.kind, InvalidMedia)}
    assert found - REFUSALS.keys() == set(), "a new refusal: say in REFUSALS why a player fails, too"
    assert REFUSALS.keys() - found == set()


def test_nobody_is_asked_to_export_again_unless_the_file_is_at_fault() -> None:
    """URLs that lead to the wrong thing, and files that are gone, may be uploaded again."""
    allowed = (InvalidMedia, errors.SourceMissing, errors.InvalidUrl)
    wrong = [use for use in USES if ASKS.search(use.text) and not issubclass(use.kind, allowed)]
    assert [f"{use.path}:{use.line}: {use.text}" for use in wrong] == []


@pytest.mark.parametrize("kind", list(_classes(Fault))[1:])
def test_faults_are_called_ours_and_are_not_tried_again_where_nothing_can_change(kind: type[Fault]) -> None:
    record = kind("it is wrong.").record()
    assert OURS.search(record.message) and not ASKS.search(record.message)
    assert record.retriable == (kind is OutputIncomplete)


@pytest.mark.parametrize("kind", list(_classes(InvalidMedia)))
def test_what_is_wrong_with_a_file_never_changes(kind: type[InvalidMedia]) -> None:
    assert not kind.retriable and not issubclass(kind, Fault)
