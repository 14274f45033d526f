"""`kinolog keys …`: the keys that sign media URLs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from streams.cli.common import Output, client_command
from streams.cli.rendering import age, columns

if TYPE_CHECKING:
    from streams.client import Client

_HEADS = ("ID", "STATUS", "AGE", "ACCEPTED UNTIL", "MADE BY")
_OF_SETTINGS = "settings"


@click.group()
def keys() -> None:
    """Rotate and revoke the keys that sign media URLs (needs an admin's token)."""


@client_command(keys, "list", examples=("kinolog keys list",))
async def list_keys(client: "Client") -> Output:
    """List signing keys, newest first. The keys themselves are not shown."""
    found = await client.signing_keys()
    return Output([found], key_table(found))


@client_command(keys, "rotate", examples=("kinolog keys rotate",))
async def rotate_key(client: "Client") -> Output:
    """Sign media URLs with a new key, on every replica. Earlier URLs stay valid until they expire."""
    made = await client.rotate_signing_key()
    return Output([made], [f"{made['id']} signs from now on. Earlier URLs stay valid until they expire."])


@client_command(keys, "revoke", examples=("kinolog keys revoke key_0123456789ab0123456789ab",))
@click.argument("key_id", metavar="ID")
async def revoke_key(client: "Client", key_id: str) -> Output:
    """Reject all media URLs that this key has signed. If it still signs, a new key is made first."""
    revoked = await client.revoke_signing_key(key_id)
    return Output([revoked], [f"Revoked {revoked['id']}. Its URLs are no longer valid."])


def key_table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per key."""
    rows = [
        (
            key["id"],
            key["status"],
            age(key["created_at"]) if key["created_at"] else "-",
            key["accepted_until"] or "",
            key.get("created_by", _OF_SETTINGS if key["created_at"] is None else ""),
        )
        for key in found
    ]
    return columns(_HEADS, rows)
