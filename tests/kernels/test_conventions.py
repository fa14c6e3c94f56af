"""Papers' conventions: against the published recursion in its own scale; what each choice is."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from oracles.numpy_kernel import oracle
from oracles.printed_cntk import Reads, printed_cntk
from oracles.published_cntk import published_cntk

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels.conventions import Convention

SHAPE = (4, 5, 2)
PIXELS = SHAPE[0] * SHAPE[1]


@pytest.mark.parametrize("fix", [True, False], ids=["ends fixed", "all trained"])
@pytest.mark.parametrize("pool", [True, False], ids=["pooled", "flattened"])
def test_the_published_kernel_and_its_scale(pool, fix):
    """Theirs has 2/9 of the last nonlinearity, and a trace where ours has a mean."""
    published = kk.CONVENTIONS["arora2019"]
    convention = replace(published, trains_first=not fix, trains_last=not fix)
    x = np.random.default_rng(0).standard_normal((3, *SHAPE))
    for depth in (2, 4):
        readout = kk.GlobalAvgPool() if pool else kk.Flatten()
        with jax.enable_x64(True):
            ours = kk.NeuralKernel(convention.network(depth, readout, channels=SHAPE[2]))(x)
        theirs = [[published_cntk(a, b, depth, pool=pool, fix=fix) for b in x] for a in x]
        scale = 2 / 9 if pool else 2 / 9 * PIXELS
        np.testing.assert_allclose(theirs, scale * ours, rtol=1e-7)
        assert convention.scale(readout, SHAPE[:2]) == pytest.approx(scale)


@pytest.mark.parametrize("reads", ["image", "patch", "pixel"])
@pytest.mark.parametrize("pool", [True, False], ids=["pooled", "flattened"])
def test_the_recursion_as_printed(pool, reads: Reads):
    """To the letter with its constants; and with the trace of equation 4 over less."""
    convention = replace(kk.CONVENTIONS["survey"], first_reads=reads)
    x = np.random.default_rng(1).standard_normal((2, 3, 4, 2))
    readout = kk.GlobalAvgPool() if pool else kk.Flatten()
    scale = convention.scale(readout, (3, 4))
    for depth in (1, 3):
        network = convention.network(depth, readout, channels=2, sides=(3, 4))
        printed = [[printed_cntk(a, b, depth, pool=pool, reads=reads) for b in x] for a in x]
        np.testing.assert_allclose(scale * oracle(network, x, x)[1], printed, rtol=1e-7)


def test_the_recursion_as_printed_in_the_engine():
    convention = kk.CONVENTIONS["survey"]
    x = np.random.default_rng(1).standard_normal((2, 3, 4, 2))
    readouts = {"pooled": kk.GlobalAvgPool(), "flattened": kk.Flatten()}
    table = kk.KernelTable(
        {name: convention.network(2, one, 2, sides=(3, 4)) for name, one in readouts.items()},
        get=("ntk",),
    )
    found = table(x)
    for name, readout in readouts.items():
        printed = [[printed_cntk(a, b, 2, pool=name == "pooled") for b in x] for a in x]
        ours = convention.scale(readout, (3, 4)) * np.asarray(found[name].ntk)
        np.testing.assert_allclose(ours, printed, rtol=1e-5)


def test_both_recursions_are_one_where_they_should_be():
    """With the window of Arora et al., who count the linear layer, and all layers trained."""
    x, z = np.random.default_rng(2).standard_normal((2, 3, 4, 2))
    for pool in (True, False):
        printed = printed_cntk(x, z, 3, pool=pool, reads="patch")
        assert printed == pytest.approx(published_cntk(x, z, 4, pool=pool, fix=False), rel=1e-12)


def test_a_first_layer_that_reads_the_image_does_not_see_where_things_are():
    network = kk.CONVENTIONS["survey"].network(2, kk.GlobalAvgPool(), channels=2, sides=(3, 4))
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 2))
    shuffled = np.random.default_rng(4).permutation(x.reshape(2, 12, 2), axis=1).reshape(x.shape)
    for found, expected in zip(oracle(network, shuffled), oracle(network, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("pool", [True, False], ids=["pooled", "flattened"])
def test_the_printed_covariance_has_one_window_more(pool):
    """``Σ^(L)`` of section 5.4 is summed over a window that ``Θ^(L)`` and ``K^(L)`` are not."""
    x, z = np.random.default_rng(5).standard_normal((2, 3, 4, 2))
    readout = kk.GlobalAvgPool() if pool else kk.Flatten()
    body = [kk.Conv(3, W_std=18**0.5), kk.Relu(), kk.Conv(3, W_std=2**0.5), kk.Relu()]
    longer = kk.serial(*body, kk.Conv(3, W_std=2**0.5), readout, kk.Dense())
    ours = (1 if pool else 12) * oracle(longer, x[None], z[None])[0][0, 0]
    printed = printed_cntk(x, z, 2, pool=pool, reads="patch", covariance=True)
    assert ours == pytest.approx(printed, rel=1e-7)
    convention = replace(kk.CONVENTIONS["survey"], first_reads="patch")
    shorter = oracle(convention.network(2, readout, 2), x[None], z[None])[0][0, 0]
    assert abs(convention.scale(readout, (3, 4)) * shorter / printed - 1) > 0.1


def test_the_first_scale_multiplies_the_kernel():
    x = np.random.default_rng(0).standard_normal((3, *SHAPE))
    mean, total = (
        kk.NeuralKernel(Convention(first_scale=scale).network(2, kk.Flatten(), channels=2))(x)
        for scale in ("mean", "sum")
    )
    np.testing.assert_allclose(total, 9 * 2 / 2 * mean, rtol=1e-5)


def test_what_counts_as_a_layer():
    networks = [
        Convention(readout_counts=counts).network(3, kk.GlobalAvgPool(), channels=3)
        for counts in (False, True)
    ]
    found = [sum(isinstance(node.layer, kk.Conv) for node in one.nodes) for one in networks]
    assert found == [3, 2]
    with pytest.raises(ArchitectureError, match="depth=1: expected at least 2"):
        Convention(readout_counts=True).network(1, kk.Flatten(), channels=3)


def test_targets():
    y = [1, 0, 2]
    one_hot = Convention(labels="one-hot").targets(y, 3)
    np.testing.assert_allclose(one_hot, np.eye(3)[y], atol=1e-15)
    np.testing.assert_allclose(Convention().targets(y, 3), np.eye(3)[y] - 1 / 3)
    published = kk.CONVENTIONS["arora2019"].targets([9], 10)
    np.testing.assert_allclose(published, [[-0.1] * 9 + [0.9]])
    with pytest.raises(DataError, match="n_classes=3"):
        Convention().targets([3], 3)


def test_choices_that_are_none():
    with pytest.raises(ConfigurationError, match="first_scale='max'"):
        Convention(first_scale="max")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="first_reads='row'"):
        Convention(first_reads="row")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArchitectureError, match=r"give sides=\(height, width\)"):
        kk.CONVENTIONS["survey"].network(2, kk.Flatten(), channels=3)
    with pytest.raises(ArchitectureError, match="published scale is not known"):
        kk.CONVENTIONS["survey"].scale(kk.LocalAvgPool(2), (4, 4))
    assert Convention().scale(kk.LocalAvgPool(2), (4, 4)) == 1
    with pytest.raises(ConfigurationError, match="labels='two'"):
        Convention(labels="two")  # pyright: ignore[reportArgumentType]
