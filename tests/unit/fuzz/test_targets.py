"""Every decoder that faces the world, on what is kept of earlier findings, and on what hypothesis thinks of."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS
from tests.properties import examples

_SEEDS = Path(__file__).parents[2] / "fuzz" / "seeds"
_KEPT = {f"{path.parent.name}/{path.name}": path for path in sorted(_SEEDS.glob("*/*"))}
#: Bytes that break readers: what separates, ends, counts and signs.
_TELLING = [
    b"\0",
    b"\xff",
    b"\n",
    b"-",
    b'"',
    b"{",
    b"[",
    b"9" * 30,
    b"1e999",
    b"nan",
    b"\xed\xb3\xbf",
    b"%FF",
    b"\xc2\xb2",
]


@pytest.mark.parametrize("seed", _KEPT.values(), ids=_KEPT)
def test_what_was_found_stays_mended(seed: Path) -> None:
    TARGETS[seed.parent.name](seed.read_bytes())


def test_every_target_has_seeds() -> None:
    assert {path.parent.name for path in _KEPT.values()} == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=examples(60))
@given(drawn=st.data())
def test_no_bytes_break_it(name: str, drawn: st.DataObject) -> None:
    TARGETS[name](drawn.draw(_like([path for path in _KEPT.values() if path.parent.name == name])))


def _like(seeds: list[Path]) -> st.SearchStrategy[bytes]:
    """Anything, and a seed with pieces taken out, put in and changed."""
    contents = [path.read_bytes() for path in seeds if path.stat().st_size < 10_000]
    return st.binary(max_size=200) | st.builds(_changed, st.sampled_from(contents), _changes)


_pieces = st.binary(max_size=8) | st.sampled_from(_TELLING)
_changes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), _pieces), max_size=4)


def _changed(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for share, gone, come in changes:
        at = int(share * len(content))
        content = content[:at] + come + content[at + gone :]
    return content
