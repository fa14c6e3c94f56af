"""One text for each space: fields, nearest names, a user's own modules, `kernas spaces`."""

import json
import sys

import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.search.cli.app import run
from kernas.search.spaces.registry import SPACES

OWN = """
from dataclasses import dataclass
import kernas.kernels as kk
import kernas.search as ks

def build(depth, width):
    return kk.serial(kk.Flatten(), *[kk.Dense(width=width), kk.Relu()] * depth, kk.Dense())

SPACE = ks.ChoiceSpace(build, {"depth": [1, 2], "width": [1.0, 2.0]}, name="mine")

@dataclass(frozen=True)
class Deep(ks.NasBench201):
    pass

NUMBER = 3
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module of the user's that Python finds."""
    (tmp_path / "my_spaces.py").write_text(OWN)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_spaces"
    sys.modules.pop("my_spaces", None)


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("nasbench201", ks.NasBench201()),
        ("nasbench201:cells=1", ks.NasBench201(1)),
        (
            "nasbench201:cells=2,center=false,reduction=pool,readout=lap:1",
            ks.NasBench201(2, False, "pool", readout="lap:1"),
        ),
        ("nasbench201:shortcut_W_std=1.5,padding=circular", None),
        (
            "nasbench101:cells=1,max_pool=average,channels=128",
            ks.NasBench101(1, max_pool="average", channels=128),
        ),
        ("nats-size:center=false", ks.NatsSize(center=False)),
        ("macro:network=dense,max_depth=2", ks.MacroSpace("dense", 2)),
        ("graph:operations=conv_1x1+conv_3x3,n_nodes=3", None),
        ("graph:max_edges=2", ks.GraphSpace(max_edges=2)),
        ("darts:cells=5,max_pool=average", ks.DartsSpace(5, "average")),
        ("nasnet:normalize=layer", ks.NasNetSpace(normalize="layer")),
    ],
)
def test_a_text_is_a_space_and_a_space_its_text(text, space):
    made = ks.space_from_text(text)
    assert made.text == text
    assert space is None or made == space
    assert ks.space_from_text(made.text) == made


def test_fields_may_stand_in_any_order_and_with_their_defaults():
    space = ks.space_from_text(" nasbench201 : reduction = pool , cells = 5 , center=yes ")
    assert space == ks.NasBench201(reduction="pool")
    assert space.text == "nasbench201:reduction=pool"
    assert ks.space_from_text("graph:max_edges=none") == ks.GraphSpace()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nasbench", ["unknown space 'nasbench', did you mean 'nasbench201'?", "macro"]),
        ("", ["unknown space ''", "kernas spaces"]),
        ("nasbench201:cell=1", ["unknown field 'cell', did you mean 'cells'?"]),
        ("nasbench201:cells_per_stage=1", ["unknown field 'cells_per_stage'"]),
        ("nasbench201:cells=x", ["cells=x: expected an integer"]),
        ("nasbench201:cells=0", ["cells_per_stage=0: expected an integer >= 1"]),
        ("nasbench201:cells", ["cells has no value"]),
        ("nasbench201:cells=1,cells=2", ["cells stands twice"]),
        ("nasbench201:center=maybe", ["center=maybe: expected true or false"]),
        ("nasbench201:reduction=pol", ["did you mean 'pool'?", "expected residual or pool"]),
        ("nasbench201:readout=mean", ["readout='mean'", "lap:1"]),
        ("graph:operations=conv_3x4", ["unknown 'conv_3x4', did you mean 'conv_3x3'?"]),
        ("graph:max_edges=-1", ["max_edges=-1: expected an integer >= 0, or none"]),
        ("macro:max_window=4", ["expected 3, 5 or 7"]),
        ("no_such_module:SPACE", ["cannot import no_such_module"]),
        ("my_broken:SPACE", ["cannot import my_broken (ZeroDivisionError"]),
        ("my_spaces:SPACES", ["has no 'SPACES', did you mean 'SPACE'?"]),
        ("my_spaces:NUMBER", ["NUMBER of my_spaces is 3, expected a Space"]),
    ],
)
def test_what_is_no_space_is_refused_in_a_line(text, words, own_module):
    with pytest.raises(ConfigurationError) as refused:
        ks.space_from_text(text)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_space_of_a_users_module(own_module):
    space = ks.space_from_text(f"{own_module}:SPACE")
    assert (space.name, space.text) == ("mine", "my_spaces:SPACE")
    deep = ks.space_from_text(f"{own_module}:Deep:cells=3")
    assert isinstance(deep, ks.NasBench201)
    assert deep.cells_per_stage == 3
    assert deep.text == "my_spaces:Deep:cells=3"


def test_a_command_ranks_a_space_of_a_module_in_the_current_folder(
    own_module, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    arguments = ["rank", "--space", "my_spaces:SPACE", "--sample", "3", "--dry-run"]
    assert run([*arguments, "--output", "run", "--image-size", "4"]) == 0
    assert "3 candidates (3 different networks)" in capsys.readouterr().out
    assert run(["explain", "depth=2,width=2.0", "--space", "my_spaces:SPACE"]) == 0
    assert capsys.readouterr().out.startswith("depth=2,width=2.0\n")
    assert run(["explain", "depth=3,width=2.0", "--space", "my_spaces:SPACE"]) == 2
    assert "depth='3' is no value of the space 'mine'" in capsys.readouterr().err


def test_spaces_are_listed_with_their_fields(capsys):
    assert run(["spaces"]) == 0
    text = capsys.readouterr().out
    assert "nasbench201: The NAS-Bench-201 space of 15,625 cells\n" in text
    assert "  cells=5 " in text
    assert ":class:" not in text
    assert "cells in each of the three stages, >= 1 (published: 5) (an integer)\n" in text
    assert run(["spaces", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [space["name"] for space in listed] == list(SPACES)
    for space in listed:
        for field in space["fields"]:
            assert field["meaning"], field
            made = ks.space_from_text(f"{space['name']}:{field['name']}={field['default']}")
            assert made.text == space["name"], "the default that is listed is that of the class"


def test_architectures_alone_name_no_space():
    network = kk.serial(kk.Flatten(), kk.Dense())
    space = ks.ChoiceSpace(lambda depth: network, {"depth": [1]}, name="nameless")
    assert space.text == "nameless"
