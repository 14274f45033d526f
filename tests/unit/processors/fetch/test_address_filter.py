"""What counts as a host out there."""

import pytest

from processors.errors import InvalidUrl
from processors.fetch.address_filter import AddressFilter, checked_url, is_public


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_host_out_there_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "169.254.169.254",
            "192.0.0.192",
            "224.0.0.1",
            "192.88.99.1",
            "100.64.0.1",
        ),
        *("::1", "::", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::a00:1", "2002:a00:1::", "fec0::1", "fe80::1%eth0"),
        *("ff02::1", "fd00::1", "2001:db8::1", "2001::1"),
    ],
)
def test_what_leads_back_inside_is_not(address: str) -> None:
    assert not is_public(address)


def test_an_allowed_host_may_have_any_port_and_only_it() -> None:
    gate = AddressFilter((80, 443), ["Media.Internal", "other.internal:9000"])
    assert gate.allow("http://media.internal:8081/a").port == 8081
    assert gate.allow("http://other.internal:9000/a").port == 9000
    for refused in ("http://other.internal:9001/a", "http://media.internal.example:8081/"):
        with pytest.raises(InvalidUrl):
            gate.allow(refused)


def test_an_address_loses_its_fragment() -> None:
    assert str(checked_url("https://example.org/a.mp4?x=1#t=3")) == "https://example.org/a.mp4?x=1"
