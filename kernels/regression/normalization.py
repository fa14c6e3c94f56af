"""The kernels that scores are computed from: the one given, its cosines, or the centred one.

With K the training Gram matrix of n images and k the cross block of m others with them, ``"raw"``
leaves both as they are, ``"cosine"`` divides by the lengths of the images in feature space, and
``"centred"`` moves the mean of the training images to the origin.
"""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import numpy as np

from kernas.errors import ConfigurationError

from .checks import CONSTANT_TOLERANCE, check_gram
from .errors import DegenerateKernelError
from .shapes import CrossBlock, Square

Normalization = Literal["raw", "cosine", "centred"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)


def check_normalization(normalization: Any) -> Normalization:
    """Refuse what is none of ``NORMALIZATIONS``.

    Raises:
        ConfigurationError: the message lists them.
    """
    if normalization not in NORMALIZATIONS:
        raise ConfigurationError(
            f"normalization={normalization!r}: expected one of {', '.join(NORMALIZATIONS)}"
        )
    return cast(Normalization, normalization)


def normalized(gram: Square, normalization: Normalization) -> Square:
    """A Gram matrix that was checked, normalised and checked again.

    ``"cosine"`` is ``K_ij / √(K_ii K_jj)``; ``"centred"`` is ``HKH`` with ``H = I − 11ᵀ/n``.

    Args:
        gram: symmetric, shape ``(n, n)``.
        normalization: one of ``NORMALIZATIONS``.

    Raises:
        DegenerateKernelError: an image has no length, all have one direction, or the centred kernel
            is zero up to ``CONSTANT_TOLERANCE`` of the kernel's largest entry.

    References:
        Shawe-Taylor and Cristianini, Kernel Methods for Pattern Analysis, 2004, section 5.1.
    """
    if normalization == "cosine":
        lengths = _lengths(gram)
        return check_gram(gram / np.outer(lengths, lengths))
    if normalization == "centred":
        moved = centred(gram)
        if np.abs(moved).max() <= CONSTANT_TOLERANCE * np.abs(gram).max():
            raise DegenerateKernelError(
                "the kernel is zero after centring: it says nothing of images"
            )
        return check_gram(moved)
    return gram


def normalized_cross(cross: CrossBlock, gram: Square, normalization: Normalization) -> CrossBlock:
    """The cross block that belongs to :func:`normalized` of the training Gram matrix.

    ``"centred"`` is ``k_ij − mean_j(k_ij) − mean_i(K_ij) + mean(K)``, the means all over training
    images. ``"cosine"`` is ``k_ij / √K_jj``: the length of the other image is not in the block, so
    that each row, and what is predicted from it, lacks a positive factor.

    Args:
        cross: shape ``(m, n)``.
        gram: of the training images, as it was before; shape ``(n, n)``.
        normalization: one of ``NORMALIZATIONS``.

    Raises:
        DegenerateKernelError: an image has no length.

    References:
        Schölkopf, Smola and Müller, Nonlinear component analysis as a kernel eigenvalue problem,
        1998, appendix A.
    """
    if normalization == "cosine":
        return cross / _lengths(gram)
    if normalization == "centred":
        return cross - cross.mean(axis=1, keepdims=True) - gram.mean(axis=0) + gram.mean()
    return cross


def centred(gram: Square) -> Square:
    """``HKH`` with ``H = I − 11ᵀ/n``, shape ``(n, n)``."""
    means = gram.mean(axis=0)
    return gram - (means[:, None] + means[None, :]) + means.mean()


def _lengths(gram: Square) -> np.ndarray:
    """``√K_ii``, shape ``(n,)``.

    Raises:
        DegenerateKernelError: one of them is none.
    """
    squares = np.diagonal(gram)
    if squares.min() <= 0.0:
        i = int(np.argmin(squares))
        raise DegenerateKernelError(
            f"the kernel of training image {i} with itself is {squares[i]:.3g}: expected a "
            "positive number, without which there is no cosine; use the raw or the centred kernel"
        )
    return np.sqrt(squares)
