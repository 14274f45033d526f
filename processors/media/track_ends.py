"""Where tracks end, and the times of their last packets, out of the packets that ffprobe lists. Pure."""

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field

from processors.media.tracks import seconds

#: Times of the last packets of each track that are kept.
_TIMES = 256
#: Track index, as ffprobe prints it.
_INDEX = re.compile(r"[0-9]{1,4}")


@dataclass
class Ends:
    """The end of each track, measured from its packets, on the file's timeline."""

    by_index: dict[int, float] = field(default_factory=dict)
    #: Times of the last packets of each track, on the same timeline; of joined parts none.
    times_s: defaultdict[int, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=_TIMES)))
    #: Whether the timestamps jump; then the ends are those of the concatenated parts.
    clock_jumps: bool = False
    #: Where they jump, on the timeline of the concatenated parts.
    jumps_at_s: list[float] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Add a packet as ffprobe prints it; discarded ones (outside the edit list) are ignored."""
        index, pts, dts, duration, flags = (line.split(",") + [""] * 5)[:5]
        pts_s = seconds(pts)
        at = seconds(dts) if pts_s is None else pts_s
        if at is not None and "D" not in flags and _INDEX.fullmatch(index):
            self.extend(int(index), at + (seconds(duration) or 0.0))
            self.times_s[int(index)].append(at)

    def extend(self, index: int, end_s: float) -> None:
        """Extend the end of a track."""
        self.by_index[index] = max(end_s, self.by_index.get(index, end_s))
