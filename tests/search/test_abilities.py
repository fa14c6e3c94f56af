"""What spaces can do, by example: NAS-Bench-201, graphs, whole networks, and what is refused."""

import itertools
import random
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from selection import ordinary

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels.engine.streams import known_stream
from kernas.kernels.program import lower
from kernas.kernels.program.streams import EMPTY
from kernas.search.spaces import ArchitectureList, abilities, require
from kernas.search.spaces.cell_strings import EDGES, OPERATIONS
from kernas.search.spaces.operations import needs, needs_of
from kernas.search.spaces.sampled_cover import sampled_cover

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
SPACE = ks.NasBench201(cells_per_stage=1)
IMAGE = (8, 8, 3)


def differing(first, second):
    return sum(a != b for a, b in zip(first.genotype, second.genotype, strict=True))


def test_a_cell_has_the_24_neighbours_that_differ_in_an_edge():
    cell = SPACE.candidate(CELL)
    near = SPACE.neighbours(cell)
    assert len({other.name for other in near}) == 24
    assert {differing(cell, other) for other in near} == {1}
    rng = random.Random(0)
    assert {SPACE.mutate(cell, rng) for _ in range(500)} == set(near)


def test_a_child_has_every_edge_from_one_of_two_cells():
    first, second = SPACE.candidate(CELL), SPACE.candidate(SPACE.format(("none",) * 6))
    rng = random.Random(0)
    children = {SPACE.crossover(first, second, rng) for _ in range(300)}
    pairs = list(zip(first.genotype, second.genotype, strict=True))
    assert {child.genotype for child in children} == set(itertools.product(*pairs))


def test_the_code_of_a_cell_is_one_hot_in_every_edge():
    code = SPACE.encode(SPACE.candidate(CELL)).reshape(len(EDGES), len(OPERATIONS))
    assert code.sum(axis=1).tolist() == [1] * 6
    assert [OPERATIONS[place] for place in code.argmax(axis=1)] == list(SPACE.parse(CELL))


def test_six_suggested_edges_are_a_cell():
    edges = SPACE.distributions()
    assert list(edges) == ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"]
    values = dict(zip(edges, SPACE.parse(CELL), strict=True))
    assert SPACE.candidate_of(values).name == CELL
    with pytest.raises(ArchitectureError, match="lacks '0-1'"):
        SPACE.candidate_of({})
    with pytest.raises(ArchitectureError, match="unknown operation 'conv'"):
        SPACE.candidate_of({**values, "1-2": "conv"})


VARIANTS = {
    "published forms": {},
    "root mean squares": {"center": False},
    "pool": {"reduction": "pool"},
    "layer": {"normalize": "layer"},
    "none": {"normalize": "none"},
    "circular": {"padding": "circular"},
}


@pytest.mark.parametrize("variant", ordinary(["published forms"], of=list(VARIANTS)))
def test_the_cover_of_cells_holds_100_draws(variant):
    check_cover(replace(SPACE, **VARIANTS[variant]), 100)


@pytest.mark.slow
def test_the_cover_of_cells_holds_1000_draws():
    check_cover(SPACE, 1000)


def check_cover(space, draws):
    """The sets that are compiled for the cover hold the streams of all draws, gains and all."""
    cover = space.cover(IMAGE)
    assert len(cover) <= 9
    held = dict.fromkeys((False, True), EMPTY)
    for network in cover:
        for recording, instructions in held.items():
            stream = known_stream(lower(network, IMAGE), recording)
            assert stream is not None
            held[recording] = instructions.extended(stream)
    outside = []
    for candidate in SPACE.sample(draws, seed=1):
        program = lower(space.architecture(candidate.genotype), IMAGE)
        for recording, instructions in held.items():
            stream = known_stream(program, recording)
            if stream is not None and not instructions.holds(stream):
                outside.append(candidate.name)
    assert outside == []


def test_needs_are_those_of_instruction_sets():
    """A set that holds a stream has its items, and one that does not lacks some."""
    networks = [candidate.architecture for candidate in SPACE.sample(6, seed=2)]
    for first, second in itertools.product(networks, repeat=2):
        streams = [
            [known_stream(lower(network, IMAGE), recording) for recording in (False, True)]
            for network in (first, second)
        ]
        held = all(
            EMPTY.extended(ours).holds(theirs) for ours, theirs in zip(*streams, strict=True)
        )
        assert held == (needs(second, IMAGE) <= needs(first, IMAGE))


def test_needs_leave_gains_out_and_pass_over_what_does_not_fit():
    quiet, loud = (
        kk.serial(kk.Conv(3, W_std=w, b_std=b), kk.Relu(), kk.GlobalAvgPool(), kk.Dense(b_std=b))
        for w, b in ((1.0, 0.1), (2.0, 0.5))
    )
    assert needs(quiet, IMAGE) == needs(loud, IMAGE) != frozenset()
    assert needs(kk.serial(kk.Conv(9, padding="VALID"), kk.Flatten()), (4, 4, 1)) == frozenset()
    dense = kk.serial(kk.Dense(), kk.Relu(), kk.Dense())
    assert needs(dense, (5,)) != frozenset()


def test_a_sampled_cover_is_small_and_holds_what_was_drawn():
    space = ks.MacroSpace("plain", 2, 3, "zero", "relu", "none", "gap")
    cover = sampled_cover(space.draw, (4, 4, 1), patience=60)
    drawn = [space.draw(random.Random(seed)).architecture for seed in range(60)]
    assert len(cover) < len({needs(network, (4, 4, 1)) for network in drawn})
    held = needs_of(cover, (4, 4, 1))
    assert sum(not needs(network, (4, 4, 1)) <= held for network in drawn) <= 2


@pytest.mark.parametrize(
    ("operations", "n_nodes", "max_edges"),
    [(("conv_1x1",), 1, None), (("conv_1x1", "conv_3x3", "skip_connect"), 3, None)]
    + [(("conv_1x1", "avg_pool_3x3"), 4, most) for most in (0, 2, None)],
)
def test_graphs_are_as_many_as_the_formulas_say(operations, n_nodes, max_edges):
    space = ks.GraphSpace(operations, n_nodes, max_edges)
    found = list(space.enumerate())
    bags, maps = ({candidate.genotype[part] for candidate in found} for part in (0, 1))
    assert len(bags) == space.bags() == comb(len(operations) + n_nodes - 1, n_nodes)
    assert len(maps) == space.edge_maps()
    if max_edges is None:
        assert space.edge_maps() == 2 ** (n_nodes * (n_nodes - 1) // 2)
    assert len(set(found)) == len(found) == space.size() == space.bags() * space.edge_maps()
    everywhere = {space.draw(random.Random(seed)) for seed in range(2000)}
    assert everywhere <= set(found)
    assert len(everywhere) > 0.8 * min(len(found), 500)


def test_a_graph_is_built_as_its_name_says():
    space = ks.GraphSpace(("skip_connect", "conv_3x3", "avg_pool_3x3"), 3)
    candidate = space.candidate("conv_3x3, avg_pool_3x3, skip_connect; 1-2, 0-2")
    assert candidate.name == "skip_connect,conv_3x3,avg_pool_3x3;0-2,1-2"
    by_hand = kk.serial(
        kk.Conv(3),
        kk.parallel(kk.Identity(), kk.serial(kk.Relu(), kk.Conv(3, W_std=2**0.5))),
        kk.AvgPool(3, stride=1, padding="SAME", divisor="valid"),
        *(kk.Relu(), kk.GlobalAvgPool(), kk.Dense()),
    )
    assert candidate.architecture.hash == by_hand.hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv_1x1;0-1", "1 nodes; expected 2 of conv_1x1"),
        ("conv_1x1,conv_5x5;0-1", "unknown operation 'conv_5x5'"),
        ("conv_1x1,conv_1x1;1-0", r"no edge \(1, 0\)"),
        ("conv_1x1,conv_1x1", "expected operations and edges, for example conv_1x1,conv_1x1;0-1"),
    ],
)
def test_what_is_no_graph_is_refused(text, words):
    with pytest.raises(ArchitectureError, match=words):
        ks.GraphSpace(("conv_1x1", "conv_3x3"), 2).candidate(text)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (7, 5, 3), (28, 28, 1)])
def test_whole_networks_take_images_of_any_size(shape):
    space = ks.MacroSpace()
    space.check_shape(shape)
    drawn = space.sample(60, seed=4)
    for candidate in drawn:
        assert candidate.architecture.shapes(shape)[-1] == ()
    assert {candidate.genotype[0] for candidate in drawn} == {"plain", "residual", "dense"}


def test_tables_take_fully_connected_networks_only():
    with pytest.raises(DataError, match=r"vectors of 13 features.*macro:network=dense"):
        ks.MacroSpace().check_shape((13,))
    space = ks.MacroSpace("dense", 3)
    space.check_shape((13,))
    for candidate in space.sample(10):
        assert candidate.architecture.shapes((13,))[-1] == ()
    with pytest.raises(DataError, match="need images"):
        SPACE.check_shape((13,))
    with pytest.raises(DataError, match="need images"):
        ks.GraphSpace().check_shape((13,))


def test_a_whole_network_is_built_as_its_name_says():
    name = (
        "network=residual,depth=2,window=3,stride=2,dilation=1,padding=circular,pool=True,"
        "skips=False,activation=erf,normalize=layer,readout=flatten,W_std=1.5,b_std=0.25"
    )
    candidate = ks.MacroSpace().candidate(name)
    assert candidate.name == name

    def conv(stride=1):
        return kk.Conv(3, stride=stride, padding="CIRCULAR", W_std=1.5, b_std=0.25)

    block = kk.residual(kk.serial(kk.Erf(), conv(), kk.LayerNorm()))
    pool = kk.AvgPool(2, stride=2, padding="SAME", divisor="valid")
    end = kk.Erf(), kk.Flatten(), kk.Dense(W_std=1.5, b_std=0.25)
    by_hand = kk.serial(conv(2), block, pool, block, *end)
    assert candidate.architecture.hash == by_hand.hash


def test_abilities_are_asked_for_by_name():
    assert require(SPACE, abilities.Mutable) is SPACE
    networks = ArchitectureList({"one": kk.serial(kk.Flatten(), kk.Dense())})
    with pytest.raises(ConfigurationError, match="'list' is not Mutable, but only Enumerable"):
        require(networks, abilities.Mutable)
    with pytest.raises(ConfigurationError, match="'macro' is not Enumerable: W_std is a range"):
        require(ks.MacroSpace(), abilities.Enumerable)
    with pytest.raises(ConfigurationError, match="'macro' is not Enumerable: W_std is a range"):
        next(ks.MacroSpace().enumerate())
    stranger = ks.NasBench201(2).candidate(CELL)
    with pytest.raises(ConfigurationError, match="belongs to the space nasbench201:cells=2"):
        SPACE.mutate(stranger, random.Random(0))


def test_codes_of_ranges_lie_between_their_ends():
    space = ks.MacroSpace("dense", 2, activation="relu", normalize="none")
    candidate = space.candidate_of(
        {**space.values(space.sample(1)[0].genotype), "W_std": 1.25, "b_std": 1.0}
    )
    np.testing.assert_allclose(space.encode(candidate)[-2:], [0.5, 1.0])
