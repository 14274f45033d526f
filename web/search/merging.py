"""Merging of overlapping hits: passages overlap, results do not. Pure."""

from collections.abc import Callable, Sequence

from web.search.index import Hit

#: (hit, part) -> whether the part of a hit outside of better results is a result of its own.
Keeps = Callable[[Hit, Hit], bool]


def merged(hits: Sequence[Hit], keeps: Keeps) -> list[Hit]:
    """Results from hits, best first, without the moments that a better result of the same asset covers.

    A hit that overlaps better results is cut to its own part, which is kept if `keeps(hit, part)`.
    """
    results: list[Hit] = []
    for hit in hits:
        better = [other for other in results if _overlap(hit, other)]
        part = _own_part(hit, better)
        if not better or (part.text and part.start_ms < part.end_ms and keeps(hit, part)):
            results.append(part)
    return results


def _overlap(one: Hit, other: Hit) -> bool:
    return one.asset_id == other.asset_id and one.start_ms < other.end_ms and other.start_ms < one.end_ms


def _own_part(hit: Hit, better: Sequence[Hit]) -> Hit:
    for other in better:
        if other.start_ms <= hit.start_ms:
            common = common_chars(other.text, hit.text)
            hit = hit._replace(start_ms=other.end_ms, text=hit.text[common:].strip())
        else:
            common = common_chars(hit.text, other.text)
            hit = hit._replace(end_ms=other.start_ms, text=hit.text[: len(hit.text) - common].strip())
    return hit


def common_chars(left: str, right: str) -> int:
    """Length of the longest suffix of `left` that is a prefix of `right`."""
    lengths = range(min(len(left), len(right)), 0, -1)
    return next((length for length in lengths if right.startswith(left[-length:])), 0)
