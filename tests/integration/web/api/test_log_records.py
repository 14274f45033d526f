"""Dead letters and the audit over REST: what an operator looks for first."""

import base64
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.base import ErrorRecord
from streams.kafka.dead_letters import dead_letter
from streams.kafka.topics import names
from tests.conftest import eventually
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


class Source:
    """A record as a consumer sees it."""

    topic, partition, key = "media.uploads", 0, b"talk-1"

    def __init__(self, offset: int) -> None:
        self.offset = offset


async def test_the_newest_dead_letters_are_listed_with_their_bytes_and_the_reason(site: Site, make: Make) -> None:
    settings = make()
    error = ErrorRecord(code="invalid-message", message="Expected an object.")
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        for offset in range(12):
            letter = dead_letter(Source(offset), b'{"n": %d} \xff' % offset, error, "control")
            topic = names(settings).dead_letters
            await producer.send_and_wait(topic, letter.value, letter.key, headers=letter.headers)
    status, body = await site.ask("GET", "/v1/dead-letters?limit=10")
    assert status == 200
    assert [letter["offset"] for letter in body["data"]] == list(reversed(range(2, 12)))
    first = body["data"][0]
    assert (first["topic"], first["code"], first["key"]) == ("media.uploads", "invalid-message", "talk-1")
    assert (first["preview"], base64.b64decode(first["value_base64"])) == ('{"n": 11} \ufffd', b'{"n": 11} \xff')


async def test_the_newest_audit_entries_are_listed(site: Site) -> None:
    await site.ask("POST", "/v1/jobs/retry", "anna-edits", json={"q": "nothing"})
    await site.ask("POST", "/v1/jobs/retry", "anna-views", json={"q": "nothing"})

    async def entries() -> list[dict[str, Any]]:
        _, body = await site.ask("GET", "/v1/audit")
        found = [entry for entry in body["data"] if entry["action"] == "POST /v1/jobs/retry"]
        return found if len(found) == 2 else []

    refused, done = await eventually(entries, 30)
    assert (done["owner"], done["role"], done["result"], done["status"]) == ("anna", "editor", "done", 202)
    assert (refused["role"], refused["result"], refused["status"]) == ("viewer", "refused", 403)
    for limit in ("0", "501", "x", "-1"):
        assert (await site.ask("GET", f"/v1/audit?limit={limit}"))[0] == 400
