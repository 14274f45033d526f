"""The rights of each role, as operators enter them."""

import json

from click.testing import CliRunner

from streams.cli.main import cli
from streams.kafka.acls import ROLES, Acl, Operation, Resource, acls_of, kafka_acls_arguments
from streams.kafka.topics import names
from streams.settings import Settings


def test_a_rule_in_the_words_of_kafkas_tool() -> None:
    rule = Acl(Resource.TRANSACTIONAL_ID, "kinolog-", (Operation.DESCRIBE_CONFIGS,), prefixed=True, allowed=False)
    assert kafka_acls_arguments("User:anna", rule) == [
        *("--add", "--deny-principal", "User:anna", "--operation", "DescribeConfigs"),
        *("--transactional-id", "kinolog-", "--resource-pattern-type", "prefixed"),
    ]
    rule = Acl(Resource.CLUSTER, "kafka-cluster", (Operation.DESCRIBE,))
    assert kafka_acls_arguments("User:anna", rule)[-1] == "--cluster"


def test_executors_can_neither_read_tokens_nor_write_commands() -> None:
    topics = names(Settings())
    rules = [rule for rule in acls_of("executor", Settings()) if rule.resource is Resource.TOPIC]
    for topic in (topics.tokens, topics.commands, topics.jobs_changelog, topics.audit, topics.uploads):
        assert not [rule for rule in rules if topic == rule.name or (rule.prefixed and topic.startswith(rule.name))]


def test_the_cli_prints_commands_for_every_role() -> None:
    result = CliRunner().invoke(cli, ["topics", "acls"], env={"KINOLOG_KAFKA__BOOTSTRAP": "log:9093"})
    lines = result.stdout.splitlines()
    assert all(line.startswith("kafka-acls.sh --bootstrap-server log:9093 --command-config ") for line in lines)
    for role in ROLES:
        assert any(f"User:kinolog-{role} " in line for line in lines)
    one = CliRunner().invoke(cli, ["topics", "acls", "--role", "producer", "--json"])
    argv = [json.loads(line)["argv"] for line in one.stdout.splitlines()]
    assert argv[0][-2:] == ["--topic", "media.uploads"]
