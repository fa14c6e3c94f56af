"""Kernels that overflow or vanish are refused by the layer where they do, wherever they go."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.svm import SVC

import kernas.kernels as kk
from kernas.errors import ArchitectureError, GramStoreError, KernelRangeError
from kernas.kernels.architecture.activations import Activation
from kernas.kernels.architecture.layers import Input
from kernas.kernels.engine import Blocking
from kernas.kernels.program import lower, nodes_of_instructions
from kernas.kernels.program.ops import DualOp, ImageOp, TapOp, WeightOp

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
IMAGES = np.random.default_rng(1).standard_normal((3, 5, 5, 2)).astype(np.float32)
BIG, SMALL = (float(getattr(np.finfo(np.float32), name)) for name in ("max", "tiny"))


def chain(depth: int, *hidden: Any) -> kk.Architecture:
    return kk.serial(*hidden * depth, kk.Dense())


def relu_variances(depth: int, image: np.ndarray, W_std: float, b_std: float) -> list[float]:
    """``K(x, x)`` after each node of a chain of Dense and ReLU, the input first."""
    values = [float(np.mean(image.astype(np.float64) ** 2))]
    for _ in range(depth):
        values.append(W_std**2 * values[-1] + b_std**2)
        values.append(values[-1] / 2)
    return [*values, values[-1]]


def erf_kernels(depth: int, image: np.ndarray, W_std: float) -> list[tuple[float, float]]:
    """``K(x, x)`` and ``Θ(x, x)`` after each node of a chain of Dense and erf."""
    values = [(float(np.mean(image.astype(np.float64) ** 2)), 0.0)]
    for _ in range(depth):
        K, T = (W_std**2 * value for value in values[-1])
        values.append((K, T + K))
        K, T = values[-1]
        slope = 4 / math.pi / math.sqrt(1 + 4 * K)
        values.append((2 / math.pi * math.asin(2 * K / (1 + 2 * K)), T * slope))
    return values


@pytest.mark.parametrize(
    ("depth", "W_std", "b_std", "scale", "helps"),
    [
        (16, 30.0, 0.0, 1.0, r"lower W_std \(√2 .* LayerNorm\(\) .* float64 \(jax.enable_x64"),
        (16, 30.0, 1.0, 1.0, r"lower W_std and b_std"),
        (16, 0.03, 0.0, 1.0, r"raise W_std \(√2 is critical before Relu\), or insert LayerNorm"),
        (2, 1.4, 1e20, 1.0, r"lower W_std and b_std \(√2 is critical before Relu\), or compute"),
        (2, 1.4, 0.0, 1e25, r"standardise the images \(their mean square is [^)]*\), or compute"),
        (2, 1.4, 0.0, 1e-25, r"standardise the images \(their mean square is [^)]*\), or compute"),
    ],
    ids=["deep", "bias", "vanishing", "one bias", "large images", "small images"],
)
def test_the_layer_is_the_one_of_a_plain_loop(depth, W_std, b_std, scale, helps):
    network = chain(depth, kk.Dense(W_std=W_std, b_std=b_std), kk.Relu())
    x = X[:1] * np.float32(scale)
    values = relu_variances(depth, x[0], W_std, b_std)
    node = next(i for i, value in enumerate(values) if not SMALL <= value <= BIG)
    with pytest.raises(KernelRangeError) as caught:
        kk.NeuralKernel(network, get="nngp")(x)
    message = str(caught.value)
    what = "underflows to zero in" if values[node] < 1 else "overflows"
    assert message.startswith(f"image 0: the nngp {what} float32")
    assert f"at {network.describe(node)};" in message
    assert "\n" not in message
    assert re.search(helps, message), message


def test_the_tangent_kernel_may_overflow_alone():
    network = chain(5, kk.Dense(W_std=1e8), kk.Erf())
    nodes = erf_kernels(5, X[0], 1e8)
    node = next(i for i, (_, T) in enumerate(nodes) if T > BIG)
    message = (
        rf"the ntk overflows float32 at node {node} \({type(network.nodes[node].layer).__name__} "
    )
    with pytest.raises(KernelRangeError, match=message):
        kk.NeuralKernel(network, get=("nngp", "ntk"))(X[:1])
    K = kk.NeuralKernel(network, get="nngp")(X[:1])
    np.testing.assert_allclose(K, nodes[-1][0], rtol=1e-4)


@pytest.mark.parametrize(
    ("layers", "node"),
    [
        ([kk.Dense(), kk.Exp(1.0), kk.Dense()], "node 2 (Exp reading 1)"),
        ([kk.Dense(), kk.Erf(), kk.Dense()], "node 2 (Erf reading 1)"),
        (
            [kk.Dense(W_std=1e15), kk.Dense(W_std=1e10), kk.LayerNorm(), kk.Relu()],
            "node 2 (Dense reading 1)",
        ),
        (
            [kk.Dense(W_std=1e-15), kk.Dense(W_std=1e-10), kk.Dense(W_std=1e10)],
            "node 2 (Dense reading 1)",
        ),
        ([kk.Dense(W_std=1e-15), kk.Monomial(3), kk.Dense()], "node 2 (Monomial reading 1)"),
    ],
    ids=["exp", "products of variances", "layer norm", "linear", "cube"],
)
def test_what_hides_an_overflow_does_not_hide_it_here(layers, node):
    x = X[:2] * 1e10 if isinstance(layers[1], kk.Exp | kk.Erf) else X[:2]
    kernel = kk.NeuralKernel(kk.serial(*layers), get="nngp")
    for call in (lambda: kernel(x), lambda: kernel(x[:1], x[1:])):
        with pytest.raises(KernelRangeError) as caught:
            call()
        assert node in str(caught.value)


def test_float64_is_advised_where_it_helps_only():
    network = chain(6, kk.Dense(W_std=1e30), kk.Relu())
    kernel = kk.NeuralKernel(network, get="nngp")
    with pytest.raises(KernelRangeError, match=r"overflows float32 at node 1 .*; lower") as caught:
        kernel(X[:1])
    assert "float64" not in str(caught.value)
    with jax.enable_x64(True):
        with pytest.raises(
            KernelRangeError, match=r"overflows float64 at node 11 .*; lower"
        ) as caught:
            kernel(X[:1])
        assert "compute in float64" not in str(caught.value)
        shallow = kk.NeuralKernel(chain(5, kk.Dense(W_std=1e30), kk.Relu()), get="nngp")
        assert np.isfinite(shallow(X[:1])).all()


@pytest.mark.parametrize("center", [False, True])
def test_statistics_of_reference_images_out_of_range_are_refused(center):
    def kernel(W_std: float, b_std: float = 0.0) -> kk.NeuralKernel:
        layers = kk.Dense(W_std=W_std), kk.Dense(W_std=W_std, b_std=b_std)
        normalized = kk.Normalize(center=center), kk.Relu(), kk.Dense()
        return kk.NeuralKernel(kk.serial(*layers, *normalized), get="nngp")

    for W_std, words in ((1e11, "overflows"), (1e-11, "underflows to zero in")):
        with pytest.raises(
            KernelRangeError, match=rf"the reference images: the nngp {words} .* node 2 \(Dense"
        ):
            kernel(W_std).bind(X)
    bound = kernel(1.0).bind(X)
    with pytest.raises(KernelRangeError, match=r"image 1: .* node 0 \(Input\); standardise"):
        bound(np.stack([X[0], X[1] * 1e25]))
    if center:  # constant channels are zero in the network too
        assert not kernel(0.0, 1.0).bind(X)(X).any()


def test_what_is_zero_in_the_network_stays_zero():
    half = X.copy()
    half[1] = 0
    relu = chain(1, kk.Dense(), kk.Relu())
    K = kk.NeuralKernel(relu, get="nngp")(half)
    assert not K[1].any()
    assert np.diag(K)[[0, 2, 3]].all()
    assert not kk.NeuralKernel(chain(1, kk.Dense(W_std=0.0), kk.Relu()))(X).any()
    assert not kk.NeuralKernel(kk.serial(kk.Dense(), kk.Zero(), kk.Dense()))(X).any()
    linear = kk.NeuralKernel(kk.serial(kk.Dense()), get="nngp")
    basis = np.eye(4, 6, dtype=np.float32)
    assert not linear(basis[:2], basis[2:]).any()  # orthogonal images
    assert linear(basis[:2] * 1e-15, basis[:1] * 1e-15)[0, 0] == pytest.approx(1e-30 / 6)


SLOW_WAYS = [pytest.param(way, marks=pytest.mark.slow) for way in ("whole", "planes")]


@pytest.mark.parametrize("way", [*SLOW_WAYS, "stream"])
def test_tiles_of_every_kind_are_looked_at(way):
    body = kk.Conv(3), kk.Relu(), kk.AvgPool(2), kk.Conv(3), kk.Relu(), kk.GlobalAvgPool()
    network = kk.serial(*body, kk.Dense(W_std=1e19), kk.Dense(W_std=10.0))
    kernel = kk.NeuralKernel(network, get="nngp", blocking=Blocking(way, 2))
    with pytest.raises(
        KernelRangeError, match=r"with image . of x1: .* at node 8 \(Dense reading 7\)"
    ):
        kernel(IMAGES)
    with pytest.raises(KernelRangeError, match=r"image 2: .* at node 0 \(Input\); standardise"):
        kernel(np.concatenate([IMAGES[:2], IMAGES[2:] * 1e25]))


def test_a_table_says_which_of_its_networks():
    body = kk.Dense(W_std=1.4), kk.Relu()
    wild = kk.Dense(W_std=1e19), kk.Dense(W_std=1e5), kk.Relu()
    table = kk.KernelTable({"tame": chain(2, *body), ("wild", 1): chain(1, *wild)})
    with pytest.raises(
        KernelRangeError, match=r"node 2 \(Dense reading 1\) of networks\[\('wild', 1\)\];"
    ):
        table(X)
    last = kk.serial(*body, kk.Dense(W_std=1e19), kk.Dense(W_std=1e5))
    table = kk.KernelTable({"tame": chain(2, *body), "last": last}, get="nngp")
    with pytest.raises(
        KernelRangeError, match=r"node 4 \(Dense reading 3\) of networks\['last'\];"
    ):
        table(X)


def test_predictions_and_cross_blocks_are_looked_at():
    y = np.arange(len(X)) % 2
    classifier = kk.KernelClassifier(dtype="float32").fit(X, y)
    regressor = kk.KernelRegressor(dtype="float32", get="nngp").fit(X, X[:, 0])
    wild, kernel = X * 1e22, kk.NeuralKernel(chain(2, kk.Dense(), kk.Relu()))
    calls = [
        lambda: classifier.predict(wild),
        lambda: classifier.score(wild, y),
        lambda: classifier.predict_proba(wild),
        lambda: regressor.predict(wild),
        lambda: regressor.predict(wild, return_std=True),
        lambda: kernel.gram_and_cross(X, wild),
        lambda: kernel.prepare(wild),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"overflows float32 at node \d .* standardise the images"
        ):
            call()


def test_kernels_of_other_libraries_are_looked_at():
    def overflowing(x1, x2, get):
        x2 = x1 if x2 is None else x2
        return SimpleNamespace(nngp=x1 @ x2.T)

    kernel = kk.as_kernel(overflowing, get="nngp")
    regressor = kk.KernelRegressor(kernel, get="nngp").fit(X, X[:, 0])
    row = np.full((1, 6), 1e38, np.float32) * np.sign(X[:1])
    callable_kernel: Any = kk.SklearnKernel(kernel)
    machine = SVC(kernel=callable_kernel).fit(X, np.arange(4) % 2)
    for call in (
        lambda: kernel(row, X),
        lambda: regressor.predict(row),
        lambda: machine.predict(row),
    ):
        with pytest.raises(
            KernelRangeError, match=r"the nngp of x1\[0\] and x2\[\d\] is -?inf: .*float64"
        ):
            call()
    own = SimpleKernel()
    regressor = kk.KernelRegressor(own).fit(X, X[:, 0])
    with pytest.raises(KernelRangeError, match=r"the kernel of x1\[0\] and x2\[0\] is nan"):
        regressor.predict(X * 2)
    gradients = kk.EmpiricalKernel(lambda w, x: x @ w, np.full((6, 1), 1e30, np.float32))
    with pytest.raises(KernelRangeError, match=r"the nngp of x1\[0\] and x2\[0\] is inf"):
        gradients(X, get="nngp")


class SimpleKernel:
    """A kernel of a user's own, which says nothing of images other than those of the fit."""

    needs_bind = False

    def __call__(self, x1, x2=None, get=None):
        x2 = x1 if x2 is None else x2
        return (
            x1 @ x2.T
            if np.abs(x1).max() <= np.abs(X).max()
            else np.full((len(x1), len(x2)), np.nan)
        )


def test_stores_hold_finite_numbers_only(tmp_path):
    network = kk.serial(kk.Dense(W_std=1e19), kk.Dense(W_std=10.0))
    kernel = kk.NeuralKernel(network, get="nngp")
    with pytest.raises(KernelRangeError, match=r"x1 = x1\[0:4\].* node 2 \(Dense reading 1\)"):
        kk.compute_gram(kernel, X, store=tmp_path / "wild")
    assert [fault.state for fault in kk.GramStore(tmp_path / "wild").verify()] == ["missing"]

    tame = replace(kernel, architecture=chain(1, kk.Dense()))
    store = kk.compute_gram(tame, X, store=tmp_path / "tame")
    (tile,) = store.grid()
    block = store["nngp"]
    block[1, 2] = np.inf
    store.write(tile, {"nngp": block})  # as an earlier version would have
    assert ["is not finite" in str(fault) for fault in store.verify()] == [True]
    with pytest.raises(GramStoreError, match="is not finite"):
        _ = store["nngp"]
    assert np.isfinite(kk.compute_gram(tame, X, store=tmp_path / "tame")["nngp"]).all()


def test_weights_keep_away_from_the_end_of_float64():
    with pytest.raises(ArchitectureError, match=r"W_std=1e\+200: .* at most 1e\+30"):
        kk.Dense(W_std=1e200)


def test_every_instruction_is_of_the_node_whose_layer_it_computes():
    branches = kk.parallel(
        kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu()), kk.serial(kk.Conv(1), kk.LayerNorm())
    )
    network = kk.serial(kk.Conv(3), kk.Relu(), branches, kk.Conv(3), kk.Erf(), kk.GlobalAvgPool())
    network = kk.serial(network, kk.Dense())
    nodes = nodes_of_instructions(network, (5, 5, 2))
    program = lower(network, (5, 5, 2))
    assert len(nodes) == len(program.ops)
    layers = {WeightOp: (kk.Conv, kk.Dense), TapOp: kk.Conv, ImageOp: Input, DualOp: Activation}
    seen = set()
    for op, node in zip(program.ops, nodes, strict=True):
        expected = layers.get(type(op))
        if expected is not None:
            seen.add(type(op))
            assert isinstance(network.nodes[node].layer, expected), (op, network.describe(node))
    assert seen == set(layers)
    weights = [n for op, n in zip(program.ops, nodes, strict=True) if isinstance(op, WeightOp)]
    found = [i for i, n in enumerate(network.nodes) if isinstance(n.layer, kk.Conv | kk.Dense)]
    assert sorted(weights) == found
