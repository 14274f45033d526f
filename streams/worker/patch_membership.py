"""Group membership as a condition of every produce request: control writes only while it is surely a member.

A member that is cut off from the broker is evicted when its session expires, and its successor may decide differently:
a cancel and a completion at the same moment have no order on the log. Later writes of the first one must not arrive.
Found by a network cut: a job was both cancelled and completed.

The broker counts a session from the last heartbeat that it received, which is not before it was sent. So, with the
session timeout S: a request is sent only within 0.6 S of the sending of an answered heartbeat, and what the network has
not taken after 0.2 S is dropped with its connection (TCP_USER_TIMEOUT, even if this process has died). Until the next
response aiokafka keeps pending records; if the response is an eviction, the process exits.
"""

import socket
import time
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.produce import ProduceRequest

from streams.process.exit import EX_FENCED, end_process

#: Shares of the session timeout: validity of a heartbeat, and timeout of unsent bytes.
_VALID_SHARE, _UNSENT_SHARE = 0.6, 0.2

_stock_heartbeat = GroupCoordinator._do_heartbeat
_stock_reset = GroupCoordinator.reset_generation
_stock_sync = CoordinatorGroupRebalance._send_sync_group_request
_stock_connect = AIOKafkaConnection.connect
_stock_send = AIOKafkaConnection.send


class Membership:
    """The membership of one client. Written by the consumer's thread, read by the producer's loop."""

    def __init__(self, session_timeout_s: float) -> None:
        self._valid_s = session_timeout_s * _VALID_SHARE
        self.unsent_ms = int(session_timeout_s * _UNSENT_SHARE * 1000)
        #: When the last answered request was sent; None before the first.
        self._confirmed_at: float | None = None

    def confirm(self, sent_at: float) -> None:
        """Note that a request sent at `sent_at` (monotonic seconds) was answered: the client was a member then."""
        self._confirmed_at = max(sent_at, self._confirmed_at or sent_at)

    def holds(self) -> bool:
        """Whether the broker cannot have reassigned our partitions yet."""
        return self._confirmed_at is not None and time.monotonic() - self._confirmed_at < self._valid_s

    def lost(self) -> None:
        """Exit because the broker has evicted the client; harmless before the first confirmation."""
        if self._confirmed_at is not None:
            end_process(EX_FENCED, "evicted from the group: others may own these partitions now")


#: By client id.
_members: dict[str, Membership] = {}


def watch(client_id: str, session_timeout_s: float) -> Membership:
    """Let the client with this id, a consumer in a group and a producer, write only while it is a member."""
    GroupCoordinator._do_heartbeat = _do_heartbeat
    GroupCoordinator.reset_generation = _reset_generation
    CoordinatorGroupRebalance._send_sync_group_request = _send_sync_group_request
    AIOKafkaConnection.connect = _connect
    AIOKafkaConnection.send = _send
    _members[client_id] = Membership(session_timeout_s)
    return _members[client_id]


async def _do_heartbeat(self: Any) -> bool:
    sent_at = time.monotonic()
    answered = bool(await _stock_heartbeat(self))
    if answered and (member := _members.get(self._client._client_id)):
        member.confirm(sent_at)
    return answered


def _reset_generation(self: Any) -> None:
    _stock_reset(self)
    if not self._closing.done() and (member := _members.get(self._client._client_id)):
        member.lost()


async def _send_sync_group_request(self: Any, request: Any) -> Any:
    sent_at = time.monotonic()
    assignment = await _stock_sync(self, request)
    if assignment is not None and (member := _members.get(self._coordinator._client._client_id)):
        member.confirm(sent_at)
    return assignment


async def _connect(self: Any) -> Any:
    streams = await _stock_connect(self)
    if member := _members.get(self._client_id):
        wire = self._writer.get_extra_info("socket")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, member.unsent_ms)
    return streams


def _send(self: Any, request: Any, expect_response: bool = True) -> Any:
    member = _members.get(self._client_id)
    if member is not None and isinstance(request, ProduceRequest) and not member.holds():
        raise NodeNotReadyError("no heartbeat answered for too long: the partitions may have been reassigned")
    return _stock_send(self, request, expect_response=expect_response)
