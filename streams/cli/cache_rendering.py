"""What people read about cached media and about garbage in the store. Pure: answers of the interface to lines."""

import math
from typing import Any
from urllib.parse import urljoin

_STATUSES = ("CACHED", "PENDING", "DOWNLOADING", "FAILED")
_UNITS = ("kB", "MB", "GB", "TB")


def added(item: dict[str, Any]) -> str:
    """An address that was asked for: its id and status, or why it is not taken."""
    if "id" not in item:
        return f"not taken: {item['error']['detail']}  {item['url']}"
    return f"{item['id']}  {item['status']:<11}  {item['url']}"


def whereabouts(found: dict[str, Any], service_url: str) -> str:
    """Where one id is to be had, as an address that can be opened."""
    status = f"{found['status']} ({found['reason']})" if "reason" in found else found["status"]
    where = urljoin(f"{service_url}/", found["url"]) if found["url"] else "-"
    return f"{found['id']}  {status:<11}  {where}"


def stats_lines(stats: dict[str, Any]) -> list[str]:
    """How the cache is."""
    counts = {status: stats["assets"].get(status, 0) for status in _STATUSES}
    lines = [f"{status.lower():<12} {count}" for status, count in counts.items()]
    lines[0] += f", {size(stats['bytes'])}"
    jobs = ", ".join(f"{count} {status}" for status, count in sorted(stats["jobs"].items())) or "none yet"
    asked = stats["hits"] + stats["misses"]
    answered = f"{stats['hit_ratio'] * 100:.1f} % of {counted(asked, 'question')}" if asked else "nobody has asked yet"
    return [*lines, f"{'downloads':<12} {jobs}", f"{'hits':<12} {answered}"]


def garbage_lines(found: dict[str, Any]) -> list[str]:
    """What was removed from the store, or would be."""
    uploads = found["multipart_uploads"] or 0
    if not found["objects"] and not uploads:
        return ["there is nothing to remove"]
    done = "would be removed" if found["dry_run"] else "removed"
    lines = [f"{done}: {counted(found['objects'], 'file')}, {size(found['bytes'])}"] if found["objects"] else []
    lines += [f"  {prefix}" for prefix in found["prefixes"]]
    return [*lines, f"{done}: {counted(uploads, 'multipart upload')} that nobody ended"] if uploads else lines


def counted(count: int, thing: str) -> str:
    """One thing, or so many of them."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def size(size_bytes: int) -> str:
    """Bytes as people say them, e.g. "1.2 MB"."""
    if size_bytes < 1000:
        return counted(size_bytes, "byte")
    power = min(int(math.log10(size_bytes) / 3), len(_UNITS))
    return f"{size_bytes / 1000**power:.1f} {_UNITS[power - 1]}"
