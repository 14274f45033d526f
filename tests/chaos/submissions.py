"""Submissions of a chaos run, over HTTP: what was accepted, for whom, under which key, and whether its row appeared."""

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.callers import Caller, marker
from tests.chaos.client import Client
from tests.chaos.ledger import Ledger

#: Keys that are kept to be used again, the newest.
_KEYS = 200


@dataclass(frozen=True)
class Submitted:
    """An accepted submission."""

    asset_id: str
    job_id: str
    #: None: the operator's.
    owner: str | None
    caller: Caller


@dataclass(frozen=True)
class UsedKey:
    """An Idempotency-Key with its single submission."""

    key: str
    body: dict[str, Any]
    job: Submitted


@dataclass
class Submissions:
    """Everything that was accepted so far. `spawn` starts a task."""

    client: Client
    ledger: Ledger
    chance: random.Random
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    jobs: list[Submitted] = field(default_factory=list)
    keys: list[UsedKey] = field(default_factory=list)
    _number: int = 0

    def name(self, what: str) -> str:
        """A name that was not used before."""
        self._number += 1
        return f"{what}-{self._number}"

    async def submit(
        self, caller: Caller, body: Any, *, owner: str | None = None, may_decline: tuple[str, ...] = ()
    ) -> None:
        """Submit one item or a list. `owner`: whose it is, where that is not the caller's; `may_decline`: codes of
        refusals that are right here.
        """
        key, owner = self.name(f"key-{caller.token}"), owner or caller.owner
        for item in body if isinstance(body, list) else [body]:
            item["passthrough"] = marker(owner)
        headers = {"Idempotency-Key": key}
        status, answer = await self.client.call(caller, "POST", "/v1/assets", json=body, headers=headers)
        items = answer.get("data", []) if isinstance(body, list) else [{**(answer.get("data") or answer)}]
        for item in items:
            item.setdefault("status", status)
            self._take(item, caller, owner, may_decline)
        if status == 202 and not isinstance(body, list):
            self.keys = [*self.keys[-_KEYS:], UsedKey(key, body, self.jobs[-1])]
        if status == 202 and any("job_id" in item for item in items):  # otherwise nothing was written
            self._watch(answer["cursor"], items, caller)

    async def upload(self, caller: Caller, content: bytes, pipeline: str) -> None:
        """Upload a file."""
        params = {"filename": f"{marker(caller.owner)}.mp4", "pipeline": pipeline}
        headers = {"Idempotency-Key": self.name("upload")}
        status, answer = await self.client.call(
            caller, "POST", "/v1/uploads", params=params, data=content, headers=headers
        )
        self._take({**answer.get("data", answer), "status": status}, caller, caller.owner, ())
        if status == 201:
            self._watch(answer["cursor"], [answer["data"]], caller)

    def _take(self, item: dict[str, Any], caller: Caller, owner: str | None, may_decline: tuple[str, ...]) -> None:
        if item["status"] in (201, 202):
            self.jobs.append(Submitted(item["asset_id"], item["job_id"], owner, caller))
            facts = {name: item[name] for name in ("asset_id", "job_id", "status")}
            self.ledger.note("submitted", **facts, by=caller.token, owner=owner)
        elif (item.get("error") or item).get("code") in may_decline:
            self.ledger.note("declined", **item, by=caller.token)
        else:
            self.ledger.note("refused", **item)

    def _watch(self, cursor: str, items: list[dict[str, Any]], caller: Caller) -> None:
        """Read one of the new rows, as its submitter does who has the cursor of the write."""
        known = [item for item in items if "job_id" in item]
        if known:
            self.spawn(self._read(cursor, self.chance.choice(known)["job_id"], caller))

    async def _read(self, cursor: str, job_id: str, caller: Caller) -> None:
        status, answer = await self.client.call(caller, "GET", f"/v1/jobs/{job_id}", params={"after": cursor})
        job = answer.get("data", {})
        self.ledger.note("own-row", job_id=job_id, by=caller.token, status=status, job_status=job.get("status"))
