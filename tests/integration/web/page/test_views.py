"""The views of the page: what each shows and does, by role, and whether everybody can use it."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser import AXE, VIOLATIONS, Complaints
from tests.conftest import eventually
from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, Json, iso, job, ready_job, step
from tests.integration.web.page.test_navigation import executor, link

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0
VIEWS = ("overview", "jobs", "executors", "queues", "cache", "dead-letters", "audit", "tokens")


def queue(name: str, **more: Any) -> Json:
    """A queue in the API's format."""
    counts = dict.fromkeys(("waiting", "queued", "active", "delayed", "completed", "failed", "cancelled", "skipped"), 0)
    return {"name": name, "paused": False, "max_active": None, "executors": 1, "slots": 2, "reason": ""} | counts | more


def busy(kinolog: FakeKinolog) -> None:
    """Fills every view."""
    kinolog.jobs = {
        "job_000001": ready_job(1),
        "job_000002": job(
            2, "active", [step("probe", "completed", 100), step("transcode", "active", 40)], progress=30.0
        ),
        "job_000003": job(3, "failed", error={"code": "corrupt-media", "message": "The file ends too early."}),
        "job_000004": job(4, "waiting", [step("transcode", paused=True, queue_position=2)]),
    }
    history = {"completed": [0] * 58 + [3, 7], "failed": [0] * 59 + [1], "p50_s": [None] * 60, "p95_s": [None] * 60}
    kinolog.executors = [executor("exec-1"), executor("exec-2", "silent", attempts=[])]
    kinolog.known = {
        "/v1/queues": [
            queue("probe", queued=3, executors=0, reason="no_executor"),
            queue("transcode", queued=2, active=1, failed=4, paused=True, paused_at=iso(0)),
        ],
        "/v1/stats/system": {
            "control": {"behind_records": 1203, "behind_s": 42.0, "troubles": []},
            "disks": [
                {"keeps": ["log", "media"], "size_bytes": 10**11, "free_bytes": 9 * 10**8, "reserve_bytes": 1024**3}
                | {"below_reserve": True}
            ],
        },
        "/v1/stats/steps": [{"name": "transcode", "hour_p50_s": 12.0, "hour_p95_s": 71.0} | history],
        "/v1/jobs/failures": [
            {
                "code": "corrupt-media",
                "jobs": 1204,
                "message": "The <b>file</b> ends too early.",
                "job_id": "job_000003",
            }
        ],
        "/v1/tokens": [
            {"id": "tok_1", "role": "editor", "owner": "anna", "created_at": iso(0), "expires_at": None}
            | {"revoked_at": None, "good": True, "label": "laptop"}
        ],
        "/v1/audit": [
            {"time": iso(0), "action": "POST /v1/jobs/retry", "subject": "/v1/jobs/retry", "result": "refused"}
            | {
                "status": 403,
                "code": "forbidden",
                "owner": "anna",
                "role": "viewer",
                "token_id": "tok_1",
                "remote": "::1",
            }
        ],
        "/v1/dead-letters": [
            {
                "time": iso(0),
                "topic": "media.uploads",
                "partition": 0,
                "offset": 7,
                "found_by": "control",
                "key": "talk-1",
            }
            | {"code": "invalid-message", "message": "Expected an object.", "preview": '{"a": <b>'}
        ],
        "/v1/cache-assets": [
            {"id": "asset_1", "status": "CACHED", "original": "https://example.com/a.mp4", "created_at": iso(0)}
            | {"size_bytes": 1536, "content_type": "video/mp4", "job_id": "job_000001"}
        ],
    }


async def opened(page: Page, view: str) -> None:
    """Opens a view and waits until it has its data."""
    await page.evaluate(f"location.hash = '#/{view}'")
    root = page.locator("#workspace" if view == "jobs" else f"#view-{view}")
    await root.wait_for()
    await expect(root.locator(":is(td, .job, .queue-card, .empty):visible").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("is_busy", [True, False])
async def test_every_view_can_be_used_by_everybody(
    open_page: OpenPage, kinolog: FakeKinolog, scheme: Any, is_busy: bool
) -> None:
    if is_busy:
        busy(kinolog)
    page = await open_page()
    await page.emulate_media(color_scheme=scheme)
    await page.evaluate(AXE.read_text())
    for view in VIEWS:
        await opened(page, view)
        assert await page.evaluate(VIOLATIONS) == [], view
    if is_busy:
        await page.evaluate("location.hash = '#job_000002'")
        await page.locator(".lane").first.wait_for()
        assert await page.evaluate(VIOLATIONS) == []


async def test_no_view_is_wider_than_a_phone(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    busy(kinolog)
    page = await open_page()
    await page.set_viewport_size({"width": 360, "height": 800})
    for view in VIEWS:
        await opened(page, view)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, view


async def test_an_operator_sees_the_lag_and_the_disk_and_nobody_else(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    busy(kinolog)
    page = await open_page()
    await opened(page, "overview")
    cards = page.locator(".system-card")
    await expect(cards).to_contain_text(["1,203 records behind", "900 MB free"])
    await expect(cards.last).to_contain_text("of 100 GB: uploads are refused")
    attention = page.get_by_role("list", name="Needs attention")
    await expect(attention).to_contain_text("Control is 42 s behind: 1,203 records wait.")
    await expect(attention).to_contain_text("Disk of log and media: the last 900 MB are kept")
    kinolog.role = "editor"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await opened(page, "overview")
    await expect(page.get_by_role("heading", name="Failures")).to_be_visible()
    assert await page.get_by_role("heading", name="System").count() == 0
    assert not [url for url in asked if "/stats/s" in url]


async def test_the_overview_says_what_needs_attention_and_leads_to_it(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    busy(kinolog)
    page = await open_page()
    await opened(page, "overview")
    attention = page.get_by_role("list", name="Needs attention")
    await expect(attention).to_contain_text("No executor runs probe: 3 jobs wait.")
    await expect(attention).to_contain_text("The transcode queue is paused")
    await expect(attention).to_contain_text("Executor exec-2 has not reported")
    await expect(
        page.get_by_role("img", name="transcode: completed per minute, 10 in the last hour, 1 failed")
    ).to_be_visible()
    await expect(page.get_by_role("row", name="corrupt-media")).to_contain_text("1,204")
    await page.get_by_role("link", name="1 Failed").click()
    await expect(page.locator(".job .name")).to_have_text(["clip-3.mp4"])
    await expect(page.get_by_role("radio", name="Failed 1")).to_be_checked()


async def test_a_group_of_failures_is_retried_from_the_overview(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    busy(kinolog)
    page = await open_page()
    await opened(page, "overview")
    await page.get_by_role("button", name="Retry jobs with corrupt-media").click()
    dialog = page.get_by_role("dialog", name="Retry 1,204 jobs that failed with corrupt-media?")
    await dialog.get_by_role("button", name="Retry them").click()
    await eventually(
        lambda: kinolog.bulks == [("retry", {"status": "failed", "error_code": "corrupt-media"})], PATIENCE_S
    )


async def test_the_overview_follows_what_happens(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    await opened(page, "overview")
    await expect(page.get_by_role("link", name="0 Failed")).to_be_visible()
    await kinolog.put(job(1, "failed"))
    await expect(page.get_by_role("link", name="1 Failed")).to_be_visible()


async def test_a_queue_is_paused_with_a_question_also_after_live_changes(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    """sidekiq#5184: after a live update a click on "delete" of a queue asked no more."""
    busy(kinolog)
    page = await open_page()
    await opened(page, "queues")
    kinolog.known["/v1/queues"] = [queue("probe", queued=77), queue("transcode")]
    await kinolog.put(job(9))
    await expect(page.get_by_role("row", name="probe")).to_contain_text("77")
    await page.get_by_role("button", name="Pause transcode").click()
    await expect(page.get_by_role("dialog", name="Pause the transcode queue?")).to_be_visible()
    assert kinolog.changes == []


async def test_an_executor_that_runs_thousands_of_attempts_is_one_row(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    """sidekiq#5555: a page of thousands of running jobs froze the browser."""
    attempts = [{"job_id": f"job_{n:06}", "step": "probe", "attempt": 1} for n in range(5_000)]
    kinolog.executors = [executor("exec-1", attempts=attempts)]
    page = await open_page()
    await opened(page, "executors")
    await expect(page.get_by_role("row", name="exec-1")).to_contain_text("and 4988 more")


async def test_a_queue_is_paused_and_limited_by_an_admin_only(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 503")
    busy(kinolog)
    page = await open_page()
    await opened(page, "queues")
    await page.get_by_role("button", name="Resume transcode").click()
    await page.get_by_role("button", name="Pause probe").click()
    await page.get_by_role("dialog", name="Pause the probe queue?").get_by_role("button", name="Pause it").click()
    await page.get_by_label("Most active attempts of probe").fill("3")
    await page.get_by_role("button", name="Set the limit of probe").click()
    expected = [
        ("POST /v1/queues/transcode/resume", None),
        ("POST /v1/queues/probe/pause", None),
        ("PATCH /v1/queues/probe", {"max_active": 3}),
    ]
    await eventually(lambda: kinolog.changes == expected, PATIENCE_S)
    kinolog.refusals.append((503, {"code": "log-unwritable", "detail": "The log cannot be written."}))
    await page.get_by_role("button", name="Resume transcode").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("The log cannot be written.")


async def test_a_viewer_has_no_view_and_no_button_that_is_refused(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    busy(kinolog)
    kinolog.role = "viewer"
    page = await open_page()
    await expect(page.get_by_text("Signed in as operator (viewer)")).to_be_visible()
    for name in ("Dead letters", "Audit", "Tokens"):
        await expect(link(page, name)).to_have_count(0)
    for view in ("overview", "queues", "cache", "executors"):
        await opened(page, view)
        await expect(page.locator(f"#view-{view}").get_by_role("button")).to_have_count(0)
    await page.evaluate("location.hash = '#/tokens'")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("There is no such page.")


async def test_a_token_is_created_shown_once_and_revoked(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    busy(kinolog)
    page = await open_page()
    await opened(page, "tokens")
    await page.get_by_role("textbox", name="Owner").fill("anna")
    await page.get_by_role("button", name="Create token").click()
    await expect(page.get_by_text("a-new-token")).to_be_visible()
    await page.get_by_role("button", name="Revoke the token laptop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()
    created = {"role": "viewer", "owner": "anna", "label": None, "ttl_s": 2_592_000}
    expected = [("POST /v1/tokens", created), ("DELETE /v1/tokens/tok_1", None)]
    await eventually(lambda: kinolog.changes == expected, PATIENCE_S)
    await opened(page, "audit")
    await opened(page, "tokens")
    await expect(page.get_by_text("a-new-token")).to_have_count(0)
