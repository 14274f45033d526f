"""Text queries, for the full-text index and for highlighting."""

import html
import re
import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from web.search.text_query import gathered, highlighted, match_queries, spread


@given(st.text(max_size=60), st.text(max_size=60))
def test_every_text_becomes_a_valid_query(text: str, query: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')")
        for match in match_queries(query):
            db.execute("SELECT 1 FROM words WHERE words MATCH ?", (match,)).fetchall()


@given(st.text(max_size=80), st.text(max_size=20))
def test_highlighting_marks_words_and_nothing_else(text: str, query: str) -> None:
    marked = highlighted(text, query)
    assert html.unescape(re.sub("</?mark>", "", marked)) == html.unescape(html.escape(text))
    assert "<" not in re.sub("</?mark>", "", marked)


@given(st.text(max_size=80))
def test_spreading_loses_nothing(text: str) -> None:
    assert gathered(spread(text)) == gathered(text)


def test_markup_in_speech_is_only_text() -> None:
    assert highlighted("<b>Country</b> & county", "country") == "&lt;b&gt;<mark>Country</mark>&lt;/b&gt; &amp; county"


def test_accents_and_case_do_not_matter() -> None:
    assert highlighted("Über die Brücke", "brucke") == "Über die <mark>Brücke</mark>"


def test_all_words_are_tried_before_any_of_them() -> None:
    assert match_queries('"ask not" country') == ['"ask not" AND "country"', '"ask not" OR "country"']
    assert match_queries("one's") == ['"one s"']
    assert match_queries(" !? ") == []


def test_a_word_is_found_inside_unspaced_text() -> None:
    assert match_queries("天気") == ['"天 気"']
    assert highlighted("良い天気です", "天気") == "良い<mark>天</mark><mark>気</mark>です"
