"""Connections of aiokafka's clients: lost and regained brokers are logged, and none is left open by a cancelled start.

One line for each in a process: aiokafka logs every failed try of every client, and streams/process/retried_errors.py
drops those lines.
"""

import asyncio
import functools
import logging
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import client
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

log = logging.getLogger(__name__)

_stock = client.create_conn
#: Errors of a connection that a retry does not repair.
_REFUSALS = (AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError, ssl.SSLError)


class Reachability:
    """The brokers that cannot be reached at the moment. Thread-safe: Faust's consumer has a thread of its own."""

    def __init__(self) -> None:
        self._lost_at: dict[str, float] = {}
        self._errors: dict[str, Exception] = {}
        self._lock = threading.Lock()

    def lost(self, broker: str, error: Exception) -> None:
        """Note a failed connection; a warning for the first."""
        with self._lock:
            is_first = broker not in self._lost_at
            self._lost_at.setdefault(broker, time.monotonic())
            self._errors[broker] = error
        if is_first:
            log.warning("broker unreachable", extra={"broker": broker, "error": str(error) or repr(error)})

    def reached(self, broker: str) -> None:
        """Note a connection; a line where it was lost."""
        with self._lock:
            lost_at = self._lost_at.pop(broker, None)
            self._errors.pop(broker, None)
        if lost_at is not None:
            log.info("broker reachable again", extra={"broker": broker, "after_s": time.monotonic() - lost_at})

    def refusal(self, bootstrap: str) -> str | None:
        """Why one of the servers refuses this process's credential or certificate; None if none does."""
        with self._lock:
            errors = [self._errors.get(broker) for broker in bootstrap.split(",")]
        return next((str(error) for error in errors if isinstance(error, _REFUSALS)), None)


_reachability = Reachability()


def refusal(bootstrap: str) -> str | None:
    """Why one of the servers refuses this process's credential or certificate; None if none does."""
    return _reachability.refusal(bootstrap)


async def create_conn(host: str, port: int, **options: Any) -> Any:
    """aiokafka's `create_conn`, whose outcome is noted. Raises what it raises."""
    try:
        connection = await _stock(host, port, **options)
    except (OSError, TimeoutError, KafkaError) as error:
        _reachability.lost(f"{host}:{port}", error)
        raise
    _reachability.reached(f"{host}:{port}")
    if "on_close" not in options:  # made by `bootstrap`, which forgets it where its request is cancelled
        connection.send = functools.partial(_send_or_close, connection, connection.send)
    return connection


async def _send_or_close(connection: Any, send: Callable[..., Awaitable[Any]], *request: Any, **options: Any) -> Any:
    try:
        return await send(*request, **options)
    except asyncio.CancelledError:
        connection.close()
        raise


def install() -> None:
    """For every client of this process. Repeating it is harmless."""
    client.create_conn = create_conn
