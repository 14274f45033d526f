"""Requests generated from the route table: each route with a key in each place that takes a text, one at a time."""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache, partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from msgspec import inspect

from web.http.routing import Route

#: A path's parameters: name, and its pattern if it is not the usual one.
_PARAMETER = re.compile(r"\{(\w+)(?::([^}]*))?\}")
#: Values of places other than the one that has the key, by name; a place without one has a key of nobody.
_VALUES = {"step": "noop", "path": "probe/1-a/file.txt", "q": "country", "filename": "a.mp4"}
_UNKNOWN = "none"
#: Texts with a key in them, by the name of the place.
_FORMS: Mapping[str, tuple[str, ...]] = {
    "subscribe": ("{}", "job:{}", "asset:{}", "owner:{}"),
    "path": ("{}", "../../{}", "probe/1-a/{}"),
    "step": ("{}", "noop:{}"),
    "ids": ("{}", "{}/probe/1-a/file.txt"),
}
#: Bodies that a route accepts as they are, by the name of their type.
_BODIES: Mapping[str, dict[str, Any]] = {
    "NewAsset": {"input": {"object": "shared/clip.mp4"}, "pipeline": "noop"},
    "Attachment": {"attachment_id": "own", "object": "shared/clip.mp4"},
    "ClearRequest": {"status": "cancelled"},
    "CleanupRequest": {"older_than_days": 30},
}
_TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Upload-Length": "5"}


class Request(NamedTuple):
    """A request as `Site.ask` takes it."""

    method: str
    path: str
    options: dict[str, Any]


class Variation(NamedTuple):
    """A route with one place for a key."""

    name: str
    #: The request with this key.
    request: Callable[[str], Request]


def variations(route: Route, values: Mapping[str, str]) -> list[Variation]:
    """All places of a route that take a text. `values`: of other places, by name."""
    known = {**_VALUES, **values}
    return [*_in_path(route, known), *_in_query(route, known), *_in_headers(route, known), *_in_body(route, known)]


def plain_request(route: Route) -> Request:
    """A request without a key."""
    return _request(route, _VALUES, {})


def _in_path(route: Route, values: Mapping[str, str]) -> Iterator[Variation]:
    def request(name: str, form: str, key: str) -> Request:
        return _request(route, {**values, name: form.format(key)}, {})

    for name, _ in _PARAMETER.findall(route.path):
        for form in _FORMS.get(name, ("{}",)):
            yield Variation(f"path {name} {form}", partial(request, name, form))


def _in_query(route: Route, values: Mapping[str, str]) -> Iterator[Variation]:
    def request(name: str, form: str, key: str) -> Request:
        return _request(route, values, {name: form.format(key)})

    for field in msgspec.structs.fields(route.query) if route.query else ():
        for form in _FORMS.get(field.name, ("{}",)):
            yield Variation(f"query {field.name} {form}", partial(request, field.name, form))


def _in_headers(route: Route, values: Mapping[str, str]) -> Iterator[Variation]:
    def request(name: str, key: str) -> Request:
        return _request(route, values, {}, headers={name: quote(key)})

    names = [*(["Idempotency-Key"] if route.idempotent else []), *(["Last-Event-ID"] if route.ticket else [])]
    for name in names:
        yield Variation(f"header {name}", partial(request, name))


def _in_body(route: Route, values: Mapping[str, str]) -> Iterator[Variation]:
    def request(place: Place, form: str, key: str) -> Request:
        return _request(route, values, {}, place=(place, form.format(key)))

    if route.body is None or isinstance(route.body, tuple):
        return
    for place in _text_places(_type_info(route.body)):
        for form in _FORMS.get(str(place[0]), ("{}",)):
            yield Variation(f"body {'.'.join(map(str, place))} {form}", partial(request, place, form))


#: Described once: a type is described for each of its requests otherwise, some 14,000 times.
_type_info = cache(inspect.type_info)

#: Fields and list items on the way to a text: a name, or 0 for an item of a list.
Place = tuple[str | int, ...]


def _text_places(kind: inspect.Type) -> Iterator[Place]:
    """Where a body of this type has texts."""
    match kind:
        case inspect.StructType():
            for field in kind.fields:
                yield from ((field.encode_name, *rest) for rest in _text_places(field.type))
        case inspect.UnionType():
            yield from dict.fromkeys(place for one in kind.types for place in _text_places(one))
        case inspect.ListType() | inspect.VarTupleType():
            yield from ((0, *rest) for rest in _text_places(kind.item_type))
        case inspect.StrType() | inspect.AnyType() | inspect.LiteralType():
            yield ()


def _sample(kind: inspect.Type, place: Place, key: str) -> Any:
    """A body of this type with the key at `place`, and else only what it needs."""
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for one in options:
        if isinstance(one, inspect.StructType) and (not place or isinstance(place[0], str)):
            return _object(one, place, key)
        if isinstance(one, inspect.ListType | inspect.VarTupleType) and place[:1] == (0,):
            return [_sample(one.item_type, place[1:], key)]
    return key


def _object(kind: inspect.StructType, place: Place, key: str) -> dict[str, Any]:
    fields = {field.encode_name: field for field in kind.fields}
    body = deepcopy(_BODIES.get(kind.cls.__name__, {}))
    for name, field in fields.items():
        if field.required and name not in body:
            body[name] = _needed(field.type)
    if place:
        body[str(place[0])] = _sample(fields[str(place[0])].type, place[1:], key)
    return body


def _needed(kind: inspect.Type) -> Any:
    match kind:
        case inspect.ListType() | inspect.VarTupleType():
            return []
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.IntType() | inspect.FloatType():
            return 1
        case inspect.StructType():
            return _object(kind, (), "")
        case inspect.UnionType():
            return _needed(kind.types[0])
    return _UNKNOWN


def _request(
    route: Route,
    values: Mapping[str, str],
    query: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
    place: tuple[Place, str] = ((), ""),
) -> Request:
    path = _PARAMETER.sub(lambda found: quote(values.get(found[1], _UNKNOWN), safe="/" if found[2] else ""), route.path)
    needed = {
        field.name: values.get(field.name, _UNKNOWN)
        for field in (msgspec.structs.fields(route.query) if route.query else ())
        if field.required
    }
    text = urlencode({**needed, **query})
    all_headers = {**(_TUS if "/tus" in route.path else {}), **(headers or {})}
    options: dict[str, Any] = {"headers": all_headers, "allow_redirects": False}
    if isinstance(route.body, tuple):
        options["data"] = b"bytes"
        all_headers["Content-Type"] = route.body[0]
    elif route.body is not None:
        options["json"] = _sample(_type_info(route.body), *place)
    return Request(route.method, f"{path}?{text}" if text else path, options)
