"""The studio's list of jobs, page by page."""

from tests.conftest import MakeSettings
from tests.integration.web.served import ENVIRON, serve
from web.http.cursors import PageCursor, dump


async def test_a_page_after_the_last_job_ends_the_list(make_settings: MakeSettings) -> None:
    settings = make_settings(**ENVIRON, KINOLOG_KAFKA__BOOTSTRAP="127.0.0.1:1")
    async with serve(settings, ready=False) as site:
        cursor = dump(PageCursor("-created_at", 0.0, "job_000000"))
        status, body = await site.ask("GET", "/api/v1/studio/processing-jobs", params={"cursor": cursor})
        assert (status, body["data"], body["nextCursor"]) == (200, [], None)
