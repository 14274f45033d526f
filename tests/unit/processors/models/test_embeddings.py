"""What backends of embeddings are taken for, and what is taken from an endpoint."""

from typing import Any

import pytest

from processors.errors import AnswerInvalid
from processors.models.backends import parse_backend
from processors.models.embeddings import InvalidBackend, model_name, options_of, vectors_of
from schemas.embed import Space

ENDPOINT = "https://x.example/bge"


def test_an_endpoint_says_its_model_and_dimension_behind_the_address() -> None:
    backend = parse_backend(f"{ENDPOINT}#model=BAAI/bge-m3&revision=abc&dim=1024")
    assert (model_name(backend), options_of(backend).revision, options_of(backend).dim) == ("BAAI/bge-m3", "abc", 1024)
    assert model_name(parse_backend(ENDPOINT)) == ENDPOINT


def test_a_model_has_the_same_name_in_another_folder() -> None:
    assert model_name(parse_backend("local:/srv/models/e5-small")) == "e5-small"
    assert model_name(parse_backend("local:intfloat/e5-small")) == "intfloat/e5-small"


def test_texts_get_the_prefix_that_their_model_wants() -> None:
    said = options_of(parse_backend("local:e5#query_prefix=query: &passage_prefix=passage: "))
    assert said.prefixed(["a"], "query") == ["query: a"]
    assert said.prefixed(["a"], "passage") == ["passage: a"]


@pytest.mark.parametrize("wrong", ["dim=many", "dims=3"])
def test_a_wrong_remark_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidBackend):
        options_of(parse_backend(f"{ENDPOINT}#{wrong}"))


def test_vectors_come_with_length_one() -> None:
    assert vectors_of([[3, 4], [0, 2]], 2, 2).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 1]]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "no"},
        [[1, 2], [3]],
        [["a", "b"], ["c", "d"]],
        [[1, 2]],
        [[[1, 2]], [[3, 4]]],
        [[1, 2, 3], [4, 5, 6]],
        [[0, 0], [1, 1]],
        [[float("nan"), 1], [1, 1]],
        [[float("inf"), 1], [1, 1]],
        [],
        None,
    ],
)
def test_anything_but_one_vector_of_the_right_dimension_for_each_text_is_refused(answer: Any) -> None:
    with pytest.raises(AnswerInvalid):
        vectors_of(answer, 2, 2)


def test_a_space_is_told_by_everything_that_makes_its_vectors() -> None:
    fields: dict[str, Any] = {"model": "m", "revision": "r", "pooling": "mean", "dim": 3, "chunker": 1}
    others: list[dict[str, Any]] = [
        {"model": "n"},
        {"revision": None},
        {"pooling": "cls"},
        {"dim": 4},
        {"chunker": 2},
        {"normalised": False},
    ]
    others += [{"passage_prefix": "passage: "}]
    ids = {Space(**fields | other).id for other in others} | {Space(**fields).id}
    assert len(ids) == len(others) + 1
    assert Space(**fields).id == Space(**fields).id
