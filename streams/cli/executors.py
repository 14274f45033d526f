"""`kinolog executors`: who runs the steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from streams.cli.rendering import columns

_HEADS = ("EXECUTOR", "LANE", "STATUS", "VERSION", "SANDBOX", "ACTIVE", "STEPS")


def executor_table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per executor; `active`: attempts that it has accepted."""
    if not found:
        return ["No executor is running: all jobs wait. Start one: kinolog executor"]
    rows = [
        (
            executor["id"],
            executor["lane"],
            executor["status"],
            executor["version"] + (" (outdated)" if executor["outdated"] else ""),
            "NONE" if executor.get("sandbox") == "bounds" else executor.get("sandbox") or "-",
            ", ".join(f"{step} {count}" for step, count in executor["active"].items()) or "-",
            ", ".join(f"{step} {slots}" for step, slots in executor["slots"].items()),
        )
        for executor in found
    ]
    return columns(_HEADS, rows)
