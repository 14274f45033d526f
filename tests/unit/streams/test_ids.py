"""Ids in an owner's namespace: two owners' never meet, and all of them are valid ids."""

from hypothesis import given
from hypothesis import strategies as st

from streams.ids import ID_PATTERN, is_foreign, namespace, namespaced_id, new_id, without_namespace

OWNERS = st.text(min_size=1, max_size=30)
CHOSEN = st.from_regex(ID_PATTERN, fullmatch=True)


@given(OWNERS, CHOSEN)
def test_an_id_in_a_namespace_is_an_id_and_stays_what_it_is(owner: str, chosen: str) -> None:
    an_id = namespaced_id(owner, chosen)
    assert ID_PATTERN.fullmatch(an_id) and an_id.startswith(namespace(owner))
    assert namespaced_id(owner, an_id) == an_id


@given(OWNERS, OWNERS, CHOSEN)
def test_no_owner_can_choose_an_id_of_anothers_namespace(anna: str, bert: str, chosen: str) -> None:
    if anna != bert:
        assert not namespaced_id(bert, namespaced_id(anna, chosen)).startswith(namespace(anna))


def test_what_the_owner_chose_can_be_read_from_the_id() -> None:
    assert without_namespace(namespaced_id("anna", "attachment-7")) == "attachment-7"
    assert without_namespace("attachment-7") == "attachment-7"


def test_an_id_that_an_owner_chose_is_foreign_to_everybody_else() -> None:
    chosen = namespaced_id("anna", "talk")
    assert [is_foreign(chosen, owner) for owner in ("anna", "bert", None)] == [False, True, True]
    for free in (new_id("asset"), "talk", "owner_talk", "owner_0123.talk"):
        assert not is_foreign(free, "anna") and not is_foreign(free, None)
