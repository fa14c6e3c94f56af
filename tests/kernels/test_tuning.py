"""Learned scales: the objective, its gradient, the path, and estimators that learn them."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError, KernelRangeError
from kernas.kernels.architecture.scales import flat_scales, with_scales
from kernas.kernels.regression import centred_one_hot, decompose, log_evidence, score_gram
from kernas.kernels.tuning.objectives import objective_of

DENSE = kk.serial(kk.Dense(W_std=1.3, b_std=0.2), kk.Erf(), kk.Dense(W_std=0.9))
IMAGES = kk.serial(
    kk.Conv(3, b_std=0.1), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense(b_std=0.2)
)


def labelled(n=24, shape=(4,), seed=0):
    """Images whose labels are a nonlinear function of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    flat = x.reshape(n, -1)
    return x, (flat[:, 0] * flat[:, 1] > 0).astype(int) + (flat[:, 2] > 0.5)


def number(network, x, y, objective, get: Any = "nngp", ridge=1e-3):
    """The objective in NumPy, by the production kernel and the scores of rankings."""
    with jax.enable_x64(True):
        gram = kk.NeuralKernel(network)(x, get=get)
    classes = int(y.max()) + 1
    if objective == "evidence":
        return log_evidence(decompose(gram), centred_one_hot(y, classes), ridge)
    return score_gram(gram, y, ridge=ridge, n_classes=classes, metrics=["loo_error"])[
        "loo_error"
    ].value


@pytest.mark.parametrize("objective", ["evidence", "loo_error"])
def test_the_objective_is_that_of_the_scores(objective):
    x, y = labelled()
    for get in ("nngp", "ntk"):
        fitted = kk.fit_scales(DENSE, x, y, objective, get=get, steps=2)
        assert len(fitted.path) == 3
        np.testing.assert_allclose(fitted.path[0], number(DENSE, x, y, objective, get), rtol=1e-9)
        found = number(fitted.architecture, x, y, objective, get)
        np.testing.assert_allclose(fitted.path[fitted.best], found, rtol=1e-9)


@pytest.mark.parametrize("objective", ["evidence", "loo_error"])
def test_gradients_of_the_objective_are_finite_differences(objective):
    """Of every scale; central differences of fourth order err by h⁴ and rounding by ε/h."""
    x, y = labelled(12)
    Y = centred_one_hot(y, 3)
    with jax.enable_x64(True):
        k = kk.kernel_function(DENSE, "ntk")
        value = jax.jit(lambda s: objective_of(objective, k(x, x, s), jnp.asarray(Y), 1e-2, 2))
        own = jax.tree.map(lambda s: s + 0.3, kk.scales_of(DENSE))  # no scale is 0
        gradient = jax.grad(value)(own)
        h = 1e-3
        for layer, of in own.items():
            for name in of:

                def at(step, layer=layer, name=name):
                    return float(
                        value({**own, layer: {**own[layer], name: own[layer][name] + step}})
                    )

                slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
                size = max(abs(at(0)), 1.0)
                assert abs(slope - float(gradient[layer][name])) < 1e-8 * size, (layer, name)


def test_learned_scales_are_better_and_zero_biases_stay_zero():
    x, y = labelled(40)
    fitted = kk.fit_scales(DENSE, x, y, steps=15, learning_rate=0.2)
    assert fitted.path[fitted.best] == fitted.path.max() > fitted.path[0] + 0.5
    assert fitted.scales == kk.scales_of(fitted.architecture)
    assert fitted.scales["node3"]["b_std"] == 0
    assert fitted.scales["node1"]["b_std"] > 0
    begun = kk.fit_scales(DENSE, x, y, steps=1, b_std=0.05)
    assert begun.scales["node3"]["b_std"] > 0
    assert fitted.architecture.hash != DENSE.hash
    # Biases at their start, and nothing moved.
    still = kk.fit_scales(DENSE, x, y, steps=0, b_std=0.05)
    biased = with_scales(DENSE, {"node3__b_std": 0.05})
    assert flat_scales(still.scales) == pytest.approx(flat_scales(kk.scales_of(biased)))


def test_tiles_change_nothing_and_statistics_follow_the_scales():
    """A network that normalises over a batch; ten images in tiles of a few."""
    x, y = labelled(10, (4, 4, 2), seed=1)
    whole = kk.fit_scales(IMAGES, x, y, "loo_error", steps=2, n_reference=4)
    with jax.enable_x64(True):
        reference = x[np.sort(np.random.default_rng(0).permutation(10)[:4])]
        k = kk.kernel_function(IMAGES, "nngp", reference=reference)
        program = k.program(x.shape[1:])
        memory = k.bytes(program, 4, 4)
    tiles = kk.fit_scales(IMAGES, x, y, "loo_error", steps=2, n_reference=4, memory_bytes=memory)
    np.testing.assert_allclose(tiles.path, whole.path, rtol=1e-9)
    with jax.enable_x64(True):
        bound = kk.NeuralKernel(whole.architecture, "nngp").bind(reference, 4)
        gram = bound(x)
    _, labels = np.unique(y, return_inverse=True)
    classes = int(labels.max()) + 1
    found = score_gram(gram, labels, ridge=1e-3, n_classes=classes, metrics=["loo_error"])[
        "loo_error"
    ].value
    np.testing.assert_allclose(whole.path[whole.best], found, rtol=1e-8)


def test_real_targets_and_a_part_of_the_images():
    x, _ = labelled(30)
    fitted = kk.fit_scales(DENSE, x, np.sin(x[:, 0]), steps=3, n_images=20)
    assert fitted.images == 20
    again = kk.fit_scales(DENSE, x, np.sin(x[:, 0]) + 5, steps=3, n_images=20)
    np.testing.assert_allclose(fitted.path, again.path, rtol=1e-9)  # the mean is subtracted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "alignment"}, "objective='alignment': expected one of 'evidence'"),
        ({"steps": -1}, "steps=-1: expected"),
        ({"learning_rate": 0}, "learning_rate=0: expected"),
        ({"b_std": 0.0}, "b_std=0.0: expected"),
        ({"n_images": 1}, "n_images=1: expected"),
        ({"ridge": 0}, "ridge=0: expected"),
        ({"ridge": -1}, "ridge=-1: expected"),
        ({"get": ("nngp", "ntk")}, "get="),
        ({"memory_bytes": 10}, "memory_bytes=10: a pair of images"),
    ],
)
def test_options_are_refused_in_a_line(change, message):
    x, y = labelled()
    with pytest.raises(ConfigurationError, match=message) as caught:
        kk.fit_scales(DENSE, x, y, **change)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_learned_is_refused():
    x, y = labelled()
    with pytest.raises(DataError, match="y is the same"):
        kk.fit_scales(DENSE, x, np.zeros(len(x), int))
    with pytest.raises(DataError, match="y has shape"):
        kk.fit_scales(DENSE, x, y[:3])
    with pytest.raises(ConfigurationError, match="all scales of the architecture are 0"):
        kk.fit_scales(kk.serial(kk.Dense(W_std=0.0)), x, y)
    with pytest.raises(KernelRangeError, match="the evidence is"):
        kk.fit_scales(kk.serial(kk.Dense(), kk.Exp(1.0), kk.Dense()), 50 * x, y)
    with pytest.raises(ArchitectureError, match="needs an image"):
        kk.fit_scales(IMAGES, x, y)


def test_estimators_learn_scales_and_saved_models_carry_them(tmp_path):
    x, y = labelled(40)
    kernel = kk.NeuralKernel(DENSE, "nngp")
    model: Any = kk.KernelClassifier(kernel, ridge=1e-2, scales="evidence", dtype="float64")
    assert cast(Any, clone(model)).get_params()["scales"] == "evidence"
    model.fit(x, y)
    expected = kk.fit_scales(DENSE, x, y, "evidence", ridge=1e-2)
    assert model.scales_.architecture == expected.architecture == model.kernel_.architecture
    assert model.kernel.architecture == DENSE
    kk.save_model(model, tmp_path / "model")
    loaded: Any = kk.load_model(tmp_path / "model")
    assert loaded.kernel_.architecture == expected.architecture
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    plain = kk.KernelClassifier(
        kk.NeuralKernel(expected.architecture, "nngp"), ridge=1e-2, dtype="float64"
    ).fit(x, y)
    np.testing.assert_allclose(model.values(x), plain.values(x), rtol=1e-9, atol=1e-12)
    regressor: Any = kk.KernelRegressor(kernel, ridge=1e-2, scales="loo_error").fit(x, x[:, 0] ** 2)
    assert regressor.scales_.objective == "loo_error"
    assert regressor.kernel_.architecture == regressor.scales_.architecture != DENSE


def test_estimators_refuse_other_objectives_and_other_kernels():
    x, y = labelled()
    with pytest.raises(ConfigurationError, match="scales='accuracy': expected"):
        kk.KernelClassifier(scales=cast(Any, "accuracy")).fit(x, y)
    kernel = kk.as_kernel(lambda x1, x2, get: x1 @ (x1 if x2 is None else x2).T)
    with pytest.raises(ConfigurationError, match="expected a NeuralKernel"):
        kk.KernelClassifier(kernel, get="nngp", scales="evidence").fit(x, y)
