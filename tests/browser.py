"""A headless Chromium for tests of the page. Whatever the browser complains about fails the test, unless it was expected."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.conftest import eventually

CHROMIUM = "/usr/bin/chromium"

#: A loaded machine is slow; what comes true ends the wait.
_PATIENCE_MS = 60_000

_ARGUMENTS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--autoplay-policy=no-user-gesture-required",
)

# A violation is not an error to every version of the console; this makes it one.
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} forbids ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));
"""


class Complaints:
    """What the browser complained about: console errors, exceptions nobody caught, violations of the content policy."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._expected: list[str] = []

    def expect(self, pattern: str) -> None:
        """A complaint that this test provokes; `pattern` is a regular expression."""
        self._expected.append(pattern)

    def unexpected(self) -> list[str]:
        """Those that no `expect` announced."""
        return [text for text in self.heard if not any(re.search(pattern, text) for pattern in self._expected)]

    def listen(self, page: Page) -> None:
        """Collects from `page` from now on."""
        page.on("console", lambda message: self._hear(message.type, f"{message.text} ({message.location.get('url', '')})"))
        page.on("pageerror", lambda error: self._hear("error", str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.heard.append(f"{kind}: {text}")


@pytest.fixture
def complaints() -> Complaints:
    """What `browser_page` complained about; `complaints.expect(pattern)` announces what a test provokes."""
    return Complaints()


@pytest.fixture
async def browser_page(tmp_path: Path, complaints: Complaints) -> AsyncIterator[Page]:
    """An empty page of a browser of this test alone. In the end it must have had nothing to complain about."""
    profile = tmp_path / "chromium"
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=list(_ARGUMENTS),
            viewport={"width": 1180, "height": 860},
        )
        try:
            yield await _watched_page(context, complaints)
        finally:
            await context.close()
    await eventually(lambda: not _processes_of(profile))
    assert complaints.unexpected() == []


async def _watched_page(context: BrowserContext, complaints: Complaints) -> Page:
    await context.add_init_script(_REPORT_VIOLATIONS)
    page = context.pages[0]
    page.set_default_timeout(_PATIENCE_MS)
    expect.set_options(timeout=_PATIENCE_MS)
    complaints.listen(page)
    return page


def _processes_of(profile: Path) -> list[str]:
    """Ids of processes that were started over this profile and still run."""
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and _mentions(entry, profile)]


def _mentions(process: Path, profile: Path) -> bool:
    try:
        return str(profile).encode() in (process / "cmdline").read_bytes()
    except OSError:  # it ended while we looked
        return False
