"""Contests of a chaos run: hot assets, contested ids, refused submissions, keys used again, and writes not allowed."""

import asyncio
import random

from tests.chaos.callers import ADMIN, EDITORS, OWNERS, VIEWERS
from tests.chaos.client import Client
from tests.chaos.ledger import Ledger
from tests.chaos.submissions import Submissions

#: Codes of refusals at the door for a job of somebody else's asset.
_FOREIGN = ("not-found", "asset-of-another-owner", "submission-refused")
#: Chosen by each owner; the operator's has no namespace.
_HOT = "asset-hot-1"
_NOOP = {"input": {"object": "x"}, "pipeline": "noop"}
#: What changes a job or its asset, and what changes anything else.
_CHANGES = (
    "POST /v1/jobs/{job}/cancel",
    "POST /v1/jobs/{job}/retry",
    "DELETE /v1/jobs/{job}",
    "DELETE /v1/assets/{asset}",
)
_WRITES = ("POST /v1/assets", "POST /v1/jobs/clear", "POST /v1/queues/noop/pause")


class Contests:
    """What callers do to each other, and to themselves."""

    def __init__(self, submissions: Submissions, client: Client, ledger: Ledger, chance: random.Random) -> None:
        self._made, self._client, self._ledger, self._chance = submissions, client, ledger, chance
        self._contested = 0

    async def hot(self) -> None:
        """Many jobs of one asset: each owner has a hot one, by an id that all of them chose."""
        caller = self._chance.choice((ADMIN, *EDITORS))
        count = self._chance.randint(1, 30)
        await self._made.submit(caller, [{**_NOOP, "asset_id": _HOT} for _ in range(count)])

    async def contest(self) -> None:
        """Two owners race for one new id: an operator submits for both of them at once, to any replica."""
        self._contested += 1
        asset_id = f"asset-contest-{self._contested}"
        owners = self._chance.sample(OWNERS, len(OWNERS))
        about = {**_NOOP, "asset_id": asset_id}
        submits = (
            self._made.submit(ADMIN, {**about, "owner": owner}, owner=owner, may_decline=_FOREIGN) for owner in owners
        )
        await asyncio.gather(*submits)

    async def repeat(self) -> None:
        """The same key again, with its body or another one; its job may be deleted by now."""
        if not self._made.keys:
            return
        deleted = {line["job_id"] for line in self._ledger.lines if line["what"] == "delete-job"}
        gone = [used for used in self._made.keys if used.job.job_id in deleted]
        used = self._chance.choice(self._chance.choice((gone, self._made.keys)) or self._made.keys)
        same = self._chance.random() < 0.5
        body = used.body if same else {**used.body, "filename": self._made.name("other")}
        headers = {"Idempotency-Key": used.key}
        status, answer = await self._client.call(used.job.caller, "POST", "/v1/assets", json=body, headers=headers)
        made = answer.get("data", {}).get("job_id")
        facts = {"job_id": used.job.job_id, "made": made, "status": status, "code": answer.get("code")}
        self._ledger.note("repeated", **facts, same=same)

    async def trespass(self) -> None:
        """An owner's editor tries to change what is another's."""
        editor = self._chance.choice(EDITORS)
        # By the id of the hot asset an editor means its owner's own.
        others = [job for job in self._made.jobs if job.owner != editor.owner and job.asset_id != _HOT]
        if others:
            job = self._chance.choice(others)
            method, path = self._chance.choice(_CHANGES).format_map({"job": job.job_id, "asset": job.asset_id}).split()
            status, _ = await self._client.call(editor, method, path)
            self._ledger.note("trespassed", by=editor.token, method=method, path=path, status=status, job_id=job.job_id)

    async def view_and_write(self) -> None:
        """A viewer tries to change what is its owner's."""
        viewer = self._chance.choice(VIEWERS)
        own = [job for job in self._made.jobs if job.owner == viewer.owner]
        if not own:
            return
        job = self._chance.choice(own)
        line = self._chance.choice((*_CHANGES, *_WRITES)).format_map({"job": job.job_id, "asset": job.asset_id})
        method, path = line.split()
        given = {"json": {**_NOOP, "asset_id": "asset-viewer-1"}} if path == "/v1/assets" else {}
        status, _ = await self._client.call(viewer, method, path, **given)
        self._ledger.note("viewer-wrote", by=viewer.token, method=method, path=path, status=status, job_id=job.job_id)
