"""A large source in a bucket is read once for all steps of its job, however many executors there are."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.bucket import BUCKET, environ, faulty, make_bucket, moto
from tests.conftest import eventually
from tests.e2e.system import System

#: Slots of the two executors: the one has the most for `probe`, the other for what follows.
_PROBES = '{"probe": 9, "thumbnails": 1, "audio": 1}'
_REST = '{"probe": 1, "thumbnails": 9, "audio": 9}'
_NO_FAULTS = {"broken": 0, "slow_down": 0, "slow": 0, "cut": 0}


async def test_the_steps_of_a_job_go_to_the_executor_that_has_its_source(clip: Path, tmp_path: Path) -> None:
    # Reports: deepforge-dev/deepforge#616, broadinstitute/cromwell#1348 (each step fetched the same large input).
    with moto() as server:
        await make_bucket(server)
        async with faulty(server, **_NO_FAULTS) as (endpoint, seen):
            own = {
                "KINOLOG_STORE__URL": f"s3://{BUCKET}",
                "KINOLOG_STORE__LARGE_SOURCE_BYTES": "1",
                **environ(endpoint),
            }
            system = await asyncio.to_thread(System, tmp_path / "data", **own, KINOLOG_EXECUTOR__SLOTS=_PROBES)
            with (tmp_path / "executor.log").open("wb") as log:
                second = subprocess.Popen(
                    [sys.executable, "-m", "streams.cli", "executor"],
                    env={
                        **os.environ,
                        **own,
                        "KINOLOG_DATA_DIR": str(system.data_dir),
                        "KINOLOG_EXECUTOR__SLOTS": _REST,
                    },
                    stdout=log,
                    stderr=log,
                )
            try:
                async with system.client() as api:

                    async def both_work() -> bool:
                        return len(await api.get("/v1/executors")) == 2

                    await eventually(both_work, 60)
                    for _ in range(3):
                        submitted = await api.upload(clip)
                        job = await api.ended(submitted["job_id"])
                        assert job["status"] == "completed", job
                        source = f"/{BUCKET}/uploads/{job['asset_id']}/"
                        assert [count for path, count in seen.read.items() if path.startswith(source)] == [1]
            finally:
                second.kill()
                second.wait()
                assert await asyncio.to_thread(system.stop) == 0
