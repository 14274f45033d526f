"""Commands to many jobs: chosen one by one, as a range, or all that match the filter."""

import pytest
from playwright.async_api import expect

from tests.browser import Complaints
from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, job

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_range_is_cancelled_after_a_question_that_says_what_happens(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n, "completed" if n == 3 else "active") for n in range(6)}
    page = await open_page()
    await page.get_by_role("checkbox", name="Select clip-4.mp4").check()
    await page.get_by_role("checkbox", name="Select clip-1.mp4").click(modifiers=["Shift"])
    bar = page.get_by_role("group", name="Selected jobs")
    await expect(bar).to_contain_text("4 selected")
    await bar.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel 3 jobs?")
    await expect(dialog).to_contain_text("1 of the 4 chosen is left as it is")
    await dialog.get_by_role("button", name="Keep them").click()
    assert kinolog.bulks == []
    await bar.get_by_role("button", name="Cancel").click()
    await dialog.get_by_role("button", name="Cancel them").click()
    await expect(page.get_by_text("3 of 3 jobs cancelled.")).to_be_visible()
    assert kinolog.bulks == [("cancel", {"ids": ["job_000004", "job_000002", "job_000001"], "status": "all"})]
    await expect(bar).to_be_hidden()


async def test_all_that_match_the_filter_are_retried_also_those_that_are_not_on_the_page(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n, "failed" if n % 2 else "completed") for n in range(400)}
    page = await open_page()
    await page.get_by_role("radio", name="Failed 200").check(force=True)
    await page.get_by_role("checkbox", name="Select clip-399.mp4").check()
    await page.get_by_role("button", name="Select all 200").click()
    await expect(page.get_by_role("checkbox", name="Select clip-397.mp4")).to_be_checked()
    await page.get_by_role("group", name="Selected jobs").get_by_role("button", name="Retry").click()
    await page.get_by_role("dialog", name="Retry 200 jobs?").get_by_role("button", name="Retry them").click()
    await expect(page.get_by_text("200 of 200 jobs retried.")).to_be_visible()
    [(action, body)] = kinolog.bulks
    assert (action, body["status"]) == ("retry", "failed") and body["created_before"]


async def test_the_filter_of_a_command_is_that_of_the_list_also_after_a_reload_and_the_way_back(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    """temporalio/ui#2602: after a reload and back, "all" meant all running workflows, whatever the filter."""
    kinolog.jobs = {f"job_{n:06}": job(n, "failed", pipeline="video" if n < 3 else "audio") for n in range(9)}
    page = await open_page()
    await page.evaluate("location.hash = '#/jobs?status=failed&pipeline=video'")
    await expect(page.locator(".job")).to_have_count(3)
    await page.get_by_role("link", name="clip-2.mp4").click()
    await page.locator(".lane").first.wait_for()
    await page.reload()
    await page.go_back()
    await expect(page.get_by_text("Filters: pipeline video")).to_be_visible()
    await expect(page.locator(".job")).to_have_count(3)
    await page.get_by_role("checkbox", name="Select clip-1.mp4").check()
    await page.get_by_role("button", name="Select all 3").click()
    await page.get_by_role("group", name="Selected jobs").get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog", name="Delete 3 jobs?").get_by_role("button", name="Delete them").click()
    await expect(page.get_by_text("3 of 3 jobs deleted.")).to_be_visible()
    [(action, body)] = kinolog.bulks
    assert (action, body["pipeline"], body["status"], body["artifacts"]) == ("clear", "video", "failed", True)


async def test_a_selection_and_its_questions_outlive_live_changes(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    """sidekiq#5078, #5184: each poll unselected all, and took the question before a deletion away."""
    kinolog.jobs = {f"job_{n:06}": job(n, "active") for n in range(3)}
    page = await open_page()
    await page.get_by_role("checkbox", name="Select clip-1.mp4").check()
    await kinolog.put(job(9))
    await kinolog.put(job(1, "failed"))
    await expect(page.locator(".job").filter(has_text="clip-1.mp4").locator(".status")).to_have_text("Failed")
    await expect(page.get_by_role("checkbox", name="Select clip-1.mp4")).to_be_checked()
    bar = page.get_by_role("group", name="Selected jobs")
    await expect(bar.get_by_role("button", name="Cancel")).to_have_attribute("aria-disabled", "true")  # temporal#2148
    await bar.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog", name="Delete 1 job?")).to_be_visible()
    assert kinolog.bulks == []


async def test_a_refused_command_says_how_far_it_came(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 429")
    kinolog.jobs = {"job_000001": job(1, "failed")}
    page = await open_page()
    await page.get_by_role("checkbox", name="Select clip-1.mp4").check()
    kinolog.refusals.append((429, {"code": "rate-limited", "detail": "Too many requests."}))
    await page.get_by_role("group", name="Selected jobs").get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete them").click()
    await expect(page.get_by_text("0 of 1 job deleted. Then it stopped: Too many requests.")).to_be_visible()


async def test_what_has_left_the_list_is_no_longer_selected(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n, "failed") for n in range(3)}
    page = await open_page()
    for number in (0, 1):
        await page.get_by_role("checkbox", name=f"Select clip-{number}.mp4").check()
    await page.mouse.move(5, 5)
    await page.get_by_role("searchbox", name="Find jobs by name or id").focus()
    await kinolog.delete("job_000000")
    await expect(page.get_by_role("group", name="Selected jobs")).to_contain_text("1 selected")


async def test_a_viewer_sees_no_button_that_would_be_refused(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.role = "viewer"
    kinolog.jobs = {"job_000001": job(1, "failed"), "job_000002": job(2, "active")}
    page = await open_page()
    await expect(page.locator(".job")).to_have_count(2)
    for name in ("Cancel clip-2.mp4", "Retry clip-1.mp4"):
        await expect(page.get_by_role("button", name=name)).to_be_hidden()
    await expect(page.get_by_role("checkbox")).to_have_count(0)
    await expect(page.get_by_text("Add media")).to_be_hidden()
    await page.get_by_role("link", name="clip-1.mp4").click()
    await page.locator(".lane").first.wait_for()
    await expect(page.locator("#job-view").get_by_role("button", name="Delete")).to_be_hidden()


async def test_no_row_moves_under_the_pointer(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n, "active") for n in range(5)}
    page = await open_page()
    cancel = page.get_by_role("button", name="Cancel clip-3.mp4")
    await cancel.hover()
    before = await cancel.bounding_box()
    await kinolog.put(job(7))
    await kinolog.delete("job_000004")
    await expect(page.get_by_role("button", name="Show 1 new job")).to_be_visible()
    assert await cancel.bounding_box() == before
    await kinolog.put(job(3, "active", progress=40.0))
    await expect(page.get_by_role("progressbar", name="Progress of clip-3.mp4")).to_have_js_property("value", 40)
    news = page.get_by_role("button", name="Show 1 new job")
    await news.hover()  # the pointer leaves the list, to press it
    await kinolog.put(job(3, "active", progress=50.0))
    await expect(page.get_by_role("progressbar", name="Progress of clip-3.mp4")).to_have_js_property("value", 50)
    assert await cancel.bounding_box() == before
    await news.click()
    await expect(page.locator(".job .name")).to_have_text([f"clip-{n}.mp4" for n in (7, 3, 2, 1, 0)])


async def test_ten_thousand_rows_are_scrolled_through_and_chosen_as_a_range(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs, kinolog.snapshot_jobs = {f"job_{n:06}": job(n) for n in range(10_000)}, 500
    page = await open_page()
    await page.get_by_role("checkbox", name="Select clip-9999.mp4").check()
    while await page.locator("#more").is_visible():
        await page.locator("#more").evaluate("(more) => more.click()")
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    await expect(page.locator(".job").last).to_contain_text("clip-0.mp4")
    assert await page.locator(".job").count() <= 300
    await page.get_by_role("checkbox", name="Select clip-0.mp4").click(modifiers=["Shift"])
    await expect(page.get_by_role("group", name="Selected jobs")).to_contain_text("10,000 selected")
    await page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    await expect(page.get_by_role("checkbox", name="Select clip-5000.mp4")).to_be_checked()
    await page.evaluate("scrollTo(0, 0)")
    await expect(page.locator(".job").first).to_contain_text("clip-9999.mp4")
