"""NAS-Bench-101: its cells up to isomorphism, published numbers, its skeleton, and its kernels."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from oracles.agreement import check_engine
from oracles.finite_width import sampled_sums
from oracles.graphs.isomorphism import Labelled, isomorphism_class, labelled_cells
from oracles.numpy_kernel import oracle
from scipy.stats import norm
from selection import ordinary

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels.architecture.counts import count
from kernas.kernels.engine import compilations
from kernas.search.spaces.cell_graphs import OPERATIONS, module_hash
from kernas.search.spaces.graph_skeleton import vertex_channels
from kernas.search.spaces.operations import needs, needs_of

SPACE = ks.NasBench101()
SMALL = ks.NasBench101(cells_per_stack=1, max_pool="average")
CONV3X3, CONV1X1, MAXPOOL3X3 = OPERATIONS

FIRST = (
    [
        [0, 1, 0, 0, 1, 1, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    ["input", CONV3X3, MAXPOOL3X3, CONV3X3, CONV3X3, CONV1X1, "output"],
)
"""The first cell of the published table, whose key is its hash."""

INCEPTION = (
    [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    ["input", CONV1X1, CONV3X3, CONV3X3, CONV3X3, MAXPOOL3X3, "output"],
)
"""The Inception-like cell of the published README and notebook."""


def given(cell: Labelled) -> tuple[list[list[int]], list[str]]:
    """A labelled cell as the published code has it."""
    matrix, labels = cell
    operations = [OPERATIONS[label] for label in labels]
    return [list(row) for row in matrix], ["input", *operations, "output"]


def test_the_first_cell_of_the_published_table_has_its_hash_and_parameters() -> None:
    assert SPACE.module_hash(FIRST) == "00005c142e6f48ac74fdcf73e3439874"
    for space in (SPACE, replace(SPACE, channels=128)):
        assert (
            count(space.architecture(FIRST), (32, 32, 3), width=128, outputs=10).params == 8555530
        )


def test_the_published_inception_like_cell_has_its_parameters() -> None:
    for space in (SPACE, replace(SPACE, channels=128)):
        network = space.architecture(INCEPTION)
        assert count(network, (32, 32, 3), width=128, outputs=10).params == 2694282


@pytest.mark.parametrize("vertices", [2, 3, 4, 5])
def test_enumeration_hashes_and_brute_force_tell_the_same_cells_apart(vertices: int) -> None:
    every = [one for size in range(2, vertices + 1) for one in labelled_cells(size, 9)]
    classes = [isomorphism_class(one) for one in every]
    cells = [SPACE.candidate(given(one)) for one in every]
    hashes = [SPACE.module_hash(cell.genotype) for cell in cells]
    enumerated = list(ks.NasBench101(max_vertices=vertices).enumerate())
    found = len(set(classes))
    assert found == {2: 1, 3: 7, 4: 91, 5: 2532}[vertices]
    assert found == len(set(cells)) == len(set(hashes))
    assert found == len(set(zip(classes, cells, strict=True)))
    assert found == len(set(zip(classes, hashes, strict=True)))
    assert [one.genotype for one in enumerated] == list(
        dict.fromkeys(one.genotype for one in enumerated)
    )
    assert {one.genotype for one in enumerated} == {one.genotype for one in cells}
    assert ks.NasBench101(max_vertices=vertices).size() == found


@pytest.mark.parametrize("vertices", ordinary([6], of=[6, 7]))
def test_all_cells_have_different_published_hashes(vertices: int) -> None:
    """Of seven vertices the 423,624 that the paper counts."""
    space = ks.NasBench101(max_vertices=vertices)
    hashes = {module_hash(cell.genotype) for cell in space.enumerate()}
    assert len(hashes) == space.size() == {6: 64542, 7: 423624}[vertices]


def test_cells_are_as_many_as_published() -> None:
    assert SPACE.size() == sum(1 for _ in SPACE.enumerate()) == 423_624


def test_a_bound_on_edges_leaves_the_cells_out_that_have_more() -> None:
    edges = Counter(len(c.genotype[1]) for c in ks.NasBench101(max_vertices=5).enumerate())
    for most in (1, 4, 7):
        space = ks.NasBench101(max_vertices=5, max_edges=most)
        assert space.size() == sum(n for number, n in edges.items() if number <= most)
        assert all(len(c.genotype[1]) <= most for c in space.enumerate())


def test_renumbered_cells_are_one_candidate() -> None:
    rng = random.Random(0)
    for cell in SPACE.sample(50):
        operations, edges = cell.genotype
        order = list(range(1, len(operations) + 1))
        rng.shuffle(order)
        place = {0: 0, len(order) + 1: len(order) + 1}
        place |= {vertex: number for number, vertex in enumerate(order, start=1)}
        moved = tuple(operations[vertex - 1] for vertex in order)
        again = SPACE.candidate((moved, tuple((place[s], place[t]) for s, t in edges)))
        assert again == cell
        assert SPACE.module_hash(again.name) == SPACE.module_hash(cell.name)


def test_a_cell_is_the_same_however_it_is_given() -> None:
    matrix, operations = INCEPTION
    name = SPACE.candidate(INCEPTION).name
    forms = [
        name,
        f" {name.replace(',', ' , ')}\n",
        INCEPTION,
        list(INCEPTION),
        (np.array(matrix), operations),
        {"matrix": matrix, "ops": operations},
        {"module_adjacency": np.array(matrix, dtype=np.int8), "module_operations": operations},
        str({"matrix": matrix, "ops": operations}),
        str(INCEPTION),
        json.dumps(INCEPTION),
    ]
    assert {SPACE.candidate(form).name for form in forms} == {name}
    assert all(SPACE.recognises(form) for form in forms if isinstance(form, str))
    assert [c.name for c in ks.read_candidates([str(INCEPTION)], SPACE)] == [name]
    assert not SPACE.recognises("cells.txt")


def test_what_is_on_no_path_is_left_out() -> None:
    plain = SPACE.candidate(f"{CONV3X3};0-1,1-2")
    dead_end = SPACE.candidate(f"{CONV3X3},{CONV1X1};0-1,1-3,0-2")
    fed_by_nothing = SPACE.candidate(f"{CONV1X1},{CONV3X3};0-2,1-2,2-3")
    assert plain == dead_end == fed_by_nothing
    many = ",".join([CONV3X3] * 20)
    assert SPACE.candidate(f"{many};0-5,5-21") == plain


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (f"{CONV3X3},{CONV1X1};0-1,1-2,2-1,2-3", "a cycle through vertices 1, 2"),
        (f"{CONV3X3};0-1,1-1,1-2", "a cycle through vertices 1;"),
        (([[0, 1, 0], [0, 0, 1], [1, 0, 0]], ["input", CONV3X3, "output"]), "a cycle through"),
        (f"{CONV3X3};0-1", "no path leads from its input, vertex 0, to its output, vertex 2"),
        (";", "expected operations and edges"),
        ("conv3x3-bn-rel;0-1,1-2", "unknown operation 'conv3x3-bn-rel', did you mean"),
        (f"{CONV3X3};0-1,1-3", "no edge (1, 3) between its 3 vertices"),
        (";".join([",".join([CONV3X3] * 6), ",".join(f"{i}-{i + 1}" for i in range(7))]), "8 vert"),
        (
            f"{','.join([CONV3X3] * 3)};0-1,0-2,0-3,0-4,1-2,1-3,1-4,2-3,2-4,3-4",
            "10 edges on paths from input to output, expected at most 9",
        ),
        (([[0, 1], [0, 0]], ["input", CONV3X3, "output"]), "a square matrix of zeros and ones"),
        (([[0, 2], [0, 0]], ["input", "output"]), "a square matrix of zeros and ones"),
        (([[0, 1], [0]], ["input", "output"]), "a square matrix of zeros and ones"),
        ({"matrix": [[0, 1], [0, 0]]}, "expected operations and edges"),
        ("[" * 5000, "expected operations and edges"),
        (5, "expected operations and edges"),
        (None, "expected operations and edges"),
    ],
    ids=repr,
)
def test_what_is_no_cell_is_refused_in_one_line(cell: object, words: str) -> None:
    for call in (SPACE.parse, SPACE.candidate, SPACE.architecture, SPACE.module_hash):
        with pytest.raises(ArchitectureError) as refused:
            call(cell)
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("matrix", "channels", "expected"),
    [
        ("0100 0010 0001 0000", 8, [8, 8]),
        ("0110 0001 0001 0000", 8, [4, 4]),
        ("0110 0001 0001 0000", 15, [8, 7]),
        ("01110 00001 00001 00001 00000", 8, [3, 3, 2]),
        ("01110 00001 00001 00001 00000", 15, [5, 5, 5]),
        ("01000 00110 00001 00001 00000", 9, [5, 5, 4]),
        ("01010 00101 00010 00001 00000", 8, [4, 4, 4]),
        ("01010 00101 00010 00001 00000", 15, [8, 7, 7]),
        ("01 00", 5, []),
    ],
)
def test_channels_are_divided_as_in_the_published_tests(
    matrix: str, channels: int, expected: list[int]
) -> None:
    """Those of ``model_builder_test.py``, vertices in the order given there."""
    rows = [[int(number) for number in row] for row in matrix.split()]
    edges = tuple((i, j) for i, row in enumerate(rows) for j, there in enumerate(row) if there)
    assert vertex_channels(((CONV3X3,) * (len(rows) - 2), edges), channels) == expected


def published_parameters(cell: ks.Candidate, width: int) -> int:
    """Counted as ``build_module`` of the published code makes the layers, of three stacks of one
    cell and ten classes: convolutions without bias, two numbers a channel of each normalisation."""
    operations, edges = cell.genotype
    last, read = len(operations) + 1, width
    total = 27 * width + 2 * width
    for made in (width, 2 * width, 4 * width):
        own = [read, *vertex_channels(cell.genotype, made), made]
        for vertex, operation in enumerate(operations, start=1):
            weights = {CONV3X3: 9 * own[vertex] ** 2, CONV1X1: own[vertex] ** 2, MAXPOOL3X3: 0}
            total += weights[operation] + 2 * own[vertex] * (operation != MAXPOOL3X3)
        total += sum(read * own[target] + 2 * own[target] for source, target in edges if not source)
        read = made
    assert own[last] == read
    return total + 10 * read + 10


@pytest.mark.parametrize("width", [128, 16])
def test_networks_of_published_channels_have_the_published_parameters(width: int) -> None:
    """Also where channels do not divide evenly, and what is added has a channel too many."""
    space = ks.NasBench101(cells_per_stack=1, channels=width)
    uneven = 0
    for cell in space.sample(60, seed=1):
        network = cell.architecture
        found = count(network, (32, 32, 3), width=width, outputs=10).params
        assert found == published_parameters(cell, width)
        even = replace(space, channels=None).architecture(cell.genotype)
        uneven += network != even
    assert uneven > 10


def test_divisions_that_are_even_are_the_same_with_and_without_rounding() -> None:
    for cell in (FIRST, INCEPTION):
        assert replace(SPACE, channels=128).architecture(cell) == SPACE.architecture(cell)


def layers(network: kk.Architecture) -> list[str]:
    return [type(node.layer).__name__ for node in network.nodes[1:]]


def test_skeleton_of_the_cell_without_vertices() -> None:
    network = ks.NasBench101(cells_per_stack=2).architecture(";0-1")
    block = ["Conv", "Normalize", "Relu"]
    stacks = block * 2 + ["MaxPool"] + block * 2 + ["MaxPool"] + block * 2
    assert layers(network) == [*block, *stacks, "GlobalAvgPool", "Dense"]
    widths = [n.layer.width for n in network.nodes if isinstance(n.layer, kk.Conv)]
    assert widths == [1, 1, 1, 2, 2, 4, 4]
    assert list(dict.fromkeys(network.shapes((32, 32, 3)))) == [(32, 32), (16, 16), (8, 8), ()]


def test_a_cell_concatenates_adds_and_projects() -> None:
    """Both read the input; the second adds what the first makes, the output adds the input."""
    cell = f"{CONV1X1},{MAXPOOL3X3};0-1,0-2,1-2,1-3,2-3,0-3"
    network = ks.NasBench101(1, stacks=1).architecture(cell)
    block = ["Conv", "Normalize", "Relu"]
    assert Counter(layers(network)) == Counter(
        [*block * 6, "Sum", "Sum", "Sum", "MaxPool", "Concat", "GlobalAvgPool", "Dense"]
    )
    widths = [n.layer.width for n in network.nodes if isinstance(n.layer, kk.Conv)]
    assert widths == [1, *[0.5] * 5]


def test_fields_change_the_networks() -> None:
    fields = [{"cells_per_stack": 2}, {"stacks": 2}, {"max_pool": "average"}, {"center": False}]
    spaces = [SMALL, *(ks.NasBench101(**{"cells_per_stack": 1, **own}) for own in fields)]
    spaces += [ks.NasBench101(1, normalize="layer"), ks.NasBench101(1, normalize="none")]
    spaces += [ks.NasBench101(1, channels=128)]
    cell = f"{','.join([CONV1X1] * 3)};0-1,0-2,0-3,1-4,2-4,3-4"
    spaces = [space for space in spaces if space != SMALL] + [SMALL]
    assert len({space.architecture(cell).hash for space in spaces}) == len(spaces) == 7
    assert all(space.settings()["max_pool"] == space.max_pool for space in spaces)


def test_kernels_take_an_average_for_the_maximum_only_when_told() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
    refused = ks.NasBench101(cells_per_stack=1)
    with pytest.raises(ArchitectureError, match="takes a maximum, which has no exact kernel"):
        kk.NeuralKernel(refused.architecture(";0-1")).bind(x)
    assert refused.settings()["max_pool"] == "maximum"
    pools = [n.layer for n in SMALL.architecture(FIRST).nodes if isinstance(n.layer, kk.MaxPool)]
    assert len(pools) == 2 + 3
    assert all(pool.as_average for pool in pools)
    fit, _ = kk.load("digits", n_train=10, n_test=1, seed=0, image_size=4)
    score = ks.KernelScore(fit, get="ntk", metric="evidence")
    row = ks.rank([refused.candidate(";0-1")], score, progress=False)[0]
    assert row.status == "error"
    assert "takes a maximum" in row.message


CELLS = ordinary(range(2), of=range(10))


@pytest.mark.parametrize("number", CELLS)
def test_kernels_of_random_cells_agree_with_the_oracle(number: int) -> None:
    cell = SMALL.sample(10, seed=4)[number]
    x = np.random.default_rng(number).normal(size=(6, 4, 4, 2))
    check_engine(cell.architecture, x[:3], reference=x[3:], precisions=(np.float64,))


FINITE = (
    f"{CONV3X3},{CONV1X1};0-1,0-2,1-2,1-3,2-3,0-3",
    f"{CONV1X1},{CONV3X3},{CONV1X1};0-1,0-2,1-3,2-3,2-4,3-4",
    f"{CONV3X3};0-1,0-2,1-2",
)
WIDTHS = (24, 48)
QUANTILE = float(norm.isf(1e-3 / 2 / (2 * len(FINITE))))
"""Two-sided, for both kernels of every cell together at one in a thousand."""


@pytest.mark.slow
@pytest.mark.parametrize("cell", FINITE)
def test_cells_without_pools_are_limits_of_finite_networks(cell: str) -> None:
    """Of one stack, which has no max pool either. Twice the mean at the larger width less that at
    the smaller has no bias of order 1/width."""
    network = ks.NasBench101(cells_per_stack=1, stacks=1).architecture(cell)
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 2))
    images, reference = x[:2], x[2:]
    weights = np.random.default_rng(0).uniform(0.5, 1.5, (2, 2))
    sums = [
        sampled_sums(network, images, reference, width, draws, seed, weights, "limit")
        for seed, (width, draws) in enumerate(zip(WIDTHS, (1000, 2000), strict=True))
    ]
    (narrow, of_narrow), (wide, of_wide) = sums
    limits = [(weights * kernel).sum() for kernel in oracle(network, images, reference=reference)]
    deviations = (2 * wide - narrow - limits) / np.hypot(2 * of_wide, of_narrow)
    assert np.all(np.abs(deviations) < QUANTILE), f"{deviations} standard errors"


def test_deeper_skeletons_tell_the_same_cells_apart() -> None:
    flat, deep = replace(SMALL, stacks=1), replace(SMALL, cells_per_stack=2, stacks=2)
    cells = [*ks.NasBench101(max_vertices=4).enumerate(), *SMALL.sample(30)]
    pairs = {
        (flat.architecture(c.genotype).hash, deep.architecture(c.genotype).hash) for c in cells
    }
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


@pytest.mark.slow
@pytest.mark.parametrize("space", [SMALL, replace(SMALL, cells_per_stack=3)], ids=["1", "3"])
def test_the_cover_holds_a_thousand_draws(space: ks.NasBench101) -> None:
    held = needs_of(space.cover((8, 8, 3)), (8, 8, 3))
    missing = [c.name for c in space.sample(1000) if not needs(c.architecture, (8, 8, 3)) <= held]
    assert missing == []


def test_cells_share_five_programs_alone_and_together() -> None:
    train, _ = kk.load("digits", n_train=16, n_test=1, seed=0, image_size=4)
    fit, validation = train.split(0.5, seed=0)
    score = ks.KernelScore(fit, validation, n_reference=4)
    cells = SMALL.sample(4, seed=2)
    before = compilations().count
    alone = [ks.rank([cell], score, progress=False)[0] for cell in cells]
    assert 0 < compilations().count - before <= 5
    together = ks.rank(cells, score, progress=False)
    assert compilations().count - before <= 5
    assert together.summary["outside_cover"] == 0
    assert {row.name: row.values for row in together} == {row.name: row.values for row in alone}


def test_neighbours_reach_every_cell() -> None:
    space = ks.NasBench101(max_vertices=4, max_edges=5)
    found = {space.candidate(";0-1")}
    new = found
    while new:
        new = {near for one in new for near in space.neighbours(one)} - found
        found |= new
    assert found == set(space.enumerate())


def test_values_that_are_no_cell_s_are_those_of_one() -> None:
    values = dict.fromkeys(SPACE.distributions(), False)
    values |= {name: CONV1X1 for name in values if name.startswith("operation")}
    assert SPACE.candidate_of(values).name == ";0-1"
    values |= {name: True for name in values if "-" in name}
    full = SPACE.candidate_of(values)
    assert len(full.genotype[1]) <= 9
    assert set(full.genotype[0]) <= {CONV1X1}


def test_draws_are_lazy_and_so_is_enumeration() -> None:
    assert [c.name for c in islice(SPACE.enumerate(), 2)] == [";0-1", f"{CONV3X3};0-1,1-2"]


@pytest.mark.parametrize(
    ("shape", "error", "words"),
    [
        ((3, 8, 3), ConfigurationError, "image size 3: the 2 pools .* choose at least 4"),
        ((8, 1, 3), ConfigurationError, "image size 1"),
        ((13,), DataError, "vectors of 13 features"),
    ],
)
def test_images_that_are_too_small_are_refused(
    shape: tuple[int, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        SPACE.check_shape(shape)


@pytest.mark.parametrize("shape", [(5, 7, 1), (4, 4, 3), (32, 32, 3)])
def test_images_of_odd_sizes_are_taken(shape: tuple[int, ...]) -> None:
    SPACE.check_shape(shape)
    assert SPACE.architecture(INCEPTION).shapes(shape)[-1] == ()


@pytest.mark.parametrize(
    "options",
    [
        {"cells_per_stack": 0},
        {"stacks": 1.5},
        {"max_pool": "mean"},
        {"max_vertices": 8},
        {"max_vertices": 1},
        {"max_edges": 0},
        {"channels": 4},
        {"channels": 128.0},
        {"normalize": "group"},
    ],
)
def test_bad_skeletons_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        ks.NasBench101(**options)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="center=False"):
        ks.NasBench101(center=False, normalize="layer")
