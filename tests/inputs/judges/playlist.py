"""The rules of playlists. Source: RFC 8216, sections 4.1, 4.3.3.1, 4.3.4.2; Apple, HLS authoring specification 9.17."""

from collections.abc import Iterator

from tests.inputs.expected import Plays
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import MediaPlaylist, Observed, Variant

#: How much more or less than measured may be declared. Source: Apple, HLS authoring specification, 9.17 and 9.18.
_SHARE = 0.10
#: A peak is taken over segments that last between these shares of the target duration. Source: RFC 8216, 4.1.
_SHORTEST, _LONGEST = 0.5, 1.5


def playlists(_: Plays, observed: Observed) -> Iterator[Finding]:
    """Declared rates against measured ones, and what else a player relies on."""
    if observed.master is None:
        return
    for variant in observed.master.variants:
        yield from _variant(variant)
    wrong = [text for variant in observed.master.variants for text in _broken(variant)]
    if not observed.master.variants:
        wrong.append("no variant")
    yield Finding("playlists", "; ".join(wrong) or "keep the rules", holds=not wrong)


def _variant(variant: Variant) -> Iterator[Finding]:
    parts = [part for part in (variant.video, variant.audio) if part]
    measured = sum(peak_bps(part) for part in parts)
    declared = int(variant.attributes["BANDWIDTH"])
    holds = measured - 1 <= declared <= measured * (1 + _SHARE)
    if not holds:
        yield Finding("BANDWIDTH", f"{declared} for a peak of {measured:.0f} bit/s", holds=False)


def peak_bps(playlist: MediaPlaylist) -> float:
    """The largest bit rate of any contiguous set of segments of half to one and a half target durations."""
    low_s, high_s = _SHORTEST * playlist.target_s, _LONGEST * playlist.target_s
    rates = []
    for first in range(len(playlist.segments)):
        seconds, size = 0.0, 0
        for lasts_s, size_bytes in playlist.segments[first:]:
            seconds, size = seconds + lasts_s, size + size_bytes
            if low_s <= seconds <= high_s:
                rates.append(size * 8 / seconds)
    return max(rates, default=average_bps(playlist))


def average_bps(playlist: MediaPlaylist) -> float:
    """Of the whole rendition."""
    seconds = sum(lasts_s for lasts_s, _ in playlist.segments)
    return sum(size for _, size in playlist.segments) * 8 / seconds if seconds else 0.0


def _broken(variant: Variant) -> Iterator[str]:
    if "CODECS" not in variant.attributes:
        yield "no CODECS"
    for playlist in (variant.video, variant.audio):
        if playlist is None:
            continue
        if not playlist.ended:
            yield f"{playlist.uri} has no end"
        if any(round(seconds) > playlist.target_s for seconds, _ in playlist.segments):
            yield f"{playlist.uri} has a segment longer than its target duration"
