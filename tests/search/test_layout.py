"""Tables that fit into a terminal."""

import pytest

import kernas.search as ks
from kernas.kernels.regression import ScoreValue
from kernas.search.ranking.table import rank_rows

NAMES = (
    "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",
    "short",
)
DIRECTIONS = {"ntk:evidence": True, "ntk:accuracy": True, "nngp:loo_error": False}


def ranking(truth=None):
    rows = [
        ks.Row(
            None,
            name,
            name,
            "ok",
            {
                "ntk:evidence": ScoreValue(-38.1 - i),
                "ntk:accuracy": ScoreValue(0.825, 0.027),
                "nngp:loo_error": ScoreValue(0.1, 0.01),
            },
            truth=truth,
        )
        for i, name in enumerate(NAMES)
    ]
    return ks.Ranking(rank_rows(rows, DIRECTIONS), DIRECTIONS)


def columns(line):
    return line.replace(" ± ", "±").split()


def test_at_full_width_nothing_changes():
    whole = str(ranking())
    widest = max(map(len, whole.splitlines()))
    assert ranking().table() == ranking().table(widest) == ranking().table(500) == whole
    assert "…" not in whole


def test_names_give_way_first():
    whole = str(ranking())
    narrow = ranking().table(max(map(len, whole.splitlines())) - 30).splitlines()
    assert columns(narrow[0]) == columns(whole.splitlines()[0])
    name = columns(narrow[1])[-1]
    assert len(name) == len(NAMES[0]) - 30
    begin, end = name.split("…")
    assert abs(len(begin) - len(end)) <= 1
    assert NAMES[0].startswith(begin)
    assert NAMES[0].endswith(end)
    assert columns(narrow[2])[-1] == "short"
    assert narrow[3].startswith("Left out in")
    assert narrow[3].endswith("columns: the middle of names.")


@pytest.mark.parametrize("width", range(40, 120, 5))
def test_lines_fit_and_stay_aligned(width):
    lines = ranking().table(width).splitlines()
    head, *rows = lines[:3]
    assert max(map(len, lines[:3])) <= width
    start = head.index("name")
    assert all(row[start - 2 : start] == "  " and row[start] != " " for row in rows)
    assert columns(head)[:2] == ["rank", "ntk:evidence"]
    shown, left = set(columns(head)), lines[3] if len(lines) > 3 else ""
    for score in DIRECTIONS:
        assert (score in shown) != (score in left)


def test_the_last_scores_go_first_and_the_truth_stays():
    lines = ranking(truth=94.2).table(50).splitlines()
    assert columns(lines[0]) == ["rank", "ntk:evidence", "truth", "name"]
    assert lines[3] == (
        "Left out in 50 columns: ntk:accuracy, nngp:loo_error, the middle of names."
    )


def test_a_terminal_of_a_few_columns_gets_the_first_score():
    lines = ranking().table(10).splitlines()
    assert columns(lines[1]) == ["1", "-38.1", "|…|"]
