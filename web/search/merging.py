"""Neighbouring passages overlap; results do not: no moment of a recording is shown twice. Pure."""

from collections.abc import Callable, Sequence

from web.search.index import Hit

#: Whether the part of a hit that no better result shows is worth a result of its own.
Keeps = Callable[[Hit, Hit], bool]


def merged(hits: Sequence[Hit], keeps: Keeps) -> list[Hit]:
    """The hits, the best first, without what a better one of the same asset shows already.

    A hit that overlaps better ones is cut to its own part. Where `keeps(hit, part)` says so, that part is a result;
    otherwise the better ones stand for it.
    """
    shown: list[Hit] = []
    for hit in hits:
        better = [other for other in shown if _overlap(hit, other)]
        part = _own_part(hit, better)
        if not better or (part.text and part.start_ms < part.end_ms and keeps(hit, part)):
            shown.append(part)
    return shown


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
    """Length of the longest end of `left` that `right` begins with."""
    lengths = range(min(len(left), len(right)), 0, -1)
    return next((length for length in lengths if right.startswith(left[-length:])), 0)
