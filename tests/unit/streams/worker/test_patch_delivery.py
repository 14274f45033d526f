"""What Faust would do with a worker, and does not."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.consumer import Consumer
from faust.types import TP

from streams.worker import patch_delivery


async def test_a_partition_without_a_position_yet_does_not_end_a_worker() -> None:
    """A log that has lost its tail makes a consumer look for a position once more."""
    subscriptions: Any = SubscriptionState()
    subscriptions.assign_from_user({TopicPartition("requests", 0)})
    state = subscriptions.subscription.assignment.state_value(TopicPartition("requests", 0))

    async def sleep(_: float) -> None:
        pass

    worker: Any = SimpleNamespace(
        assignment=lambda: {TP("requests", 0)},
        sleep=sleep,
        should_stop=False,
        verify_event_path=lambda *_: state.position,
    )
    with pytest.raises(AssertionError):
        worker.verify_event_path()
    patch_delivery.install()
    await Consumer.verify_all_partitions_active(worker)
