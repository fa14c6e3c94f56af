"""Augmented kernels: against means over transformed images, and against augmented data."""

from typing import Any

import jax
import numpy as np
import pytest
from oracles.numpy_kernel import mean_of_copies, oracle
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError, GramStoreError
from kernas.kernels import Flip, Translate
from kernas.kernels.augmentation import augmented, keeps_mirror_images
from kernas.kernels.engine import Blocking
from kernas.search import NasBench201

BOTH = ("nngp", "ntk")
HEIGHT, WIDTH = 4, 5
SHAPE = (HEIGHT, WIDTH, 2)
FEW = (3, 4, 2)
"""Images of few pixels, for tests that look at all shifts."""
AROUND: dict[str, Any] = {"padding": "CIRCULAR"}

CHAIN = (kk.Conv(3, W_std=2**0.5, b_std=0.1), kk.Relu(), kk.Conv(3, W_std=2**0.5), kk.Relu())
CIRCULAR = (
    kk.Conv(3, W_std=2**0.5, b_std=0.1, **AROUND),
    kk.Relu(),
    kk.AvgPool(3, **AROUND),
    kk.Conv(3, W_std=2**0.5, **AROUND),
    kk.Erf(),
)
EQUIVARIANT = {
    "flatten": kk.serial(*CHAIN, kk.Flatten(), kk.Dense(b_std=0.2)),
    "local": kk.serial(*CHAIN, kk.LocalAvgPool(1), kk.Dense()),
    "stride 2 on an odd side": kk.serial(kk.Conv(3, stride=2), kk.Relu(), kk.Flatten(), kk.Dense()),
    "deep readout": kk.serial(*CHAIN, kk.GlobalAvgPool(), kk.Dense(), kk.Relu(), kk.Dense()),
    "branches": kk.serial(
        kk.Conv(3),
        kk.parallel(kk.Identity(), kk.AvgPool(3, padding="SAME")),
        kk.Relu(),
        kk.Flatten(),
    ),
}
SKEWED = {
    "window 2": kk.serial(kk.Conv(2), kk.Relu(), kk.Flatten(), kk.Dense()),
    "explicit edges": kk.serial(
        kk.Conv(3, stride=2, padding=((1, 1), (1, 0))), kk.Relu(), kk.GlobalAvgPool()
    ),
}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def images(n, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal((n, *shape))


def mirrored(x):
    return x[:, :, ::-1]


def shifted(x):
    """All shifts around the edges, the images themselves first."""
    height, width = x.shape[1:3]
    return [np.roll(x, (i, j), (1, 2)) for i in range(height) for j in range(width)]


def orbit(x, augment):
    """The copies of images under all elements of a group."""
    copies = shifted(x) if Translate() in augment else [x]
    return [*copies, *map(mirrored, copies)] if Flip() in augment else copies


def mean_over_copies(architecture, x1, x2, augment, reference=None):
    """Both kernels, the mean over the copies of both sides, by the NumPy oracle."""
    left, right = (np.stack(orbit(x, augment)) for x in (x1, x2))
    return mean_of_copies(architecture, left, right, reference)


def check(kernel, x, z, expected_of):
    gram, cross = kernel.gram_and_cross(x, z)
    for found, (one, two) in ((gram, (x, x)), (cross, (z, x))):
        for ours, theirs in zip(found, expected_of(one, two), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-10 * np.abs(theirs).max(), rtol=0)


@pytest.mark.parametrize(
    ("name", "blocking"),
    [
        *[(name, None) for name in (*EQUIVARIANT, *SKEWED)],
        ("local", Blocking("planes", lanes=2)),
        ("explicit edges", Blocking("stream", lanes=4)),
        ("branches", Blocking("stream", lanes=4)),
    ],
)
def test_flip_is_the_mean_over_mirror_images_of_both_sides(name, blocking):
    architecture = (EQUIVARIANT | SKEWED)[name]
    kernel = kk.NeuralKernel(architecture, get=BOTH, augment=Flip(), blocking=blocking)
    check(
        kernel,
        images(3),
        images(3, seed=1),
        lambda one, two: mean_over_copies(architecture, one, two, (Flip(),)),
    )
    assert augmented(architecture, (Flip(),), SHAPE).both == (name in SKEWED)


@pytest.mark.parametrize("form", ["rms", "center"])
def test_flip_of_a_bound_cell(form):
    """Centred, the covariances with the reference images are not those of their mirror images."""
    shape = (4, 4, 3)
    space = NasBench201(cells_per_stage=1, center=form == "center", reduction="pool")
    cell = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|none~2|"
    architecture = space.architecture(cell)
    x, z, reference = (images(3, seed, shape) for seed in range(3))
    kernel = kk.NeuralKernel(architecture, get=BOTH, augment=Flip()).bind(reference)
    check(
        kernel,
        x,
        z,
        lambda one, two: mean_over_copies(architecture, one, two, (Flip(),), reference),
    )


@pytest.mark.parametrize("seed", range(12))
def test_geometry_knows_which_kernels_keep_mirror_images(seed):
    rng = np.random.default_rng(seed)
    shape = (4, int(rng.integers(4, 6)), 2)
    architecture = random_architecture(rng, image=shape, layers="all" if seed % 2 else "basic")
    x = images(3, seed, shape)
    straight, mirror = oracle(architecture, x), oracle(architecture, mirrored(x))
    equal = all(
        np.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(straight, mirror, strict=True)
    )
    if keeps_mirror_images(architecture, shape):
        assert equal


@pytest.mark.parametrize("name", SKEWED)
def test_skewed_windows_do_not_keep_mirror_images(name):
    x = images(3)
    straight, mirror = (oracle(SKEWED[name], copy)[0] for copy in (x, mirrored(x)))
    assert np.abs(straight - mirror).max() > 1e-3 * np.abs(straight).max()


@pytest.mark.parametrize(
    "readout", [kk.Flatten(), kk.LocalAvgPool(1, "circular"), kk.GlobalAvgPool()]
)
@pytest.mark.parametrize("augment", [(Translate(),), (Flip(), Translate())], ids=["shift", "both"])
def test_translate_is_the_mean_over_all_shifts_of_both_sides(readout, augment):
    architecture = kk.serial(*CIRCULAR, readout, kk.Dense(b_std=0.3))
    kernel = kk.NeuralKernel(architecture, get=BOTH, augment=augment)
    check(
        kernel,
        images(2, 0, FEW),
        images(2, 1, FEW),
        lambda one, two: mean_over_copies(architecture, one, two, augment),
    )


def test_a_global_pool_is_full_translation_of_flattened_pixels():
    """Constants included (Li et al. 2019, section 4.1): under Flatten it is a mean trace."""
    x, z = images(2, 0, FEW), images(2, 1, FEW)
    flat = kk.NeuralKernel(kk.serial(*CIRCULAR, kk.Flatten(), kk.Dense()), get=BOTH)
    pooled = kk.NeuralKernel(kk.serial(*CIRCULAR, kk.GlobalAvgPool(), kk.Dense()), get=BOTH)
    over_shifts = [flat(z, copy) for copy in shifted(x)]
    for name in BOTH:
        expected = np.mean([getattr(kernels, name) for kernels in over_shifts], axis=0)
        np.testing.assert_allclose(getattr(pooled(z, x), name), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("layers", "augment"),
    [
        ((*CHAIN, kk.Flatten()), Flip()),
        ((*CHAIN, kk.LocalAvgPool(1)), Flip()),
        ((*CIRCULAR, kk.Flatten()), Translate()),
        ((*CIRCULAR, kk.LocalAvgPool(1, "circular")), (Flip(), Translate())),
    ],
)
def test_regression_on_copies_is_regression_with_the_augmented_kernel(layers, augment):
    """At the ridges ρ and ρ / |G|, both absolute (Li et al. 2019, theorem 4.4)."""
    architecture = kk.serial(*layers, kk.Dense())
    x, z, Y = images(4, 0, FEW), images(2, 1, FEW), np.random.default_rng(2).standard_normal((4, 2))
    copies = orbit(x, augment if isinstance(augment, tuple) else (augment,))
    order = kk.group_order(augment, FEW)
    assert order == len(copies)
    rho = 1e-2

    def predicted(whole, n, Y, rho):
        """From the kernel of the training images and, after them, the others."""
        return whole[n:, :n] @ np.linalg.solve(whole[:n, :n] + rho * np.eye(n), Y)

    plain = kk.NeuralKernel(architecture, get=BOTH)(np.concatenate([*copies, z]))
    mean = kk.NeuralKernel(architecture, get=BOTH, augment=augment)(np.concatenate([x, z]))
    for name in BOTH:
        labels = np.concatenate([Y] * order)
        expected = predicted(getattr(plain, name), order * len(x), labels, rho)
        found = predicted(getattr(mean, name), len(x), Y, rho / order)
        np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((kk.Conv(3), kk.Flatten()), r"node 1 \(Conv reading 0\) has padding='SAME'"),
        ((kk.Conv(3, stride=2, **AROUND), kk.Flatten()), r"moves by \(2, 2\) pixels"),
        ((kk.Conv(3, **AROUND), kk.LocalAvgPool(1)), "averages zeros beyond the edges"),
        ((kk.Conv(1, padding=((0, 0), (-1, 0))), kk.Flatten()), "has padding="),
        ((kk.Conv(3, **AROUND), kk.Flatten(), kk.Dense(), kk.Relu()), "not linear in the kernel"),
    ],
)
def test_translations_that_no_kernel_has_are_refused(layers, message):
    kernel = kk.NeuralKernel(kk.serial(*layers, kk.Dense()), augment=Translate())
    with pytest.raises(ArchitectureError, match=message):
        kernel.plan(SHAPE)
    with pytest.raises(ArchitectureError, match=message):
        kernel(images(2))


@pytest.mark.parametrize("extra", [kk.Flatten(), kk.LocalAvgPool(1)])
@pytest.mark.parametrize("readout", [kk.GlobalAvgPool(), kk.Flatten()])
def test_translations_pass_through_readouts_of_vectors(readout, extra):
    """Which are identities: after a global pool nothing is left to shift."""
    plain = kk.serial(*CIRCULAR, readout, kk.Dense())
    twice = kk.serial(*CIRCULAR, readout, extra, kk.Dense())
    x = images(2, 0, FEW)
    expected, found = (kk.NeuralKernel(a, augment=Translate())(x) for a in (plain, twice))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    after = kk.serial(*CIRCULAR, kk.GlobalAvgPool(), extra, kk.Dense(), kk.Relu(), kk.Dense())
    np.testing.assert_allclose(
        kk.NeuralKernel(after, augment=Translate())(x), kk.NeuralKernel(after)(x), rtol=1e-12
    )


@pytest.mark.parametrize("augment", ["flip", Flip, (Flip(), Flip()), 2])
def test_augmentations_that_are_none(augment):
    with pytest.raises(ConfigurationError, match="augment="):
        kk.NeuralKernel(EQUIVARIANT["flatten"], augment=augment)


def test_vectors_have_no_mirror_images():
    kernel = kk.NeuralKernel(kk.serial(kk.Dense(), kk.Relu(), kk.Dense()), augment=Flip())
    with pytest.raises(DataError, match="vectors of 7 features"):
        kernel(np.ones((2, 7)))


@pytest.mark.parametrize(("name", "times"), [("local", 2), ("window 2", 4)])
def test_the_plan_counts_every_evaluation(name, times):
    architecture = (EQUIVARIANT | SKEWED)[name]
    plain, mean = (kk.NeuralKernel(architecture, augment=augment) for augment in ((), Flip()))
    assert mean.plan(SHAPE).operations == times * plain.plan(SHAPE).operations
    assert f", {times} times" in str(mean.plan(SHAPE))


def test_images_prepared_without_mirror_images_are_refused():
    plain, mean = (kk.NeuralKernel(EQUIVARIANT["local"], augment=a) for a in ((), Flip()))
    x = images(3)
    np.testing.assert_array_equal(mean(mean.prepare(x)), mean(x))
    for one, other in ((plain, mean), (mean, plain)):
        with pytest.raises(DataError, match="prepared by another kernel"):
            one(other.prepare(x))


def test_neural_tangents_takes_the_same_mean():
    x, z = images(2), images(2, seed=1)
    for name in ("local", "window 2"):
        architecture = (EQUIVARIANT | SKEWED)[name]
        ours, theirs = (
            kk.NeuralKernel(architecture, get=BOTH, augment=Flip(), backend=backend)
            for backend in ("kernas", "neural-tangents")
        )
        for one, two in ((x, None), (z, x)):
            for a, b in zip(ours(one, two), theirs(one, two), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-7 * np.abs(b).max())


def test_neural_tangents_cuts_tiles_for_the_network_that_runs():
    """All shifts of flattened pixels are a global pool, which takes a moment of all pairs."""
    body = kk.Conv(3, **AROUND), kk.Relu()
    flat, pooled = (kk.serial(*body, end, kk.Dense()) for end in (kk.Flatten(), kk.GlobalAvgPool()))
    sides = [
        kk.NeuralKernel(
            network, augment=augment, backend="neural-tangents", tile_bytes=2**26
        ).settings((16, 16, 3))["tile_side"]
        for network, augment in ((flat, Translate()), (pooled, ()), (flat, ()))
    ]
    assert sides[0] == sides[1] < sides[2]


def test_a_store_and_a_model_know_the_augmentation(tmp_path):
    x, y = images(6), np.arange(6) % 2
    plain, mean = (kk.NeuralKernel(EQUIVARIANT["local"], augment=a) for a in ((), Flip()))
    store = kk.compute_gram(mean, x, store=tmp_path / "gram", tile_side=3)
    np.testing.assert_allclose(store["ntk"], mean(x), rtol=1e-12)
    with pytest.raises(GramStoreError, match="augment"):
        kk.compute_gram(plain, x, store=tmp_path / "gram")
    fitted = kk.KernelClassifier(mean, dtype="float64").fit(x, y)
    kk.save_model(fitted, tmp_path / "model")
    loaded = kk.load_model(tmp_path / "model")
    assert isinstance(loaded, kk.KernelClassifier)
    assert isinstance(loaded.kernel_, kk.NeuralKernel)
    assert loaded.kernel_.augment == (Flip(),)
    np.testing.assert_array_equal(
        loaded.decision_function(images(6, 1)), fitted.decision_function(images(6, 1))
    )
