"""The corpus is what it says: enough inputs of every kind, with names of their own; what fails is one of them."""

from collections import Counter

from tests.inputs.corpus import INPUTS, failing


def test_there_are_enough_inputs_of_every_kind() -> None:
    kinds = Counter(item.kind for item in INPUTS)
    assert len(INPUTS) >= 80
    assert min(kinds.values()) >= 8


def test_names_are_unique_and_fit_a_table() -> None:
    names = [item.name for item in INPUTS]
    assert len(set(names)) == len(names)
    assert all(name.isprintable() and "|" not in name and "/" in name for name in names)


def test_what_fails_is_in_the_corpus() -> None:
    assert failing() <= {item.name for item in INPUTS}
