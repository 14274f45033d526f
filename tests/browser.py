"""A headless Chromium for tests of the page. What the browser complains about fails a test that did not expect it."""

import contextlib
import os
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.conftest import eventually
from tests.e2e.system import command_lines, processes_naming

CHROMIUM = "/usr/bin/chromium"

#: A loaded machine is slow; what comes true ends the wait.
_PATIENCE_MS = 60_000

#: Environment variable by which the browser is found among the processes.
_MARK = "KINOLOG_TEST_BROWSER"

ARGUMENTS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--autoplay-policy=no-user-gesture-required",
)

#: Checks whether everybody can use a page. Its text is evaluated once, and then `VIOLATIONS`.
AXE = Path(__file__).parents[1] / ".venv" / "axe.min.js"

#: Violations of WCAG 2 A and AA, as "rule: element, what is wrong".
VIOLATIONS = """async () => {
  const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
  const described = (id) => ({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`;
  return found.violations.flatMap(({ id, nodes }) => nodes.map(described(id)));
}"""

# A violation is not an error to every version of the console; this makes it one.
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
  console.error(`CSP: ${violatedDirective} forbids ${blockedURI} at ${sourceFile}:${lineNumber}`));
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
        page.on("console", lambda said: self._hear(said.type, f"{said.text} ({said.location.get('url', '')})"))
        page.on("pageerror", lambda error: self._hear("error", str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.heard.append(f"{kind}: {text}")


@pytest.fixture
def complaints() -> Complaints:
    """What `browser_page` complained about; `complaints.expect(pattern)` announces what a test provokes."""
    return Complaints()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of a module, which run on the module's loop: it takes longer to start than to use."""
    async with chromium() as (running, _):
        yield running


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[tuple[Browser, str]]:
    """A Chromium, and the folder of its profile, which every process of it names. In the end none of them is left."""
    mark = uuid.uuid4().hex
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS), env={**os.environ, _MARK: mark}, timeout=_PATIENCE_MS
        )
        profile = _profile_of(mark)
        try:
            yield running, profile
        finally:
            await running.close()
    await eventually(lambda: not processes_naming(profile), within_s=30)


@pytest_asyncio.fixture(loop_scope="module")
async def browser_page(browser: Browser, complaints: Complaints) -> AsyncIterator[Page]:
    """An empty page without a past. In the end the browser must have had nothing to complain about."""
    async with opened_page(browser, complaints) as page:
        yield page
    assert complaints.unexpected() == []


@contextlib.asynccontextmanager
async def opened_page(browser: Browser, complaints: Complaints) -> AsyncIterator[Page]:
    """An empty page in a context of its own, as another person's browser is."""
    # Nothing moves for beauty's sake: painting it is all that the processor would do.
    context = await browser.new_context(viewport={"width": 1180, "height": 860}, reduced_motion="reduce")
    try:
        yield await _watched_page(context, complaints)
    finally:
        await context.close()


async def _watched_page(context: BrowserContext, complaints: Complaints) -> Page:
    await context.add_init_script(_REPORT_VIOLATIONS)
    context.set_default_timeout(_PATIENCE_MS)
    expect.set_options(timeout=_PATIENCE_MS)
    page = await context.new_page()
    complaints.listen(page)
    return page


def _profile_of(mark: str) -> str:
    """The folder that the browser was started over; every process of it names it."""
    profiles = (
        command.partition("--user-data-dir=")[2].split(" ")[0] for pid, command in command_lines() if _has(pid, mark)
    )
    return next(filter(None, profiles))


def _has(pid: int, mark: str) -> bool:
    with contextlib.suppress(OSError):  # it ended while we looked
        return f"{_MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False
