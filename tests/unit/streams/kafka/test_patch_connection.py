"""A broker that is away is one line in a process's log, and its return is one."""

import logging
import socket
from contextlib import closing

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from streams.kafka import patch_connection
from streams.kafka.patch_connection import Reachability


async def test_many_failed_tries_of_many_clients_are_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patch_connection, "_reachability", Reachability())
    patch_connection.install()
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        address = "{}:{}".format(*closed.getsockname())
    with caplog.at_level(logging.INFO, logger=patch_connection.log.name):
        for _ in range(5):
            client = AIOKafkaClient(bootstrap_servers=address)
            with pytest.raises(KafkaConnectionError):
                await client.bootstrap()
            await client.close()
    lines = [record for record in caplog.records if record.name == patch_connection.log.name]
    assert [record.getMessage() for record in lines] == ["broker unreachable"]
    assert vars(lines[0])["broker"] == address


def test_a_broker_that_is_back_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    brokers = Reachability()
    with caplog.at_level(logging.INFO, logger=patch_connection.log.name):
        brokers.reached("127.0.0.1:1")
        brokers.lost("127.0.0.1:1", OSError("refused"))
        brokers.lost("127.0.0.1:1", OSError("refused"))
        brokers.reached("127.0.0.1:1")
        brokers.reached("127.0.0.1:1")
    events = [record.getMessage() for record in caplog.records]
    assert events == ["broker unreachable", "broker reachable again"]
