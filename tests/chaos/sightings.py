"""What callers saw: every id and marker in the responses and live frames that they got."""

import re

#: Generated ids, those that this run chooses, and markers (callers.py).
_SEEN = re.compile(r"(?:job|asset)_[0-9a-f]{24}|asset-[a-z]+-\d+|planted-by-[a-z]+")


class Sightings:
    """Ids and markers by caller, each with where it was seen first."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], str] = {}

    def note(self, caller: str, where: str, text: str) -> None:
        """Record everything in a text that `caller` (a token) got."""
        for found in set(_SEEN.findall(text)):
            self.seen.setdefault((caller, found), where)
