"""A broker as companies run them: TLS everywhere, SCRAM users on one listener, client certificates on another, ACLs."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from processors.tools.child_process import tethered
from streams.broker.files import PROPERTIES
from streams.broker.jvm import Jvm, find_jvm
from streams.broker.process import responds
from streams.cluster import Cluster, KafkaSecurity
from streams.process.ports import free_port

_READY_S = 90.0
_CLUSTER_ID = "c2VjdXJlZC1zZWN1cmVkLQ"


class Authority:
    """A certificate authority that lives in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _named("an authority of tests")
        certificate = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> Path:
        """A file with the private key and the certificate of `name`, good for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._signed(_named(name), key, host)
        path = self._folder / f"{name}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(days=1))
        builder = builder.not_valid_after(now + dt.timedelta(days=1)).add_extension(extension, critical=True)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class SecuredBroker:
    """The broker, once it runs; see `secured_broker`."""

    def __init__(self, folder: Path, users: Sequence[str]) -> None:
        self.authority = Authority(folder / "certificates")
        self.users = ("admin", *users)
        self._folder, self._sasl, self._mutual = folder, free_port(), free_port()
        self._controller = free_port()

    def by_password(self, user: str, password: str | None = None) -> Cluster:
        """The broker as `user` reaches it with SCRAM; "admin" has all rights."""
        security = KafkaSecurity(
            protocol="sasl_ssl",
            mechanism="SCRAM-SHA-512",
            username=user,
            password=password or _password(user),
            ca_file=str(self.authority.certificate),
        )
        return Cluster(f"127.0.0.1:{self._sasl}", security)

    def by_certificate(self, name: str) -> Cluster:
        """The broker as the holder of a certificate of `name` reaches it: as User:CN=name."""
        security = KafkaSecurity(
            protocol="ssl", ca_file=str(self.authority.certificate), cert_file=str(self.authority.issue(name))
        )
        return Cluster(f"127.0.0.1:{self._mutual}", security)

    def write_files(self, jvm: Jvm) -> None:
        """Write the configuration, and format the log with the users."""
        (self._folder / "tmp").mkdir()
        own = {
            "listeners": f"SASL_SSL://127.0.0.1:{self._sasl},SSL://127.0.0.1:{self._mutual},"
            f"CONTROLLER://127.0.0.1:{self._controller}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller}",
            "inter.broker.listener.name": "SSL",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.authority.issue("broker")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.certificate),
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Only the node itself, as its own controller, comes without a name.
            "super.users": "User:admin;User:CN=broker;User:CN=admin;User:ANONYMOUS",
        }
        lines = [f"{name}={value}\n" for name, value in (PROPERTIES | own).items()]
        (self._folder / "server.properties").write_text("".join(lines))
        scram = [f"SCRAM-SHA-512=[name={user},password={_password(user)}]" for user in self.users]
        arguments = ["format", "--standalone", "-t", _CLUSTER_ID, "-c", "server.properties"]
        command = jvm.command(
            "kafka.tools.StorageTool", *arguments, *(word for user in scram for word in ("--add-scram", user))
        )
        subprocess.run(tethered(command), cwd=self._folder, check=True, capture_output=True, timeout=_READY_S)


def _password(user: str) -> str:
    return f"the password of {user}".replace(" ", "-")


@contextlib.asynccontextmanager
async def secured_broker(users: Sequence[str]) -> AsyncIterator[SecuredBroker]:
    """A running broker with these SCRAM users beside "admin"."""
    with tempfile.TemporaryDirectory(prefix="kinolog-secured-") as name:
        folder, jvm = Path(name), await find_jvm()
        broker = SecuredBroker(folder, users)
        await asyncio.to_thread(broker.write_files, jvm)
        with (folder / "broker.log").open("wb") as log:
            process = subprocess.Popen(
                tethered(jvm.command("kafka.Kafka", "server.properties")),
                cwd=folder,
                env=os.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_READY_S):
                while not await responds(broker.by_password("admin")):
                    assert process.poll() is None, (folder / "broker.log").read_text()[-3000:]
                    await asyncio.sleep(0.2)
            yield broker
        finally:
            process.kill()
            process.wait()
