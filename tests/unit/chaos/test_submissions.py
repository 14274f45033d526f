"""A chaos run goes on whatever a list of submissions is answered."""

import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.chaos.callers import ADMIN, Caller
from tests.chaos.client import Client
from tests.chaos.ledger import Ledger
from tests.chaos.submissions import Submissions

REFUSED = {"status": 404, "error": {"code": "not-found"}}


class Answering(Client):
    """Every request has this answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self._answer = status, body

    async def call(self, caller: Caller, method: str, path: str, **given: Any) -> tuple[int | None, dict[str, Any]]:
        return self._answer


async def submitted(tmp_path: Path, body: dict[str, Any]) -> tuple[Submissions, Ledger, int]:
    ledger, watched = Ledger(tmp_path / "ledger"), list[Coroutine[Any, Any, None]]()
    made = Submissions(Answering(202, body), ledger, random.Random(1), watched.append)
    await made.submit(ADMIN, [{}, {}])
    ledger.close()
    for watching in watched:
        watching.close()
    return made, ledger, len(watched)


async def test_a_list_of_which_nothing_was_accepted_has_no_cursor(tmp_path: Path) -> None:
    made, ledger, watched = await submitted(tmp_path, {"data": [{**REFUSED}, {**REFUSED}]})
    assert (len(made.jobs), ledger.count("refused"), watched) == (0, 2, 0)


async def test_one_of_a_list_that_was_accepted_is_read_with_its_cursor(tmp_path: Path) -> None:
    accepted = {"status": 202, "asset_id": "asset_1", "job_id": "job_1"}
    made, ledger, watched = await submitted(tmp_path, {"data": [{**REFUSED}, accepted], "cursor": "c"})
    assert (len(made.jobs), ledger.count("refused"), watched) == (1, 1, 1)
