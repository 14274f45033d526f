"""Records what a version leaves on its log: `python -m tests.recorded CHECKOUT`.

Runs `kinolog up` of another checkout, uses it, and saves a backup of it, with what its interface shows, as
tests/recorded/<commit>.tar.gz. tests/e2e/test_versions.py starts this version on each of them.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.system import System
from tests.recorded.shown import ENVIRON, shown

_FOLDER = Path(__file__).parent


async def _submit(system: System, asset_id: str, *, owner: str = "", status: int = 202, **body: Any) -> str:
    async with system.client() as api:
        request = {"asset_id": asset_id, "input": {"object": "none"}, "pipeline": "noop", **body}
        answered, answer = await api.post("/v1/assets", request | ({"owner": owner} if owner else {}))
        assert answered == status, answer
        return str(answer["data"]["job_id"])


async def _use(system: System, clip: Path) -> dict[str, str]:
    """Jobs in every state, a film, a deleted job and asset, tokens. Returns the tokens' texts."""
    async with system.client() as api:
        film = await api.upload(clip, pipeline="video", passthrough="Grüße, 世界")
        assert (await api.ended(film["job_id"], 240))["status"] == "completed"
        for name in ("again", "gone", "done"):
            job_id = await _submit(system, name, passthrough='{"order": 7}')
            assert (await api.ended(job_id))["status"] == "completed"
            if name == "gone":
                async with api.session.delete(f"/v1/assets/{name}") as response:
                    assert response.status == 202
        await api.ended(await _submit(system, "again"))
        failed = await _submit(system, "fails", pipeline="video")
        assert (await api.ended(failed, 120))["status"] == "failed"
        tokens = {}
        for name in ("kept", "revoked"):
            status, made = await api.post("/v1/tokens", {"role": "viewer", "owner": "anna"})
            assert status == 201, made
            tokens[name] = made["data"]["token"]
        async with api.session.delete(f"/v1/tokens/{made['data']['id']}") as response:
            assert response.status == 200
        running = await _submit(system, "runs", pipeline="slow")
        await api.wait(running, lambda job: job["steps"][0]["status"] == "active", 60)
        assert (await api.post("/v1/queues/noop/pause"))[0] in (200, 202)
        for name, priority in (("waits-low", "low"), ("waits-high", "high"), ("cancelled", "normal")):
            waiting = await _submit(system, name, priority=priority)
            await api.wait(waiting, lambda job: bool(job["steps"][0].get("paused")), 60)
        assert (await api.post(f"/v1/jobs/{waiting}/cancel"))[0] in (200, 202)
        await api.ended(waiting)
        return tokens


async def _record(system: System, clip: Path) -> dict[str, Any]:
    tokens = await _use(system, clip)
    async with system.client() as api:
        return {"tokens": tokens, **await shown(api)}


def _clip(path: Path) -> Path:
    sources = ["-f", "lavfi", "-i", "testsrc2=size=64x36:rate=10:duration=1", "-f", "lavfi", "-i", "sine=duration=1"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *sources, "-shortest", str(path)], check=True)
    return path


def main() -> int:
    """Record once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of the version to record")
    checkout = parser.parse_args().checkout.resolve()
    commit = subprocess.check_output(["git", "-C", checkout, "rev-parse", "--short", "HEAD"], text=True).strip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        system = System(folder / "data", checkout, **ENVIRON)
        try:
            found = asyncio.run(_record(system, _clip(folder / "clip.mp4")))
            environ = {**os.environ, **ENVIRON, "KINOLOG_DATA_DIR": str(system.data_dir)}
            command = [sys.executable, "-m", "streams.cli", "backup", str(folder / "backup")]
            subprocess.run(command, env=environ, check=True)
        finally:
            system.stop()
        (folder / "backup" / "shown.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
        path = _FOLDER / f"{commit}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder / "backup", ".")
    print(json.dumps({"path": str(path), "bytes": path.stat().st_size, "jobs": len(found["jobs"])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
