"""Upload events as the CloudEvents SDK for Python writes them, both of its interfaces."""

import json
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent
from cloudevents.v1.kafka import to_binary, to_structured

from schemas.uploads import UploadCompleted
from streams.kafka.envelope import Entry, read

UPLOAD = {"asset_id": "film-1", "input": {"object": "incoming/Füße (1).mp4"}, "priority": None}
ATTRIBUTES = {"type": UploadCompleted.TYPE, "source": "/cms", "id": "upload-1", "subject": "Füße"}


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def written(kind: str, data: Any) -> Any:
    """The SDK's message for Kafka."""
    if kind.startswith("old"):
        event = OldCloudEvent({**ATTRIBUTES, "datacontenttype": "application/json"}, data)
        return to_binary(event, data_marshaller=_bytes) if kind == "old binary" else to_structured(event)
    attributes: dict[str, Any] = {**ATTRIBUTES, "datacontenttype": "application/json", "partitionkey": "film-1"}
    write = kafka.to_binary if kind == "binary" else kafka.to_structured
    return write(CloudEvent(attributes, data), JSONFormat())


@pytest.mark.parametrize("data", [UPLOAD, json.dumps(UPLOAD).encode()], ids=["object", "bytes"])
@pytest.mark.parametrize("kind", ["binary", "structured", "old binary", "old structured"])
def test_an_upload_event_of_the_sdk_is_read(kind: str, data: Any) -> None:
    message = written(kind, data)
    headers = [(name, value) for name, value in message.headers.items()]
    [entry] = read(message.value, headers)
    assert isinstance(entry, Entry), entry
    assert isinstance(entry.message, UploadCompleted)
    assert (entry.message.asset_id, entry.message.input.object) == ("film-1", "incoming/Füße (1).mp4")
    assert entry.message.priority == "normal"
    assert (entry.event.source, entry.event.id) == ("/cms", "upload-1")
