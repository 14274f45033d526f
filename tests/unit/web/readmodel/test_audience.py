"""Subscriptions reach every job that they cover, also when it is deleted."""

from pathlib import Path

from tests.unit.web.replica import replica_below
from tests.unit.web.rows import a_job, a_step
from web.readmodel import live_queries
from web.readmodel.audience import Audience, audience_of

STEPS = (a_step("probe", requested_at=1.0), a_step("transcode"))


def test_a_job_is_covered_by_everything_that_names_it() -> None:
    topics = audience_of(a_job(1, steps=STEPS, owner="anna")).topics()
    assert topics == {"all", "job:job_000001", "asset:asset_000001", "owner:anna", "queue:probe", "queue:transcode"}


def test_a_job_without_an_owner_is_covered_by_no_owner() -> None:
    assert not any(topic.startswith("owner:") for topic in audience_of(a_job(1, steps=STEPS)).topics())


async def test_a_deleted_job_has_the_audience_of_its_last_row(tmp_path: Path) -> None:
    async with replica_below(tmp_path) as replica:
        await replica.write(a_job(1, steps=STEPS, owner="anna"))
        [created] = await replica.model.read(live_queries.changes_after, 0, 10)
        await replica.write("job_000001")
        [deleted] = await replica.model.read(live_queries.changes_after, 0, 10)
    audience = Audience("job_000001", "asset_000001", "anna", ("probe", "transcode"))
    assert (created.audience, deleted.audience, deleted.job) == (audience, audience, None)
