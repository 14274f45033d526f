"""The authenticated caller."""

from typing import NamedTuple

from schemas.access import Role
from streams.ids import namespaced_id


class Principal(NamedTuple):
    """The authenticated caller: owner, role and token."""

    #: None: the operator, who owns nothing and sees everything.
    owner: str | None
    role: Role
    #: The token's id in the audit, not the token itself.
    token_id: str = "operator"  # noqa: S105  a name
    #: When the token expires, seconds since the epoch.
    expires_at: float | None = None
    #: Maximum requests per second; None: the setting's.
    requests_per_s: float | None = None

    @property
    def scope(self) -> str | None:
        """The owner whose assets and jobs are visible; None: all of them."""
        return None if self.role == "admin" else self.owner

    @property
    def turn(self) -> str:
        """Whose turn its requests take: all tokens of an owner share one, as one person may have many."""
        return f"token:{self.token_id}" if self.owner is None else f"owner:{self.owner}"

    def sees(self, owner: str | None) -> bool:
        """Whether an asset or job of `owner` is visible."""
        return self.role == "admin" or (owner is not None and owner == self.owner)

    def asset_ids(self, requested: str) -> tuple[str, ...]:
        """Ids of the assets that the caller may mean: the id itself, and the id in the owner's namespace."""
        if self.scope is None:
            return (requested,)
        return tuple(dict.fromkeys((requested, namespaced_id(self.scope, requested))))


OPERATOR = Principal(None, "admin")
