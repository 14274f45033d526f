"""Findings: the results of the checks of `kinolog doctor`, one by one and in total."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from streams.settings import Settings

OK, BAD_CONFIGURATION, UNREACHABLE = 0, 2, 3


class Finding(NamedTuple):
    """The result of a check."""

    #: warning: kinolog runs, with fewer features. problem: it does not run.
    level: Literal["ok", "warning", "problem"]
    message: str
    #: How to fix it.
    remedy: str | None = None
    exit_code: int = OK


#: Checks one thing and changes nothing.
Check = Callable[[Settings], Awaitable[Finding]]


class CheckResult(NamedTuple):
    """A finding and the name of its check."""

    check: str
    finding: Finding


def fine(message: str) -> Finding:
    """A passed check."""
    return Finding("ok", message)


def warning(message: str, remedy: str | None = None) -> Finding:
    """Something is missing that kinolog can run without."""
    return Finding("warning", message, remedy)


def problem(message: str, remedy: str | None = None) -> Finding:
    """Something is missing or misconfigured, so that kinolog cannot run."""
    return Finding("problem", message, remedy, BAD_CONFIGURATION)


def unreachable(message: str, remedy: str | None = None) -> Finding:
    """A service does not respond."""
    return Finding("problem", message, remedy, UNREACHABLE)


async def examine(settings: Settings, checks: Mapping[str, Check]) -> list[CheckResult]:
    """Run all checks concurrently. A check that fails itself is a problem and hides no other."""
    findings = await asyncio.gather(*(_finding(check, settings) for check in checks.values()))
    return [CheckResult(name, finding) for name, finding in zip(checks, findings, strict=True)]


async def _finding(check: Check, settings: Settings) -> Finding:
    try:
        return await check(settings)
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        return problem(f"The check failed: {type(error).__name__}: {error}")


def exit_code(examined: Sequence[CheckResult]) -> int:
    """Exit code of the command. Configuration errors come first: they may be why a service does not respond."""
    return min((one.finding.exit_code for one in examined if one.finding.exit_code), default=OK)


def lines(examined: Sequence[CheckResult]) -> list[str]:
    """Text output: a line per check, its remedy below it, and a summary."""
    width = max(len(one.check) for one in examined)
    output: list[str] = []
    for name, finding in examined:
        output.append(f"{finding.level:<8} {name:<{width}}  {finding.message}")
        if finding.remedy:
            output.append(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    return [*output, "", _summary(examined)]


def _summary(examined: Sequence[CheckResult]) -> str:
    levels = [one.finding.level for one in examined]
    problems, warnings = levels.count("problem"), levels.count("warning")
    if not problems and not warnings:
        return "All checks passed."
    counts = f"{problems or 'no'} problem{'s' * (problems != 1)}, {warnings or 'no'} warning{'s' * (warnings != 1)}"
    return f"{counts}: kinolog {'cannot run' if problems else 'can run'}."


def plain(examined: Sequence[CheckResult]) -> dict[str, Any]:
    """The output as JSON."""
    checks = [
        {"check": name, "level": finding.level, "message": finding.message, "remedy": finding.remedy}
        for name, finding in examined
    ]
    return {"ok": exit_code(examined) == OK, "exit_code": exit_code(examined), "checks": checks}
