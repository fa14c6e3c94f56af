"""From stored pixels to the numbers a kernel reads: scaling, resizing, standardisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kernas.errors import ConfigurationError, DataError

from .checks import check_integer, inputs_of

Resize = Literal["crop", "pad", "stretch"]
"""How images come to another aspect ratio: by the largest centred part that has it, by black
borders, or by scaling either axis by itself."""


def to_float(x: np.ndarray) -> np.ndarray:
    """Pixels in float64; those stored as uint8 are divided by 255 into [0, 1]."""
    return x / 255.0 if x.dtype == np.uint8 else x.astype(np.float64)


def size_pair(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width that are asked for, ``None`` where images keep theirs.

    Raises:
        ConfigurationError: not one positive side or two.
    """
    if image_size is None:
        return None
    pair = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(pair) != 2:
        raise ConfigurationError(f"image_size={image_size!r}: expected one side or (height, width)")
    height, width = (check_integer(side, "image_size", 1) for side in pair)
    return height, width


def check_resize(resize: str | None, image_size: int | tuple[int, int] | None) -> None:
    """Refuse a way of resizing that is none, or that has no size to resize to.

    Raises:
        ConfigurationError: so it is.
    """
    if resize is None:
        return
    if resize not in get_args(Resize):
        expected = ", ".join(get_args(Resize))
        raise ConfigurationError(f"resize={resize!r}: expected one of {expected}")
    if image_size is None:
        raise ConfigurationError(
            f"resize={resize!r} without a size: expected both; give image_size, for instance 32"
        )


def target_size(
    image_size: int | tuple[int, int] | None, shape: tuple[int, ...], resize: Resize = "stretch"
) -> tuple[int, int] | None:
    """Height and width that :func:`resized` will make, ``None`` where nothing is to be resized.

    Args:
        image_size: side, or height and width, in pixels; ``None`` keeps the images.
        shape: of one image, ``(height, width, channels)`` or ``(features,)``.
        resize: how they come to the aspect ratio.

    Raises:
        ConfigurationError: not positive, larger than the images, or given for vectors.
    """
    size = size_pair(image_size)
    if size is None:
        return None
    if len(shape) != 3:
        raise ConfigurationError(
            f"image_size={image_size} for {inputs_of(shape)}: only images of shape "
            "(height, width[, channels]) can be resized; leave image_size out"
        )
    height, width = framed_sides((shape[0], shape[1]), size, resize)
    if size[0] > height or size[1] > width:
        raise ConfigurationError(
            f"image_size={image_size} for images of {shape[0]}×{shape[1]} pixels: area averaging "
            f"only makes them smaller; use at most {min(shape[:2])}"
        )
    return size


def framed_sides(sides: tuple[int, int], size: tuple[int, int], resize: Resize) -> tuple[int, int]:
    """Height and width of images of ``sides`` at the aspect ratio of ``size``, to whole pixels.

    ``"crop"`` shortens the axis that is too long, ``"pad"`` lengthens the one that is too short,
    ``"stretch"`` leaves both.
    """
    (H, W), (h, w) = sides, size
    tall = H * w > W * h
    if resize == "crop":
        return (max(1, round(W * h / w)), W) if tall else (H, max(1, round(H * w / h)))
    if resize == "pad":
        return (H, -(-H * w // h)) if tall else (-(-W * h // w), W)
    return H, W


def resized(x: np.ndarray, size: tuple[int, int], resize: Resize = "stretch") -> np.ndarray:
    """Images of another size: brought to its aspect ratio, then smaller by area averaging.

    With ``"crop"`` this is the shorter side scaled to its new length, and the middle of the longer
    one; with ``"pad"`` the whole image between two equal black borders (an odd pixel goes to the
    bottom or right); with ``"stretch"`` the whole image, distorted.

    Args:
        x: images, shape ``(n, H, W, C)``, black at 0.
        size: new height and width, at most those that the aspect ratio leaves.
        resize: how images come to the aspect ratio.

    Returns:
        Float64, shape ``(n, *size, C)``.

    Raises:
        ConfigurationError, DataError: as for :func:`area_resize`.

    >>> tall = np.arange(4.0).reshape(1, 4, 1, 1)
    >>> [resized(tall, (1, 1), how).item() for how in ("crop", "pad", "stretch")]
    [1.0, 0.375, 1.5]
    """
    height, width = framed_sides((x.shape[1], x.shape[2]), size, resize)
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    if resize == "crop":
        x = x[:, top : top + height, left : left + width]
    elif resize == "pad":
        above, before = (height - x.shape[1]) // 2, (width - x.shape[2]) // 2
        below, behind = height - x.shape[1] - above, width - x.shape[2] - before
        x = np.pad(x, ((0, 0), (above, below), (before, behind), (0, 0)))
    return area_resize(x, size)


def area_resize(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Smaller images by area averaging: each new pixel is the mean over the area it covers.

    ``x'[i, j] = Σ_ab R[i, a] C[j, b] x[a, b]``, the weight ``R[i, a]`` being the share of the new
    row i that the old row a covers. Exact for any ratio; the mean of an image is kept.

    Args:
        x: images, shape ``(n, H, W, C)``.
        size: new height and width, 1 … H and 1 … W.

    Returns:
        Float64, shape ``(n, *size, C)``.

    Raises:
        ConfigurationError: a side is not positive or larger than the image's.
        DataError: x has not four axes.
    """
    if x.ndim != 4:
        raise DataError(f"images of shape {x.shape}: expected (n, height, width, channels)")
    target_size(size, x.shape[1:])
    x = x.astype(np.float64)
    for axis, side in ((1, size[0]), (2, size[1])):
        if side != x.shape[axis]:
            weights = _overlap(x.shape[axis], side)
            x = np.moveaxis(np.tensordot(weights, x, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(x)


def _overlap(old: int, new: int) -> np.ndarray:
    """Share of each new pixel that each old pixel covers, shape ``(new, old)``, rows sum to 1."""
    # In units of 1/(old·new) of the axis an old pixel has length new, and a new pixel length old.
    low, left = np.arange(new)[:, None] * old, np.arange(old)[None, :] * new
    overlap = np.minimum(low + old, left + new) - np.maximum(low, left)
    return np.maximum(overlap, 0) / old


@dataclass(frozen=True, eq=False)
class Standardization:
    """``(x − mean)/std`` per channel or feature; where std is 0 the result is 0.

    Attributes:
        mean: shape ``(channels,)`` or ``(features,)``.
        std: of the same shape, 0 where the fitted values are all equal (to 12 digits).
    """

    mean: np.ndarray
    std: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """``1/std``, 0 where that is 0; shape as ``mean``."""
        return np.divide(1.0, self.std, out=np.zeros_like(self.std), where=self.std > 0)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Standardised x in float64; x has the fitted channels or features on its last axis."""
        return (x - self.mean) * self.scale


def fit_standardization(x: np.ndarray) -> Standardization:
    """Mean and standard deviation of training data.

    Images: per channel, over images and pixels. Vectors: per feature, over the vectors.

    Args:
        x: shape ``(n, H, W, C)`` or ``(n, features)``.
    """
    axes = tuple(range(x.ndim - 1))
    # In float64: the difference of two small integers need not be one.
    low, high = (bound.astype(np.float64) for bound in (x.min(axis=axes), x.max(axis=axes)))
    # Resizing leaves equal pixels equal only up to rounding, which must not be blown up to noise.
    constant = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    std = np.where(constant, 0.0, x.std(axis=axes, dtype=np.float64))
    return Standardization(x.mean(axis=axes, dtype=np.float64), std)
