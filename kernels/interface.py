"""What a kernel is to those who use one, and the checks that every kernel makes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from kernas.errors import ConfigurationError, DataError, KernelRangeError

Get = Literal["nngp", "ntk"]


class Kernels(NamedTuple):
    """Both kernels of a network; ``None`` for one that was not asked for."""

    nngp: Any
    ntk: Any


@runtime_checkable
class KernelFunction(Protocol):
    """What a kernel is to those who use one: a function of images, such as `NeuralKernel`.

    ``kernel(x1, x2=None, get=None)`` returns ``(n1, n2)`` for a name, :class:`Kernels` for a tuple
    of names. :func:`kernas.kernels.as_kernel` makes one of a ``kernel_fn`` of neural-tangents.
    """

    @property
    def needs_bind(self) -> bool: ...

    def __call__(
        self, x1: Any, x2: Any = None, get: Get | tuple[Get, ...] | None = None
    ) -> Any: ...


def names_of(get: Get | tuple[Get, ...]) -> tuple[Get, ...]:
    """The kernels that are wanted."""
    return get if isinstance(get, tuple) else (get,)


def checked_get(get: Any) -> Get | tuple[Get, ...]:
    """The names of kernels, a list as a tuple.

    Raises:
        ConfigurationError: they are not ``"nngp"``, ``"ntk"`` or a tuple of both, each once.
    """
    names = tuple(get) if isinstance(get, list | tuple) else (get,)
    if not names or len(set(names)) < len(names) or not set(names) <= {"nngp", "ntk"}:
        raise ConfigurationError(
            f"get={get!r}: expected 'nngp', 'ntk' or a tuple of both, each once"
        )
    return cast("tuple[Get, ...]", names) if isinstance(get, list | tuple) else get


def check_bytes(value: Any, name: str) -> None:
    """Refuse a bound that is no number of bytes.

    Raises:
        ConfigurationError: it is no positive integer.
    """
    if not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name}={value!r}: expected a positive number of bytes")


def checked_images(x: Any, name: str) -> np.ndarray:
    """Images or vectors as an array.

    Raises:
        DataError: they have NaN, no real numbers or the wrong number of axes.
    """
    array = np.asarray(x)
    if array.ndim not in (2, 4) or 0 in array.shape:
        raise DataError(
            f"{name} has shape {array.shape}: expected (n, height, width, channels) or "
            "(n, features); give grey images an axis of one channel, x[..., None]"
        )
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} has dtype {array.dtype}: expected real numbers")
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{name}[{int(np.argmin(finite))}] has NaN or infinite pixels: expected finite "
            "numbers; drop or repair the image"
        )
    return array


def check_equal_shapes(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    """Refuse images of two shapes.

    Raises:
        DataError: the shapes, without the number of images, differ.
    """
    if first != second:
        raise DataError(f"x1 has images of {first} and x2 of {second}: expected equal shapes")


def check_finite(kernels: Any) -> None:
    """Refuse kernels of which nothing is known but their numbers, if some are not finite.

    Args:
        kernels: a matrix, or several by name, such as :class:`Kernels`; ``None`` for no matrix.

    Raises:
        KernelRangeError: the message names the pair of images, and what helps.
    """
    if isinstance(kernels, Kernels):
        kernels = kernels._asdict()
    for name, matrix in (kernels if isinstance(kernels, dict) else {"kernel": kernels}).items():
        bad = first_not_finite(matrix)
        if bad is not None:
            wider = "" if matrix.dtype == np.float64 else ", or compute in float64"
            raise KernelRangeError(
                f"the {name} of x1[{bad[0]}] and x2[{bad[1]}] is {matrix[bad]}: expected finite "
                f"numbers; standardise the images{wider}"
            )


def first_not_finite(matrix: np.ndarray | None) -> tuple[int, int] | None:
    """The row and the column of a number that is not finite, if there is one."""
    if matrix is None or np.isfinite(matrix).all():
        return None
    row, column = np.argwhere(~np.isfinite(matrix))[0]
    return int(row), int(column)


def wanted(
    get: Get | tuple[Get, ...], K: np.ndarray | None, T: np.ndarray | None
) -> np.ndarray | Kernels:
    """What a call with ``get`` returns: a matrix for a name, :class:`Kernels` for a tuple."""
    if isinstance(get, tuple):
        return Kernels(K if "nngp" in get else None, T if "ntk" in get else None)
    return cast(np.ndarray, K if get == "nngp" else T)
