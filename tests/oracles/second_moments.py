"""Second moments of sources and of blocks of channels, each an explicit matrix in float64 NumPy.

A block is a stretch of one node's channels that are alike; it is stored as ``Σ_s L_s · s`` over its
sources ``s``: the input, outputs of weight layers and of nonlinearities. ``L_s`` is a matrix over
(image, pixel). Covariances of blocks are ``C_ab = Σ_st L_as K_st L_btᵀ``, ``T_ab`` likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from oracles.gaussian_moments import dual_moments, has_kink, mean_slopes
from oracles.geometry import Grid, window_taps

from kernas.kernels.architecture.activations import Activation, Relu
from kernas.kernels.architecture.layers import (
    ConvLayer,
    DepthwiseConv,
    FullWeightLayer,
    Input,
    Node,
    WeightLayer,
)

Block = tuple[int, int]
"""A node, and the number of the block among the node's."""
Moments = tuple[np.ndarray, np.ndarray]
"""``(K, Θ)`` as matrices over (image, pixel); ``None`` stands for zeros."""

ROUNDING = 1e-14
"""A correlation this close to ±1 is ±1: what rounding makes of equal or opposite pixels."""


class Source(NamedTuple):
    """What a block is made of.

    Attributes:
        block: whose variable it is.
        path: the terms of sums that it came through, ``()`` if branches may be correlated.
    """

    block: Block
    path: tuple[tuple[int, int], ...] = ()


Expansion = dict[Source, np.ndarray]


class SecondMoments:
    """Covariances of the blocks of a network on one set of images.

    Args:
        nodes: the network's.
        grids: their pixels and channels.
        images: ``(n, height, width, channels)`` or ``(n, features)``, float64.
        expansions: those of each node's blocks; nodes may still be added.

    Attributes:
        margin: how far from ±1 the closest correlation is of two variables that are neither equal
            nor opposite: the derivative of arccos is singular there, so that no precision is
            enough.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        grids: Sequence[Grid],
        images: np.ndarray,
        expansions: Sequence[Sequence[Expansion]],
    ) -> None:
        self.nodes = nodes
        self.grids = grids
        self.images = images
        self.expansions = expansions
        self.margin = 1.0
        self._covariances: dict[tuple[Block, Block], Moments] = {}
        self._moments: dict[tuple[Block, Block], Moments | None] = {}

    def covariance(self, a: Block, b: Block) -> Moments:
        """``C_ab`` and ``T_ab`` of two blocks, matrices over (image, pixel)."""
        if (a, b) not in self._covariances:
            left, right = (self.expansions[node][number] for node, number in (a, b))
            self._covariances[a, b] = self._combine(left, right, a[0], b[0])
        return self._covariances[a, b]

    def mean(self, node: int) -> Moments:
        """The mean over a node's channels of their covariances with themselves."""
        widths = np.array(self.grids[node].channels)
        both = [self.covariance((node, number), (node, number)) for number in range(len(widths))]
        K, T = (np.stack(part) for part in zip(*both, strict=True))
        return np.average(K, 0, widths), np.average(T, 0, widths)

    def _combine(self, left: Expansion, right: Expansion, a: int, b: int) -> Moments:
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

    def _moment(self, s: Source, t: Source) -> Moments | None:
        if s.path != t.path:
            return None
        a, b = s.block, t.block
        if a > b:
            moments = self._moment(t, s)
            return None if moments is None else (moments[0].T, moments[1].T)
        if (a, b) not in self._moments:
            self._moments[a, b] = self._source_moments(a, b)
        return self._moments[a, b]

    def _source_moments(self, a: Block, b: Block) -> Moments | None:
        first, second = self.nodes[a[0]].layer, self.nodes[b[0]].layer
        if isinstance(first, Activation) and isinstance(second, Activation):
            return self._duals(a, b, first, second)
        if isinstance(first, Activation) and isinstance(second, FullWeightLayer):
            K, T = self._stein(b, a, first)
            return K.T, T.T
        if isinstance(first, FullWeightLayer) and isinstance(second, Activation):
            return self._stein(a, b, second)
        # Weights are independent of all else and have no mean: also those of a depthwise layer,
        # whose every channel has a filter of its own.
        if a != b:
            return None
        if isinstance(first, Input):
            pixels = self.images.reshape(-1, self.images.shape[-1])
            K = pixels @ pixels.T / pixels.shape[1]
            return K, np.zeros_like(K)
        assert isinstance(first, WeightLayer)
        node = self.nodes[a[0]].inputs[0]
        if isinstance(first, DepthwiseConv):
            return self._weights(first, node, self.covariance((node, a[1]), (node, a[1])))
        return self._weights(first, node, self.mean(node))

    def _weights(self, layer: WeightLayer, node: int, read: Moments) -> Moments:
        """``σ_w²·(mean over the window) + σ_b²``; Θ without the bias, plus the new K."""
        K, T = read
        if isinstance(layer, ConvLayer):
            K, T = self._window_sum(layer, node, K), self._window_sum(layer, node, T)
        K = layer.W_std**2 * K + layer.b_std**2
        T = layer.W_std**2 * T
        return K, T + K if layer.trainable else T

    def _window_sum(self, layer: ConvLayer, node: int, C: np.ndarray) -> np.ndarray:
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

    def _read(self, block: Block) -> Block:
        """The block that a nonlinearity's block is made of."""
        return self.nodes[block[0]].inputs[0], block[1]

    def _duals(self, a: Block, b: Block, first: Activation, second: Activation) -> Moments:
        """Arc-cosine kernels of degree one and zero (Cho and Saul 2009, equations 3 to 6) for ReLU,
        else integrals over the plane."""
        u, w = self._read(a), self._read(b)
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

    def _stein(self, u: Block, b: Block, layer: Activation) -> Moments:
        """``E[u φ(w)] = C_uw E[φ′(w)]``: a weight output and a nonlinearity."""
        w = self._read(b)
        itself = {Source(u): np.eye(len(self.images) * self.grids[u[0]].size)}
        K, T = self._combine(itself, self.expansions[w[0]][w[1]], u[0], w[0])
        slopes = mean_slopes(layer, np.diag(self.covariance(w, w)[0]))
        return K * slopes[0], T * slopes[1]


def sandwich(L: np.ndarray, K: np.ndarray, R: np.ndarray) -> np.ndarray:
    """``L K Rᵀ``, not multiplying by the identity that most expansions are."""
    left = K if np.array_equal(L, np.eye(len(L))) else L @ K
    return left if np.array_equal(R, np.eye(len(R))) else left @ R.T
