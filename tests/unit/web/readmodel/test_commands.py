"""Commands: a repeat is the same event, and without a broker nothing is accepted."""

import pytest

from schemas.commands import DeleteAsset, DeleteJob, RetryJob
from streams.settings import Settings
from web.http.problems import Problem
from web.readmodel.commands import Commands, _event_id
from web.readmodel.position import Position


def test_a_repeated_retry_or_deletion_is_the_same_event() -> None:
    retry = RetryJob(job_id="job_1", asset_id="asset_1", run=2, requested_by="anna")
    delete = DeleteJob(job_id="job_1", asset_id="asset_1", requested_by="anna")
    assert (_event_id(retry), _event_id(retry)) == ("job_1/2/retry", "job_1/2/retry")
    assert (_event_id(delete), _event_id(delete)) == ("job_1/delete", "job_1/delete")


def test_an_asset_of_the_same_id_can_be_deleted_again() -> None:
    delete = DeleteAsset(asset_id="asset_1", requested_at=1.0, requested_by="anna")
    assert _event_id(delete) != _event_id(delete)


async def test_without_a_broker_a_command_is_refused_before_it_is_written() -> None:
    commands = Commands(Settings(), Position("media.commands"))
    for write in (commands.send([]), commands.date()):
        with pytest.raises(Problem) as caught:
            await write
        assert (caught.value.status, caught.value.code) == (503, "broker-unavailable")
