"""Reference kernels in float64 NumPy: every node an explicit matrix over all images and pixels.

All images (reference, left, right; duplicates once) are evaluated together. A node is stored as
``Σ_s L_s · s`` over its sources ``s``: the input, outputs of weight layers and of nonlinearities.
``L_s`` is a dense matrix over (image, pixel), so that pools and ``Normalize`` are matrices like any
other, and covariances of nodes are ``C_ab = Σ_st L_as K_st L_btᵀ``, ``T_ab`` likewise. Slow, plain,
and independent of the engine: only the description of the network is shared.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from oracles.gaussian_moments import dual_moments, has_kink, mean_slopes
from oracles.geometry import node_grids, pool_matrix, window_taps

from kernas.kernels.architecture.activations import Activation, Relu
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Conv,
    Flatten,
    GlobalAvgPool,
    Identity,
    Input,
    Normalize,
    Sum,
    WeightLayer,
    Zero,
)

Branches = Literal["exact", "independent"]
Source = tuple[int, tuple[tuple[int, int], ...]]
"""A source's node, and the terms of sums it came through (only if branches are "independent")."""
Expansion = dict[Source, np.ndarray]
Moments = tuple[np.ndarray, np.ndarray]
"""``(K, Θ)`` as matrices over (image, pixel); ``None`` stands for zeros."""

ROUNDING = 1e-14
"""A correlation this close to ±1 is ±1: what rounding makes of equal or opposite pixels."""


def oracle(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None = None,
    *,
    reference: np.ndarray | None = None,
    branches: Branches = "exact",
) -> Moments:
    """NNGP and NTK of a network between two sets of images.

    Args:
        x1: images ``(n1, height, width, channels)`` or vectors ``(n1, features)``.
        x2: likewise; ``x1`` if not given.
        reference: images whose statistics ``Normalize`` uses.
        branches: "exact", or "independent": the wrong rule, which drops the covariance between
            different terms of a sum.

    Returns:
        ``(nngp, ntk)``, both ``(n1, n2)``; a flattened output is averaged over its pixels.

    Raises:
        ValueError: a nonlinearity of a node that is not Gaussian, an output with pixels, a sum of
            vectors of different kinds, ``Normalize`` without reference.
    """
    parts = [np.asarray(x, np.float64) for x in (x1, x1 if x2 is None else x2)]
    if reference is not None:
        parts.append(np.asarray(reference, np.float64))
    images, index = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    left, right, *rest = np.split(index.reshape(-1), np.cumsum([len(p) for p in parts])[:-1])
    weights = np.bincount(rest[0], minlength=len(images)) / len(rest[0]) if rest else None
    evaluation = Evaluation(architecture, images, weights, branches)
    nngp, ntk = evaluation.output()
    return nngp[np.ix_(left, right)], ntk[np.ix_(left, right)]


def normalize_scales(architecture: Architecture, reference: np.ndarray) -> dict[int, np.ndarray]:
    """What each ``Normalize`` divides by: ``√(v − m)`` centred, ``√v`` if not.

    Returns:
        For each node that is a ``Normalize``, one number, or one per block of a flattened image;
        infinity where there is nothing to divide (``v − m = 0``: the node is zero).
    """
    images, index = np.unique(np.asarray(reference, np.float64), axis=0, return_inverse=True)
    weights = np.bincount(index.reshape(-1)) / len(reference)
    return Evaluation(architecture, images, weights).scales


class Evaluation:
    """All nodes of a network on one set of distinct images.

    Args:
        images: ``(n, height, width, channels)`` or ``(n, features)``, float64, no image twice.
        weights: share of each image in the reference set, summing to one.
        branches: see :func:`oracle`.
    """

    def __init__(
        self,
        architecture: Architecture,
        images: np.ndarray,
        weights: np.ndarray | None = None,
        branches: Branches = "exact",
    ) -> None:
        self.nodes = architecture.nodes
        self.images = images
        self.weights = weights
        self.branches = branches
        self.grids = node_grids(architecture, images.shape[1:])
        self.expansions: list[Expansion] = []
        self.scales: dict[int, np.ndarray] = {}
        self.margin = 1.0
        """How far from ±1 the closest correlation is of two variables that are neither equal nor
        opposite: the derivative of arccos is singular there, so that no precision is enough."""
        self._covariances: dict[tuple[int, int], Moments] = {}
        self._moments: dict[tuple[int, int], Moments | None] = {}
        for index in range(len(self.nodes)):
            self.expansions.append(self._expand(index))

    def output(self) -> Moments:
        """NNGP and NTK of the output node between all images: two ``(n, n)`` arrays."""
        last = len(self.nodes) - 1
        if not self.grids[last].flat:
            raise ValueError("the output has pixels: end the network in Flatten or GlobalAvgPool")
        K, T = self.covariance(last, last)
        return self._mean_trace(K), self._mean_trace(T)

    def covariance(self, a: int, b: int) -> Moments:
        """``C_ab`` and ``T_ab`` of two nodes, matrices over (image, pixel)."""
        if (a, b) not in self._covariances:
            moments = self._combine(self.expansions[a], a, self.expansions[b], b)
            self._covariances[a, b] = moments
        return self._covariances[a, b]

    def _combine(self, left: Expansion, a: int, right: Expansion, b: int) -> Moments:
        n = len(self.images)
        shape = (n * self.grids[a].size, n * self.grids[b].size)
        K, T = np.zeros(shape), np.zeros(shape)
        for s, L in left.items():
            for t, R in right.items():
                moments = self._moment(s, t)
                if moments is not None:
                    K += sandwich(L, moments[0], R)
                    T += sandwich(L, moments[1], R)
        return K, T

    # --- nodes as linear combinations of sources -------------------------------------------------

    def _expand(self, index: int) -> Expansion:
        layer, inputs = self.nodes[index].layer, self.nodes[index].inputs
        if isinstance(layer, Activation):
            self._check_gaussian(index)
        if isinstance(layer, Input | WeightLayer | Activation):
            return {(index, ()): np.eye(len(self.images) * self.grids[index].size)}
        if isinstance(layer, Zero):
            return {}
        if isinstance(layer, Identity | Flatten):
            return self.expansions[inputs[0]]
        if isinstance(layer, Sum):
            return self._sum(index)
        if isinstance(layer, Normalize):
            return self._map(self._normalize(index, layer), inputs[0])
        grid = self.grids[inputs[0]]
        if isinstance(layer, AvgPool):
            return self._map(self._every_image(pool_matrix(layer, grid)), inputs[0])
        if isinstance(layer, GlobalAvgPool):
            if grid.flat:
                return self.expansions[inputs[0]]
            return self._map(self._every_image(np.full((1, grid.size), 1 / grid.size)), inputs[0])
        raise ValueError(f"node {index}: no rule for {layer!r}")

    def _check_gaussian(self, index: int) -> None:
        for source, _ in self.expansions[self.nodes[index].inputs[0]]:
            if not isinstance(self.nodes[source].layer, WeightLayer):
                raise ValueError(f"node {index} is a nonlinearity of a node that is not Gaussian")

    def _every_image(self, matrix: np.ndarray) -> np.ndarray:
        return np.kron(np.eye(len(self.images)), matrix)

    def _map(self, matrix: np.ndarray, node: int) -> Expansion:
        return {source: matrix @ L for source, L in self.expansions[node].items()}

    def _sum(self, index: int) -> Expansion:
        total: Expansion = {}
        for term, node in enumerate(self.nodes[index].inputs):
            for (source, path), L in self.expansions[node].items():
                if self.branches == "independent":
                    path = (*path, (index, term))
                key = (source, path)
                total[key] = total[key] + L if key in total else L
        return total

    def _normalize(self, index: int, layer: Normalize) -> np.ndarray:
        """The matrix ``(I − mean over reference images and pixels) / scale``."""
        if self.weights is None:
            raise ValueError(f"node {index} is a Normalize: give reference images")
        node = self.nodes[index].inputs[0]
        grid = self.grids[node]
        n, size = len(self.images), grid.size
        # Channels of a flattened image have statistics of their own for each of its pixels.
        pixels = np.eye(size) if grid.flat else np.full((size, size), 1 / size)
        mean = np.kron(np.outer(np.ones(n), self.weights), pixels)
        K = self.covariance(node, node)[0]
        variance = (mean @ np.diag(K)).reshape(n, size)[0]
        scale2 = variance
        if layer.center:
            scale2 = variance - np.diag(mean @ K @ mean.T)[:size]
        alive = scale2 > 1e-12 * variance
        scale = np.sqrt(np.where(alive, scale2, np.inf))
        self.scales[index] = scale if grid.flat else scale[:1]
        projection = np.eye(n * size) - mean if layer.center else np.eye(n * size)
        return projection / np.tile(scale, n)[:, None]

    # --- second moments of sources ---------------------------------------------------------------

    def _moment(self, s: Source, t: Source) -> Moments | None:
        if s[1] != t[1]:
            return None
        a, b = s[0], t[0]
        if a > b:
            moments = self._moment(t, s)
            return None if moments is None else (moments[0].T, moments[1].T)
        if (a, b) not in self._moments:
            self._moments[a, b] = self._source_moments(a, b)
        return self._moments[a, b]

    def _source_moments(self, a: int, b: int) -> Moments | None:
        first, second = self.nodes[a].layer, self.nodes[b].layer
        if isinstance(first, Activation) and isinstance(second, Activation):
            return self._duals(a, b, first, second)
        if isinstance(first, Activation):
            moments = self._stein(b, a, first)
            return moments[0].T, moments[1].T
        if isinstance(second, Activation):
            if isinstance(first, Input):
                raise ValueError(f"node {b} is summed with the raw input: not Gaussian")
            return self._stein(a, b, second)
        if a != b:
            return None
        if isinstance(first, Input):
            pixels = self.images.reshape(-1, self.images.shape[-1])
            K = pixels @ pixels.T / pixels.shape[1]
            return K, np.zeros_like(K)
        return self._weights(a)

    def _weights(self, index: int) -> Moments:
        """``σ_w²·(mean over the window) + σ_b²``; Θ without the bias, plus the new K."""
        layer, node = self.nodes[index].layer, self.nodes[index].inputs[0]
        assert isinstance(layer, WeightLayer)
        K, T = self.covariance(node, node)
        if isinstance(layer, Conv):
            K, T = self._window_sum(layer, node, K), self._window_sum(layer, node, T)
        else:
            K, T = self._mean_trace(K), self._mean_trace(T)
        K = layer.W_std**2 * K + layer.b_std**2
        T = layer.W_std**2 * T
        return K, T + K if layer.trainable else T

    def _window_sum(self, layer: Conv, node: int, C: np.ndarray) -> np.ndarray:
        """``(1/q_h q_w) Σ_k C[p + k, q + k]``, zero outside the image."""
        n, grid = len(self.images), self.grids[node]
        C = C.reshape(n, grid.size, n, grid.size).transpose(1, 3, 0, 2).copy()
        taps = window_taps(layer, grid)
        result = np.zeros((len(taps), len(taps), n, n))
        for p, at_p in enumerate(taps):
            for q, at_q in enumerate(taps):
                for i, j in zip(at_p, at_q, strict=True):
                    if i is not None and j is not None:
                        result[p, q] += C[i, j]
        result = result.transpose(2, 0, 3, 1) / len(taps[0])
        return result.reshape(n * len(taps), n * len(taps))

    def _mean_trace(self, C: np.ndarray) -> np.ndarray:
        n = len(self.images)
        size = len(C) // n
        return np.einsum("ipjp->ij", C.reshape(n, size, n, size)) / size

    def _duals(self, a: int, b: int, first: Activation, second: Activation) -> Moments:
        """Arc-cosine kernels of degree one and zero (Cho and Saul 2009, equations 3 to 6) for ReLU,
        else integrals over the plane."""
        (u,), (w,) = self.nodes[a].inputs, self.nodes[b].inputs
        K, T = self.covariance(u, w)
        variance_u = np.diag(self.covariance(u, u)[0])
        variance_w = np.diag(self.covariance(w, w)[0])
        norm = np.sqrt(np.outer(variance_u.clip(0), variance_w.clip(0)))
        rho = np.clip(K / np.where(norm > 0, norm, 1), -1, 1)
        if has_kink(first) and has_kink(second):
            distance = 1 - np.abs(rho[norm > 0])
            self.margin = min(self.margin, distance[distance >= ROUNDING].min(initial=1.0))
        if not isinstance(first, Relu) or not isinstance(second, Relu):
            variances = variance_u[:, None], variance_w[None, :]
            nngp, slopes = dual_moments(first, second, K, *variances)
            return nngp, T * slopes
        rho = np.where(1 - np.abs(rho) < ROUNDING, np.sign(rho), rho)
        theta = np.arccos(rho)
        nngp = norm * (np.sqrt(1 - rho**2) + (np.pi - theta) * rho) / (2 * np.pi)
        return nngp, np.where(norm > 0, T * (np.pi - theta) / (2 * np.pi), 0)

    def _stein(self, u: int, b: int, layer: Activation) -> Moments:
        """``E[u φ(w)] = C_uw E[φ′(w)]``: a weight output and a nonlinearity."""
        (w,) = self.nodes[b].inputs
        K, T = self._combine({(u, ()): self.expansions[u][u, ()]}, u, self.expansions[w], w)
        slopes = mean_slopes(layer, np.diag(self.covariance(w, w)[0]))
        return K * slopes[0], T * slopes[1]


def sandwich(L: np.ndarray, K: np.ndarray, R: np.ndarray) -> np.ndarray:
    """``L K Rᵀ``, not multiplying by the identity that most expansions are."""
    left = K if np.array_equal(L, np.eye(len(L))) else L @ K
    return left if np.array_equal(R, np.eye(len(R))) else left @ R.T
