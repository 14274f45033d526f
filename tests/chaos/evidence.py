"""Everything that a chaos run left: the log, the tables, what replicas answer, the disk. Imports nothing of kinolog."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

Row = dict[str, Any]

_PAGE = 500
#: What web's log says of an upload that broke off while the store was away.
_POSTPONED = "incomplete upload cannot be removed"
_TOPICS = ("media.events", "media.commands", "media.step-events", "media.progress", "media.dead-letters")
_CHANGELOGS = ("kinolog-control-jobs-changelog", "kinolog-control-assets-changelog")


class Entry(NamedTuple):
    """One message of the log."""

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    data: Row
    #: The broker's time of its record, seconds since the epoch.
    at: float = 0.0


@dataclass
class Evidence:
    """What the checker looks at."""

    #: What was asked for, and how it was answered.
    ledger: list[Row] = field(default_factory=list)
    #: By topic, in the order of each partition.
    log: dict[str, list[Entry]] = field(default_factory=dict)
    #: The last row of each key.
    jobs: dict[str, Row] = field(default_factory=dict)
    assets: dict[str, Row] = field(default_factory=dict)
    #: What is left of deleted jobs, by job id.
    deleted: dict[str, Row] = field(default_factory=dict)
    #: When the first row of a job was written, by job id, seconds since the epoch.
    rows_since: dict[str, float] = field(default_factory=dict)
    #: What each replica lists: {"jobs": …, "assets": …} by id; "web-1": all, "web-1 bert": what that owner is shown.
    replicas: dict[str, dict[str, dict[str, Row]]] = field(default_factory=dict)
    #: What each replica's live frames said of each job at last; names as above.
    dashboards: dict[str, dict[str, Row]] = field(default_factory=dict)
    #: Where each caller (a token) first saw an id or a marker.
    sightings: dict[tuple[str, str], str] = field(default_factory=dict)
    #: What the program's own proof says, `kinolog doctor --rebuild-check --json`, line by line.
    rebuilt: list[Row] = field(default_factory=list)
    #: Keys of the store.
    objects: list[str] = field(default_factory=list)
    #: Files where nothing may be when nothing runs.
    leftovers: list[str] = field(default_factory=list)
    #: Living processes of the run after its end, "pid command".
    processes: list[str] = field(default_factory=list)
    #: Exit codes by process, in order; the last one is that of the ordered end, None when it had to be killed.
    ends: dict[str, list[int | None]] = field(default_factory=dict)
    #: "process: line", where a process logged an error that it did not expect.
    complaints: list[str] = field(default_factory=list)

    def of(self, topic: str) -> list[Entry]:
        """Entries of one topic."""
        return self.log.get(topic, [])

    def asked(self, what: str) -> list[Row]:
        """Lines of the ledger."""
        return [line for line in self.ledger if line["what"] == what]


async def read_log(bootstrap: str, evidence: Evidence) -> None:
    """Read all topics from their beginning to what is there now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        for topic in _TOPICS:
            evidence.log[topic] = [entry for r in await _records(consumer, topic) for entry in entries(r)]
        for topic in _CHANGELOGS:
            for record in await _records(consumer, topic):
                _keep_row(evidence, topic, record)
    finally:
        await consumer.stop()


async def _records(consumer: Any, topic: str) -> list[Any]:
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not places:
        await consumer._client.force_metadata_update()
        places = [TopicPartition(topic, number) for number in sorted(await _partitions(consumer, topic))]
    return [record for place in places for record in await _records_of(consumer, place)]


async def _records_of(consumer: Any, place: TopicPartition) -> list[Any]:
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    [end] = (await consumer.end_offsets([place])).values()
    found: list[Any] = []
    while await consumer.position(place) < end:
        try:
            # One by one: what was parsed before an error would be lost with it.
            found += (await consumer.getmany(timeout_ms=500, max_records=1)).get(place, [])
        except UnicodeDecodeError:  # garbage: a record whose header has a name that is not UTF-8
            consumer.seek(place, await consumer.position(place) + 1)
    return found


async def _partitions(consumer: Any, topic: str) -> Iterable[int]:
    consumer._client.add_topic(topic)
    await consumer._client.force_metadata_update()
    return consumer.partitions_for_topic(topic) or ()


def entries(record: Any) -> list[Entry]:
    """The messages of a record that are messages."""
    headers = {name: value for name, value in record.headers or () if value is not None}
    try:
        if "ce_type" in headers:
            kind, name = headers["ce_type"].decode(), headers.get("ce_id", b"").decode()
            return [_entry(record, {"id": name, "type": kind, "data": json.loads(record.value)})]
        body = json.loads(record.value or b"null")
    except (ValueError, RecursionError):
        return []
    found = body if isinstance(body, list) else [body]
    return [_entry(record, event) for event in found if isinstance(event, dict) and isinstance(event.get("data"), dict)]


def _entry(record: Any, event: Row) -> Entry:
    place, about = (record.topic, record.partition, record.offset), (str(event.get("id")), str(event["type"]))
    return Entry(*place, *about, event["data"], record.timestamp / 1000)


def _keep_row(evidence: Evidence, topic: str, record: Any) -> None:
    key: str = record.key.decode()
    if key[0] in "@~":
        return
    rows = evidence.assets if "assets" in topic else evidence.deleted if key[0] == "!" else evidence.jobs
    if record.value is None:
        rows.pop(key.lstrip("!"), None)
    else:
        rows[key.lstrip("!")] = json.loads(record.value)
        if rows is evidence.jobs:
            evidence.rows_since.setdefault(key, record.timestamp / 1000)


async def read_replicas(urls: Mapping[str, str], token: str, suffix: str, evidence: Evidence) -> None:
    """Page through what each replica lists for a token; `suffix` of its name in the evidence."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for name, url in urls.items():
            lists = {kind: await listed(session, url, kind) for kind in ("jobs", "assets")}
            evidence.replicas[f"{name}{suffix}"] = lists


async def listed(session: aiohttp.ClientSession, url: str, kind: str) -> dict[str, Row]:
    """Everything that a replica lists of a kind, by id."""
    rows: dict[str, Row] = {}
    params = {"limit": str(_PAGE)}
    while True:
        async with session.get(f"{url}/v1/{kind}", params=params) as answer:
            answer.raise_for_status()
            body = await answer.json()
        rows |= {row["id"]: row for row in body["data"]}
        if not body["next_cursor"]:
            return rows
        params["cursor"] = body["next_cursor"]


def read_disk(folder: Path, store: Path, logs: Iterable[Path], evidence: Evidence) -> None:
    """What stands in the store, and what was left behind. The note of an upload that broke off may stay when web has
    said that the store did not let it remove the bytes: it tries again every hour.
    """
    told = [path.read_text(errors="replace").splitlines() for path in logs if path.exists()]
    postponed = [line for lines in told for line in lines if _POSTPONED in line]
    for path in _files(store):
        key = str(path.relative_to(store))
        if key.startswith("."):
            evidence.leftovers.append(f"store/{key}")
        else:
            evidence.objects.append(key)
    for data in folder.glob("d*"):
        notes = [note for note in (data / "web").rglob("*.receiving") if not _is_told(note, postponed)]
        evidence.leftovers += [str(path.relative_to(folder)) for path in (*_files(data / "scratch"), *notes)]


def _is_told(note: Path, lines: list[str]) -> bool:
    _, _, key = note.read_text().strip().partition("\n")
    return bool(key) and any(json.dumps(key) in line for line in lines)


def _files(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def read_processes(folder: Path, evidence: Evidence) -> None:
    """Living processes that name the run's folder in their command line or environment; not those we descend from."""
    ours = _ancestry()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in ours:
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or is not ours
        if f"{folder}/" in command or f"{folder}/".encode() in environ:
            evidence.processes.append(f"{entry.name} {command[:200]}")


def _ancestry() -> set[int]:
    """Ourselves, our parent, and so on."""
    found, pid = set[int](), os.getpid()
    while pid:
        found.add(pid)
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        pid = int(after_name.split()[1])
    return found


def read_logs(logs: Mapping[str, Path], evidence: Evidence) -> None:
    """Lines with a traceback, each wording once per process."""
    for name, path in logs.items():
        seen: set[str] = set()
        for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
            told = _unexpected(line)
            if told and told not in seen:
                seen.add(told)
                evidence.complaints.append(f"{name}: {told}")


def _unexpected(line: str) -> str | None:
    try:
        row = json.loads(line)
    except ValueError:
        return line if line.startswith("Traceback") else None
    if isinstance(row, dict) and row.get("trace") and row.get("level") in ("ERROR", "CRITICAL"):
        return f"{row.get('event')}: {row['trace'].splitlines()[-1][:300]}"
    return None
