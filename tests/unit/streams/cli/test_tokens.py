"""Texts of `kinolog token`."""

from typing import Any

import pytest

from streams.cli.tokens import token_table


@pytest.mark.parametrize(
    "fields, status",
    [({"good": True}, "active"), ({"good": False}, "expired"), ({"good": False, "revoked_at": "T"}, "revoked")],
)
def test_a_token_is_active_expired_or_revoked(fields: dict[str, Any], status: str) -> None:
    token = {"id": "tok_1", "role": "editor", "owner": None, "created_at": "2026-01-01T00:00:00.000Z"}
    _, line = token_table([token | {"revoked_at": None, "expires_at": None, "label": "shop"} | fields])
    assert line.split()[:4] == ["tok_1", "editor", status, "-"] and line.endswith("shop")
