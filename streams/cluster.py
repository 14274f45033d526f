"""A Kafka cluster as its clients reach it: servers, encryption and credentials."""

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec

_PREFIX = "KINOLOG_KAFKA__SECURITY__"
_TLS_FIELDS = ("ca_file", "cert_file", "key_file", "key_password")


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Encryption and authentication of connections to an external cluster."""

    #: Protocol of the cluster's listener; sasl_plaintext is authenticated, but not encrypted.
    protocol: Literal["plaintext", "sasl_plaintext", "ssl", "sasl_ssl"] = "plaintext"
    #: SASL mechanism.
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    #: SASL user name.
    username: str | None = None
    #: SASL password.
    password: str | None = None
    #: PEM file of the CAs that sign the brokers' certificates; unset: those of the system.
    ca_file: str | None = None
    #: PEM file of the client's certificate chain, for mutual TLS.
    cert_file: str | None = None
    #: PEM file of the client's private key; unset: it is in the certificate's file.
    key_file: str | None = None
    #: Password of the private key.
    key_password: str | None = None

    def __post_init__(self) -> None:
        for name in ("username", "password"):
            if self.is_authenticated and not getattr(self, name):
                raise ValueError(f"{_PREFIX}{name.upper()}: is required with PROTOCOL={self.protocol}")
            if not self.is_authenticated and getattr(self, name) is not None:
                raise ValueError(f"{_PREFIX}{name.upper()}: has no effect with PROTOCOL={self.protocol}")
        for name in _TLS_FIELDS:
            if getattr(self, name) is not None and not self.is_encrypted:
                raise ValueError(f"{_PREFIX}{name.upper()}: has no effect with PROTOCOL={self.protocol}")
        if self.cert_file is None and (self.key_file or self.key_password):
            raise ValueError(f"{_PREFIX}CERT_FILE: is required with a key")

    @property
    def is_authenticated(self) -> bool:
        """Whether SASL is used."""
        return self.protocol.startswith("sasl_")

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is used."""
        return self.protocol.endswith("ssl")

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context; None without TLS. Raises OSError (ssl.SSLError, too) for files that cannot be used."""
        return _tls_context(self, *map(_changed_at, (self.ca_file, self.cert_file, self.key_file)))


class Cluster(msgspec.Struct, frozen=True):
    """A Kafka cluster."""

    #: Bootstrap servers, "host:port[,…]".
    bootstrap: str
    security: KafkaSecurity = KafkaSecurity()

    def client_options(self) -> dict[str, Any]:
        """Options of an aiokafka client that connects to it. Raises OSError for TLS files that cannot be used."""
        security = self.security
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": security.protocol.upper()}
        if security.is_encrypted:
            options["ssl_context"] = security.tls_context()
        if security.is_authenticated:
            options |= {
                "sasl_mechanism": security.mechanism,
                "sasl_plain_username": security.username,
                "sasl_plain_password": security.password,
            }
        return options


def _changed_at(path: str | None) -> int | None:
    return Path(path).stat().st_mtime_ns if path else None


@lru_cache(maxsize=4)
def _tls_context(security: KafkaSecurity, *_changed_at_ns: int | None) -> ssl.SSLContext | None:
    """Made again when a file has changed: certificates are renewed while processes run."""
    if not security.is_encrypted:
        return None
    context = ssl.create_default_context(cafile=security.ca_file)
    if security.cert_file:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(security.cert_file, security.key_file, security.key_password or "")
    return context
