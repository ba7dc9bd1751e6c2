"""Canonical text has to be what the server prints, whatever the document."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.canon import canonical, canonical_text, require_canonical
from eventlog.errors import Unstorable

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
nasty = st.sampled_from(
    ["", "\x7f", "\x1f", "\u2028", "\ufeff", '"\\/\b\f\n\r\t', "é", "e\u0301", "🙂", "￿", "\\u0000"]
)
keys = nasty | texts | st.text("ab", max_size=3)
integers = st.integers(-(1 << 63), (1 << 63) - 1)
values = st.recursive(
    st.none() | st.booleans() | integers | nasty | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=30,
)
documents = st.dictionaries(keys, values, max_size=8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents)
def test_text_is_what_the_server_prints(connection: psycopg.Connection, document: dict[str, object]) -> None:
    given = json.dumps(document, ensure_ascii=False)
    row = connection.execute("SELECT %s::jsonb::text", (given,), prepare=True).fetchone()
    assert row is not None
    assert canonical(document) == row[0]
    assert canonical_text(given) == row[0]
    assert canonical_text(json.dumps(document, indent=3)) == row[0]
    assert require_canonical(row[0]) == document


@pytest.fixture(scope="module")
def connection(conninfo: str) -> Iterator[psycopg.Connection]:
    """A connection to each server."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('{}[]":,\\u01d8aE+-.e \t', max_size=40) | st.text())
def test_any_text_is_refused_or_exactly_reproduced(connection: psycopg.Connection, text: str) -> None:
    try:
        require_canonical(text)
    except Unstorable:
        return
    row = connection.execute("SELECT %s::jsonb::text", (text,)).fetchone()
    assert row == (text,)


@pytest.mark.parametrize("value", [
    1.5, float("nan"), float("inf"), 1 << 63, -(1 << 63) - 1, "\0", "a\ud800", b"x", {1},
    {"\0": 1}, {1: 2}, {"\udfff": 1},
])  # fmt: skip
def test_values_without_a_canonical_form_are_refused(value: object) -> None:
    for document in (value, {"a": value}, {"a": [value]}):
        with pytest.raises(Unstorable):
            canonical(document)


@pytest.mark.parametrize("text", [
    '{"a": 1, "a": 1}', '{"a": {"b": 1, "b": 2}}', "1.0", "1e2", "NaN", "-Infinity", "9223372036854775808",
    '"\\u0000"', '"\\ud800"', "", "{", '{"a"}', "[" * 5000 + "]" * 5000, "[" * 102 + "]" * 102,
])  # fmt: skip
def test_texts_without_a_canonical_form_are_refused(text: str) -> None:
    with pytest.raises(Unstorable):
        canonical_text(text)


def test_reasons_name_the_fault() -> None:
    with pytest.raises(Unstorable, match="'price' stands twice"):
        canonical_text('{"price": "1", "price": "2"}')
    with pytest.raises(Unstorable, match=r"1\.5 is not an integer"):
        canonical_text('{"price": 1.5}')
    with pytest.raises(Unstorable, match="a, aa, b are not in the order of jsonb"):
        require_canonical('{"a": 1, "aa": 1, "b": 1}')
