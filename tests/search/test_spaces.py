"""NAS-Bench-201: its names, its classes, its skeleton; and the user's own lists."""

import itertools
import pickle
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels.engine import Blocking
from kernas.search.spaces.cell_strings import EDGES, OPERATIONS

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
SPACE = ks.NasBench201(cells_per_stage=1)


def cell_of(**edges: str) -> str:
    """A cell of named edges such as e03="skip_connect"; the others are none."""
    return SPACE.format(tuple(edges.get(f"e{s}{t}", "none") for s, t in EDGES))


@given(st.tuples(*[st.sampled_from(OPERATIONS)] * 6))
def test_parse_inverts_format(operations):
    assert SPACE.parse(SPACE.format(operations)) == operations


def test_format_inverts_parse_and_edges_are_in_the_published_order():
    assert SPACE.format(SPACE.parse(CELL)) == CELL
    assert SPACE.parse(CELL) == (
        "nor_conv_3x3",
        "skip_connect",
        "avg_pool_3x3",
        "none",
        "nor_conv_1x1",
        "skip_connect",
    )


def test_edges_in_another_order_are_the_same_cell():
    swapped = CELL.replace("|skip_connect~0|avg_pool_3x3~1|", "|avg_pool_3x3~1|skip_connect~0|")
    assert SPACE.candidate(swapped).name == CELL


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (CELL.replace("nor_conv_3x3", "conv_7x7"), ["'conv_7x7'", *OPERATIONS]),
        (CELL.replace("|nor_conv_3x3~0|", "|nor_conv_3x3~1|"), ["node 1 read node 1", "before"]),
        (CELL.replace("avg_pool_3x3~1", "avg_pool_3x3~3"), ["node 2 read node 3", "0 to 1"]),
        (CELL.replace("avg_pool_3x3~1", "avg_pool_3x3~0"), ["node 2 reads node 0 twice"]),
        (CELL.replace("avg_pool_3x3~1|", ""), ["node 2 has no operation from node 1", "none~1"]),
        (CELL.rsplit("+", 1)[0], ["2 node(s)", "three"]),
        (CELL.replace("|none~0|", "none~0|"), ["node 3 is", "|operation~source|"]),
        (CELL.replace("none~0", "none0"), ["'none0' at node 3", "operation~source"]),
        ("", ["1 node(s)"]),
    ],
)
def test_malformed_cells_are_refused_by_name(cell, words):
    with pytest.raises(ArchitectureError) as caught:
        SPACE.architecture(cell)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_format_refuses_other_than_six_operations():
    with pytest.raises(ArchitectureError, match="5 operations: expected 6"):
        SPACE.format(("none",) * 5)


def test_enumerate_has_every_cell_once():
    cells = [candidate.name for candidate in SPACE.enumerate()]
    assert len(cells) == len(set(cells)) == 15_625


def test_enumerate_and_canonical_agree_with_the_published_table(data_folder):
    with np.load(data_folder / "nasbench201.npz") as table:
        names = [name.decode() for name in table["arch_str"]]
        classes = table["unique_id"].tolist()
    assert {candidate.name for candidate in SPACE.enumerate()} == set(names)
    canonical = [SPACE.canonical(name) for name in names]
    # The same partition: as many pairs as classes on either side.
    assert len(set(classes)) == len(set(canonical)) == 6_466
    assert len(set(zip(classes, canonical, strict=True))) == 6_466


@pytest.mark.slow
def test_deeper_skeletons_tell_the_same_cells_apart():
    deep = ks.NasBench201(cells_per_stage=2)
    pairs = {
        (SPACE.architecture(cell.name).hash, deep.architecture(cell.name).hash)
        for cell in SPACE.enumerate()
    }
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 5_044


def test_sample_has_no_network_twice_and_begins_alike():
    space = ks.NasBench201()
    sample = space.sample(40, seed=3)
    assert len({candidate.architecture.hash for candidate in sample}) == 40
    assert [c.name for c in space.sample(20, seed=3)] == [c.name for c in sample[:20]]
    assert [c.name for c in space.sample(20, seed=4)] != [c.name for c in sample[:20]]


@pytest.mark.parametrize("n", [0, -1, 15_626])
def test_sample_refuses_impossible_sizes(n):
    with pytest.raises(ConfigurationError, match=f"n={n} cells: expected 1 to 15625"):
        SPACE.sample(n)


@pytest.mark.slow
def test_sample_refuses_more_than_the_5044_different_networks():
    with pytest.raises(ConfigurationError, match="only 5044 different networks"):
        SPACE.sample(5_045)


def test_candidates_can_be_pickled():
    candidate = SPACE.candidate(CELL)
    again = pickle.loads(pickle.dumps(candidate))
    assert again == candidate
    assert again.architecture.hash == candidate.architecture.hash


def count(architecture: kk.Architecture, kind: type) -> int:
    return sum(isinstance(node.layer, kind) for node in architecture.nodes)


def test_skeleton_of_a_cell_of_one_convolution():
    space = ks.NasBench201(cells_per_stage=2)
    network = space.architecture(cell_of(e03="nor_conv_1x1"))
    # Stem, six cells of one convolution, two reductions of two and a shortcut.
    assert count(network, kk.Conv) == 1 + 6 + 2 * 3
    # Each convolution but the shortcuts is normalised, and the readout.
    assert count(network, kk.Normalize) == 1 + 6 + 2 * 2 + 1
    assert count(network, kk.Relu) == 6 + 2 * 2 + 1
    assert count(network, kk.AvgPool) == 2
    assert [type(node.layer).__name__ for node in network.nodes[-4:]] == [
        "Normalize",
        "Relu",
        "GlobalAvgPool",
        "Dense",
    ]
    strided = [
        n.layer for n in network.nodes if isinstance(n.layer, kk.Conv) and n.layer.stride == (2, 2)
    ]
    assert len(strided) == 2
    assert all(layer.padding == ((1, 1), (1, 1)) and layer.window == (3, 3) for layer in strided)
    widths = [node.layer.width for node in network.nodes if isinstance(node.layer, kk.Conv)]
    assert sorted(widths) == sorted([1.0] * 3 + [2.0] * 5 + [4.0] * 5)


def test_pixels_halve_twice_and_pools_divide_by_valid_pixels():
    network = SPACE.architecture(cell_of(e03="avg_pool_3x3"))
    shapes = network.shapes((32, 32, 3))
    assert list(dict.fromkeys(shapes)) == [(32, 32), (16, 16), (8, 8), ()]
    pools = [n.layer for n in network.nodes if isinstance(n.layer, kk.AvgPool)]
    edge = [pool for pool in pools if pool.window == (3, 3)]
    assert len(edge) == 3
    assert all(pool.divisor == "valid" and pool.padding == ((1, 1), (1, 1)) for pool in edge)


def test_pool_reduction_is_pool_convolution_normalisation():
    space = ks.NasBench201(cells_per_stage=1, reduction="pool", center=False)
    network = space.architecture(cell_of(e03="skip_connect"))
    names = [type(node.layer).__name__ for node in network.nodes[1:]]
    assert names == [
        *("Conv", "Normalize", "Sum"),
        *("AvgPool", "Conv", "Normalize", "Sum") * 2,
        *("Normalize", "Relu", "GlobalAvgPool", "Dense"),
    ]
    assert not any(n.layer.center for n in network.nodes if isinstance(n.layer, kk.Normalize))


def test_edges_that_carry_zero_do_not_change_the_network():
    plain = cell_of(e03="nor_conv_3x3")
    dead_end = cell_of(e03="nor_conv_3x3", e01="nor_conv_1x1")
    fed_by_nothing = cell_of(e03="nor_conv_3x3", e13="nor_conv_1x1", e23="skip_connect")
    hashes = {SPACE.architecture(c).hash for c in (plain, dead_end, fed_by_nothing)}
    assert len(hashes) == 1


def test_all_cells_without_output_are_one_network_and_evaluable():
    empty = SPACE.architecture(cell_of())
    assert empty.hash == SPACE.architecture(cell_of(e01="skip_connect")).hash
    assert empty.shapes((8, 8, 1))[-1] == ()


def test_settings_of_the_skeleton_change_the_network():
    variants = [
        ks.NasBench201(cells_per_stage=n, center=c, reduction=r)
        for n, c, r in itertools.product((1, 2), (True, False), ("residual", "pool"))
    ]
    assert len({space.architecture(CELL).hash for space in variants}) == 8
    assert len({tuple(space.settings().items()) for space in variants}) == 8


def with_gains(network: kk.Architecture, gain: float) -> kk.Architecture:
    """The network with another gain wherever a normalisation follows a convolution."""
    normalised = {n.inputs[0] for n in network.nodes if isinstance(n.layer, kk.Normalize)}
    nodes = [
        replace(node, layer=replace(node.layer, W_std=gain))
        if index in normalised and isinstance(node.layer, kk.Conv)
        else node
        for index, node in enumerate(network.nodes)
    ]
    return kk.Architecture(tuple(nodes))


def test_gains_that_no_normalisation_removes_are_the_published_ones():
    network = SPACE.architecture(CELL)
    normalised = {n.inputs[0] for n in network.nodes if isinstance(n.layer, kk.Normalize)}
    gains = [
        (type(node.layer).__name__, node.layer.W_std)
        for index, node in enumerate(network.nodes)
        if isinstance(node.layer, kk.Conv | kk.Dense) and index not in normalised
    ]
    published = 3**-0.5  # a variance of 1/(3 fan-in)
    assert gains == [("Conv", published), ("Conv", published), ("Dense", published)]


def test_normalisations_remove_all_gains_but_those_of_shortcut_and_readout():
    space = ks.NasBench201(cells_per_stage=1, center=False)
    network = space.architecture(CELL)
    x = np.random.default_rng(0).normal(size=(4, 4, 4, 2))

    def both(architecture: kk.Architecture) -> kk.Kernels:
        whole = Blocking("whole")
        return kk.NeuralKernel(architecture, get=("nngp", "ntk"), blocking=whole).bind(x)(x)

    with jax.enable_x64(True):
        kernels = both(network)
        for ours, theirs in zip(both(with_gains(network, 0.7)), kernels, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        louder = both(replace(space, readout_W_std=1.0).architecture(CELL))
        for ours, theirs in zip(louder, kernels, strict=True):
            np.testing.assert_allclose(ours, 3 * theirs, rtol=1e-9)
        other = both(replace(space, shortcut_W_std=2**0.5).architecture(CELL))
    assert np.max(np.abs(other.ntk / kernels.ntk - 1)) > 0.02


@pytest.mark.parametrize("size", [4, 8, 32])
def test_image_sizes_that_halve_twice_pass(size):
    SPACE.check_shape((size, size, 3))
    assert SPACE.architecture(CELL).shapes((size, size, 3))[-1] == ()


@pytest.mark.parametrize(("size", "proposal"), [(6, 4), (2, 4), (30, 28), (0, 4), (-8, 4)])
def test_image_sizes_that_do_not_halve_are_refused(size, proposal):
    with pytest.raises(ConfigurationError, match=rf"image size {size}:.* for example {proposal}$"):
        SPACE.check_shape((size, 8, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"cells_per_stage": 0},
        {"cells_per_stage": 1.5},
        {"reduction": "conv"},
        {"shortcut_W_std": 0.0},
        {"shortcut_W_std": float("nan")},
        {"readout_W_std": "1"},
    ],
)
def test_bad_skeletons_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        ks.NasBench201(**options)


def test_user_list_reads_cells_files_and_json(tmp_path):
    other = cell_of(e03="skip_connect")
    (tmp_path / "cells.txt").write_text(f"# two lines\n\n{other}\n")
    network = kk.serial(kk.Conv(3), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    document = tmp_path / "network.json"
    document.write_text(network.to_json())
    candidates = ks.read_candidates([CELL, tmp_path / "cells.txt", str(document)], SPACE)
    assert [c.name for c in candidates] == [CELL, other, document.as_posix()]
    assert candidates[2].architecture.hash == network.hash
    assert pickle.loads(pickle.dumps(candidates[2])).architecture.hash == network.hash


@pytest.mark.parametrize(
    ("items", "error", "words"),
    [
        (["missing.txt"], DataError, ["'missing.txt'", "candidate of nasbench201, such as |"]),
        (["empty.txt"], DataError, ["empty"]),
        ([CELL, CELL], DataError, ["twice"]),
        (["bad.txt"], ArchitectureError, ["bad.txt", "unknown operation 'conv_7x7'"]),
        (["bad.json"], ArchitectureError, ["bad.json", "JSON"]),
        (["binary.txt"], DataError, ["binary.txt", "cannot read"]),
    ],
)
def test_bad_user_lists_are_refused(tmp_path, monkeypatch, items, error, words):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("# nothing\n")
    Path("bad.txt").write_text(CELL.replace("nor_conv_1x1", "conv_7x7"))
    Path("bad.json").write_text("{")
    Path("binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(error) as caught:
        ks.read_candidates(items, SPACE)
    assert all(word in str(caught.value) for word in words)


def test_a_list_from_another_editor(tmp_path):
    """A byte-order mark, lines that end with a carriage return as well, or with it only."""
    other = SPACE.format(("none",) * 6)
    for end in ("\r\n", "\r"):
        (tmp_path / "cells.txt").write_bytes(f"\ufeff{CELL}{end}{other}{end}".encode())
        names = [c.name for c in ks.read_candidates([tmp_path / "cells.txt"], SPACE)]
        assert names == [CELL, other]


def test_what_is_wrong_in_a_list_is_told_with_its_line(tmp_path):
    path = tmp_path / "cells.txt"
    path.write_text(f"# mine\n{CELL}\n\n{CELL[:-2]}\n")
    with pytest.raises(ArchitectureError, match=r"cells\.txt, line 4: cell "):
        ks.read_candidates([path], SPACE)
    path.write_text(CELL.replace("~0", "~" + "9" * 5000, 1))  # more digits than int() takes
    with pytest.raises(
        ArchitectureError, match=r"cells\.txt, line 1: cell .*is not operation~source"
    ):
        ks.read_candidates([path], SPACE)
    path.write_text(f"{CELL}\n{CELL}\n")
    with pytest.raises(DataError, match=r"stands in the list of .*cells\.txt twice"):
        ks.read_candidates([path], SPACE)
    path.write_text("# nothing\n")
    with pytest.raises(DataError, match=r"architectures of .*cells\.txt and 1 more is empty"):
        ks.read_candidates([path, path, path, path], SPACE)


def test_no_room_but_that_of_spaces_names_one():
    top = Path(ks.__file__).parent
    rooms = [path for path in top.glob("*/**/*.py") if path.relative_to(top).parts[0] != "spaces"]
    assert len(rooms) > 50
    assert [path for path in rooms if "nasbench" in path.read_text().lower()] == []
