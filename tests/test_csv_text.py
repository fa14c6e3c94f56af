"""Tables as CSV: what is a text to a spreadsheet, and what comes back."""

import csv
import io

import pytest

from kernas.csv_text import as_it_was, csv_table

RUN = [
    "=1+1",
    "+A1",
    "-A1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    '=HYPERLINK("http://x","y")',
    "-",
    "=",
    "'=1",
]
LEFT = [
    "",
    "a",
    "a\rb\r\nc",
    "a=1",
    " =1",
    "'",
    "'a",
    "|nor_conv_3x3~0|",
    "-1",
    "+2.5e-3",
    "-inf",
    "ü",
]


@pytest.mark.parametrize("text", RUN)
def test_what_could_be_run_is_a_text_and_comes_back(text):
    table = csv_table([["name", "x"], [text, -0.5]])
    assert table.split("\n", 1)[1].lstrip('"').startswith("'")
    (_, (cell, number)) = csv.reader(io.StringIO(table, newline=""))
    assert (as_it_was(cell), number) == (text, "-0.5")


@pytest.mark.parametrize("text", LEFT)
def test_other_texts_and_numbers_are_as_they_are(text):
    (row,) = csv.reader(io.StringIO(csv_table([[text, 1, None]]), newline=""))
    assert row == [text, "1", ""]
    assert as_it_was(text) == text


def test_lines_end_alike_everywhere():
    assert csv_table([["a", "b"], [1, 2.5]]) == "a,b\n1,2.5\n"
