"""A live connection ends with the token that opened it."""

import asyncio
from typing import Any, cast

import pytest

from web.auth.middleware import Authenticator
from web.auth.principal import Principal
from web.live import sessions
from web.live.client import Client
from web.live.sessions import TOKEN_ENDED, Sessions
from web.readmodel.subscriptions import Subscription


class Tokens:
    """Stands in for the authenticator: knows which callers are valid."""

    def __init__(self, *valid: Principal) -> None:
        self.valid = set(valid)

    def is_still_valid(self, principal: Principal) -> bool:
        return principal in self.valid


def client() -> Client:
    return Client(Subscription(frozenset({"all"}), None), 1_000)


async def test_a_revoked_token_closes_its_connections_and_no_others(
    monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(sessions, "_CHECK_S", 0.01)
    anna, bert = Principal("anna", "viewer"), Principal("bert", "viewer")
    tokens = Tokens(anna, bert)
    open_sessions = Sessions(cast(Authenticator, tokens))
    hers, his = client(), client()
    with open_sessions.watched(hers, anna), open_sessions.watched(his, bert):
        checking: asyncio.Task[Any] = asyncio.create_task(open_sessions.run())
        tokens.valid.discard(anna)
        await eventually(hers.close_reason.done)
        checking.cancel()
        assert hers.close_reason.result() == TOKEN_ENDED
        assert not his.close_reason.done()
    assert not open_sessions._open
