"""A flood of messages ends its connection, whether it comes over one or over many."""

from web.live.message_limit import MessageLimits


def test_one_connection_sends_a_burst_and_then_a_few_messages_a_second() -> None:
    limits = MessageLimits()
    limit = limits.of("anna")
    assert [limit.allows(0.0) for _ in range(101)] == [True] * 100 + [False]
    assert limit.allows(0.2)
    assert not limit.allows(0.2)


def test_many_connections_of_a_caller_share_a_burst_and_those_of_another_have_their_own() -> None:
    limits = MessageLimits()
    allowed = [limits.of("anna").allows(0.0) for _ in range(500)]
    assert allowed.count(True) == 400
    assert limits.of("bert").allows(0.0)


def test_who_floods_opens_no_connection_for_ten_seconds_and_others_do() -> None:
    limits = MessageLimits()
    assert limits.refused_s("anna", 0.0) == 0.0
    limit = limits.of("anna")
    while limit.allows(1.0):
        pass
    assert limits.refused_s("anna", 1.0) == 10.0
    assert 0.0 < limits.refused_s("anna", 10.9) < 0.2
    assert limits.refused_s("anna", 11.0) == 0.0
    assert limits.refused_s("bert", 1.0) == 0.0
