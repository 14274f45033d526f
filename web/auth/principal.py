"""Who asks."""

from typing import NamedTuple

from schemas.access import Role


class Principal(NamedTuple):
    """Who asks, and by which token."""

    #: None: the operator, who owns nothing and sees all.
    owner: str | None
    role: Role
    #: Names the token in the audit; it is not the token.
    token_id: str = "operator"  # noqa: S105  a name
    #: When the token ends by itself, seconds since the epoch.
    expires_at: float | None = None
    #: Most requests per second; None: the setting's.
    requests_per_s: float | None = None

    @property
    def scope(self) -> str | None:
        """The owner whose things are visible; None: everybody's."""
        return None if self.role == "admin" else self.owner

    def sees(self, owner: str | None) -> bool:
        """Whether something that belongs to `owner` is visible."""
        return self.role == "admin" or (owner is not None and owner == self.owner)


OPERATOR = Principal(None, "admin")
