"""Cells of two inputs: genotypes, sizes, published counts, skeletons, and kernels by the oracle."""

import csv
import random
import re

import numpy as np
import pytest
from oracles.agreement import check_engine
from oracles.finite_width import sampled_sums
from oracles.numpy_kernel import oracle
from published_cells import AMOEBANET_A, DARTS_V2, ENAS_MICRO, NASNET_A, PNASNET_5, Genotype
from scipy.stats import norm
from selection import ordinary

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels.architecture.counts import count
from kernas.kernels.engine import compilations
from kernas.search.spaces.nds.genotypes import LONGEST_TEXT
from kernas.search.spaces.nds.network import reductions

KINDS = {
    kind.label: kind
    for kind in (ks.DartsSpace, ks.EnasSpace, ks.PnasSpace, ks.NasNetSpace, ks.AmoebaNetSpace)
}


def drawn(label: str, n: int, **fields) -> list[ks.Candidate]:
    space, rng = KINDS[label](**fields), random.Random(1)
    return [space.draw(rng) for _ in range(n)]


@pytest.mark.parametrize("label", KINDS)
def test_random_genotypes_are_their_names(label):
    for candidate in drawn(label, 100):
        again = candidate.space.candidate(candidate.name)
        assert again == candidate
        genotype = eval(candidate.name, {"Genotype": Genotype})  # what the published code does
        assert candidate.space.candidate(genotype) == candidate
        assert candidate.space.candidate(genotype._asdict()) == candidate
        assert candidate.space.recognises(candidate.name)


def test_the_measured_cells_are_read(data_folder):
    """Some have ``none``, and nodes that read one node twice."""
    with (data_folder / "darts_cells.csv").open() as file:
        names = [row["genotype"] for row in csv.DictReader(file)]
    space = ks.DartsSpace(cells=5)
    candidates = ks.read_candidates(names, space)
    assert [candidate.name for candidate in candidates] == names
    assert len(names) == 500
    truth = ks.Truth(dict.fromkeys(names, 90.0))
    assert all(candidate.name in truth for candidate in candidates)


@pytest.mark.parametrize(
    ("label", "billions"),
    [
        *[("nasnet", 71_465_842), ("amoebanet", 556_628), ("pnas", 556_628), ("enas", 5_063)],
        ("darts", 242),
    ],
)
def test_as_many_cells_as_published(label, billions):
    """Radosavovic et al. 2019, table 1, for one cell; a candidate has two."""
    cells = KINDS[label]().size() ** 0.5
    assert cells == pytest.approx(1e9 * billions, rel=1e-2 if billions == 242 else 1e-4)


@pytest.mark.parametrize(
    ("space", "genotype", "width", "params"),
    [
        (ks.DartsSpace(), DARTS_V2, 36, 3_349_342),  # published: 3.3M, and "param size" of the code
        (ks.AmoebaNetSpace(), AMOEBANET_A, 36, 3_145_078),  # published: 3.2M
        (ks.NasNetSpace(), NASNET_A, 32, 3_061_738),  # published: 3.3M
        (ks.PnasSpace(cells=9), PNASNET_5, 48, 3_176_602),  # published: 3.2M
        (ks.EnasSpace(cells=17), ENAS_MICRO, 36, 3_729_430),  # published: 4.6M
    ],
    ids=str,
)
def test_parameters_of_published_networks(space, genotype, width, params):
    """Why three do not round to what was published: ``test_author_networks.py``."""
    network = space.candidate(genotype).architecture
    assert count(network, (32, 32, 3), width=width, outputs=10).params == params


NAME = ks.DartsSpace().candidate(DARTS_V2).name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NAME.replace("('skip_connect', 2)", "('skip_connect', 3)", 1), ["reads node 3", "0 to 2"]),
        (NAME.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 5"), ["normal", "node 5 reads node 5"]),
        (NAME.replace("('dil_conv_3x3', 2)", "('skip_connect', -1)"), ["reads node -1", "0 to 4"]),
        (NAME.replace("dil_conv_3x3", "dil_conv_3x4"), ["'dil_conv_3x4'", "mean 'dil_conv_3x3'?"]),
        (NAME.replace("('skip_connect', 0), ", "", 1), ["normal has 7 edges", "8, two for each"]),
        (NAME.replace("reduce_concat=[2, 3", "reduce_concat=[3"), ["reduce_concat=[3, 4, 5]"]),
        (NAME.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=4"), ["expected a list"]),
        (NAME.replace("('skip_connect', 0)", "'skip_connect'", 1), ["no edge", "such as ("]),
        (NAME.replace("('skip_connect', 0)", "('skip_connect', True)", 1), ["no edge"]),
        (NAME.replace("normal=", "usual="), ["no genotype of darts", "expected Genotype(normal="]),
        (NAME.replace("Genotype", "__import__('os').getcwd"), ["no genotype of darts"]),
        (NAME.replace("[2, 3, 4, 5]", "open('/etc/passwd')", 1), ["no genotype of darts"]),
        (NAME.replace("[2, 3, 4, 5]", "range(2, 10**9)", 1), ["no genotype of darts"]),
        (NAME.replace("[2, 3, 4, 5]", "range(2, 1000000000)", 1), ["normal_concat=[2, 3"]),
        ("Genotype(" + "(" * (LONGEST_TEXT - 10), ["no genotype of darts"]),
        ("Genotype(" + "9" * LONGEST_TEXT + ")", ["no genotype of darts"]),
        ("Genotype(**{})", ["no genotype of darts"]),
    ],
)
def test_malformed_genotypes_are_refused_by_name(text, words):
    with pytest.raises(ArchitectureError) as caught:
        ks.DartsSpace().candidate(text)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_loose_ends_are_concatenated_where_the_space_does():
    assert "reduce_concat=[3, 4, 6]" in ks.AmoebaNetSpace().candidate(AMOEBANET_A).name
    with pytest.raises(ArchitectureError, match=r"expected \[3, 4, 6\].*those that no node reads"):
        ks.AmoebaNetSpace().candidate(AMOEBANET_A._replace(reduce_concat=[2, 3, 4, 5, 6]))


@pytest.mark.parametrize("space", [ks.DartsSpace(cells=5), ks.EnasSpace(cells=3)], ids=str)
def test_images_that_two_reductions_cannot_halve_are_refused(space):
    space.check_shape((4, 8, 3))
    with pytest.raises(ConfigurationError, match=r"image size 6: .* multiple of 4, for example 4$"):
        space.check_shape((8, 6, 3))
    with pytest.raises(ConfigurationError, match=r"image size 2: .* for example 4$"):
        space.check_shape((2, 2, 3))
    with pytest.raises(DataError, match="vectors of 13 features"):
        space.check_shape((13,))


@pytest.mark.parametrize("options", [{"cells": 2}, {"cells": 5.0}, {"max_pool": "mean"}])
def test_bad_fields_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        ks.DartsSpace(**options)


def test_a_kernel_takes_averages_for_maxima_only_where_that_is_asked_for():
    exact, averaged = (
        ks.DartsSpace(cells=3, max_pool=pool).candidate(DARTS_V2) for pool in ("maximum", "average")
    )
    with pytest.raises(ArchitectureError, match=r"MaxPool reading \d+\) takes a maximum"):
        kk.NeuralKernel(exact.architecture).plan((8, 8, 3))
    kk.NeuralKernel(averaged.architecture).plan((8, 8, 3))
    assert averaged.space.settings()["max_pool"] == "average"
    pools = [n.layer for n in averaged.architecture.nodes if isinstance(n.layer, kk.MaxPool)]
    assert pools
    assert all(pool.as_average for pool in pools)


@pytest.mark.parametrize("cells", [3, 5, 20])
def test_reductions_halve_pixels_and_double_channels(cells):
    network = ks.DartsSpace(cells=cells).candidate(DARTS_V2).architecture
    shapes = network.shapes((32, 32, 3))
    ends = [i for i, node in enumerate(network.nodes) if isinstance(node.layer, kk.Concat)]
    joined = [i for i in ends if len(network.nodes[i].inputs) == 4]
    assert len(joined) == cells
    sides = [shapes[i][0] for i in joined]
    widths = [sum(block.width for block in _layout(network, i)) for i in joined]
    first, second = reductions(cells)
    stages = [(place >= first) + (place >= second) for place in range(cells)]
    assert sides == [32 >> stage for stage in stages]
    assert widths == [4.0 * 2**stage for stage in stages]


def _layout(network, node):
    parts = network.split
    return [parts.parts[part].block for part in parts.of[node]]


def test_swapped_edges_and_those_that_carry_zero_make_one_network():
    space = ks.DartsSpace(cells=5)
    swapped = DARTS_V2._replace(normal=[DARTS_V2.normal[i] for i in (1, 0, 3, 2, 5, 4, 7, 6)])
    assert space.candidate(swapped).key == space.candidate(DARTS_V2).key
    first, second = (
        DARTS_V2._replace(normal=[*DARTS_V2.normal[:7], ("none", source)]) for source in (0, 4)
    )
    assert space.candidate(first).key == space.candidate(second).key
    idle = [("none", 0), ("none", 1), *DARTS_V2.normal[2:6], ("skip_connect", 0)]
    fed_by_nothing, nothing = (
        DARTS_V2._replace(normal=[*idle, (operation, 2)]) for operation in ("sep_conv_5x5", "none")
    )
    assert space.candidate(fed_by_nothing).key == space.candidate(nothing).key


def test_a_convolution_beside_a_factorised_reduction_is_two_halves():
    """A 1×1 convolution of stride 2 to half the channels, and one that begins a pixel further."""
    reduce = [("skip_connect", 0), ("sep_conv_3x3", 1)] * 4
    network = ks.DartsSpace(cells=5).candidate(DARTS_V2._replace(reduce=reduce)).architecture
    halves = [
        node.layer.padding
        for node in network.nodes
        if isinstance(node.layer, kk.Conv) and node.layer.stride == (2, 2)
    ]
    here, further = ((0, 0), (0, 0)), ((-1, 0), (-1, 0))
    assert halves == [here, further] * (2 * 4 + 2)
    kk.NeuralKernel(network).plan((8, 8, 3))


CELLS = {
    **{
        f"{label} {i}": candidate
        for label in KINDS
        for i, candidate in enumerate(drawn(label, 10, cells=3, max_pool="average"))
    },
    "skips": ks.DartsSpace(cells=3).candidate(
        DARTS_V2._replace(reduce=[("skip_connect", 0), ("sep_conv_3x3", 1)] * 4)
    ),
}


@pytest.mark.parametrize("case", ordinary(("darts 0", "nasnet 1", "skips"), of=CELLS))
def test_kernels_agree_with_the_oracle(case):
    rng = np.random.default_rng(0)
    images, reference = rng.normal(size=(3, 4, 4, 2)), rng.normal(size=(3, 4, 4, 2))
    network = CELLS[case].architecture
    check_engine(network, images, reference=reference, precisions=(np.float64,))
    assert np.ptp(oracle(network, images, reference=reference)[0]) > 0


FINITE = ("darts", "nasnet", "amoebanet")
WIDTHS, DRAWS = (16, 32), (200, 400)
QUANTILE = float(norm.isf(1e-3 / 2 / (2 * len(FINITE))))
"""Two-sided, for both kernels of every case together at one in a thousand."""


@pytest.mark.slow
@pytest.mark.parametrize("label", FINITE)
def test_cells_without_max_pools_are_limits_of_finite_ones(label):
    """Twice the mean at the larger width less that at the smaller has no bias of order 1/width."""
    averaged = (re.sub(r"max_pool_\dx\d", "avg_pool_3x3", c.name) for c in drawn(label, 100))
    name = next(name for name in averaged if "('skip_connect', 0)" in name.partition("reduce=")[2])
    network = KINDS[label](cells=3).candidate(name).architecture
    rng = np.random.default_rng(0)
    images, reference = rng.normal(size=(2, 4, 4, 2)), rng.normal(size=(4, 4, 4, 2))
    weights = rng.uniform(0.5, 1.5, (2, 2))
    (narrow, of_narrow), (wide, of_wide) = [
        sampled_sums(network, images, reference, width, n, seed, weights, "limit")
        for seed, (width, n) in enumerate(zip(WIDTHS, DRAWS, strict=True))
    ]
    limits = [(weights * kernel).sum() for kernel in oracle(network, images, reference=reference)]
    deviations = (2 * wide - narrow - limits) / np.hypot(2 * of_wide, of_narrow)
    assert np.all(np.abs(deviations) < QUANTILE), f"{deviations} standard errors"
    assert np.all(of_wide < 0.1 * np.abs(limits))


@pytest.mark.slow
def test_candidates_share_the_programs_of_the_cover():
    train, _ = kk.load("digits", n_train=16, n_test=1, seed=0, image_size=4)
    fit, validation = train.split(0.5, seed=0)
    score = ks.KernelScore(fit, validation, n_reference=4)
    before = compilations().count
    candidates = ks.DartsSpace(cells=3, max_pool="average").sample(20)
    ranking = ks.rank(candidates, score, progress=False)
    assert 0 < compilations().count - before <= 5
    assert ranking.summary["outside_cover"] == 0
