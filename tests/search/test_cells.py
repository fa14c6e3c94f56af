"""One cell, however it is given: text, operations, NASLib's indices, its number; in any order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernas.search as ks
from kernas.errors import ArchitectureError, DataError
from kernas.kernels.regression import ScoreValue
from kernas.search.spaces import cell_strings

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
SPACE = ks.NasBench201(cells_per_stage=1)
OPERATIONS = (
    "avg_pool_3x3",
    "skip_connect",
    "none",
    "nor_conv_1x1",
    "avg_pool_3x3",
    "nor_conv_1x1",
)
NAME = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
SAME = [
    NAME,
    f"  {NAME}\n",
    "|avg_pool_3x3~0|+|none~1|skip_connect~0|+|nor_conv_1x1~2|nor_conv_1x1~0|avg_pool_3x3~1|",
    OPERATIONS,
    list(OPERATIONS),
    (4, 0, 3, 1, 4, 3),  # NASLib: (0,1) (0,2) (0,3) (1,2) (1,3) (2,3)
    [np.int64(index) for index in (4, 0, 3, 1, 4, 3)],
    "(4, 0, 3, 1, 4, 3)",
    "[4,0,3,1,4,3]",
]


@pytest.mark.parametrize("given", SAME, ids=repr)
def test_a_cell_is_the_same_however_it_is_given(given):
    assert SPACE.parse(given) == OPERATIONS
    assert SPACE.candidate(given).name == NAME
    assert SPACE.canonical(given) == SPACE.canonical(NAME)
    assert ks.NasBench201(1).architecture(given) == ks.NasBench201(1).architecture(NAME)
    assert [c.name for c in ks.read_candidates([given], SPACE)] == [NAME]
    measured: Any = {given if isinstance(given, str | tuple) else NAME: 91.5}
    truth = ks.Truth(measured)
    assert truth[given] == truth[NAME] == 91.5
    assert given in truth
    assert list(truth) == [NAME]


@pytest.mark.usefixtures("data_folder")
def test_numbers_are_those_of_the_published_table():
    """Beginning and end of the table, and every cell once."""
    assert SPACE.candidate(0).name == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    int32: Any = np.int32(235)
    assert SPACE.parse("235") == SPACE.parse(235) == SPACE.parse(int32)
    assert SPACE.candidate(235).name == (
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"
    )
    assert len({SPACE.parse(number) for number in range(15625)}) == 15625


def test_without_the_table_cells_have_no_numbers(monkeypatch, tmp_path):
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cell_strings._published_cells.cache_clear()
    with pytest.raises(ArchitectureError, match=r"no file at .*nasbench201\.npz.*set KERNAS_DATA"):
        SPACE.candidate(235)
    np.savez(tmp_path / "nasbench201.npz", arch_str=np.array([NAME]))
    with pytest.raises(DataError, match=r"has shape \(1,\): expected the 15,625 cells"):
        SPACE.candidate(235)


def test_numbers_and_measured_values_of_the_table_agree(data_folder):
    truth = ks.load_truth("nasbench201")
    assert [SPACE.candidate(number).name for number in range(15625)] == list(truth)
    assert truth[235] == truth[SPACE.candidate(235).name] == pytest.approx(93.0, abs=0.01)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (15625, "0 to 15624"),
        (-1, "0 to 15624"),
        ("99999", "0 to 15624"),
        (True, "cell True: expected a cell string"),
        (235.0, "cell 235.0: expected a cell string"),
        (None, "cell None: expected a cell string"),
        ((4, 0, 3, 1, 4), "expected a cell string"),
        ((4, 0, 3, 1, 4, 5), "5 is no operation, expected NASLib's"),
        ((4, 0, 3, 1, 4, -1), "-1 is no operation"),
        ((4, 0, 3, 1, 4, True), "expected a cell string"),
        ((4, 0, 3, 1, 4, 3.0), "expected a cell string"),
        ("(4, 0, 3, 1, 4, 9)", "9 is no operation"),
        ((*OPERATIONS[:5], "conv"), "unknown operation 'conv'"),
        ((*OPERATIONS[:5], 3), "expected a cell string"),
        (np.array([4, 0, 3, 1, 4, 3]), "expected a cell string"),  # of which order?
    ],
    ids=repr,
)
def test_what_is_no_cell_is_refused_in_one_line(given, words):
    for call in (SPACE.parse, SPACE.candidate, SPACE.architecture, SPACE.canonical):
        with pytest.raises(ArchitectureError) as refused:
            call(given)
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
    truth = ks.Truth({NAME: 1.0})
    assert given not in truth
    with pytest.raises(KeyError):
        truth[given]


@pytest.mark.usefixtures("data_folder")
def test_a_file_named_like_a_number_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [c.name for c in ks.read_candidates(["235"], SPACE)] == [SPACE.candidate(235).name]
    Path("235").write_text(f"{CELL}\n(4, 0, 3, 1, 4, 3)\n17\n")
    found = [c.name for c in ks.read_candidates(["235"], SPACE)]
    assert found == [CELL, NAME, SPACE.candidate(17).name]
    with pytest.raises(DataError, match="twice"):
        ks.read_candidates([(4, 0, 3, 1, 4, 3), NAME], SPACE)


def test_a_table_has_one_value_of_a_cell_in_its_spellings():
    with pytest.raises(DataError, match="are one cell"):
        ks.Truth({NAME: 1.0, SAME[2]: 2.0})
    names = ks.Truth({"net|1": 1.0, "7": 2.0, "a": 3.0})
    assert (names["net|1"], names["7"], names["a"]) == (1.0, 2.0, 3.0)
    assert 7 not in names


def test_a_ranking_is_compared_with_a_truth_of_any_spelling():
    rows = tuple(
        ks.Row(rank, SPACE.candidate(cell).name, "", "ok", {"score": ScoreValue(float(-rank))})
        for rank, cell in enumerate((NAME, CELL, 17), start=1)
    )
    ranking = ks.Ranking(rows, {"score": True})
    truth: Any = {(4, 0, 3, 1, 4, 3): 3.0, CELL: 2.0, 17: 1.0}
    found = ranking.correlation(truth)
    assert found["score"].spearman.value == pytest.approx(1)
