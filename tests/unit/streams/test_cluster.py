"""Clients connect to secured clusters with what the settings say, and half a setting is refused."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from streams.cluster import Cluster, KafkaSecurity
from streams.settings import Settings, SettingsError, load
from streams.worker.app import make_app
from tests.secured_broker import Authority

_SASL = {"KINOLOG_KAFKA__SECURITY__USERNAME": "anna", "KINOLOG_KAFKA__SECURITY__PASSWORD": "secret"}


def test_without_settings_connections_are_plain() -> None:
    assert Settings().cluster.client_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_a_user_is_authenticated_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    settings = load(
        _SASL
        | {
            "KINOLOG_KAFKA__BOOTSTRAP": "log:9093",
            "KINOLOG_KAFKA__SECURITY__PROTOCOL": "sasl_ssl",
            "KINOLOG_KAFKA__SECURITY__CA_FILE": str(authority.certificate),
        }
    )
    options = settings.cluster.client_options()
    context = options.pop("ssl_context")
    assert options == {
        "bootstrap_servers": "log:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "anna",
        "sasl_plain_password": "secret",
    }
    assert context.check_hostname
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "an authority of tests"),),)]


def test_a_renewed_certificate_is_used_by_the_next_connection(tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    security = KafkaSecurity(protocol="ssl", ca_file=str(tmp_path / "ca.pem"))
    contexts: list[ssl.SSLContext | None] = []
    for authority in (first, first, second):
        if not contexts or authority is second:
            (tmp_path / "ca.pem").unlink(missing_ok=True)
            (tmp_path / "ca.pem").write_bytes(authority.certificate.read_bytes())
        contexts.append(security.tls_context())
    assert contexts[0] is contexts[1]
    assert contexts[2] is not contexts[1]


def test_a_missing_certificate_is_an_error_and_not_a_plain_connection() -> None:
    with pytest.raises(FileNotFoundError):
        Cluster("log:1", KafkaSecurity(protocol="ssl", ca_file="/nowhere/ca.pem")).client_options()


def test_the_stream_processor_connects_with_the_same_credential() -> None:
    settings = load(_SASL | {"KINOLOG_KAFKA__SECURITY__PROTOCOL": "sasl_ssl"})
    credentials: Any = make_app(settings, "an-app", "an-instance").conf.broker_credentials
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password) == ("anna", "secret")


@pytest.mark.parametrize(
    "environ, named",
    [
        ({"PROTOCOL": "sasl_ssl", "USERNAME": "anna"}, "PASSWORD: is required"),
        ({"PROTOCOL": "sasl_plaintext", "PASSWORD": "x"}, "USERNAME: is required"),
        ({"USERNAME": "anna", "PASSWORD": "x"}, "USERNAME: has no effect with PROTOCOL=plaintext"),
        ({"PROTOCOL": "ssl", "PASSWORD": "x"}, "PASSWORD: has no effect with PROTOCOL=ssl"),
        ({"CA_FILE": "/ca.pem"}, "CA_FILE: has no effect with PROTOCOL=plaintext"),
        ({"PROTOCOL": "ssl", "KEY_FILE": "/key.pem"}, "CERT_FILE: is required with a key"),
        ({"PROTOCOL": "tls"}, "PROTOCOL"),
    ],
)
def test_half_a_setting_is_refused_and_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=f"KINOLOG_KAFKA__SECURITY__{named}"):
        load({f"KINOLOG_KAFKA__SECURITY__{name}": value for name, value in environ.items()})
