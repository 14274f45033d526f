"""Settings are read once; what is wrong is named."""

import pytest

from streams.settings import Settings, SettingsError, load, to_environ

#: The shortest key that is accepted, and the longest that is not.
KEY, SHORT = "k" * 32, "s" * 31


def test_nothing_set_gives_the_defaults() -> None:
    assert load({"PATH": "/bin"}) == Settings()


def test_names_nest_and_values_are_converted() -> None:
    settings = load(
        {
            "KINOLOG_WEB__PORT": "9000",
            "KINOLOG_LEASE__TTL_S": "3.5",
            "KINOLOG_AUTH__ENABLED": "false",
            "KINOLOG_AUTH__TOKENS": '[{"token": "t", "owner": "o", "role": "viewer"}]',
            "KINOLOG_EXECUTOR__LANES": '{"speech": ["transcribe"]}',
        }
    )
    assert (settings.web.port, settings.lease.ttl_s, settings.auth.enabled) == (9000, 3.5, False)
    assert settings.auth.tokens[0].role == "viewer"
    assert settings.executor.lanes == {"speech": ("transcribe",)}


def test_an_empty_value_is_an_unset_one() -> None:
    assert load({"KINOLOG_AUTH__TOKEN": ""}).auth.token is None


@pytest.mark.parametrize(
    "environ",
    [
        {"KINOLOG_WEB__PROT": "1"},
        {"KINOLOG_NOPE": "1"},
        {"KINOLOG_WEB__PORT": "eighty"},
        {"KINOLOG_AUTH__TOKENS": "[{]"},
        {"KINOLOG_AUTH__TOKENS": '[{"token": "t", "owner": "o", "role": "king"}]'},
        {"KINOLOG_LOG_FORMAT": "xml"},
        {"KINOLOG_WEB": "x"},
        {"KINOLOG_DATA_DIR": "x", "KINOLOG_DATA_DIR__Y": "z"},
        {"KINOLOG_TOPIC_PREFIX": "staging/"},
        {"KINOLOG_TOPIC_PREFIX": "x" * 191},
        {"KINOLOG_GROUP_PREFIX": "team a-"},
        {"KINOLOG_STORE__PUBLIC_ENDPOINT": "media.example.org"},
        {"KINOLOG_WEB__PUBLIC_URL": "media.example.org"},
        {"KINOLOG_WEB__PUBLIC_URL": "https://media.example.org/?kinolog"},
        {"KINOLOG_AUTH__SIGNING_SECRET": SHORT},
        {"KINOLOG_AUTH__SIGNING_SECRET": KEY, "KINOLOG_AUTH__PREVIOUS_SIGNING_SECRETS": f'["{KEY}", "{SHORT}"]'},
        {"KINOLOG_AUTH__JWT__SECRET": SHORT},
        {"KINOLOG_COMPAT__SIGNING_KEY": SHORT},
        {"KINOLOG_COMPAT__SIGNING_KEY": KEY, "KINOLOG_COMPAT__NEXT_SIGNING_KEY": SHORT},
    ],
)
def test_a_bad_setting_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as error:
        load(environ)
    name = next(reversed(environ))
    assert (name if SHORT in environ[name] else name.split("__")[0]) in str(error.value)
    assert SHORT not in str(error.value)


def test_keys_of_32_bytes_are_accepted() -> None:
    names = ("AUTH__SIGNING_SECRET", "COMPAT__SIGNING_KEY", "COMPAT__NEXT_SIGNING_KEY")
    assert load({f"KINOLOG_{name}": KEY for name in names}).auth.signing_secret == KEY


def test_child_processes_get_the_same_settings() -> None:
    environ = {
        "KINOLOG_WEB__PORT": "9000",
        "KINOLOG_AUTH__TOKENS": '[{"token":"t","owner":"o"}]',
        "KINOLOG_DATA_DIR": "/d",
    }
    assert load(to_environ(load(environ))) == load(environ)
    assert to_environ(Settings()) == {}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="KINOLOG_LEASE__TTL_S"):
        load({"KINOLOG_LEASE__TTL_S": text})
