"""The OpenAPI 3.1 document of the route table. Pure. Source: OpenAPI Specification 3.1.1, JSON Schema 2020-12."""

import inspect
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from streams.reference import field_comments
from streams.release import release
from web.http.problem_codes import CODES
from web.http.problems import ProblemView
from web.http.routing import Route, Routes

Document = dict[str, Any]

_REF = "#/components/schemas/{name}"
_MODULE = re.compile(r"(?:web|schemas)\.(?:[a-z_]+\.)+")
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
#: Descriptions of path parameters.
_PARTS = {
    "job_id": "Id of a job.",
    "asset_id": "Id of an asset.",
    "token_id": "Id of a token, not the token itself.",
    "step": "Name of a step.",
    "grant": "Expiry and signature, from `POST /v1/assets/{asset_id}/playback`.",
    "path": "Path of the file below the asset; may have slashes.",
    "queue_id": "Id of a job.",
}
_ABOUT = (
    "Turns uploaded media into playable, searchable assets, live. Errors are application/problem+json with a stable "
    "`code`. Responses to writes have a `cursor`: pass it as `after` to a GET that must see the write, on any replica."
)


def openapi(route_list: tuple[Routes, ...]) -> Document:
    """Build the document of every declared route."""
    routes = [route for group in route_list if not group.hidden for route in group.entries]
    schemas = Schemas([*_types(routes), ProblemView])
    paths: Document = {}
    for route in routes:
        paths.setdefault(_path(route), {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "kinolog", "version": release(), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API token or a JSON Web Token."},
                "ticket": {"type": "apiKey", "in": "query", "name": "ticket", "description": "A live ticket."},
            },
            "responses": {"Problem": _problem(schemas)},
        },
        "x-problems": dict(sorted(CODES.items())),
    }


class Schemas:
    """JSON Schemas of types, those of structs by name, with the `#:` lines as descriptions."""

    def __init__(self, types: Iterable[Any], template: str = _REF) -> None:
        distinct = list(dict.fromkeys(types))
        references, components = msgspec.json.schema_components(distinct, ref_template=template)
        self._names = {name: _plain(name) for name in components}
        self._template = template
        self._by_type = {kind: self._renamed(ref) for kind, ref in zip(distinct, references, strict=True)}
        self.components = {self._names[name]: self._renamed(_described(part)) for name, part in components.items()}

    def of(self, kind: Any) -> Document:
        """The schema of one of the types."""
        schema: Document = self._by_type[kind]
        return schema

    def _renamed(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._renamed(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        renamed = {name: self._renamed(part) for name, part in schema.items()}
        start, end = self._template.split("{name}")
        if isinstance(ref := renamed.get("$ref"), str) and ref.startswith(start):
            name = ref.removeprefix(start).removesuffix(end)
            renamed["$ref"] = self._template.format(name=self._names.get(name, name))
        return renamed


def _plain(name: str) -> str:
    """`Answer_list_web.api.tokens.TokenView__` -> `Answer_list_TokenView`."""
    return re.sub(r"_+", "_", _MODULE.sub("", name)).strip("_")


def _described(component: Document) -> Document:
    title = component.get("title", "")
    if title:
        component["title"] = _MODULE.sub("", title)
    struct = _structs().get(title.partition("[")[0])
    if struct is not None:
        for field, comment in field_comments(struct).items():
            if field in component.get("properties", {}):
                component["properties"][field].setdefault("description", comment)
    return component


def _structs() -> dict[str, type[msgspec.Struct]]:
    return {cls.__name__: cls for cls in _below(msgspec.Struct)}


def _below(cls: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def _types(routes: Iterable[Route]) -> Iterator[Any]:
    for route in routes:
        if route.body is not None and not isinstance(route.body, tuple):
            yield route.body
        yield from (kind for kind in route.responses.values() if _is_json(kind))
        if route.query is not None:
            yield from (field.type for field in msgspec.structs.fields(route.query))


def _is_json(kind: Any) -> bool:
    return kind is not None and not isinstance(kind, str)


def _path(route: Route) -> str:
    return _PARAMETER.sub(r"{\1}", route.path)


def _operation(route: Route, schemas: Schemas) -> Document:
    summary, _, further = (inspect.getdoc(route.handler) or "").partition("\n")
    operation: Document = {
        "operationId": route.handler.__name__,
        "tags": [route.tag],
        "summary": summary.rstrip("."),
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas), *_headers(route)],
        "responses": _responses(route, schemas),
    }
    if further.strip():
        operation["description"] = further.strip()
    if route.body is not None:
        operation["requestBody"] = _request_body(route, schemas)
    if route.public:
        operation["security"] = []
    else:
        operation["x-role"] = route.access
        if route.ticket:
            operation["security"] = [{"bearer": []}, {"ticket": []}]
    return operation


def _path_parameters(route: Route) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARTS.get(name, ""),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route, schemas: Schemas) -> list[Document]:
    if route.query is None:
        return []
    comments = field_comments(route.query)
    return [
        {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "description": comments.get(field.name, ""),
            "schema": _without_null(schemas.of(field.type), field.default),
        }
        for field in msgspec.structs.fields(route.query)
    ]


def _without_null(schema: Document, default: Any) -> Document:
    """The schema without null: an unset query parameter is left out of the URL."""
    options = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
    plain = dict(options[0]) if len(options) == 1 else {"anyOf": options}
    return plain if default in (None, msgspec.NODEFAULT) else {**plain, "default": default}


def _headers(route: Route) -> Iterator[Document]:
    if route.idempotent:
        yield _header("Idempotency-Key", "A repeat with the same key and body has no further effect.", maxLength=255)
    if route.etag:
        yield _header("If-None-Match", "ETag of an earlier response: 304 when nothing has changed.")


def _header(name: str, about: str, **more: Any) -> Document:
    schema = {"type": "string", "minLength": 1, **more}
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


def _request_body(route: Route, schemas: Schemas) -> Document:
    if not isinstance(route.body, tuple):
        return {"required": True, "content": {"application/json": {"schema": schemas.of(route.body)}}}
    form = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}
    binary = {"type": "string", "format": "binary"}
    return {
        "required": True,
        "content": {kind: {"schema": form if kind.startswith("multipart/") else binary} for kind in route.body},
    }


def _responses(route: Route, schemas: Schemas) -> Document:
    responses = {str(status): _response(status, kind, schemas) for status, kind in route.responses.items()}
    if route.etag:
        responses["304"] = {"description": HTTPStatus(304).phrase}
    problems = {*route.problems, 431, 500} | (set() if route.public else {401, 403, 429, 503})
    problems |= {429} if route.access == "public" else set()
    problems |= {408} if route.body is not None else set()
    if route.method in ("POST", "DELETE"):
        problems |= {413}
    for status in sorted(problems - {int(status) for status in responses}):
        responses[str(status)] = {"$ref": "#/components/responses/Problem"}
    return dict(sorted(responses.items()))


def _response(status: int, kind: Any, schemas: Schemas) -> Document:
    described: Document = {"description": HTTPStatus(status).phrase}
    if _is_json(kind):
        described["content"] = {"application/json": {"schema": schemas.of(kind)}}
    elif kind is not None:
        described["content"] = {name: {"schema": _text_of(name)} for name in kind.split(", ")}
    return described


def _text_of(media_type: str) -> Document:
    return {} if media_type == "application/json" else {"type": "string"}


def _problem(schemas: Schemas) -> Document:
    return {
        "description": "An error; see `code`.",
        "content": {"application/problem+json": {"schema": schemas.of(ProblemView)}},
    }
