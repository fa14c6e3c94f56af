"""The NumPy oracle against closed forms and numbers worked out by hand, and the random networks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from oracles.numpy_kernel import normalize_scales, oracle
from oracles.random_networks import Form, random_architecture

from kernas.kernels.architecture.activations import ACTIVATIONS
from kernas.kernels.architecture.combinators import GraphBuilder, parallel, serial
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    LAYERS,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Normalize,
    Relu,
    Sum,
    Zero,
)

HE = 2**0.5
ROW = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
"""One image of one row and one channel."""


def row_kernel(*layers: Layer | Architecture, x: np.ndarray = ROW) -> float:
    """NNGP of a 1×1 convolution, the layers, and the mean over pixels."""
    nngp, _ = oracle(serial(Conv(1), *layers, Flatten(), Dense()), x)
    return nngp.item()


def angle_kernels(kxx: float, kxy: float, kyy: float) -> tuple[float, float]:
    """``E[φ(u)φ(v)]`` and ``E[φ′(u)φ′(v)]`` (Cho and Saul 2009, equations 3 to 6)."""
    theta = np.arccos(np.clip(kxy / np.sqrt(kxx * kyy), -1, 1))
    j1 = np.sin(theta) + (np.pi - theta) * np.cos(theta)
    return np.sqrt(kxx * kyy) * j1 / (2 * np.pi), (np.pi - theta) / (2 * np.pi)


# --- closed forms --------------------------------------------------------------------------------


def test_one_hidden_layer_is_the_arc_cosine_kernel() -> None:
    rng = np.random.default_rng(1)
    x1, x2 = rng.normal(size=(3, 5)), rng.normal(size=(2, 5))
    network = serial(Dense(W_std=1.3, b_std=0.4), Relu(), Dense(W_std=0.7, b_std=0.2))
    nngp, ntk = oracle(network, x1, x2)
    for i, x in enumerate(x1):
        for j, y in enumerate(x2):
            kxx, kxy, kyy = (1.69 * (u @ v) / 5 + 0.16 for u, v in ((x, x), (x, y), (y, y)))
            k, k_dot = angle_kernels(kxx, kxy, kyy)
            assert nngp[i, j] == pytest.approx(0.49 * k + 0.04, rel=1e-13)
            assert ntk[i, j] == pytest.approx(0.49 * (k + k_dot * kxy) + 0.04, rel=1e-13)


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_tangent_kernel_of_an_input_with_itself_grows_linearly(depth: int) -> None:
    x = np.random.default_rng(2).normal(size=(3, 7))
    hidden = [layer for _ in range(depth) for layer in (Dense(W_std=HE), Relu())]
    nngp, ntk = oracle(serial(*hidden, Dense(W_std=HE)), x, x.copy())
    norms = 2 * (x**2).mean(1)
    np.testing.assert_allclose(np.diag(nngp), norms, rtol=1e-13)
    np.testing.assert_allclose(np.diag(ntk), (depth + 1) * norms, rtol=1e-13)


def cntk(x: np.ndarray, y: np.ndarray, depth: int, pooled: bool) -> tuple[float, float]:
    """3×3 convolutions with ReLU, dense readout: Arora et al. 2019, section 4, written afresh.

    Patch by patch on arrays ``K[i, j, i', j']``, the three pairs (x, x), (x, y), (y, y) together.
    """
    height, width, channels = x.shape

    def patches(K: np.ndarray) -> np.ndarray:
        padded = np.pad(K, 1)
        total = np.zeros_like(K)
        for a in range(3):
            for b in range(3):
                rows, columns = slice(a, a + height), slice(b, b + width)
                total += padded[rows, columns, rows, columns]
        return total * 2 / 9

    pairs = {"xx": (x, x), "xy": (x, y), "yy": (y, y)}
    K = {k: patches(np.einsum("ijc,klc->ijkl", u, v) / channels) for k, (u, v) in pairs.items()}
    theta = K["xy"].copy()
    for layer in range(depth):
        variance = {k: np.einsum("ijij->ij", K[k]) for k in ("xx", "yy")}
        new = {k: np.zeros_like(v) for k, v in K.items()}
        for i, j, k, m in np.ndindex(K["xy"].shape):
            for name in pairs:
                left, right = variance[name[0] * 2][i, j].item(), variance[name[1] * 2][k, m].item()
                new[name][i, j, k, m], dot = angle_kernels(left, K[name][i, j, k, m].item(), right)
                if name == "xy":
                    theta[i, j, k, m] *= dot
        if layer == depth - 1:
            K = new
        else:
            K = {k: patches(v) for k, v in new.items()}
            theta = patches(theta) + K["xy"]
    if not pooled:
        traces = [np.einsum("ijij->", v).item() / (height * width) for v in (K["xy"], theta)]
        return traces[0], traces[0] + traces[1]
    return K["xy"].mean().item(), (K["xy"] + theta).mean().item()


@pytest.mark.parametrize("pooled", [True, False])
def test_convolutional_tangent_kernel(pooled: bool) -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 3, 4, 2))
    hidden = [layer for _ in range(3) for layer in (Conv(3, W_std=HE), Relu())]
    network = serial(*hidden, GlobalAvgPool() if pooled else Flatten(), Dense())
    nngp, ntk = oracle(network, x[None], y[None])
    assert (nngp.item(), ntk.item()) == pytest.approx(cntk(x, y, 3, pooled), rel=1e-12)


def test_untrained_layers_add_nothing_of_their_own() -> None:
    x = np.random.default_rng(4).normal(size=(2, 5))
    network = serial(Dense(trainable=False), Relu(), Dense(), Relu(), Dense(trainable=False))
    _, ntk = oracle(network, x)
    # Only the middle layer: its K times the last nonlinearity's derivative kernel.
    middle, _ = oracle(serial(Dense(), Relu(), Dense()), x)
    for i, j in np.ndindex(2, 2):
        if i != j:
            _, dot = angle_kernels(*(middle[a, b].item() for a, b in ((i, i), (i, j), (j, j))))
            assert ntk[i, j] == pytest.approx(middle[i, j] * dot, rel=1e-12)
    frozen = [Dense(trainable=False), Relu(), Dense(trainable=False)]
    assert not oracle(serial(*frozen), x)[1].any()


# --- windows, by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "pixels"),
    [
        (AvgPool((1, 3), padding="SAME"), [3 / 2, 7 / 3, 6 / 2]),
        (AvgPool((1, 3), padding="SAME", divisor="window"), [3 / 3, 7 / 3, 6 / 3]),
        (AvgPool((1, 2)), [3 / 2, 6 / 2]),
        (AvgPool((1, 2), stride=2, padding="SAME"), [3 / 2, 4]),
        (AvgPool((1, 2), stride=2, padding=((0, 0), (1, 0))), [1, 6 / 2]),
        (AvgPool((1, 2), padding="SAME"), [3 / 2, 6 / 2, 4]),
        (Identity(), [1, 2, 4]),
    ],
)
def test_pools_of_a_row(layer: Layer, pixels: list[float]) -> None:
    assert row_kernel(layer) == pytest.approx(np.mean(np.square(pixels)), rel=1e-14)


@pytest.mark.parametrize(
    ("layer", "squares"),
    [
        (Conv((1, 3)), [1 + 4, 1 + 4 + 16, 4 + 16]),
        (Conv((1, 3), padding="VALID"), [1 + 4 + 16]),
        (Conv((1, 3), stride=2, padding=((0, 0), (1, 1))), [1 + 4, 4 + 16]),
        (Conv((1, 3), stride=2), [1 + 4, 4 + 16]),
        (Conv((1, 3), padding=((0, 0), (2, 0))), [1, 1 + 4, 1 + 4 + 16]),
    ],
)
def test_convolutions_of_a_row_divide_by_the_whole_window(
    layer: Layer, squares: list[float]
) -> None:
    assert row_kernel(layer) == pytest.approx(np.mean(squares) / 3, rel=1e-14)


def test_same_padding_of_an_even_row_at_stride_two_is_at_the_end() -> None:
    row = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 4, 1)
    squares = [(1 + 4 + 16) / 3, (16 + 64) / 3]
    assert row_kernel(Conv((1, 3), stride=2), x=row) == pytest.approx(np.mean(squares), rel=1e-14)


def test_global_average_against_flattening() -> None:
    nngp, ntk = oracle(serial(Conv(1), GlobalAvgPool(), Dense(b_std=0.5)), ROW)
    assert nngp.item() == pytest.approx((7 / 3) ** 2 + 0.25, rel=1e-14)
    assert ntk.item() == pytest.approx(2 * (7 / 3) ** 2 + 0.25, rel=1e-14)


# --- branches ------------------------------------------------------------------------------------


def test_skip_beside_a_pool_has_a_cross_term() -> None:
    both = parallel(Identity(), AvgPool((1, 3), padding="SAME"))
    assert row_kernel(both) == pytest.approx(
        np.mean(np.square([1 + 3 / 2, 2 + 7 / 3, 4 + 6 / 2])), rel=1e-14
    )
    wrong, _ = oracle(serial(Conv(1), both, Flatten(), Dense()), ROW, branches="independent")
    squares = [1, 4, 16, 9 / 4, 49 / 9, 9]
    assert wrong.item() == pytest.approx(sum(squares) / 3, rel=1e-14)


def test_one_layer_read_twice_and_two_layers() -> None:
    twice = GraphBuilder()
    u = twice.add(Conv(1), twice.input)
    once = twice.build(twice.add(serial(Flatten(), Dense()), twice.add(Sum(), u, u)))
    assert oracle(once, ROW)[0].item() == pytest.approx(4 * 7, rel=1e-14)
    two = serial(parallel(Conv(1), Conv(1)), Flatten(), Dense())
    assert oracle(two, ROW)[0].item() == pytest.approx(2 * 7, rel=1e-14)
    with_zero = serial(Conv(1), parallel(Zero(), Identity()), Flatten(), Dense())
    assert oracle(with_zero, ROW)[0].item() == pytest.approx(7, rel=1e-14)


def test_weights_beside_their_relu() -> None:
    # u + φ(u) is 2u or u, each half of the time: E = (4 + 1)/2 of the variance, and of Θ.
    network = serial(Conv(1), parallel(Identity(), Relu()), Flatten(), Dense())
    nngp, ntk = oracle(network, ROW)
    assert nngp.item() == pytest.approx(2.5 * 7, rel=1e-14)
    assert ntk.item() == pytest.approx(2 * 2.5 * 7, rel=1e-14)


def test_relus_of_independent_branches_have_a_mean() -> None:
    branch = serial(Dense(), Relu())
    x = np.array([[3.0, 1.0]])
    nngp, ntk = oracle(serial(parallel(branch, branch), Dense()), x)
    assert nngp.item() == pytest.approx(5 * (1 + 1 / np.pi), rel=1e-14)
    assert ntk.item() == pytest.approx(5 * (1 + 1 / np.pi) + 5, rel=1e-14)


def test_independent_branches_are_exact_where_nothing_meets() -> None:
    x = np.random.default_rng(5).normal(size=(2, 4, 4, 3))
    branch = serial(Conv(3), Relu(), Conv(3))
    network = serial(parallel(branch, Conv(1)), Relu(), GlobalAvgPool(), Dense())
    for exact, independent in zip(
        oracle(network, x), oracle(network, x, branches="independent"), strict=True
    ):
        np.testing.assert_allclose(exact, independent, rtol=1e-13)


# --- normalisation -------------------------------------------------------------------------------


@pytest.mark.parametrize("center", [True, False])
def test_normalize_of_a_linear_network_standardises_its_inputs(center: bool) -> None:
    rng = np.random.default_rng(6)
    x, y, reference = (rng.normal(0.5, 1.0, size=(n, 3, 2, 4)) for n in (2, 3, 5))
    network = serial(Conv(1, b_std=0 if not center else 0.7), Normalize(center=center), Flatten())
    shift = reference.mean((0, 1, 2)) if center else 0
    scale2 = ((reference - shift) ** 2).sum(-1).mean() / 4
    expected = np.einsum("ihwc,jhwc->ij", x - shift, y - shift) / (3 * 2 * 4) / scale2
    nngp, ntk = oracle(serial(network, Dense()), x, y, reference=reference)
    np.testing.assert_allclose(nngp, expected, rtol=1e-12)
    np.testing.assert_allclose(ntk, 2 * expected, rtol=1e-12)
    (scale,) = normalize_scales(serial(network, Dense()), reference).values()
    np.testing.assert_allclose(scale, scale2**0.5, rtol=1e-12)


def test_reference_images_count_as_often_as_they_are_given() -> None:
    rng = np.random.default_rng(7)
    x, reference = rng.normal(size=(2, 5)), rng.normal(size=(4, 5))
    network = serial(Dense(), Normalize(), Relu(), Dense())
    once = oracle(network, x, reference=reference)[0]
    doubled = oracle(network, x, reference=np.concatenate([reference, reference]))[0]
    uneven = oracle(network, x, reference=np.concatenate([reference, reference[:2]]))[0]
    np.testing.assert_allclose(once, doubled, rtol=1e-13)
    assert not np.allclose(once, uneven, rtol=1e-3)


def test_normalize_of_a_constant_is_zero() -> None:
    x = np.random.default_rng(8).normal(size=(2, 5))
    network = serial(Dense(b_std=0.3), Normalize(), Dense())
    nngp, ntk = oracle(network, x, reference=np.repeat(x[:1], 3, axis=0))
    assert not nngp.any()
    assert not ntk.any()


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (serial(Relu(), Flatten(), Dense()), (2, 3, 3, 1), "not Gaussian"),
        (serial(Conv(3), Relu(), AvgPool(2), Relu(), Flatten()), (2, 3, 3, 1), "not Gaussian"),
        (serial(Conv(3), Normalize(), Flatten()), (2, 3, 3, 1), "give reference images"),
        (serial(Conv(3), Relu()), (2, 3, 3, 1), "output has pixels"),
        (serial(parallel(Identity(), AvgPool(2)), Flatten()), (2, 3, 3, 1), "do not align"),
        (serial(parallel(Identity(), serial(Dense(), Relu())), Dense()), (2, 3), "raw input"),
    ],
)
def test_what_has_no_exact_kernel_is_refused(
    network: Architecture, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        oracle(network, np.random.default_rng(9).normal(size=shape))


# --- random networks -----------------------------------------------------------------------------


def draw_case(seed: int) -> tuple[Architecture, np.ndarray, np.ndarray, Form | None]:
    """A random network with images and reference images."""
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(3, 6)), int(rng.integers(3, 6)), 2)
    forms: tuple[Form | None, ...] = (None, "center", "rms", "any")
    form, flat = forms[seed % 4], seed % 5 == 4
    network = random_architecture(rng, image=image, normalize=form, flat=flat, remeet=seed % 3 == 0)
    shape = (6,) if flat else image
    network.shapes(shape)
    return network, rng.normal(size=(5, *shape)), rng.normal(size=(3, *shape)), form


@pytest.mark.parametrize("seed", range(30))
def test_kernels_of_random_networks_are_kernels(seed: int) -> None:
    network, x, reference, _ = draw_case(seed)
    nngp, ntk = oracle(network, x, reference=reference)
    for K in (nngp, ntk, ntk - nngp if getattr(network.nodes[-1].layer, "trainable", 0) else ntk):
        np.testing.assert_allclose(K, K.T, rtol=1e-10, atol=1e-12 * np.abs(K).max())
        assert np.linalg.eigvalsh(K).min() > -1e-10 * np.trace(K)
    assert np.diag(nngp).min() > 0
    assert np.diag(ntk).min() > 0
    for whole, part in zip(
        (nngp, ntk), oracle(network, x[3:], x[:3], reference=reference), strict=True
    ):
        np.testing.assert_allclose(whole[3:, :3], part, rtol=1e-9, atol=1e-9 * whole.max())


def test_random_networks_cover_every_layer_and_are_reproducible() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        network, _, _, form = draw_case(seed)
        assert network.hash == draw_case(seed)[0].hash
        norms = {n.layer.center for n in network.nodes if isinstance(n.layer, Normalize)}
        allowed: dict[Form | None, set[bool]] = {None: set(), "center": {True}, "rms": {False}}
        assert norms == allowed[form] if form in allowed else norms
        seen.update(type(node.layer).__name__ for node in network.nodes)
    others = {layer.__name__ for layer in ACTIVATIONS if layer is not Relu}
    assert set(seen) == set(LAYERS) - others
    convs = [
        node.layer
        for seed in range(60)
        for node in draw_case(seed)[0].nodes
        if isinstance(node.layer, Conv | AvgPool)
    ]
    assert {"SAME", "VALID", ((1, 1), (1, 1))} <= {layer.padding for layer in convs}
    assert {layer.divisor for layer in convs if isinstance(layer, AvgPool)} == {"valid", "window"}
