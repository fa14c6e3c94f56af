"""Whitening and patch features as the formulas say them, pixel by pixel."""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy.linalg


def covariance(vectors: np.ndarray) -> np.ndarray:
    """Mean of ``(v − v̄)(v − v̄)ᵀ`` over the rows."""
    mean = vectors.mean(axis=0)
    return np.mean([np.outer(v - mean, v - mean) for v in vectors], axis=0)


def whitening_matrix(vectors: np.ndarray, epsilon: float) -> np.ndarray:
    """``(C + ε tr(C)/d I)^(−1/2)``, without eigenvectors."""
    C = covariance(vectors)
    d = len(C)
    root = np.asarray(scipy.linalg.sqrtm(C + epsilon * np.trace(C) / d * np.eye(d)))
    return np.linalg.inv(np.real(root))


def all_patches(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Every patch of images NHWC, one a row."""
    height, width = shape
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    return np.array(
        [
            image[i : i + height, j : j + width].ravel()
            for image in x
            for i, j in product(range(rows), range(columns))
        ]
    )


def normalised(patch: np.ndarray, rho: float) -> np.ndarray:
    """``(p − mean p)/√(var p + ρ)``."""
    centred = patch - patch.mean()
    return centred / np.sqrt(np.mean(centred**2) + rho)


def contrast(x: np.ndarray, shape: tuple[int, int], c: float) -> float:
    """c times the mean variance of patches."""
    return c * float(np.mean([np.var(patch) for patch in all_patches(x, shape)]))


def patch_features(
    x_train: np.ndarray,
    x: np.ndarray,
    filters: np.ndarray,
    *,
    stride: int,
    edges: tuple[tuple[int, int], tuple[int, int]],
    bias: float,
    pool: tuple[int, int],
    pool_stride: int,
    c: float,
    epsilon: float,
) -> np.ndarray:
    """Features of images NHWC; statistics from all patches of ``x_train``.

    Args:
        x_train: training images.
        x: images.
        filters: whitened, of length 1, ``(K, height, width, channels)``.
        stride: of patches.
        edges: rows of zeros above and below, columns left and right.
        bias: taken off the responses.
        pool: height and width of the windows of means.
        pool_stride: from window to window.
        c: added to the variance of patches, relative to its mean.
        epsilon: added to the eigenvalues, relative to their mean.
    """
    shape = filters.shape[1:3]
    rho = contrast(x_train, shape, c)
    train = np.array([normalised(p, rho) for p in all_patches(x_train, shape)])
    mean, W = train.mean(axis=0), whitening_matrix(train, epsilon)
    x = np.pad(x, ((0, 0), *edges, (0, 0)))
    rows, columns = ((x.shape[a] - shape[a - 1]) // stride + 1 for a in (1, 2))
    K = len(filters)
    responses = np.zeros((len(x), rows, columns, 2 * K))
    for n, i, j in product(range(len(x)), range(rows), range(columns)):
        top, left = i * stride, j * stride
        patch = x[n, top : top + shape[0], left : left + shape[1]].ravel()
        z = W @ (normalised(patch, rho) - mean)
        for k in range(K):
            response = float(filters[k].ravel() @ z)
            responses[n, i, j, k] = max(0.0, response - bias)
            responses[n, i, j, K + k] = max(0.0, -response - bias)
    rows, columns = (
        (responses.shape[a] - side) // pool_stride + 1 for a, side in zip((1, 2), pool, strict=True)
    )
    features = np.zeros((len(x), rows, columns, 2 * K))
    for i, j in product(range(rows), range(columns)):
        top, left = i * pool_stride, j * pool_stride
        window = responses[:, top : top + pool[0], left : left + pool[1]]
        features[:, i, j] = window.mean(axis=(1, 2))
    return features
