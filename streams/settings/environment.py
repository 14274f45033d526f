"""Settings from environment variables: prefix `KINOLOG_`, sections joined by `__`."""

import math
import os
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from streams.settings.section import PREFIX, SettingsError
from streams.settings.tree import Settings


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from environment variables. Raises SettingsError that names the setting."""
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name]:  # an empty value is an unset one, as compose files write it
            _place(tree, name, environ[name])
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error)) from error
    except UnicodeEncodeError as error:
        raise SettingsError(f"{PREFIX}…: a name or a value is not UTF-8: {error.object!a:.80}") from error
    _require_finite(PREFIX, settings)
    return settings


def _require_finite(prefix: str, section: msgspec.Struct) -> None:
    """Reject NaN and infinity: comparisons with NaN are always false. Raises SettingsError."""
    for field in msgspec.structs.fields(section):
        value, name = getattr(section, field.name), prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _require_finite(name + "__", value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{name}: {value} is not a finite number")


def _place(tree: dict[str, Any], name: str, text: str) -> None:
    *parents, leaf = name[len(PREFIX) :].lower().split("__")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"{name}: {parent.upper()} is set to a value and cannot have further parts")
    tree[leaf] = _value(name, text)


def _value(name: str, text: str) -> Any:
    """Parse lists and objects as JSON; msgspec converts the rest."""
    if text[:1] not in "[{":
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{name}: not valid JSON: {error}") from error


def _explain(error: msgspec.ValidationError) -> str:
    reason, _, path = str(error).partition(" - at `$")
    if reason.startswith(PREFIX):
        return reason
    place = path.rstrip("`").lstrip(".").replace(".", "__").upper()
    if "unknown field" in reason:
        field = reason.rpartition("`")[0].rpartition("`")[2]
        place = "__".join(filter(None, [place, field.upper()]))
        reason = "unknown setting (see docs/settings.md)"
    return f"{PREFIX}{place}: {reason}"


def to_environ(settings: Settings) -> dict[str, str]:
    """The environment that `load` turns into `settings` again, for child processes; defaults are left out."""
    environ: dict[str, str] = {}
    _collect(environ, PREFIX, settings)
    return environ


def _collect(environ: dict[str, str], prefix: str, section: msgspec.Struct) -> None:
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        name = prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _collect(environ, name + "__", value)
        elif value != (field.default_factory() if field.default is msgspec.NODEFAULT else field.default):
            environ[name] = (
                orjson.dumps(msgspec.to_builtins(value)).decode() if isinstance(value, (dict, tuple)) else str(value)
            )
