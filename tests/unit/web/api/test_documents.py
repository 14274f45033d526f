"""The OpenAPI and AsyncAPI documents: complete and valid."""

import ast
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.registry import message_types
from streams.kafka.topics import required_topics
from streams.settings import Settings
from web.http.problem_codes import CODES
from web.http.routing import Route
from web.route_list import ROUTES
from web.spec.asyncapi import asyncapi, channel_of, frame_types
from web.spec.openapi import openapi

CHECKOUT = Path(__file__).resolve().parents[4]
API = openapi(ROUTES)
EVENTS = asyncapi(Settings())
LISTED = [route for routes in ROUTES if not routes.hidden for route in routes.entries]
_CODE = re.compile(r"[a-z]+(-[a-z]+)*")


@pytest.mark.parametrize("route", LISTED, ids=lambda route: f"{route.method} {route.path}")
def test_every_declared_route_is_in_the_document_with_its_responses(route: Route) -> None:
    found = API["paths"][re.sub(r":[^}]*", "", route.path)][route.method.lower()]
    assert {str(status) for status in (*route.responses, *route.problems)} <= found["responses"].keys()
    assert found["summary"]
    assert ("x-role" in found) is not route.public
    named = {part["name"] for part in found["parameters"] if part["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)", route.path))


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for item in API["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set[str]().union(*map(references, part)) if isinstance(part, list) else set()


@pytest.mark.parametrize("document", [API, EVENTS], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


@pytest.mark.parametrize("document", [API, EVENTS], ids=["openapi", "asyncapi"])
def test_every_schema_is_valid(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "web." not in schema.get("title", "")  # a client's generated types must not change when a file moves


def test_fields_have_descriptions() -> None:
    description = API["components"]["schemas"]["JobView"]["properties"]["run"]["description"]
    assert description == "Number of the run, from 1; a retry starts the next one."


def test_every_message_has_a_channel_and_every_frame_is_documented() -> None:
    documented = {key for channel in EVENTS["channels"].values() for key in channel["messages"]}
    assert {wire_name.replace(".", "_").replace("-", "_") for wire_name in message_types()} <= documented
    assert {str(kind.__struct_config__.tag) for kind in frame_types()} <= documented
    assert {channel_of(kind) for kind in message_types().values()} <= EVENTS["channels"].keys()


def test_the_channels_are_the_topics_that_are_created() -> None:
    addresses = {channel["address"] for channel in EVENTS["channels"].values()}
    patterns = [re.escape(address).replace(r"\{step\}", ".+") for address in addresses]
    topics = [topic.name for topic in required_topics(Settings()) if not topic.name.endswith("-changelog")]
    assert [topic for topic in topics if not any(re.fullmatch(pattern, topic) for pattern in patterns)] == []


def codes_raised() -> set[str]:
    """Every literal problem code in the source."""
    found: set[str] = set()
    for path in [*(CHECKOUT / "web").rglob("*.py"), CHECKOUT / "tables" / "submissions.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "Problem",
                "unavailable",
                "Refused",
                "_wait",
            ):
                texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and _CODE.fullmatch(text)}
    return found


def test_every_code_is_explained() -> None:
    assert codes_raised() - CODES.keys() == set()
    assert len(codes_raised()) > 30
