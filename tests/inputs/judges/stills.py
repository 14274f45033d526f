"""Poster, thumbnails and storyboard: how many there are, and what each shows."""

import math
from collections.abc import Iterator

from tests.inputs.card import UPRIGHT, Reading
from tests.inputs.expected import Plays, Timeline, clock_at
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Observed, Tile

#: Darker than this shows nothing.
_BLACK = 30.0
#: How far a thumbnail may be from its moment, and a tile from its cue.
_THUMBNAIL_S, _TILE_S = 0.5, 1.0
_STEP_S = 0.05


def stills(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Poster, thumbnails and storyboard."""
    if expected.picture is None or observed.endings["thumbnails"].outputs is None:
        return
    found, due = len(observed.thumbnails), expected.thumbnails
    if due is not None:
        yield Finding("thumbnails", f"{found} of {due}", holds=found == due)
    if observed.poster is None:
        yield Finding("poster", "none", holds=False)
    elif expected.has_card:
        yield _poster(observed.poster.card)
    if expected.has_card:
        yield from _times(expected, expected.picture, observed)
        yield from _storyboard(expected, expected.picture, observed.tiles)


def _poster(shown: Reading) -> Finding:
    holds = shown.corners == UPRIGHT and shown.brightness > _BLACK
    return Finding("poster", f"corners {shown.corners}, brightness {shown.brightness:.0f}", holds=holds)


def _times(expected: Plays, shows: Timeline, observed: Observed) -> Iterator[Finding]:
    """Each thumbnail is the middle of one of equal parts of the picture."""
    cards = [one.card for one in observed.thumbnails]
    if len(cards) != expected.thumbnails:
        return
    off = []
    for place, shown in enumerate(cards):
        due = clock_at(shows, expected.seconds * (place + 0.5) / len(cards))
        if due is not None and _runs(shows):
            off.append(abs(due - shown.clock_s) if shown.clock_s is not None else expected.seconds)
    if off:
        holds = max(off) <= _THUMBNAIL_S + expected.frame_s
        yield Finding("times of thumbnails", f"off by up to {max(off):.2f} s", holds=holds)


def _runs(shows: Timeline) -> bool:
    """Whether one clock runs through all of it: else equal parts are not those of the whole."""
    return len(shows) == 1


def _storyboard(expected: Plays, shows: Timeline, tiles: tuple[Tile, ...]) -> Iterator[Finding]:
    covered_s = max((tile.end_s for tile in tiles), default=0.0)
    holds = bool(tiles) and tiles[0].start_s == 0 and covered_s >= expected.seconds - _TILE_S
    yield Finding("storyboard", f"{len(tiles)} tiles cover {covered_s:.1f} of {expected.seconds:.1f} s", holds=holds)
    wrong = [tile for tile in tiles if not _near(shows, tile, expected.frame_s)]
    words = f"{len(tiles) - len(wrong)} of {len(tiles)} within {_TILE_S:g} s of their cue"
    yield Finding(
        "tiles", words + (f"; at {wrong[0].start_s:g} s {_shown(wrong[0])}" if wrong else ""), holds=not wrong
    )


def _shown(tile: Tile) -> str:
    if tile.card is None:
        return "no picture"
    return "no clock" if tile.card.clock_s is None else f"the clock reads {tile.card.clock_s:.2f}"


def _near(shows: Timeline, tile: Tile, frame_s: float) -> bool:
    """Whether what the tile shows is shown within a second of its cue."""
    if _is_unjudged(shows, tile.start_s):
        return True
    steps = int((tile.end_s - tile.start_s + 2 * _TILE_S) / _STEP_S) + 1
    due = [clock_at(shows, tile.start_s - _TILE_S + step * _STEP_S) for step in range(steps)]
    if all(clock is None for clock in due):
        return True
    shown = tile.card.clock_s if tile.card else None
    if shown is None:  # black, where black is near
        return tile.card is not None and None in due
    return any(clock is not None and abs(clock - shown) <= frame_s + _STEP_S for clock in due)


def _is_unjudged(shows: Timeline, at_s: float) -> bool:
    """Whether anything may be shown there."""
    ends = [*(part.at_s for part in shows[1:]), math.inf]
    return any(
        part.at_s <= at_s + _TILE_S and at_s < end_s
        for part, end_s in zip(shows, ends, strict=True)
        if not part.is_judged
    )
