"""One of everything that anna has, and a name of the same form that nobody has: for tests of what bert sees of it."""

import json
import time
from typing import Any, NamedTuple

from schemas.jobs import Input, Job, Step, StepSpec
from streams.ids import derived_id
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.served import ADMIN, Site
from tests.transcripts import transcript_json

SPEECH = "quokkas juggle umbrellas"
#: In the content of each of anna's files.
CONTENT = b"these bytes are anna's"
TOKENS = [
    {"token": f"{owner}-{verb}", "owner": owner, "role": role}
    for owner in ("anna", "bert")
    for verb, role in (("edits", "editor"), ("views", "viewer"))
]
SETTINGS = {
    "KINOLOG_AUTH__TOKENS": json.dumps(TOKENS),
    "KINOLOG_STORE__OWNER_PREFIXES": json.dumps({"*": ["media/{owner}", "shared"], "anna": ["legacy"]}),
    "KINOLOG_COMPAT__ATTACHMENT_OBJECT": "shared/{id}",
}


class Key(NamedTuple):
    """A key of something that is anna's, and its twin: of the same form, and nobody's."""

    annas: str
    twin: str


async def annas_things(site: Site, control: ControlStandIn) -> dict[str, Key]:
    """Make one of everything for anna; its keys by kind."""
    asset_id, running = await _submitted(site, control)
    _, failed = await _submitted(site, control, asset_id=asset_id)
    await control.change(failed, status="failed", finished_at=time.time())
    chosen, _ = await _submitted(site, control, asset_id="talk-1961")
    spoken, done = await _transcribed(site, control)
    _, attached = await site.ask(
        "POST",
        "/api/video-processing/upload",
        "anna-edits",
        json={"attachment_id": "film-4711", "object": "shared/clip.mp4"},
    )
    await eventually(lambda: attached["queue_id"] in control.jobs)
    upload, token = await _tus(site), await _token(site)
    _, cached = await site.ask("POST", "/v1/cache-assets", "anna-edits", json={"url": "http://media.example/anna.mp4"})
    files = {
        "upload": f"uploads/{asset_id}/source",
        "output": f"assets/{spoken}/probe/1-a/file.txt",
        "direct upload": f"direct/{derived_id('owner', 'anna')}/clip.mp4",
        "opened file": "legacy/anna.mp4",
        "own folder": "media/anna/clip.mp4",
        "closed file": "vault/anna.mp4",
    }
    for key in (
        *files.values(),
        "shared/clip.mp4",
        "shared/film-4711",
        "shared/film-1174",
        f"assets/{asset_id}/probe/1-a/file.txt",
    ):
        await site.parts.store.put(key, _chunks(b"for all" if key.startswith("shared/") else CONTENT), 1000)
    ids = {
        "asset": asset_id,
        "chosen asset": chosen,
        "name of a chosen asset": "talk-1961",
        "transcribed asset": spoken,
        "cached asset": cached["data"]["id"],
        "running job": running,
        "failed job": failed,
        "completed job": done,
        "attachment": "film-4711",
        "resumable upload": upload,
        "token": token,
        "idempotency key": "annas-key-1",
        "pipeline": "annas-pipeline",
        "file name": "annas-secret-film.mp4",
        "passthrough": "annas-passthrough",
        "remote address": "http://media.example/anna.mp4",
        "speech": SPEECH,
        "owner": "anna",
    }
    return {kind: Key(annas, _twin(annas)) for kind, annas in {**ids, **files}.items()}


def _twin(key: str) -> str:
    """A name of the same form: the ids and words of anna's are replaced."""
    for word, other in (
        ("anna", "nora"),
        ("talk-1961", "talk-1691"),
        ("film-4711", "film-1174"),
        (SPEECH, "wombats fold parasols"),
    ):
        key = key.replace(word, other)
    head, bar, rest = key.partition("_")
    if not bar:
        return key.replace(derived_id("owner", "anna"), derived_id("owner", "nora"))
    return f"{head}_{rest[:24][::-1] if rest[:24] != rest[:24][::-1] else '0' * 24}{rest[24:]}"


async def _chunks(content: bytes) -> Any:
    yield content


async def _submitted(site: Site, control: ControlStandIn, **fields: str) -> tuple[str, str]:
    body = {
        "input": {"object": "shared/clip.mp4"},
        "pipeline": "noop",
        "filename": "annas-secret-film.mp4",
        "passthrough": "annas-passthrough",
    }
    headers = {"Idempotency-Key": f"annas-key-{len(control.jobs) + 1}"}
    status, answer = await site.ask("POST", "/v1/assets", "anna-edits", json=body | fields, headers=headers)
    assert status == 202, answer
    await site.ask("GET", f"/v1/assets/{answer['data']['asset_id']}?after={answer['cursor']}", "anna-edits")
    return answer["data"]["asset_id"], answer["data"]["job_id"]


async def _transcribed(site: Site, control: ControlStandIn) -> tuple[str, str]:
    """A completed job of a pipeline that nobody else has, whose speech can be found."""
    asset_id, job_id = derived_id("asset", "spoken"), derived_id("job", "spoken")
    prefix = f"assets/{asset_id}/transcribe/1-a"
    outputs = {"transcript": f"{prefix}/transcript.json", "text": f"{prefix}/transcript.txt"}
    await site.parts.store.put(outputs["transcript"], _chunks(transcript_json([(0, 2_000, f" {SPEECH}")])), 100_000)
    now = time.time()
    job = Job(
        id=job_id,
        asset_id=asset_id,
        pipeline="annas-pipeline",
        status="completed",
        steps=(Step(spec=StepSpec(name="transcribe"), status="completed", outputs=outputs, finished_at=now),),
        input=Input(object="legacy/anna.mp4"),
        created_at=now,
        updated_at=now,
        finished_at=now,
        owner="anna",
        filename="annas-secret-film.mp4",
    )
    await control.put(job)

    async def is_found() -> bool:
        _, found = await site.ask("GET", f"/v1/search?mode=text&q={SPEECH.replace(' ', '+')}", "anna-views")
        return bool(found["data"])

    await eventually(is_found, 60)
    return asset_id, job_id


async def _tus(site: Site) -> str:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Authorization": "Bearer anna-edits"}
    async with site.session.post(site.server.make_url("/v1/uploads/tus"), headers=headers) as answer:
        assert answer.status == 201
        return answer.headers["Location"].rpartition("/")[2]


async def _token(site: Site) -> str:
    status, made = await site.ask("POST", "/v1/tokens", ADMIN, json={"role": "viewer", "owner": "anna"})
    assert status == 201
    return str(made["data"]["id"])
