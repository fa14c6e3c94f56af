"""The table of a long experiment: what is in it is not computed again."""

from pathlib import Path

import pytest
from pieces import Pieces

from kernas.errors import DataError

ROWS = ["|none~0|", "=a", "plain"]


def never():
    raise AssertionError("computed again")


def test_what_is_there_is_read_and_not_computed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "table.csv"
    first = Pieces(path, ROWS).get("one:0", "a", lambda: {"x": [1 / 3, None, 2.0], "y": [1, 2, 3]})
    assert first == {"x": [0.3333333, None, 2.0], "y": [1.0, 2.0, 3.0]}
    before = path.read_text()
    Pieces(path, ROWS).get("one", "b", lambda: {"x": [5, 6, 7]})
    assert Pieces(path, ROWS).get("one:0", "a", never) == first
    assert Pieces(path, ROWS).get("one", "b", never) == {"x": [5.0, 6.0, 7.0]}
    assert before.splitlines()[1] == "cell,one:0/x,one:0/y"


def test_a_piece_of_other_settings_or_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    Pieces(path, ROWS).get("one", "a", lambda: {"x": [1, 2, 3]})
    with pytest.raises(DataError, match=r"'one' of other settings or data \(a, here b\)"):
        Pieces(path, ROWS).get("one", "b", never)
    with pytest.raises(DataError, match="3 other candidates than these 2"):
        Pieces(path, ROWS[:2]).get("one", "a", never)


def test_without_a_path_nothing_is_kept() -> None:
    pieces = Pieces(None, ROWS)
    assert pieces.get("one", "a", lambda: {"x": [1, 2, 3]}) == {"x": [1.0, 2.0, 3.0]}
    with pytest.raises(AssertionError, match="computed again"):
        pieces.get("one", "a", never)


def test_a_piece_that_another_process_adds_meanwhile_is_kept(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path / "table.csv", ["a", "b"])

    def slow() -> dict[str, list[float]]:
        Pieces(tmp_path / "table.csv", ["a", "b"]).get("other", "", lambda: {"x": [3.0, 4.0]})
        return {"x": [1.0, 2.0]}

    pieces.get("one", "", slow)
    assert pieces.get("other", "", dict) == {"x": [3.0, 4.0]}
    assert pieces.get("one", "", dict) == {"x": [1.0, 2.0]}
