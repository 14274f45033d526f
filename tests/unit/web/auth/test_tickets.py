"""Tickets for live connections."""

import pytest

from web.auth.principal import Principal
from web.auth.tickets import TTL_S, Tickets

ANNA = Principal("anna", "viewer", "tok_1", 99.0)


def test_a_ticket_is_good_for_whose_it_is_until_it_ends() -> None:
    tickets = Tickets(b"key")
    ticket, expires = tickets.issue(ANNA, 1000.0)
    assert expires == 1000 + TTL_S
    assert tickets.redeem(ticket, 1001.0) == ANNA
    assert tickets.redeem(ticket, 1001.0 + TTL_S / 2) == ANNA, "a browser reconnects to the same URL"


def test_a_ticket_ends() -> None:
    tickets = Tickets(b"key")
    ticket, expires = tickets.issue(ANNA, 1000.0)
    assert tickets.redeem(ticket, float(expires)) is None


def test_replicas_with_one_secret_take_each_others_tickets_and_others_do_not() -> None:
    ticket, _ = Tickets(b"key").issue(ANNA, 1000.0)
    assert Tickets(b"another key").redeem(ticket, 1001.0) is None
    assert Tickets(b"key").redeem(ticket, 1001.0) == ANNA


@pytest.mark.parametrize("forged", ["", ".", "a.b", "é.ü", "WzEsMl0.AAAA"])
def test_what_is_no_ticket_is_refused(forged: str) -> None:
    assert Tickets(b"key").redeem(forged, 1000.0) is None


def test_a_ticket_that_was_changed_is_refused() -> None:
    tickets = Tickets(b"key")
    ticket, _ = tickets.issue(ANNA, 1000.0)
    for position in range(0, len(ticket), 7):
        changed = ticket[:position] + ("A" if ticket[position] != "A" else "B") + ticket[position + 1 :]
        assert tickets.redeem(changed, 1001.0) is None or changed == ticket
