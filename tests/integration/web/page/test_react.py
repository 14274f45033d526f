"""The React package with a real React, in a real browser and on a server."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from tests.conftest import eventually
from tests.integration.web.fake_kinolog import STATIC, TOKEN, FakeKinolog, Json, job, ready_job, step
from tests.react import NEWEST, OLDEST, modules_of, react_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0

Render = Callable[[str], Awaitable[Page]]

_PAGE = """<!doctype html><title>An application</title><div id=root></div>
<script type=importmap>{"imports": {"react": "/react.js", "kinolog/react": "KINOLOG/static/react/index.js"}}</script>
<script type=module>
import { StrictMode, createElement as h, createRoot, useState } from "react";
import * as kinolog from "kinolog/react";
window.seen = [];
const idOf = ({ id, jobId, queue_id, code } = {}) => id ?? jobId ?? queue_id ?? code;
const record = (name) => (detail) => window.seen.push([name, idOf(detail)]);
const { KinologProvider, JobProgress, MediaProcessingStatus, VideoProcessingProgress, KinologPlayer, KinologStatus,
  useMediaJobStatus, useVideoProcessingStatus, useJobStatus, useProcessingJobs } = kinolog;
function App() {
  const [, again] = useState(0);
  window.again = () => again((count) => count + 1);
  return BODY;
}
window.root = createRoot(document.getElementById("root"));
window.root.render(h(StrictMode, null, h(KinologProvider, { url: "KINOLOG", token: "TOKEN" }, h(App))));
</script>"""


class FakeWithOldRoutes(FakeKinolog):
    """The fake server with the routes of the replaced systems."""

    def __init__(self, media: Path) -> None:
        super().__init__(media)
        self.cors_origins = ("*",)
        self.asked: list[str] = []

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_get("/api/admin/media/jobs", self._old_media)
        app.router.add_get("/api/video-processing/status/{id}", self._old_video)
        app.router.add_get("/api/jobs/{id}/status", self._old_job)
        app.router.add_get("/api/v1/studio/processing-jobs", self._old_list)
        app.router.add_post("/api/v1/studio/processing-jobs/{id}/{action}", self._command)
        return app

    def _found(self, request: web.Request) -> Json:
        self.asked.append(request.path)
        if (found := self.jobs.get(request.match_info["id"])) is None:
            body = json.dumps({"code": "not-found", "detail": "Not found, or not yours."})
            raise web.HTTPNotFound(text=body, content_type="application/problem+json")
        return found

    async def _old_media(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        found = next(row for row in self.jobs.values() if row["asset_id"] == request.query["mediaId"])
        status = {"completed": "READY", "failed": "FAILED"}.get(found["status"], "PROCESSING")
        ids = {"mediaId": found["asset_id"], "jobId": found["id"], "fileName": found["filename"]}
        media: Json = {"manifestUrl": "http://k/master.m3u8" if status == "READY" else None, "thumbnails": []}
        states = {"status": status, "jobState": found["status"], "progress": int(found["progress"])}
        return web.json_response(ids | media | states)

    async def _old_video(self, request: web.Request) -> web.StreamResponse:
        found = self._found(request)
        status = {"waiting": "pending", "active": "processing"}.get(found["status"], found["status"])
        ids = {"queue_id": found["id"], "attachment_id": "7"}
        steps = {one["name"]: {"status": one["status"], "progress_percentage": 0} for one in found["steps"]}
        progress = {"progress_percentage": int(found["progress"]), "current_step": "transcode", "steps": steps}
        message = found.get("error", {}).get("message")
        return web.json_response(ids | progress | {"status": status, "error_message": message})

    async def _old_job(self, request: web.Request) -> web.StreamResponse:
        found = self._found(request)
        result = {"url": "http://k/master.m3u8"} if found["status"] == "completed" else None
        state = {"id": found["id"], "state": found["status"], "progress": int(found["progress"]), "result": result}
        return web.json_response({"success": True, "data": state | {"error": found.get("error", {}).get("message")}})

    async def _old_list(self, _request: web.Request) -> web.StreamResponse:
        rows: list[dict[str, Any]] = [{"id": row["id"], "status": row["status"]} for row in self.jobs.values()]
        return web.json_response({"data": rows, "statistics": {"total": len(rows)}, "nextCursor": None})


@pytest.fixture
def kinolog(stream_folder: Path) -> FakeWithOldRoutes:
    """The fake server, whose operator allows pages of all origins."""
    return FakeWithOldRoutes(stream_folder)


@pytest.fixture
def react(request: pytest.FixtureRequest) -> str:
    """Major version of the React that renders; a test may be parametrised with others."""
    version: str = getattr(request, "param", NEWEST)
    return version


both = pytest.mark.parametrize("react", [NEWEST, OLDEST], indirect=True)


@pytest_asyncio.fixture(loop_scope="module")
async def render(origin: str, react: str, browser_page: Page) -> AsyncIterator[Render]:
    """Opens an application of another origin that renders this expression, in strict mode."""
    bodies: list[str] = []

    async def page(_request: web.Request) -> web.Response:
        text = _PAGE.replace("KINOLOG", origin).replace("TOKEN", TOKEN).replace("BODY", bodies[-1])
        return web.Response(text=text, content_type="text/html")

    async def no_icon(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/favicon.ico", no_icon), *react_routes(react)])
    async with TestServer(app) as server:

        async def open_page(body: str) -> Page:
            bodies.append(body)
            await browser_page.goto(str(server.make_url("/")))
            return browser_page

        yield open_page


def active(number: int, progress: float = 0.0) -> Json:
    steps = [step("probe", "completed", 100), step("transcode", "active", progress), step("thumbnails")]
    return job(number, "active", steps, progress=progress)


async def seen(page: Page, *events: list[str]) -> None:
    """Waits until these callbacks were called, in this order and no others."""

    async def has_seen() -> bool:
        return bool(await page.evaluate("window.seen") == list(events))

    await eventually(has_seen, PATIENCE_S)


@both
async def test_components_of_the_replaced_systems_show_progress_and_complete_once(
    render: Render, kinolog: FakeWithOldRoutes
) -> None:
    kinolog.jobs["job_000001"] = job(1)
    page = await render(
        """h("div", null,
          h(JobProgress, { jobId: "job_000001", onComplete: record("job") }),
          h(MediaProcessingStatus, { mediaId: "asset_000001", onComplete: (data) => record("media")(data) }),
          h(VideoProcessingProgress, { queueId: "job_000001", onComplete: (data) => record("video")(data) }))"""
    )
    labels = page.locator(".kinolog-progress-status")
    await expect(labels).to_have_text(["waiting", "processing", "pending"])
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await kinolog.put(active(1, 10))
    await expect(labels).to_have_text(["10 %", "10 %", "transcode · 10 %"])
    requests = len(kinolog.asked)
    await kinolog.progress("job_000001", "transcode", 42.5, job_progress=38.1, eta_s=30)
    await expect(labels).to_have_text(["38 %", "38 %", "transcode · 38 %"])
    assert len(kinolog.asked) == requests, "progress is live: nothing is requested for it"
    await expect(page.get_by_role("progressbar", name="Progress of clip-1.mp4")).to_have_js_property("value", 38)
    await kinolog.put(ready_job(1))
    await expect(labels).to_have_text(["completed", "ready", "completed"])
    await page.evaluate("again(); again();")  # other functions as callbacks, the same end
    await eventually(lambda: kinolog.open_sockets == 0, PATIENCE_S)
    calls = sorted(await page.evaluate("window.seen"))
    assert calls == [["job", "job_000001"], ["media", "job_000001"], ["video", "job_000001"]]
    assert len(kinolog.subscriptions) <= 3, "strict mode mounts twice, and connects once"


async def test_a_failure_is_reported_once_and_a_retry_goes_on(render: Render, kinolog: FakeWithOldRoutes) -> None:
    kinolog.jobs["job_000001"] = active(1)
    page = await render(
        'h(JobProgress, { jobId: "job_000001", onError: record("error"), onComplete: record("complete") })'
    )
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    error = {"code": "corrupt-media", "message": "The file is damaged."}
    await kinolog.put(job(1, "failed", error=error))
    await expect(page.get_by_role("alert")).to_have_text("The file is damaged.")
    await seen(page, ["error", "failed"])
    await kinolog.drop_sockets()
    await kinolog.put(active(1, 5) | {"run": 2})
    await expect(page.get_by_role("alert")).to_have_count(0)
    await kinolog.put(ready_job(1, run=2))
    await seen(page, ["error", "failed"], ["complete", "job_000001"])


async def test_a_hook_says_what_it_cannot_show_and_leaves_nothing_behind(
    render: Render, kinolog: FakeWithOldRoutes, complaints: Any
) -> None:
    complaints.expect("status of 404")
    page = await render(
        """h(function Shown() {
          const none = useJobStatus(null, { onError: record("none") });
          const found = useVideoProcessingStatus("job_000009", { onError: record("error") });
          return h("p", null, String(none.isLoading), found.error?.message ?? "…");
        })"""
    )
    await expect(page.locator("p")).to_have_text("falseNot found, or not yours.")
    await seen(page, ["error", "not-found"])
    await page.evaluate("root.unmount()")
    await eventually(lambda: kinolog.open_sockets == 0, PATIENCE_S)


async def test_the_studios_list_is_live_and_commands_go_to_its_routes(
    render: Render, kinolog: FakeWithOldRoutes
) -> None:
    kinolog.jobs["job_000001"] = active(1)
    page = await render(
        """h(function Studio() {
          const { jobs, statistics, cancel } = useProcessingJobs({ limit: 10 });
          return h("div", null, h("b", null, String(statistics.total)),
            jobs.map(({ id, status }) => h("button", { key: id, onClick: () => cancel(id) }, status)));
        })"""
    )
    await expect(page.get_by_role("button")).to_have_text(["active"])
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await page.get_by_role("button").click()
    await eventually(lambda: kinolog.calls == ["cancel job_000001"], PATIENCE_S)
    await kinolog.put(job(1, "cancelled"))
    await kinolog.put(job(2))
    await expect(page.get_by_role("button")).to_have_text(["cancelled", "waiting"])
    await expect(page.locator("b")).to_have_text("2")


@both
async def test_the_elements_are_components_with_callbacks(render: Render, kinolog: FakeWithOldRoutes) -> None:
    kinolog.jobs["job_000001"] = ready_job(1)
    page = await render(
        """h("div", null,
          h(KinologStatus, { job: "job_000001", className: "mine", onComplete: (job) => record("status")(job) }),
          h(KinologPlayer, { asset: "asset_000001", start: 1, muted: true, autoplay: true,
            onComplete: () => record("played")({}) }))"""
    )
    await expect(page.locator("kinolog-status.mine .status")).to_have_text("Ready")
    await seen(page, ["status", "job_000001"], ["played", None])  # type: ignore[list-item]
    assert await page.locator("kinolog-status").get_attribute("token") is None


@both
async def test_the_package_has_all_that_it_needs_and_renders_on_a_server(tmp_path: Path, react: str) -> None:
    packed = _run(["npm", "pack", "--silent", "--pack-destination", str(tmp_path), str(STATIC)], tmp_path).strip()
    _run(["tar", "xzf", str(tmp_path / packed)], tmp_path)
    modules = tmp_path / "node_modules"
    modules.mkdir()
    shutil.move(tmp_path / "package", modules / "kinolog")
    for name in ("react", "react-dom", "scheduler"):
        (modules / name).symlink_to(modules_of(react) / name)
    script = """
      import { createElement as h } from "react";
      import { renderToString } from "react-dom/server";
      import { Kinolog } from "kinolog";
      import "kinolog/elements";
      import { JobProgress, KinologPlayer, KinologProvider } from "kinolog/react";
      const app = h(KinologProvider, { url: "https://k", token: "t" }, h(JobProgress, { jobId: "job_1" }),
        h(KinologPlayer, { asset: "a" }));
      console.log(renderToString(app), typeof Kinolog);
    """
    (tmp_path / "server.mjs").write_text(script)
    shown = _run(["node", "server.mjs"], tmp_path)
    assert 'aria-label="Progress of job_1"' in shown
    assert "<kinolog-player" in shown


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
