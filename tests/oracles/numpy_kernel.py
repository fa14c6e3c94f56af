"""Reference kernels in float64 NumPy: every node an explicit matrix over all images and pixels.

All images (reference, left, right; duplicates once) are evaluated together. A node is a list of
blocks of channels, one for each part of a ``Concat`` and for each pixel of a flattened image, and a
block is a linear combination of sources (see ``second_moments``), whose matrices are dense over
(image, pixel), so that pools and normalisations are matrices like any other. Slow, plain, and
independent of the engine: only the description of the network is shared.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from oracles.geometry import local_pool_matrix, node_grids, pool_matrix
from oracles.recorded import recorded
from oracles.second_moments import Block, Expansion, Moments, SecondMoments, Source

from kernas.kernels.architecture.activations import Activation
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    DepthwiseConv,
    Flatten,
    FullWeightLayer,
    GlobalAvgPool,
    Identity,
    Input,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Sum,
    WeightLayer,
    Zero,
)

Branches = Literal["exact", "independent"]


@recorded(rtol=1e-12)
def oracle(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None = None,
    *,
    reference: np.ndarray | None = None,
    branches: Branches = "exact",
) -> tuple[np.ndarray, ...]:
    """NNGP and NTK of a network between two sets of images.

    Args:
        x1: images ``(n1, height, width, channels)`` or vectors ``(n1, features)``.
        x2: likewise; ``x1`` if not given.
        reference: images whose statistics ``Normalize`` uses.
        branches: "exact", or "independent": the wrong rule, which drops the covariance between
            different terms of a sum.

    Returns:
        ``(nngp, ntk)``, both ``(n1, n2)``; averaged over the output's channels, and so over the
        pixels of a flattened one.

    Raises:
        ValueError: a nonlinearity of a node that is not Gaussian, ``LayerNorm`` of a node with a
            mean, ``DepthwiseConv`` of the raw input, ``MaxPool`` that is not taken as an average,
            an output with pixels, nodes that do not align, ``Normalize`` without reference.
    """
    evaluation, left, right = evaluate(architecture, x1, x2, reference, branches)
    nngp, ntk = evaluation.output()
    return nngp[np.ix_(left, right)], ntk[np.ix_(left, right)]


@recorded(rtol=1e-12)
def mean_of_copies(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray,
    reference: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """:func:`oracle` of images of which there are copies, its mean over those of both sides.

    Args:
        x1: ``(copies, n1, height, width, channels)``.
        x2: likewise.

    Returns:
        ``(nngp, ntk)``, both ``(n1, n2)``.
    """
    every = (x.reshape(-1, *x.shape[2:]) for x in (x1, x2))
    sizes = *x1.shape[:2], *x2.shape[:2]
    whole = oracle(architecture, *every, reference=reference)
    return tuple(part.reshape(sizes).mean(axis=(0, 2)) for part in whole)


def evaluate(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    branches: Branches = "exact",
) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    """All images of :func:`oracle` together, and which of them ``x1`` and ``x2`` are."""
    parts = [np.asarray(x, np.float64) for x in (x1, x1 if x2 is None else x2)]
    normalized = any(isinstance(node.layer, Normalize) for node in architecture.nodes)
    if reference is not None and normalized:
        parts.append(np.asarray(reference, np.float64))
    images, index = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    left, right, *rest = np.split(index.reshape(-1), np.cumsum([len(p) for p in parts])[:-1])
    weights = np.bincount(rest[0], minlength=len(images)) / len(rest[0]) if rest else None
    return Evaluation(architecture, images, weights, branches), left, right


def normalize_scales(architecture: Architecture, reference: np.ndarray) -> dict[int, np.ndarray]:
    """What each ``Normalize`` divides by: ``√(v − m)`` centred, ``√v`` if not.

    Returns:
        For each node that is a ``Normalize``, one number per block of its channels; infinity where
        there is nothing to divide (``v − m = 0``: the block is zero).
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

    Attributes:
        grids: the pixels and channels of each node.
        expansions: for each node those of its blocks.
        scales: see :func:`normalize_scales`.
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
        self.expansions: list[list[Expansion]] = []
        self.scales: dict[int, np.ndarray] = {}
        self._moments = SecondMoments(self.nodes, self.grids, images, self.expansions)
        for index in range(len(self.nodes)):
            self.expansions.append(self._expand(index))

    @property
    def margin(self) -> float:
        """See :class:`SecondMoments`."""
        return self._moments.margin

    def output(self) -> Moments:
        """NNGP and NTK of the output node between all images: two ``(n, n)`` arrays."""
        last = len(self.nodes) - 1
        if not self.grids[last].flat:
            raise ValueError("the output has pixels: end the network in Flatten or GlobalAvgPool")
        return self._moments.mean(last)

    def covariance(self, a: Block, b: Block) -> Moments:
        """``C_ab`` and ``T_ab`` of two blocks, matrices over (image, pixel)."""
        return self._moments.covariance(a, b)

    def sources(self, node: int) -> set[int]:
        """The nodes whose outputs a node is a linear combination of."""
        return {source.block[0] for block in self.expansions[node] for source in block}

    # --- nodes as linear combinations of sources -------------------------------------------------

    def _expand(self, index: int) -> list[Expansion]:
        layer, inputs = self.nodes[index].layer, self.nodes[index].inputs
        self._check(index)
        blocks = range(len(self.grids[index].channels))
        if isinstance(layer, Input | WeightLayer | Activation):
            identity = np.eye(len(self.images) * self.grids[index].size)
            return [{Source((index, number)): identity} for number in blocks]
        if isinstance(layer, Zero):
            return [{} for _ in blocks]
        if isinstance(layer, Concat):
            return [block for node in inputs for block in self.expansions[node]]
        if isinstance(layer, Sum):
            return [self._sum(index, number) for number in blocks]
        read, grid = self.expansions[inputs[0]], self.grids[inputs[0]]
        if isinstance(layer, Normalize):
            self.scales[index] = np.zeros(len(blocks))
            return [_map(self._normalize(index, number), read[number]) for number in blocks]
        if isinstance(layer, LayerNorm):
            matrix = self._layer_norm(layer, inputs[0])
            return [_map(matrix, block) for block in read]
        if isinstance(layer, Identity):
            return read
        matrix = np.eye(grid.size)
        if isinstance(layer, AvgPool | MaxPool):
            matrix = pool_matrix(layer, grid)
        elif isinstance(layer, GlobalAvgPool):
            matrix = np.full((1, grid.size), 1 / grid.size)
        elif isinstance(layer, LocalAvgPool) and not grid.flat:
            matrix = local_pool_matrix(layer, grid)
        elif not isinstance(layer, Flatten | LocalAvgPool):
            raise ValueError(f"node {index}: no rule for {layer!r}")
        rows = list(matrix[:, None]) if isinstance(layer, Flatten | LocalAvgPool) else [matrix]
        every_image = [np.kron(np.eye(len(self.images)), row) for row in rows]
        return [_map(row, block) for row in every_image for block in read]

    def _check(self, index: int) -> None:
        layer = self.nodes[index].layer
        name = f"node {index} ({type(layer).__name__})"
        sources = [self.nodes[s].layer for i in self.nodes[index].inputs for s in self.sources(i)]
        if isinstance(layer, Activation) and not _all(sources, FullWeightLayer):
            raise ValueError(f"{name} is a nonlinearity of a node that is not Gaussian")
        if isinstance(layer, LayerNorm) and not _all(sources, WeightLayer):
            raise ValueError(f"{name} is a LayerNorm of a node whose channels have a mean")
        if isinstance(layer, DepthwiseConv) and self.grids[self.nodes[index].inputs[0]].raw:
            raise ValueError(f"{name} has as few channels as the raw input: no limit")
        if isinstance(layer, MaxPool) and not layer.as_average:
            raise ValueError(f"{name} has no exact kernel: a maximum is not linear")

    def _sum(self, index: int, number: int) -> Expansion:
        total: Expansion = {}
        for term, node in enumerate(self.nodes[index].inputs):
            for source, L in self.expansions[node][number].items():
                if self.branches == "independent":
                    source = source._replace(path=(*source.path, (index, term)))
                total[source] = total[source] + L if source in total else L
        return total

    def _normalize(self, index: int, number: int) -> np.ndarray:
        """The matrix ``(I − mean over reference images and pixels) / scale`` of one block."""
        if self.weights is None:
            raise ValueError(f"node {index} is a Normalize: give reference images")
        layer, node = self.nodes[index].layer, self.nodes[index].inputs[0]
        assert isinstance(layer, Normalize)
        n, size = len(self.images), self.grids[node].size
        mean = np.kron(self.weights, np.full(size, 1 / size))
        K, _ = self.covariance((node, number), (node, number))
        variance = mean @ np.diag(K)
        scale2 = variance - mean @ K @ mean if layer.center else variance
        scale = np.sqrt(scale2) if scale2 > 1e-12 * variance else np.inf
        self.scales[index][number] = scale
        centred = np.eye(n * size) - (mean if layer.center else 0)
        return centred / scale

    def _layer_norm(self, layer: LayerNorm, node: int) -> np.ndarray:
        """The diagonal matrix ``1 / √(v + eps)``, ``v`` the variance over all blocks' channels."""
        n, size = len(self.images), self.grids[node].size
        v = np.diag(self._moments.mean(node)[0]).reshape(n, size)
        if layer.over == "channels and pixels":
            v = np.broadcast_to(v.mean(1, keepdims=True), (n, size))
        return np.diag((v.ravel() + layer.eps) ** -0.5)


def _map(matrix: np.ndarray, block: Expansion) -> Expansion:
    return {source: matrix @ L for source, L in block.items()}


def _all(layers: list, kind: type) -> bool:
    return all(isinstance(layer, kind) for layer in layers)
