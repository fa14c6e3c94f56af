"""Cells as pictures: what stands in the boxes, and which lines join them."""

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

import kernas.search as ks
from kernas.search.cli.app import run

CELLS = ks.NasBench201()
NAME = "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"


def drawn(candidate) -> str:
    """Its picture, which it has."""
    picture = candidate.svg()
    assert picture is not None
    return picture


def boxes(picture) -> Counter[str]:
    """The texts of all boxes; the document is well-formed."""
    root = ElementTree.fromstring(picture)
    groups = [group for group in root.iter() if "data-node" in group.attrib]
    texts = [next(t.text for t in group if t.tag.endswith("text")) for group in groups]
    return Counter(text or "" for text in texts)


def lines(picture):
    return picture.count("<path ")


def test_a_cell_has_a_box_for_each_operation_that_something_comes_of():
    picture = drawn(CELLS.candidate(NAME))
    assert boxes(picture) == Counter(
        {"input": 1, "nor_conv_1x1": 2, "1": 1, "2": 1, "nor_conv_3x3": 1, "output": 1}
    )
    assert lines(picture) >= 8  # a skip is a line; long ones have bends


def test_what_does_not_reach_the_output_is_left_out():
    name = "|nor_conv_1x1~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    assert boxes(drawn(CELLS.candidate(name))) == Counter(input=1, avg_pool_3x3=1, output=1)
    nothing = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    picture = drawn(CELLS.candidate(nothing))
    assert boxes(picture) == Counter(input=1, output=1)
    assert "nothing but zero reaches it" in picture


def test_vertices_are_boxes_where_they_do_something():
    space = ks.NasBench101()
    picture = space.candidate("conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-3,2-3").svg()
    assert boxes(picture) == Counter(
        {"input": 1, "conv3x3-bn-relu": 1, "maxpool3x3": 1, "output": 1}
    )
    assert lines(picture) == 4
    graph = ks.GraphSpace(("conv_3x3", "skip_connect"), n_nodes=2)
    assert boxes(graph.candidate("conv_3x3,skip_connect;0-1").svg()) == Counter(
        stem=1, conv_3x3=1, skip_connect=1, sum=1
    )


@pytest.mark.parametrize(
    "text",
    ["nasbench201", "nasbench101", "darts", "enas", "pnas", "nasnet", "amoebanet", "graph"],
)
def test_every_candidate_of_cells_has_a_picture_with_all_its_operations(text):
    space = ks.space_from_text(text)
    for candidate in space.sample(20, seed=1):
        found = boxes(drawn(candidate))
        named = set(re.findall(r"[a-z_]*(?:conv|pool)[0-9a-z_-]*", candidate.name))
        assert {box for box in found if "conv" in box or "pool" in box} <= named
        assert candidate._repr_svg_() == candidate.svg()


def test_two_cells_stand_side_by_side():
    candidate = ks.DartsSpace().sample(1, seed=0)[0]
    picture = drawn(candidate)
    assert "normal cell" in picture
    assert "reduction cell" in picture
    assert boxes(picture)["concatenation"] == 2


def test_a_part_of_a_space_and_one_with_recipes_draw_as_the_space_does():
    expected = drawn(CELLS.candidate(NAME))
    recipes = ks.space_from_text("nasbench201 @ epochs=1|2")
    assert recipes.candidate(f"{NAME} @ epochs=2").svg() == expected
    part = ks.RestrictedSpace(CELLS, [NAME])
    assert part.sample(1)[0].svg() == expected


def test_a_network_without_cells_is_drawn_whole():
    candidate = ks.MacroSpace(network="dense").sample(1)[0]
    assert boxes(drawn(candidate))["0 Input"] == 1


def test_explain_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["explain", NAME, "--svg", "cell.svg"]) == 0
    assert (tmp_path / "cell.svg").read_text() == f"{drawn(CELLS.candidate(NAME))}\n"
    capsys.readouterr()
    for arguments, said in (
        ([NAME, "--svg", "cell.svg"], "cell.svg is there already"),
        (["two.txt", "--svg", "two.svg"], "--svg of 2 networks: expected one"),
        ([NAME, "--svg", "nowhere/cell.svg"], "cannot be written"),
    ):
        (tmp_path / "two.txt").write_text(f"{NAME}\n{NAME.replace('1x1', '3x3')}\n")
        code = run(["explain", *arguments])
        error = capsys.readouterr().err
        assert code != 0
        assert said in error
        assert error.count("\n") == 1
