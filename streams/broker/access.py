"""Access to the embedded broker: the credential of kinolog's own processes, and local clients without one.

kinolog's processes use a listener of their own with a generated password, which is only in files that their user alone
can read: another user of the machine can neither read the log nor write commands, rows or tokens to it. The listener on
`KINOLOG_KAFKA__PORT` takes clients without a credential (Kafka calls them ANONYMOUS); `streams.kafka.acls` has their
rights. Connections are not encrypted: loopback traffic is visible to root alone.
"""

import secrets
from pathlib import Path
from typing import Final

from streams.cluster import Cluster, KafkaSecurity
from streams.process.files import write_atomically
from streams.settings.log import Anonymous

_USER = "kinolog"
_MECHANISM: Final = "PLAIN"
_PASSWORD = "password"  # noqa: S105  the name of the file
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

#: Listeners with authentication: of kinolog's processes and of the controller; the other one has its rights from ACLs.
PROPERTIES = {
    "inter.broker.listener.name": "INTERNAL",
    "listener.security.protocol.map": "CONTROLLER:SASL_PLAINTEXT,INTERNAL:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "sasl.enabled.mechanisms": _MECHANISM,
    "sasl.mechanism.inter.broker.protocol": _MECHANISM,
    "sasl.mechanism.controller.protocol": _MECHANISM,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
}


def password_in(folder: Path) -> str:
    """The generated password of the broker in `folder`; created at the first call."""
    path = folder / _PASSWORD
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(32), 0o600)
    return path.read_text().strip()


def own_cluster(folder: Path, port: int) -> Cluster:
    """The broker in `folder` as kinolog's processes reach it."""
    security = KafkaSecurity(
        protocol="sasl_plaintext", mechanism=_MECHANISM, username=_USER, password=password_in(folder)
    )
    return Cluster(f"127.0.0.1:{port}", security)


def properties(password: str, anonymous: Anonymous) -> dict[str, str]:
    """Settings of the broker's authentication."""
    login = f'{_LOGIN} required username="{_USER}" password="{password}" user_{_USER}="{password}";'
    full_rights = [f"User:{_USER}", *(["User:ANONYMOUS"] if anonymous == "all" else [])]
    return PROPERTIES | {
        "listener.name.internal.plain.sasl.jaas.config": login,
        "listener.name.controller.plain.sasl.jaas.config": login,
        "super.users": ";".join(full_rights),
    }


def write_client_properties(folder: Path, cluster: Cluster) -> None:
    """Write `client.properties`: the credential for Kafka's own tools, kcat and other clients of the operator."""
    user, password = cluster.security.username, cluster.security.password
    lines = (
        f"bootstrap.servers={cluster.bootstrap}",
        "security.protocol=SASL_PLAINTEXT",
        f"sasl.mechanism={_MECHANISM}",
        f'sasl.jaas.config={_LOGIN} required username="{user}" password="{password}";',
    )
    write_atomically(folder / "client.properties", "\n".join(lines) + "\n", 0o600)
