"""Who may do what, and whose address counts."""

import pytest
from aiohttp.test_utils import make_mocked_request

from schemas.access import Role
from web.auth.middleware import client_ip, require_role
from web.http.problems import Problem
from web.http.routing import Access

RIGHTS: dict[Role, set[Access]] = {
    "viewer": {"public", "signed", "viewer"},
    "editor": {"public", "signed", "viewer", "editor"},
    "admin": {"public", "signed", "viewer", "editor", "admin"},
}
ACCESSES: tuple[Access, ...] = ("public", "signed", "viewer", "editor", "admin")


def is_allowed(role: Role, access: Access) -> bool:
    try:
        require_role(role, access)
    except Problem as problem:
        return problem.status != 403
    return True


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_has_its_rights_and_no_others(role: Role) -> None:
    assert {access for access in ACCESSES if is_allowed(role, access)} == RIGHTS[role]


@pytest.mark.parametrize(
    "forwarded, trusted_proxies, address",
    [
        ("203.0.113.9", 0, "192.0.2.1"),
        ("203.0.113.9", 1, "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", 1, "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("203.0.113.9", 2, "192.0.2.1"),
        ("", 1, "192.0.2.1"),
    ],
)
def test_an_address_that_a_client_writes_itself_does_not_count(
    forwarded: str, trusted_proxies: int, address: str
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/v1/jobs", headers=headers).clone(remote="192.0.2.1")
    assert client_ip(request, trusted_proxies) == address
