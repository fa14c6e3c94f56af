"""Programs of several networks: how many are compiled, and that they can be compiled ahead."""

import time

import jax
import numpy as np
import pytest
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import ConfigurationError
from kernas.kernels import NeuralKernel
from kernas.kernels.engine import Blocking, compilations, workers
from kernas.kernels.kernel import SharedPrograms
from kernas.kernels.program import lower
from kernas.search import NasBench201

STREAM = Blocking("stream", lanes=8)


def images(seed, n, shape):
    return np.random.default_rng(seed).standard_normal((n, *shape))


@pytest.mark.parametrize("center", ordinary([True], of=[True, False]))
def test_candidates_one_at_a_time_run_in_the_programs_of_the_cover(center):
    """Centred cells have three more where their means are not mirrored."""
    shape, space = (4, 4, 1), NasBench201(cells_per_stage=1, center=center)
    x, others = images(0, 6, shape), images(1, 5, shape)
    programs = SharedPrograms.of(space.cover(shape), shape)
    before = compilations().count
    networks = [candidate.architecture for candidate in space.sample(30, seed=5)]
    for network in networks:
        if lower(network, shape).outputs == (None,):  # it is zero everywhere
            continue
        kernel = NeuralKernel(network, blocking=STREAM, programs=programs)
        assert kernel.shares(shape)
        kernel.bind(x, 4).gram_and_cross(x, others)
    assert compilations().count - before <= (6 if center else 3)


def own_network(slope, normalize):
    """One that no other test compiles: its nonlinearity has a slope of its own."""
    layers = [kk.Conv(3), normalize, kk.LeakyRelu(slope)]
    return kk.serial(*layers, kk.AvgPool(2, stride=2), *layers, kk.GlobalAvgPool())


CASES = {
    "root mean squares": (own_network(0.11, kk.Normalize(center=False)), {}),
    "centred": (own_network(0.12, kk.Normalize()), {}),
    "no reference images": (own_network(0.13, kk.LayerNorm()), {"get": "nngp"}),
    "views": (own_network(0.14, kk.Normalize(center=False)), {"augment": kk.Flip()}),
    "in float64": (own_network(0.15, kk.Normalize(center=False)), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_compiled_ahead_is_not_compiled_again(case):
    architecture, options = CASES[case]
    shape = (4, 4, 1)
    x, others = images(0, 40, shape), images(1, 50, shape)
    kernel = NeuralKernel(architecture, blocking=STREAM, **options)
    with jax.enable_x64(case == "in float64"):
        before = compilations().count
        kernel.compile(shape, len(x), len(others), n_reference=4).result()
        compiled = compilations().count
        assert compiled - before == (3 if case == "centred" else 2)
        prepared = kernel.bind(x, 4)
        prepared.gram_and_cross(prepared.prepare(x), others)
    assert compilations().count == compiled


@pytest.mark.parametrize("trainable", [True, False])
def test_networks_that_differ_in_gains_are_one_program(trainable):
    """A depthwise convolution before a pointwise one: two weight layers in one operation."""

    def gained(W_std, b_std, last):
        conv = [
            kk.DepthwiseConv(3, W_std=W_std, b_std=b_std),
            kk.Conv(1, W_std=1 / W_std, b_std=0.1 * b_std, trainable=trainable),
            kk.LeakyRelu(0.16 if trainable else 0.17),
        ]
        head = kk.GlobalAvgPool(), kk.Dense(W_std=last, b_std=b_std)
        return kk.serial(kk.Conv(3, W_std=last), *conv, kk.AvgPool(2, stride=2), *conv, *head)

    shape = (4, 4, 1)
    x = images(0, 6, shape)
    with jax.enable_x64(True):
        NeuralKernel(gained(1.5, 0.3, 1.0), blocking=STREAM)(x)
        before = compilations().count
        networks = [gained(0.7, 0.0, 2.0), gained(1.1, 1.2, 0.3)]
        found = [NeuralKernel(network, blocking=STREAM)(x) for network in networks]
        assert compilations().count == before
        for network, kernel in zip(networks, found, strict=True):
            expected = NeuralKernel(network, blocking=Blocking("whole"))(x)
            np.testing.assert_allclose(kernel, expected, rtol=1e-11)


def test_compiling_is_begun_and_its_errors_are_raised_at_its_end():
    def fail(device):
        time.sleep(0.05)
        raise ValueError("not compiled")

    done = []
    begun = workers.begin([fail, lambda _: done.append(True)])
    assert not begun.done()
    with pytest.raises(ValueError, match="not compiled"):
        begun.result()
    assert done == [True]


def test_compile_does_nothing_where_programs_are_known_only_as_they_run():
    kernel = NeuralKernel(CASES["centred"][0], blocking=Blocking("whole"))
    before = compilations().count
    kernel.compile((4, 4, 1), 6).result()
    assert compilations().count == before


@pytest.mark.parametrize("numbers", [(0, 0, 32), (5, -1, 32), (5, 0, 0)])
def test_compile_refuses_numbers_that_are_none_of_images(numbers):
    n_train, n_test, n_reference = numbers
    with pytest.raises(ConfigurationError, match="expected numbers of images"):
        NeuralKernel(CASES["centred"][0]).compile(
            (4, 4, 1), n_train, n_test, n_reference=n_reference
        )
