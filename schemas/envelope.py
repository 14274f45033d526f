"""The CloudEvents 1.0 envelope that every message travels in.

Source: CloudEvents 1.0.2, https://github.com/cloudevents/spec (attributes, JSON batch format, Kafka protocol binding).
"""

import msgspec


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One event in structured mode; `data` stays JSON text until its type is known."""

    #: CloudEvents version, always "1.0".
    specversion: str
    #: Deterministic where repeats are possible; consumers drop duplicate ids.
    id: str
    #: Producer, e.g. "kinolog/control".
    source: str
    #: Dotted, versioned message type, e.g. "media.step.completed.v1".
    type: str
    #: The asset id: the Kafka key of every job-keyed topic.
    subject: str | None = None
    #: Time of the event, ISO 8601 UTC.
    time: str | None = None
    #: Media type of `data`; JSON when absent.
    datacontenttype: str | None = None
    #: The job id.
    correlationid: str | None = None
    #: Id of the event that caused this one.
    causationid: str | None = None
    #: W3C trace context.
    traceparent: str | None = None
    #: The message itself, as JSON text.
    data: msgspec.Raw = msgspec.Raw(b"{}")
    #: The message in place of `data`, base64, where its producer had bytes.
    data_base64: str | None = None
