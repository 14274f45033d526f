"""Topics, their messages, and the live websocket -> AsyncAPI 3. Pure. Source: AsyncAPI Specification 3.0.0."""

from typing import Any, get_args

import msgspec

from schemas import commands, executors, facts, processes, queues, step_events, uploads
from schemas.access import SigningKeyRow, TokenRow, UsedToken
from schemas.audit import AuditRecorded
from schemas.base import Message
from schemas.clock import ClockProbed
from schemas.executors import PokeExecutor
from schemas.facts import DeadLetter
from schemas.registry import message_types
from schemas.removals import RemoveArtifacts
from schemas.step_events import LeaseRevoked, QueueChanged, StepCaptioned, StepProgressed, StepRequested
from streams.kafka.topics import names
from streams.release import release
from streams.settings import Settings
from web.spec.openapi import Document, Schemas
from web.views.models import LiveFrame

_REF = "#/components/schemas/{name}"
_LIVE = "live"
_ABOUT = (
    "Every record is CloudEvents 1.0: one event in binary mode on public topics, a batch of structured events on inner "
    "ones. The schemas are those of an event's data. Keys are asset ids, partitioned by murmur2."
)
_LIVE_ABOUT = (
    "A snapshot first, then every change and progress. Reconnect with the last `cursor`. Closed with 4008 for a client "
    "that is too slow, 4001 when its token has expired or was revoked, 4012 when the read model is rebuilt."
)

#: No event: plain text.
_SOURCE_URL: Document = {
    "name": "source_url",
    "contentType": "text/plain",
    "summary": "The full URL of a job's source; a tombstone when the job is deleted",
    "payload": {"type": "string"},
}

#: Messages that have another topic than the others of their module.
_EXCEPTIONS: dict[type[Message], str] = {
    DeadLetter: "dead_letters",
    StepRequested: "step_requests",
    PokeExecutor: "step_requests",
    StepProgressed: "progress",
    StepCaptioned: "progress",
    ClockProbed: "progress",
    LeaseRevoked: "control",
    QueueChanged: "control",
    AuditRecorded: "audit",
    RemoveArtifacts: "removals",
}
_MODULES = {
    commands.__name__: "commands",
    executors.__name__: "executors",
    facts.__name__: "events",
    processes.__name__: "progress",
    queues.__name__: "progress",
    step_events.__name__: "step_events",
    uploads.__name__: "uploads",
}


def channel_of(message: type[Message]) -> str:
    """The topic of a message, by its name in `streams.kafka.topics.Names`."""
    return _EXCEPTIONS.get(message) or _MODULES[message.__module__]


def frame_types() -> tuple[type[msgspec.Struct], ...]:
    """Every frame of a live connection."""
    return get_args(LiveFrame)


def asyncapi(settings: Settings) -> Document:
    """Build the document; the settings have the topics' names."""
    messages = message_types()
    schemas = Schemas([*messages.values(), *frame_types(), TokenRow, SigningKeyRow, UsedToken], _REF)
    channels: Document = {}
    for wire_name, kind in messages.items():
        channel = channels.setdefault(channel_of(kind), _topic(settings, channel_of(kind)))
        channel["messages"][_key(wire_name)] = {"$ref": f"#/components/messages/{_key(wire_name)}"}
    channels["tokens"] = _topic(settings, "tokens") | {
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in ("token", "signing_key")}
    }
    channels["calls"] = _topic(settings, "calls") | {
        "messages": {"used_token": {"$ref": "#/components/messages/used_token"}}
    }
    channels["source_urls"] = _topic(settings, "source_urls") | {
        "description": "Full URLs of jobs' sources; the key is the job's id.",
        "messages": {"source_url": {"$ref": "#/components/messages/source_url"}},
    }
    channels[_LIVE] = {
        "address": "/v1/live",
        "description": _LIVE_ABOUT,
        "servers": [{"$ref": "#/servers/web"}],
        "messages": {_frame(kind): {"$ref": f"#/components/messages/{_frame(kind)}"} for kind in frame_types()},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "kinolog", "version": release(), "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {"host": settings.kafka.public_bootstrap or settings.bootstrap, "protocol": "kafka"},
            "web": {"host": f"{settings.web.host}:{settings.web.port}", "protocol": "ws"},
        },
        "channels": channels,
        "operations": {
            f"send_{name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{key}"} for key in channel["messages"]],
            }
            for name, channel in channels.items()
        },
        "components": {
            "messages": _messages(schemas),
            "schemas": schemas.components,
        },
    }


def _topic(settings: Settings, channel: str) -> Document:
    topics = names(settings)
    return {"address": getattr(topics, channel), "servers": [{"$ref": "#/servers/kafka"}], "messages": {}}


def _messages(schemas: Schemas) -> Document:
    messages: Document = {
        _key(wire_name): {"name": wire_name, "contentType": "application/json", **_message(kind, schemas)}
        for wire_name, kind in message_types().items()
    }
    messages |= {_frame(kind): {"name": _frame(kind), **_message(kind, schemas)} for kind in frame_types()}
    rows: dict[str, type[msgspec.Struct]] = {"token": TokenRow, "signing_key": SigningKeyRow, "used_token": UsedToken}
    messages |= {name: {"name": name, **_message(kind, schemas)} for name, kind in rows.items()}
    return messages | {"source_url": _SOURCE_URL}


def _message(kind: type[msgspec.Struct], schemas: Schemas) -> Document:
    first = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
    return {"summary": first, "payload": schemas.of(kind)}


def _key(wire_name: str) -> str:
    """Keys of AsyncAPI's maps have no dots."""
    return wire_name.replace(".", "_").replace("-", "_")


def _frame(kind: Any) -> str:
    return str(kind.__struct_config__.tag)
