"""Who reads a fact on the log finds its class by its wire name."""

import re

import msgspec
import pytest

from schemas import facts
from schemas.base import Message

FACTS = [
    kind
    for kind in vars(facts).values()
    if isinstance(kind, type)
    and issubclass(kind, Message)
    and "TYPE" in vars(kind)
    and kind.__module__ == "schemas.facts"
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_the_class_of_a_fact_is_its_wire_name_in_words(fact: type[Message]) -> None:
    words = [word.lower() for word in re.findall("[A-Z][a-z]*", fact.__name__)]
    named = re.split(r"[.-]", fact.TYPE.removeprefix("media.").removesuffix(".v1"))
    assert words == named
    assert issubclass(fact, msgspec.Struct)
