"""Images, labels and counts are checked here before anything is computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError


def check_labels(labels: ArrayLike, what: str) -> np.ndarray:
    """Class labels as an int64 vector.

    Raises:
        DataError: not a vector, not of an integer dtype, or beyond int64.
    """
    y = np.asarray(labels)
    if y.ndim != 1:
        raise DataError(f"{what} have shape {y.shape}: expected a vector (n,), one label an image")
    if y.dtype.kind not in "iu":
        raise DataError(
            f"{what} have dtype {y.dtype}: expected integers; number the classes, for instance "
            "with numpy.unique(y, return_inverse=True)[1]"
        )
    if y.dtype == np.uint64 and y.size and y.max() > np.iinfo(np.int64).max:
        raise DataError(f"{what} go up to {y.max()}: expected integers that int64 holds")
    return y.astype(np.int64)


def check_images(images: ArrayLike, what: str, *, signals: bool = False) -> np.ndarray:
    """Images as an array of shape (n, features) or NHWC, finite in float32.

    Args:
        images: to check.
        what: they are called.
        signals: whether three axes are those of signals, ``(n, length, channels)``; if not, they
            are of grey images, ``(n, H, W)``, which get one channel.

    Raises:
        DataError: another number of axes, an empty axis, not real numbers, NaN, infinity, or a
            number that float32 cannot hold.
    """
    x = np.asarray(images)
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise DataError(
            f"{what} has shape {x.shape}: expected (n, features), "
            f"{'(n, length, channels)' if signals else '(n, height, width)'} or "
            "(n, height, width, channels), no axis empty"
        )
    if x.dtype.kind not in "fiub":
        raise DataError(f"{what} has dtype {x.dtype}: expected real numbers such as uint8, float32")
    if x.dtype.kind == "f":
        usable = (np.abs(x) <= np.finfo(np.float32).max).reshape(len(x), -1).all(axis=1)
        if not usable.all():
            raise DataError(
                f"{what} has {np.count_nonzero(~usable)} images with NaN or infinite values, or "
                f"beyond float32; the first is image {int(np.argmin(usable))}; remove or repair it"
            )
    return x[..., None] if x.ndim == 3 and not signals else x


def inputs_of(shape: Sequence[int]) -> str:
    """What inputs of a shape are, in words."""
    match tuple(shape):
        case (features,):
            return f"vectors of {features} features"
        case (length, channels):
            return f"signals of {length} pixels and {channels} channels"
    return f"images of {'×'.join(map(str, shape))}"


def check_fitted_shape(shape: tuple[int, ...], fitted: tuple[int, ...], what: str) -> None:
    """Refuse images of another shape than those that something was fitted to.

    Raises:
        DataError: the shapes, without the number of images, differ.
    """
    if shape != fitted:
        raise DataError(
            f"x has images of {shape}, but {what} was fitted to images of {fitted}; give images of "
            "the same shape"
        )


def check_pair(x: np.ndarray, y: np.ndarray, what: str) -> None:
    """Refuse images and labels of different number.

    Raises:
        DataError: the lengths differ.
    """
    if len(x) != len(y):
        raise DataError(f"{what}: {len(x)} images but {len(y)} labels; expected as many")


def check_integer(value: object, name: str, low: int) -> int:
    """An option that is an integer not below ``low``.

    Raises:
        ConfigurationError: not an integer, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ConfigurationError(f"{name}={value!r}: expected an integer >= {low}")
    return int(value)


def check_number(value: object, name: str, *, positive: bool = False) -> float:
    """An option that is a finite number, >= 0 or > 0.

    Raises:
        ConfigurationError: no such number.
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else -1.0
    if not 0.0 <= number < float("inf") or (positive and number == 0.0):
        raise ConfigurationError(
            f"{name}={value!r}: expected a finite number {'> 0' if positive else '>= 0'}"
        )
    return number
