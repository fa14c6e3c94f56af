"""What the text of an error is, whatever it quotes."""

import pickle

from kernas.errors import DataError, MissingDependencyError


def test_a_message_is_one_line_that_can_be_printed():
    error = DataError("a\nb\x1b[31m\udc80\u2028c: Σ ≥ 0 naïve")
    assert str(error) == r"a\nb\x1b[31m\udc80\u2028c: Σ ≥ 0 naïve"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(MissingDependencyError("no\nflax")) == r"no\nflax"


def test_a_long_message_keeps_its_beginning_and_its_way_out():
    text = str(DataError("start " + "x, " * 5000 + "; way out"))
    assert text.startswith("start x, ")
    assert " … " in text
    assert text.endswith("; way out")
    assert len(text) < 3000
