"""Passages name the job that made them, whatever else their asset has been through."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.jobs import Job
from tests.unit.web.replica import replica_below
from tests.unit.web.rows import NOW, a_job, a_step, an_asset
from web.api.search import Ranked, SearchParams, _rows
from web.readmodel import queries
from web.search.index import Hit

TRANSCRIPT = {"vtt": "captions.vtt"}


async def test_a_search_reads_few_of_the_jobs_of_an_asset_that_has_thousands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = a_step("transcribe", "completed", outputs=TRANSCRIPT, finished_at=NOW + 9)
    maker = a_job(1, "completed", (step,), asset_id="asset_a")
    later = [a_job(n, "completed", asset_id="asset_a") for n in range(20, 1020)]
    asset = replace(an_asset(id="asset_a"), outputs={"transcribe": TRANSCRIPT}, published_at={"transcribe": NOW + 9})
    hits = [Hit(n, "asset_a", n, n + 1, "words", 1.0) for n in range(20)]
    read: list[str] = []
    real = queries.jobs_of_asset

    def jobs_of_asset(*args: Any, **options: Any) -> Iterator[Job]:
        for job in real(*args, **options):
            read.append(job.id)
            yield job

    monkeypatch.setattr(queries, "jobs_of_asset", jobs_of_asset)
    async with replica_below(tmp_path) as replica:
        await replica.write(asset, maker, *later)
        rows = await replica.model.read(_rows, hits, SearchParams("words", "text", 20, None), Ranked(hits, "text"))
    assert [row.job_id for row in rows] == [maker.id] * 20
    assert read == [maker.id]  # not a thousand for each hit
