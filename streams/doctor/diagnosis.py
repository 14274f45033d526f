"""What a check of `kinolog doctor` says, and what many of them say together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from streams.settings import Settings

OK, BAD_CONFIGURATION, UNREACHABLE = 0, 2, 3


class Finding(NamedTuple):
    """One sentence about one thing."""

    #: A warning: kinolog runs, with less. A problem: it does not.
    level: Literal["ok", "warning", "problem"]
    says: str
    #: What to do about it.
    remedy: str | None = None
    exit_code: int = OK


#: Looks at one thing, changes nothing, and says what it found.
Check = Callable[[Settings], Awaitable[Finding]]


class Examined(NamedTuple):
    """A finding and the check that it is of."""

    check: str
    finding: Finding


def fine(says: str) -> Finding:
    """All is as it should be."""
    return Finding("ok", says)


def warning(says: str, remedy: str | None = None) -> Finding:
    """Something is missing that kinolog can do without."""
    return Finding("warning", says, remedy)


def problem(says: str, remedy: str | None = None) -> Finding:
    """Something is missing or set in a way that stops kinolog."""
    return Finding("problem", says, remedy, BAD_CONFIGURATION)


def unreachable(says: str, remedy: str | None = None) -> Finding:
    """Something that should be there does not answer."""
    return Finding("problem", says, remedy, UNREACHABLE)


async def examine(settings: Settings, checks: Mapping[str, Check]) -> list[Examined]:
    """What every check says, side by side. A check that itself breaks is a problem, and hides no other."""
    findings = await asyncio.gather(*(_finding(check, settings) for check in checks.values()))
    return [Examined(name, finding) for name, finding in zip(checks, findings, strict=True)]


async def _finding(check: Check, settings: Settings) -> Finding:
    try:
        return await check(settings)
    except Exception as error:  # noqa: BLE001 - whatever broke, the others still have to be told
        return problem(f"this could not be checked: {type(error).__name__}: {error}")


def exit_code(examined: Sequence[Examined]) -> int:
    """What a command ends with: a wrong setting comes first, for it may be why something does not answer."""
    return min((one.finding.exit_code for one in examined if one.finding.exit_code), default=OK)


def lines(examined: Sequence[Examined]) -> list[str]:
    """For people: a line per check, what to do below it, and the sum."""
    width = max(len(one.check) for one in examined)
    told: list[str] = []
    for name, finding in examined:
        told.append(f"{finding.level:<8} {name:<{width}}  {finding.says}")
        if finding.remedy:
            told.append(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    return [*told, "", _sum(examined)]


def _sum(examined: Sequence[Examined]) -> str:
    levels = [one.finding.level for one in examined]
    problems, warnings = levels.count("problem"), levels.count("warning")
    said = f"{problems or 'no'} problem{'s' * (problems != 1)}, {warnings or 'no'} warning{'s' * (warnings != 1)}"
    return f"{said}: {'this stops kinolog' if problems else 'nothing stops kinolog'}"


def plain(examined: Sequence[Examined]) -> dict[str, Any]:
    """For machines: the same as JSON."""
    checks = [
        {"check": name, "level": finding.level, "message": finding.says, "remedy": finding.remedy}
        for name, finding in examined
    ]
    return {"ok": exit_code(examined) == OK, "exit_code": exit_code(examined), "checks": checks}
