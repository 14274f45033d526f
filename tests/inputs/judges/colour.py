"""Colours of known patches, in the ladder and in stills. Source: ITU-R BT.709, ITU-T H.273, JFIF 1.02."""

from collections.abc import Iterator, Mapping

from tests.inputs.expected import Patch, Plays
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Observed

#: How the ladder must be tagged.
_TAGS = {"color_space": "bt709", "color_primaries": "bt709", "color_transfer": "bt709", "color_range": "tv"}


def colours(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """The ladder after a decode as BT.709, with its tags; poster and thumbnails as JPEG files."""
    if expected.patches is None:
        return
    if observed.video is not None:
        yield _patches("ladder", expected.patches, observed.video.patches)
        wrong = {name: tag for name, tag in observed.video.tags.items() if _TAGS.get(name, tag) != tag}
        yield Finding("tags", ", ".join(f"{n} {t}" for n, t in wrong.items()) or "bt709, tv", holds=not wrong)
    if observed.poster is not None:
        yield _patches("poster", expected.patches, observed.poster.patches)
    if observed.thumbnails:
        yield _patches("thumbnail", expected.patches, observed.thumbnails[-1].patches)


def _patches(what: str, expected: Mapping[str, Patch], found: Mapping[str, tuple[int, int, int]]) -> Finding:
    off = {name: _off(patch.rgb, found[name]) - patch.slack for name, patch in expected.items() if name in found}
    if not off:
        return Finding(f"colours of the {what}", "none", holds=False)
    worst = max(off, key=off.__getitem__)
    words = f"{worst} {found[worst]} of {expected[worst].rgb}"
    return Finding(f"colours of the {what}", words, holds=off[worst] <= 0)


def _off(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
