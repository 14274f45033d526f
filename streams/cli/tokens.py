"""`kinolog token …`: API tokens."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from streams.cli.common import Duration, Output, client_command
from streams.cli.rendering import age, columns

if TYPE_CHECKING:
    from streams.client import Client

#: Requests per second. Source: web/api/tokens.py; a test compares them.
MAX_RATE = 1_000_000
_HEADS = ("ID", "ROLE", "STATUS", "OWNER", "AGE", "EXPIRES", "LABEL")


@click.group()
def token() -> None:
    """Create, list and revoke API tokens (needs an admin's token)."""


@client_command(
    token,
    "create",
    examples=(
        "kinolog token create --role editor --owner shop",
        "kinolog token create --role viewer --owner anna --ttl 30d --label dashboard",
    ),
)
@click.option("--role", type=click.Choice(["viewer", "editor", "admin"]), required=True, help="What the token may do.")
@click.option("--owner", help="Owner of what it creates; required for viewers and editors.")
@click.option("--ttl", "ttl_s", type=Duration(), help="Lifetime, e.g. 12h or 30d. Default: unlimited.")
@click.option("--label", help="A note on its use.")
@click.option(
    "--rate",
    "requests_per_s",
    type=click.FloatRange(0, MAX_RATE, min_open=True),
    help="Maximum requests per second and replica.",
)
async def create_token(client: "Client", **fields: str | float | None) -> Output:
    """Create a token and print it. It is shown only once."""
    created = await client.create_token(**fields)
    return Output([created], [created["token"]])


@client_command(token, "list", examples=("kinolog token list",))
async def list_tokens(client: "Client") -> Output:
    """List tokens, newest first, without their secrets."""
    tokens = await client.tokens()
    return Output([tokens], token_table(tokens) or ["No tokens."])


@client_command(token, "revoke", examples=("kinolog token revoke tok_0123456789ab0123456789ab",))
@click.argument("token_id", metavar="TOKEN|ID")
async def revoke_token(client: "Client", token_id: str) -> Output:
    """Revoke a token on every replica, by its id or the token itself."""
    revoked = await client.revoke_token(token_id.partition(".")[0])
    return Output([revoked], [f"Revoked {revoked['id']}."])


def token_table(tokens: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per token."""
    rows = [
        (
            found["id"],
            found["role"],
            _status(found),
            found["owner"] or "-",
            age(found["created_at"]),
            found["expires_at"] or "",
            found.get("label", ""),
        )
        for found in tokens
    ]
    return columns(_HEADS, rows)


def _status(found: Mapping[str, Any]) -> str:
    if found["revoked_at"]:
        return "revoked"
    return "active" if found["good"] else "expired"
