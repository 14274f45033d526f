"""Three brokers: what was acknowledged is on two of them, also where topics were made before this was asked."""

from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.doctor import cluster
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names, required_topics
from tests.chaos.nodes import ThreeNodes
from tests.conftest import MakeSettings, eventually


async def test_topics_apply_asks_for_two_copies_and_doctor_says_where_there_are_fewer(
    tmp_path: Path, make_settings: MakeSettings
) -> None:
    nodes = ThreeNodes(tmp_path)
    await nodes.start()
    try:
        settings = make_settings(
            KINOLOG_KAFKA__BOOTSTRAP=nodes.bootstrap, KINOLOG_KAFKA__REPLICATION_FACTOR="3", KINOLOG_PARTITIONS="1"
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=nodes.bootstrap)
        await admin.start()
        old = [NewTopic(one.name, one.partitions, 3, topic_configs=one.config) for one in required_topics(settings)]
        await admin.create_topics(old)
        await admin.close()
        events = f"{names(settings).events}: min.insync.replicas is 1, should be 2"

        async def is_told() -> bool:
            found = await cluster.log(settings)
            return (
                found.level == "warning" and events in found.message and found.remedy == "Run `kinolog topics apply`."
            )

        await eventually(is_told, 30)
        assert events in (await apply_topics(settings)).altered

        async def is_well() -> bool:
            return (await cluster.log(settings)).level == "ok"

        await eventually(is_well, 30)
    finally:
        await nodes.stop()
