"""Admission of connections: a flood of one address is refused, and no other address waits for it."""

import pytest

from web.connections.admission import Admission, source_of


def test_an_address_has_so_many_connections_and_others_are_not_affected() -> None:
    admission = Admission(per_address=2, per_s=0)
    assert [admission.enter("192.0.2.1", 0.0) for _ in range(3)] == [True, True, False]
    assert admission.enter("192.0.2.2", 0.0)
    admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.1", 0.0)


def test_an_address_opens_so_many_connections_a_second() -> None:
    admission = Admission(per_address=4, per_s=1)
    for _ in range(4):
        assert admission.enter("192.0.2.1", 0.0)
        admission.leave("192.0.2.1")
    assert not admission.enter("192.0.2.1", 0.5)
    assert admission.enter("192.0.2.2", 0.5)
    assert admission.enter("192.0.2.1", 1.0)


def test_without_limits_everything_is_accepted() -> None:
    admission = Admission(per_address=0, per_s=0)
    assert all(admission.enter("192.0.2.1", 0.0) for _ in range(10_000))


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_an_ipv6_network_counts_as_one(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


def test_addresses_that_have_left_leave_nothing_behind() -> None:
    admission = Admission(per_address=2, per_s=0)
    for number in range(100):
        assert admission.enter(f"192.0.2.{number}", 0.0)
        admission.leave(f"192.0.2.{number}")
    assert not admission._open
