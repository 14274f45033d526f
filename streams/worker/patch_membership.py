"""Proof that control is still a member of its group, asked of every request that would write.

Whoever is cut off from the broker is evicted when its session is over, and another one decides in its place, perhaps
otherwise: a cancel and a completion of the same moment have no order on the log. What the first one had said meanwhile
must never arrive. Found by a network cut: a job was cancelled, and completed.

The broker counts a session from the last heartbeat that it saw, which is not before that heartbeat left here. So, with
the session S: a request leaves only within 0.6 S of the departure of an answered heartbeat, and what the network has
not taken after 0.2 S is thrown away with its connection (TCP_USER_TIMEOUT, also when this process is dead by then).
Until there is an answer again, aiokafka keeps what it has; when the answer is an eviction, the process ends.
"""

import socket
import time
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.produce import ProduceRequest

from streams.process.exit import EX_FENCED, end_process

#: Shares of the session: how old a proof may be, and how long the network may take to take what is written.
_PROOF_SHARE, _UNSENT_SHARE = 0.6, 0.2

_stock_heartbeat = GroupCoordinator._do_heartbeat
_stock_reset = GroupCoordinator.reset_generation
_stock_sync = CoordinatorGroupRebalance._send_sync_group_request
_stock_connect = AIOKafkaConnection.connect
_stock_send = AIOKafkaConnection.send


class Membership:
    """Of one client. Written by the consumer's thread, read by the producer's loop."""

    def __init__(self, session_timeout_s: float) -> None:
        self._valid_s = session_timeout_s * _PROOF_SHARE
        self.unsent_ms = int(session_timeout_s * _UNSENT_SHARE * 1000)
        #: When the request left that the broker answered last; None before there was one.
        self._proven_at: float | None = None

    def proved(self, left_at: float) -> None:
        """The broker has answered what left at `left_at` (monotonic seconds): we were a member then."""
        self._proven_at = max(left_at, self._proven_at or left_at)

    def holds(self) -> bool:
        """Whether the broker cannot have given our partitions away yet."""
        return self._proven_at is not None and time.monotonic() - self._proven_at < self._valid_s

    def lost(self) -> None:
        """The broker does not know us any more: end, unless it never did."""
        if self._proven_at is not None:
            end_process(EX_FENCED, "evicted from the group: others may own these partitions now")


#: By client id.
_members: dict[str, Membership] = {}


def watch(client_id: str, session_timeout_s: float) -> Membership:
    """From now on the client with this id, a consumer in a group and a producer, writes only while it is a member."""
    GroupCoordinator._do_heartbeat = _do_heartbeat
    GroupCoordinator.reset_generation = _reset_generation
    CoordinatorGroupRebalance._send_sync_group_request = _send_sync_group_request
    AIOKafkaConnection.connect = _connect
    AIOKafkaConnection.send = _send
    _members[client_id] = Membership(session_timeout_s)
    return _members[client_id]


async def _do_heartbeat(self: Any) -> bool:
    left_at = time.monotonic()
    answered = bool(await _stock_heartbeat(self))
    if answered and (member := _members.get(self._client._client_id)):
        member.proved(left_at)
    return answered


def _reset_generation(self: Any) -> None:
    _stock_reset(self)
    if not self._closing.done() and (member := _members.get(self._client._client_id)):
        member.lost()


async def _send_sync_group_request(self: Any, request: Any) -> Any:
    left_at = time.monotonic()
    assignment = await _stock_sync(self, request)
    if assignment is not None and (member := _members.get(self._coordinator._client._client_id)):
        member.proved(left_at)
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
        raise NodeNotReadyError("no answer to a heartbeat for too long: others may own these partitions")
    return _stock_send(self, request, expect_response=expect_response)
