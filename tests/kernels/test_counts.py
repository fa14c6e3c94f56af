"""Counts of parameters and operations by hand."""

import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.architecture.counts import Counts, count

ALIVE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


def of(*layers, shape=(4, 4, 3), width=2, outputs=5):
    return count(kk.serial(*layers), shape, width=width, outputs=outputs)


def test_weight_layers_by_hand():
    convolution = 3 * 3 * 3 * 2
    dense = 16 * 2 * 5
    found = of(kk.Conv(3), kk.Flatten(), kk.Dense())
    assert found == Counts(convolution + dense + 5, convolution * 16 + dense, 2, 1)
    biased = of(kk.Conv(3, b_std=0.1), kk.Flatten(), kk.Dense(b_std=0.1))
    assert biased == Counts(convolution + 2 + dense + 5, convolution * 16 + 32 + dense, 2, 1)
    wide = of(kk.Conv(1, stride=2, width=2.0), kk.Flatten(), kk.Dense())
    assert wide == Counts(12 + 4 * 4 * 5 + 5, 12 * 4 + 4 * 4 * 5, 2, 1)
    depthwise = of(kk.Conv(1), kk.DepthwiseConv(3), kk.Flatten(), kk.Dense())
    assert depthwise == Counts(6 + 18 + dense + 5, (6 + 18) * 16 + dense, 3, 2)
    vectors = of(kk.Dense(b_std=0.1), kk.Relu(), kk.Dense(), shape=(7,))
    assert vectors == Counts(7 * 2 + 2 + 10 + 5, 14 + 2 + 10, 2, 0)


@pytest.mark.parametrize(
    ("layer", "params", "flops"),
    [
        (kk.Relu(), 0, 32),
        (kk.Normalize(), 4, 64),
        (kk.LayerNorm(), 0, 64),
        (kk.AvgPool(3, stride=1, padding="SAME"), 0, 9 * 32),
    ],
)
def test_other_layers_by_hand(layer, params, flops):
    without = of(kk.Conv(3), kk.Flatten(), kk.Dense())
    found = of(kk.Conv(3), layer, kk.Flatten(), kk.Dense())
    assert found == Counts(without.params + params, without.flops + flops, 2, 1)


def test_a_global_pool_counts_the_last_pixels_twice():
    found = of(kk.Conv(3), kk.GlobalAvgPool(), kk.Dense())
    assert found == Counts(54 + 2 * 5 + 5, 54 * 16 + 25 * 2 + 2 * 5, 2, 1)


def test_depth_is_that_of_the_longest_way():
    builder = kk.GraphBuilder()
    short = builder.add(kk.Conv(1), builder.input)
    long = builder.add(kk.Conv(1), builder.add(kk.Conv(1), builder.input))
    joined = builder.add(kk.Sum(), short, long)
    network = builder.build(builder.add(kk.Dense(), builder.add(kk.GlobalAvgPool(), joined)))
    found = count(network, (4, 4, 3), width=2, outputs=5)
    assert (found.depth, found.n_conv) == (3, 3)


def test_cells_of_one_kernel_are_counted_apart():
    twice, once = (
        ks.NasBench201(1).architecture(f"|{a}~0|+|none~0|none~1|+|nor_conv_3x3~0|{b}~1|none~2|")
        for a, b in (("none", "none"), ("skip_connect", "nor_conv_3x3"))
    )
    counts = [count(cell, (8, 8, 3), width=16, outputs=10) for cell in (twice, once)]
    each = 3 * 9 * (16**2 + 32**2 + 64**2) // 3 + 2 * (16 + 32 + 64)
    assert counts[1].params - counts[0].params == each
    source = ks.CountScore("params", (8, 8, 3), 10).source
    space = ks.NasBench201(1)
    same = [space.candidate(c) for c in (ALIVE, ALIVE.replace("none~1", "none~1"))]
    assert source.work_key(same[0]) == source.work_key(same[1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigurationError, match="width=0: expected an integer >= 1"):
        of(kk.Dense(), shape=(3,), width=0)
    with pytest.raises(ConfigurationError, match="outputs=0"):
        of(kk.Dense(), shape=(3,), outputs=0)
    with pytest.raises(ArchitectureError):
        of(kk.Conv(9, padding="VALID"), kk.Flatten())
    with pytest.raises(ConfigurationError, match="count='layers': expected one of params, flops"):
        ks.CountScore("layers", (8, 8, 3), 10)
