"""Papers' conventions: against the published recursion in its own scale; what each choice is."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from oracles.published_cntk import published_cntk

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError

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


def test_the_first_scale_multiplies_the_kernel():
    x = np.random.default_rng(0).standard_normal((3, *SHAPE))
    mean, total = (
        kk.NeuralKernel(kk.Convention(first_scale=scale).network(2, kk.Flatten(), channels=2))(x)
        for scale in ("mean", "sum")
    )
    np.testing.assert_allclose(total, 9 * 2 / 2 * mean, rtol=1e-5)


def test_what_counts_as_a_layer():
    networks = [
        kk.Convention(readout_counts=counts).network(3, kk.GlobalAvgPool(), channels=3)
        for counts in (False, True)
    ]
    found = [sum(isinstance(node.layer, kk.Conv) for node in one.nodes) for one in networks]
    assert found == [3, 2]
    with pytest.raises(ArchitectureError, match="depth=1: expected at least 2"):
        kk.Convention(readout_counts=True).network(1, kk.Flatten(), channels=3)


def test_targets():
    y = [1, 0, 2]
    one_hot = kk.Convention(labels="one-hot").targets(y, 3)
    np.testing.assert_allclose(one_hot, np.eye(3)[y], atol=1e-15)
    np.testing.assert_allclose(kk.Convention().targets(y, 3), np.eye(3)[y] - 1 / 3)
    published = kk.CONVENTIONS["arora2019"].targets([9], 10)
    np.testing.assert_allclose(published, [[-0.1] * 9 + [0.9]])
    with pytest.raises(DataError, match="n_classes=3"):
        kk.Convention().targets([3], 3)


def test_choices_that_are_none():
    with pytest.raises(ConfigurationError, match="first_scale='max'"):
        kk.Convention(first_scale="max")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="labels='two'"):
        kk.Convention(labels="two")  # pyright: ignore[reportArgumentType]
