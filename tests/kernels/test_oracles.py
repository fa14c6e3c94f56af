"""The NumPy oracle against closed forms and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.numpy_kernel import normalize_scales, oracle

from kernas.kernels.architecture.combinators import GraphBuilder, parallel, residual, serial
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
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
        (AvgPool((1, 2), padding="CIRCULAR"), [3 / 2, 6 / 2, 5 / 2]),
        (AvgPool((1, 3), padding="CIRCULAR", divisor="window"), [7 / 3, 7 / 3, 7 / 3]),
        (AvgPool((1, 4), padding="CIRCULAR"), [11 / 4, 8 / 4, 9 / 4]),
        (AvgPool((1, 2), padding=((0, 0), (-1, 0))), [6 / 2]),
        (AvgPool((1, 2), padding=((0, 0), (1, -1))), [1, 3 / 2]),
        (MaxPool((1, 3), padding="SAME", as_average=True), [3 / 2, 7 / 3, 6 / 2]),
        (LocalAvgPool(0), [1, 2, 4]),
        (LocalAvgPool(0, "circular"), [1, 2, 4]),
        (LocalAvgPool(1), [3 / 9, 7 / 9, 6 / 9]),
        (LocalAvgPool(2), [7 / 25, 7 / 25, 7 / 25]),
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


@pytest.mark.parametrize(
    ("layer", "squares"),
    [
        (Conv((1, 2), dilation=2), [4, 1 + 16, 4]),
        (Conv((1, 2), dilation=(5, 2), padding="VALID"), [1 + 16]),
        (Conv((1, 2), padding="CIRCULAR"), [1 + 4, 4 + 16, 16 + 1]),
        (Conv((1, 2), stride=2, padding="CIRCULAR"), [1 + 4, 16 + 1]),
        (Conv((1, 2), dilation=2, padding="CIRCULAR"), [16 + 4, 1 + 16, 4 + 1]),
        (Conv((1, 2), dilation=3, padding="CIRCULAR"), [16 + 16, 1 + 1, 4 + 4]),
        (Conv((1, 2), padding=((0, 0), (-1, 0))), [4 + 16]),
        (Conv((1, 2), padding=((0, 0), (-1, 1))), [4 + 16, 16]),
    ],
)
def test_dilated_circular_and_cropped_convolutions_of_a_row(
    layer: Conv, squares: list[float]
) -> None:
    assert row_kernel(layer) == pytest.approx(np.mean(squares) / 2, rel=1e-14)
    depthwise = DepthwiseConv(
        layer.window, stride=layer.stride, padding=layer.padding, dilation=layer.dilation
    )
    assert row_kernel(depthwise) == pytest.approx(np.mean(squares) / 2, rel=1e-14)


def test_local_average_around_the_image() -> None:
    x = np.random.default_rng(3).normal(size=(1, 4, 3, 1))
    local = serial(Conv(1), LocalAvgPool(1, "circular"), Dense())
    around = [np.roll(x[0], (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    expected = np.square(np.mean(around, 0)).mean()
    assert oracle(local, x)[0].item() == pytest.approx(expected, rel=1e-13)


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


def test_depthwise_filters_count_once_more_and_meet_nothing() -> None:
    depthwise = DepthwiseConv((1, 3), W_std=HE, b_std=0.5)
    read = 2 * (5 + 21 + 20) / 9
    nngp, ntk = oracle(serial(Conv(1), depthwise, Conv(1), Flatten(), Dense()), ROW)
    assert nngp.item() == pytest.approx(read + 0.25, rel=1e-14)
    assert ntk.item() == pytest.approx(read + 3 * (read + 0.25), rel=1e-14)
    beside = parallel(Identity(), depthwise, Relu())
    nngp, ntk = oracle(serial(Conv(1), beside, Conv(1), Flatten(), Dense()), ROW)
    # u + φ(u) is as it would be alone; the filters' own moment is added.
    alone, own = 2.5 * 7, read + 0.25
    assert nngp.item() == pytest.approx(alone + own, rel=1e-14)
    assert ntk.item() == pytest.approx(alone + (read + own) + 2 * (alone + own), rel=1e-14)


# --- concatenations ------------------------------------------------------------------------------


def concat_kernels(first: list[str], second: list[str], *layers: Layer) -> tuple[float, float]:
    """Kernels of ``Concat(first) + Concat(second)``, the layers and a dense one.

    "a" and "b" are dense layers of ``[3, 1]`` with variances 5 and 20, "φa" and "φb" their ReLUs.
    """
    builder = GraphBuilder()
    nodes = {"a": builder.add(Dense(), 0), "b": builder.add(Dense(W_std=2.0), 0)}
    nodes |= {f"φ{name}": builder.add(Relu(), node) for name, node in nodes.items()}
    parts = [builder.add(Concat(), *(nodes[name] for name in names)) for names in (first, second)]
    end = builder.add(serial(*layers, Dense()), builder.add(Sum(), *parts))
    nngp, ntk = oracle(builder.build(end), np.array([[3.0, 1.0]]))
    return nngp.item(), ntk.item()


@pytest.mark.parametrize(
    ("first", "second", "variance"),
    [
        (["a", "b"], ["a", "b"], (4 * 5 + 4 * 20) / 2),
        (["a", "b"], ["b", "a"], 5 + 20),
        (["a", "a"], ["a", "b"], (4 * 5 + 25) / 2),
        (["φa", "b"], ["a", "a"], (2.5 * 5 + 25) / 2),
        (["φa", "φb"], ["a", "b"], (2.5 * 5 + 2.5 * 20) / 2),
        (["φa", "φb"], ["b", "a"], (2.5 + 20 + 10 + 5) / 2),
        (["φa", "φb"], ["φb", "φa"], 2.5 + 10 + 10 / np.pi),
    ],
)
def test_parts_of_concatenations_meet_their_own(
    first: list[str], second: list[str], variance: float
) -> None:
    assert concat_kernels(first, second)[0] == pytest.approx(variance, rel=1e-14)
    if "φa" not in first:
        relus = concat_kernels(first, second, Relu())
        assert relus == pytest.approx((variance / 2, variance), rel=1e-14)


def test_widths_weigh_the_parts() -> None:
    joined = parallel(Dense(), Dense(W_std=2.0, width=3), join=Concat())
    nngp, ntk = oracle(serial(joined, Relu(), Dense()), np.array([[3.0, 1.0]]))
    mean = (1 * 5 + 3 * 20) / 4 / 2
    assert (nngp.item(), ntk.item()) == pytest.approx((mean, 2 * mean), rel=1e-14)


def test_flattened_pixels_are_channels_beside_others() -> None:
    joined = parallel(Flatten(), GlobalAvgPool(), join=Concat())
    nngp, _ = oracle(serial(Conv(1), joined, Dense()), ROW)
    assert nngp.item() == pytest.approx((1 + 4 + 16 + (7 / 3) ** 2) / 4, rel=1e-14)
    images = parallel(Conv(1), Conv(1, W_std=2.0, width=2), join=Concat())
    nngp, _ = oracle(serial(images, Flatten(), Dense()), ROW)
    assert nngp.item() == pytest.approx((1 + 2 * 4) / 3 * 7, rel=1e-14)


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


def test_normalize_takes_every_part_by_itself() -> None:
    x = np.random.default_rng(10).normal(size=(3, 5))
    joined = parallel(Dense(W_std=0.1), Dense(W_std=3.0), join=Concat())
    whole = serial(joined, Normalize(), Relu(), Dense())
    one = serial(Dense(), Normalize(), Relu(), Dense())
    for ours, expected in zip(
        oracle(whole, x, reference=x), oracle(one, x, reference=x), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
    (scales,) = normalize_scales(whole, x).values()
    assert scales[1] / scales[0] == pytest.approx(30, rel=1e-12)


def test_layer_norm_of_a_row() -> None:
    assert row_kernel(LayerNorm()) == pytest.approx(1, rel=1e-11)
    assert row_kernel(LayerNorm(eps=3.0)) == pytest.approx((1 / 4 + 4 / 7 + 16 / 19) / 3, rel=1e-14)
    assert row_kernel(LayerNorm("channels and pixels", eps=3.0)) == pytest.approx(0.7, rel=1e-14)
    flattened = oracle(serial(Conv(1), Flatten(), LayerNorm(eps=3.0), Dense()), ROW)
    assert [part.item() for part in flattened] == pytest.approx([0.7, 1.4], rel=1e-14)


def test_layer_norm_beside_its_input() -> None:
    network = serial(Dense(), parallel(Identity(), LayerNorm(eps=4.0)), Dense())
    nngp, ntk = oracle(network, np.array([[3.0, 1.0]]))
    assert nngp.item() == pytest.approx(5 * (4 / 3) ** 2, rel=1e-14)
    assert ntk.item() == pytest.approx(2 * 5 * (4 / 3) ** 2, rel=1e-14)


def test_layer_norm_takes_all_parts_together() -> None:
    joined = parallel(Dense(), Dense(W_std=2.0, width=3), join=Concat())
    network = serial(joined, LayerNorm(eps=3.75), Relu(), Dense())
    nngp, _ = oracle(network, np.array([[3.0, 1.0]]))
    assert nngp.item() == pytest.approx(16.25 / 20 / 2, rel=1e-14)


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
        (serial(parallel(Identity(), Dense(), join=Concat()), Dense()), (2, 3), "raw input"),
        (serial(AvgPool(2), DepthwiseConv(1), Flatten()), (2, 3, 3, 1), "raw input"),
        (serial(Conv(3), DepthwiseConv(3), Relu(), Flatten()), (2, 3, 3, 1), "not Gaussian"),
        (serial(LayerNorm(), Flatten()), (2, 3, 3, 1), "have a mean"),
        (serial(Conv(3), residual(Relu()), LayerNorm(), Flatten()), (2, 3, 3, 1), "have a mean"),
        (serial(Conv(3), MaxPool(2), Flatten()), (2, 3, 3, 1), "a maximum is not linear"),
        (serial(Conv(3), LocalAvgPool(2, "circular")), (2, 4, 5, 1), "larger than"),
    ],
)
def test_what_has_no_exact_kernel_is_refused(
    network: Architecture, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        oracle(network, np.random.default_rng(9).normal(size=shape))
