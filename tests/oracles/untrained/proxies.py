"""Training-free proxies by their definitions, in loops over images, pixels and parameters.

A tiny network is computed in float64 NumPy, node by node; first derivatives are by complex steps
(``Im f(x + ih) / h``, which subtracts nothing), one number at a time, second ones by differences of
those. Nothing is shared with the package but the architecture and its weights. The folder
is of its own because nothing here is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kernas.kernels.architecture import Architecture, Normalize

STEP = 1e-30

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tiny:
    """A network of few layers on few images.

    Args:
        architecture: of convolutions with zeros around and stride 1, dense layers, normalisations,
            ReLU, tanh, sums, 3×3 average pools, global pools, flattenings; no biases.
        images: ``(n, height, width, channels)``.
        labels: ``(n,)``.
        normalized: whether ``Normalize`` does anything.
    """

    architecture: Architecture
    images: np.ndarray
    labels: np.ndarray
    normalized: bool = True

    def values(self, weights: Weights, added: Weights | None = None) -> dict[str, np.ndarray]:
        """The output of every node by its name, such as ``Conv_1``, the last one's as ``logits``.

        ``added`` is added to the outputs of the layers that it names.
        """
        nodes, found = self.architecture.nodes, []
        named: dict[str, np.ndarray] = {}
        for index, node in enumerate(nodes):
            name = f"{type(node.layer).__name__}_{index}"
            inputs = [found[i] for i in node.inputs]
            value = self.images if index == 0 else self._value(name, node.layer, inputs, weights)
            if added is not None and name in added:
                value = value + added[name]
            found.append(value)
            named[name] = value
        return {**named, "logits": found[-1]}

    def _value(
        self, name: str, layer: object, inputs: list[np.ndarray], weights: Weights
    ) -> np.ndarray:
        x, kind = inputs[0], type(layer).__name__
        if kind == "Conv":
            return _convolution(x, weights[name])
        if kind == "Dense":
            return x @ weights[name]
        if isinstance(layer, Normalize):
            return self._normalize(layer, x)
        if kind == "AvgPool":
            return _average(x)
        return {
            "Relu": lambda: np.where(np.real(x) > 0, x, 0.0),
            "Elementwise": lambda: np.tanh(x),
            "Sum": lambda: np.sum(inputs, axis=0),
            "GlobalAvgPool": lambda: x.mean(axis=(1, 2)),
            "Flatten": lambda: x.reshape(len(x), -1),
            "Identity": lambda: x,
            "Zero": lambda: 0.0 * x,
        }[kind]()

    def _normalize(self, layer: Normalize, x: np.ndarray) -> np.ndarray:
        if not self.normalized:
            return x
        axes = tuple(range(x.ndim - 1))
        if layer.center:
            x = x - x.mean(axis=axes)
        return x / np.sqrt((x**2).mean(axis=axes) + 1e-5)

    def loss(self, weights: Weights, added: Weights | None = None) -> complex:
        """Mean cross-entropy."""
        total = 0.0
        for logits, label in zip(self.values(weights, added)["logits"], self.labels, strict=True):
            total += np.log(np.exp(logits).sum()) - logits[label]
        return total / len(self.labels)

    def gradient(self, weights: Weights) -> Weights:
        """∂L/∂θ, one weight after the other."""
        return derivatives(self.loss, weights)

    def codes(self, weights: Weights) -> np.ndarray:
        """``(n, units)``: which activations are above their value at zero, which is zero."""
        named = self.values(weights)
        parts = [
            v for name, v in named.items() if name.partition("_")[0] in ("Relu", "Elementwise")
        ]
        return np.concatenate([part.reshape(len(part), -1) > 0 for part in parts], axis=1)

    def jacobian(self, weights: Weights) -> np.ndarray:
        """``(n, pixels)``: of the sum of all logits, one pixel after the other."""

        def summed(given: Weights) -> complex:
            other = Tiny(self.architecture, given["x"], self.labels, self.normalized)
            return other.values(weights)["logits"].sum()

        return derivatives(summed, {"x": self.images})["x"].reshape(len(self.images), -1)


def derivatives(function: Callable[[Weights], complex], at: Weights) -> Weights:
    """The gradient of a function of arrays, which has to take complex ones."""
    found: Weights = {}
    for name, array in at.items():
        slopes = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[place] += 1j * STEP
            slopes[place] = function({**at, name: moved}).imag / STEP
        found[name] = slopes
    return found


def snip(net: Tiny, weights: Weights) -> float:
    gradient = net.gradient(weights)
    return sum(abs(g * w) for n in weights for g, w in _numbers(gradient[n], weights[n]))


def plain(net: Tiny, weights: Weights) -> float:
    gradient = net.gradient(weights)
    return sum(g * w for n in weights for g, w in _numbers(gradient[n], weights[n]))


def grad_norm(net: Tiny, weights: Weights) -> float:
    return l2_norm(net, net.gradient(weights))


def l2_norm(net: Tiny, weights: Weights) -> float:
    return sum(math.sqrt(sum(w * w for w in layer.ravel())) for layer in weights.values())


def grasp(net: Tiny, weights: Weights) -> float:
    """The Hessian times the gradient, as the gradient's change along the gradient."""
    g, step = net.gradient(weights), 1e-6
    up, down = (
        net.gradient({n: weights[n] + sign * step * g[n] for n in weights}) for sign in (1, -1)
    )
    return -sum(
        (a - b) / (2 * step) * w
        for n in weights
        for a, b, w in zip(up[n].ravel(), down[n].ravel(), weights[n].ravel(), strict=True)
    )


def synflow(net: Tiny, weights: Weights) -> float:
    """On one image of ones, without normalisation."""
    ones = Tiny(net.architecture, np.ones_like(net.images[:1]), net.labels[:1], normalized=False)
    sizes = {name: np.abs(w) for name, w in weights.items()}
    slopes = derivatives(lambda w: ones.values(w)["logits"].sum(), sizes)
    return math.log(sum(s * w for n in sizes for s, w in _numbers(slopes[n], sizes[n])))


def fisher(net: Tiny, weights: Weights, *, weighted: bool = False) -> float:
    """By channel, of the outputs of all weight layers; ``weighted`` by the weights of a channel."""
    outputs = net.values(weights)
    total = 0.0
    for name, kernel in weights.items():
        z = outputs[name]
        slope = derivatives(lambda added: net.loss(weights, added), {name: np.zeros_like(z)})[name]
        for channel in range(z.shape[-1]):
            squares = [
                (z[i, ..., channel] * slope[i, ..., channel]).sum() ** 2 for i in range(len(z))
            ]
            times = kernel.size / z.shape[-1] if weighted else 1
            total += times * sum(squares) / len(squares) / 2
    return total


def zico(net: Tiny, other: Tiny, weights: Weights) -> float:
    one, two = net.gradient(weights), other.gradient(weights)
    total = 0.0
    for name in weights:
        ratios = [
            (abs(a) + abs(b)) / 2 / (abs(a - b) / 2)
            for a, b in _numbers(one[name], two[name])
            if a != b
        ]
        total += math.log(sum(ratios)) if ratios else 0.0
    return total


def hamming(codes: np.ndarray, power: float) -> np.ndarray:
    """The kernel whose determinant is NASWOT's: the number of bits less a power of the distance."""
    n, bits = codes.shape
    return np.array(
        [
            [bits - sum(a != b for a, b in zip(codes[i], codes[j], strict=True)) ** power
             for j in range(n)]
            for i in range(n)
        ]
    )  # fmt: skip


def naswot(net: Tiny, weights: Weights, power: float = 1.0) -> float:
    return math.log(abs(np.linalg.det(hamming(net.codes(weights), power))))


def naswot_printed(net: Tiny, weights: Weights) -> tuple[float, float]:
    """The logarithm of the determinant's magnitude, and its sign."""
    codes = net.codes(weights).astype(int)
    n, bits = codes.shape
    kernel = [
        [(bits if i == j else 0) - sum(codes[i] * codes[j]) for j in range(n)] for i in range(n)
    ]
    determinant = float(np.linalg.det(np.array(kernel, float)))
    return math.log(abs(determinant)), math.copysign(1.0, determinant)


def swap(net: Tiny, weights: Weights) -> float:
    return float(len({tuple(unit) for unit in net.codes(weights).T}))


def tangent_kernel(net: Tiny, weights: Weights) -> np.ndarray:
    """Inner products of the images' gradients of the sum of their logits, weight by weight."""
    n = len(net.images)
    kernel = np.zeros((n, n))
    for name, array in weights.items():
        for place in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[place] += 1j * STEP
            slopes = net.values({**weights, name: moved})["logits"].sum(axis=1).imag / STEP
            kernel += np.outer(slopes, slopes)
    return kernel


def ntk_condition(net: Tiny, weights: Weights) -> float:
    values = np.linalg.svd(tangent_kernel(net, weights), compute_uv=False)
    return float(values[0] / values[-1])


def label_gradient_alignment(net: Tiny, weights: Weights) -> float:
    same = [[1.0 if a == b else -1.0 for b in net.labels] for a in net.labels]
    return float(np.corrcoef(tangent_kernel(net, weights).ravel(), np.ravel(same))[0, 1])


def jacob_cov(net: Tiny, weights: Weights) -> float:
    values = np.linalg.eigvals(np.corrcoef(net.jacobian(weights))).real
    return -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in values)


def epe_nas(net: Tiny, weights: Weights, classes: int) -> float:
    """Classes above a hundred are compared with each other."""
    rows, sums = net.jacobian(weights), []
    for label in sorted(set(net.labels.tolist())):
        own = np.atleast_2d(np.corrcoef(rows[net.labels == label]))
        value = sum(math.log(abs(c) + 1e-5) for c in own.ravel())
        sums.append(value / len(own) if classes > 100 else value)
    if classes <= 100:
        return sum(map(abs, sums))
    return sum(abs(a - b) for a in sums for b in sums) / len(sums)


def zen(
    architecture: Architecture, weights: Weights, noise: np.ndarray, moved: np.ndarray, last: str
) -> tuple[float, float]:
    """By the paper and by its code; ``last`` is the node that the readout reads."""
    before: list[list[np.ndarray]] = []
    features = []
    names = [f"{type(node.layer).__name__}_{i}" for i, node in enumerate(architecture.nodes)]
    for images in (noise, moved):
        values = Tiny(architecture, images, np.zeros(len(images), int)).values(weights)
        features.append(values[last])
        squares = []
        for node in architecture.nodes:
            if isinstance(node.layer, Normalize):
                x = values[names[node.inputs[0]]]
                if node.layer.center:
                    x = x - x.mean(axis=(0, 1, 2))
                squares.append((x**2).mean(axis=(0, 1, 2)))
        before.append(squares)
    difference = (features[0] - features[1]).reshape(len(noise), -1)
    paper = math.log(np.mean([math.sqrt((row**2).sum()) for row in difference]))
    code = math.log(np.mean([np.abs(row).sum() for row in difference]))
    for one, two in zip(*before, strict=True):
        if one.mean() > 0:
            paper += math.log(one.mean()) / 2
        code += math.log((0.9 * (0.9 + 0.1 * one) + 0.1 * two).mean()) / 2
    return paper, code


LAYERS = ("Conv", "Dense", "Relu", "Elementwise")


def meco(net: Tiny, weights: Weights) -> float:
    """Of the first image, whatever has pixels."""
    total = 0.0
    for name, value in net.values(weights).items():
        if name.partition("_")[0] in LAYERS and value.ndim == 4:
            channels = [value[0, :, :, c].ravel() for c in range(value.shape[-1])]
            table = [[_correlation(a, b) for b in channels] for a in channels]
            total += min(np.linalg.eigvals(np.array(table)).real)
    return total


def near(net: Tiny, weights: Weights) -> float:
    total = 0.0
    for name, value in net.values(weights).items():
        if name.partition("_")[0] in LAYERS:
            c = value.shape[-1]
            rows = [value[place] for place in np.ndindex(value.shape[:-1])][:c]
            total += math.exp(_entropy(np.linalg.svd(np.array(rows))[1]))
    return total


def entropies(net: Tiny, weights: Weights, ends: list[str]) -> list[float]:
    """Of the blocks that end in these nodes."""
    found, values = [], net.values(weights)
    for end in ends:
        channels = np.moveaxis(values[end], -1, 0).reshape(values[end].shape[-1], -1)
        found.append(_entropy(np.linalg.svd(np.atleast_2d(np.cov(channels)))[1]))
    return found


def trainability(net: Tiny, weights: Weights, signs: Weights) -> float:
    """Of the blocks between the nodes of which there are signs, in their order."""
    found, ends, values = [], list(signs), net.values(weights)
    for read, made in pairwise(ends):

        def inner(added: Weights, made: str = made) -> complex:
            return (net.values(weights, added)[made] * signs[made]).sum()

        back = derivatives(inner, {read: np.zeros_like(values[read])})[read]
        products = [
            np.outer(back[place], signs[made][place]) for place in np.ndindex(back.shape[:-1])
        ]
        sigma = np.linalg.svd(np.mean(products, axis=0))[1][0]
        found.append(2 - sigma - 1 / sigma)
    return sum(found) / len(found)


def vkdnw(net: Tiny, weights: Weights) -> tuple[float, float]:
    """With the number of layers, and without."""
    bare = Tiny(net.architecture, net.images, net.labels, normalized=False)
    logits = bare.values(weights)["logits"]
    slopes = []
    for name, array in weights.items():
        moved = array.astype(complex)
        moved[(0,) * array.ndim] += 1j * STEP
        slopes.append(np.imag(bare.values({**weights, name: moved})["logits"]) / STEP)
    information = np.zeros((len(slopes), len(slopes)))
    for image, row in enumerate(logits):
        q = 0.95 * np.exp(row) / np.exp(row).sum() + 0.05 / len(row)
        jacobian = np.array([slope[image] for slope in slopes]).T
        information += jacobian.T @ (np.diag(q) - np.outer(q, q)) @ jacobian / len(logits)
    deciles = np.percentile(np.linalg.svd(information)[1], [10, 20, 30, 40, 50, 60, 70, 80, 90])
    return len(weights) + _entropy(deciles), _entropy(deciles)


def linear_regions(net: Tiny, weights: Weights) -> float:
    return float(len({tuple(image) for image in net.codes(weights)}))


def _entropy(values: np.ndarray) -> float:
    return -sum(p * math.log(p) for p in values / values.sum() if p > 0)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _numbers(first: np.ndarray, second: np.ndarray) -> zip[tuple[float, float]]:
    return zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)


def _convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """``y[p, o] = Σ_k Σ_i x[p + k − middle, i] kernel[k, i, o]``, zeros around."""
    n, height, width, _ = x.shape
    rows, columns, _, outputs = kernel.shape
    y = np.zeros((n, height, width, outputs), np.result_type(x, kernel))
    for p, q, r, c in np.ndindex(height, width, rows, columns):
        i, j = p + r - rows // 2, q + c - columns // 2
        if 0 <= i < height and 0 <= j < width:
            y[:, p, q] += x[:, i, j] @ kernel[r, c]
    return y


def _average(x: np.ndarray) -> np.ndarray:
    """Over the pixels of 3×3 windows that are there."""
    y = np.zeros_like(x)
    for p, q in np.ndindex(x.shape[1:3]):
        y[:, p, q] = x[:, max(p - 1, 0) : p + 2, max(q - 1, 0) : q + 2].mean(axis=(1, 2))
    return y
