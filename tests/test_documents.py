"""JSON documents: what is refused, in which words, and what a checksum notices."""

import json

import pytest

from kernas import documents
from kernas.comparison import first_difference
from kernas.documents import (
    COUNT,
    DEEPEST,
    FLAG,
    INTEGER,
    NOT_NEGATIVE,
    NUMBER,
    OBJECT,
    POSITIVE,
    SIZE,
    TEXT,
    field,
    list_of,
    one_of,
    optional,
    parse,
    read,
    sealed,
    unsealed,
)
from kernas.errors import DocumentError

VALUE = {"a": [1, -2.5e-3, True, None, "ü\n\u2028"], "b": {"": {}}, "c": 2**64}


@pytest.mark.parametrize("ascii_alone", [True, False])
def test_what_is_written_is_read(tmp_path, ascii_alone):
    text = json.dumps(VALUE, ensure_ascii=ascii_alone, indent=1)
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert parse(text) == parse(text.encode()) == read(tmp_path / "a.json") == VALUE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("1 2", "not JSON"),
        ("\ufeff{}", "not JSON"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (r'["\ud800"]', "not UTF-8"),
        (r'{"\udc00\ud800": 1}', "not UTF-8"),
        ("'\ud800'", "not UTF-8"),
        ("[" * 100_000 + "]" * 100_000, "more than 100 brackets are open"),
        ('{"a":' * 100_000, "more than 100 brackets are open"),
        ('["' + r"\"[" * 50_000, "not JSON"),
        ("9" * 6000, "an integer of 6,000 digits"),
        ("[1e999]", "the number .* is beyond float64"),
        ("[NaN]", "NaN is no number of JSON"),
        ("[-Infinity]", "-Infinity is no number of JSON"),
        ('[{"a": 1, "b": 2, "a": 1}]', 'the key "a" stands there twice'),
    ],
)
def test_what_is_malformed_is_said_in_one_line(data, words):
    with pytest.raises(DocumentError, match=words) as caught:
        parse(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_brackets_within_strings_are_none():
    assert parse(json.dumps(["[" * 1000, '"' * 9 + "{" * 1000])) == [
        "[" * 1000,
        '"' * 9 + "{" * 1000,
    ]
    flat = [[]] * (2 * DEEPEST)
    assert parse(json.dumps(flat)) == flat


def test_numbers_that_are_none_where_they_are_taken():
    infinite = float("inf")
    found = parse("[Infinity, -Infinity, 1e999]", finite=False)
    assert found == [infinite, -infinite, infinite]


def test_a_document_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "LARGEST", 100)
    (tmp_path / "a.json").write_bytes(b" " * 101)
    with pytest.raises(DocumentError, match="101 bytes: expected at most 100"):
        read(tmp_path / "a.json")


KINDS = {
    "a text": (TEXT, [""], [1, None, ["a"]]),
    "an integer": (INTEGER, [0, -3], [True, 1.0, "1"]),
    "an integer >= 0": (COUNT, [0], [-1, False]),
    "an integer >= 1": (SIZE, [1], [0, True]),
    "a finite number": (NUMBER, [0, -1.5], [True, float("nan"), float("inf"), "1"]),
    "a finite number >= 0": (NOT_NEGATIVE, [0.0], [-1e-9, False]),
    "a finite number > 0": (POSITIVE, [1e-300], [0, True]),
    "true or false": (FLAG, [False], [0, None]),
    "an object": (OBJECT, [{}], [[], None]),
    "null": (one_of(None), [None], [0, False]),
    'one of "a", 1': (one_of("a", 1), ["a", 1], ["b", True, 1.0, []]),
    "an integer, or null": (optional(INTEGER), [None, 1], [True]),
    "a list of 2 times a text": (list_of(TEXT, 2), [["a", "b"]], [["a"], ["a", 1], "ab", {}]),
}


@pytest.mark.parametrize("words", KINDS)
def test_kinds(words):
    kind, taken, refused = KINDS[words]
    assert kind.words == words
    for value in taken:
        assert field({"a": {"b": value}}, "a.b", kind) == value
    for value in refused:
        with pytest.raises(DocumentError, match=r"^a\.b is .*: expected "):
            field({"a": {"b": value}}, "a.b", kind)


def test_fields_that_are_missing_are_named():
    with pytest.raises(DocumentError, match=r"^it lacks 'a\.b'$"):
        field({"a": {}}, "a.b", TEXT)
    with pytest.raises(DocumentError, match=r"^a is 3: expected an object$"):
        field({"a": 3}, "a.b", TEXT)
    with pytest.raises(DocumentError, match=r"^the document is \[\]: expected an object$"):
        field([], "a", TEXT)


def test_a_seal_notices_every_change_but_that_of_order():
    document = sealed({"a": (1, 2.0), "b": {"c": None, "d": "é", 5: True}})
    assert unsealed(json.loads(json.dumps(document))) == {
        "a": [1, 2.0],
        "b": {"c": None, "d": "é", "5": True},
    }
    unsealed(dict(reversed(document.items())))
    for changed in (
        {**document, "a": [1, 2]},
        {**document, "a": [2.0, 1]},
        {**document, "b": {"c": None, "d": "é", "5": 1}},
        {**document, "e": None},
        {**document, "b": {"c": None, "d": "e", "5": True}},
        {**document, "checksum": "0" * 64},
        {**document, "checksum": None},
        {key: value for key, value in document.items() if key != "checksum"},
        {key: value for key, value in document.items() if key != "a"},
        [document],
    ):
        with pytest.raises(DocumentError):
            unsealed(changed)


def test_true_is_not_one_where_records_differ():
    assert first_difference({"a": 1}, {"a": 1.0}) is None
    assert first_difference({"a": 1}, {"a": True}) == ("a", "1", "true")
    assert first_difference({"a": [{"b": 0}]}, {"a": [{"b": False}]}) is not None
    assert first_difference({"a": [0, 1]}, {"a": [0]}) is not None
