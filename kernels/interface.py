"""What a kernel is to those who use one, and the checks that every kernel makes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol, cast, runtime_checkable

import jax
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
    """Images, signals or vectors as an array.

    Raises:
        DataError: they are no array, or one that JAX traces; they have NaN, no real numbers, masked
            ones or the wrong number of axes; or they are a kernel of images and no images.
    """
    array = _array(x, name)
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise DataError(f"{name} has shape {array.shape}: {shape_advice(array.shape)}")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} has dtype {array.dtype}: expected real numbers")
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{name}[{int(np.argmin(finite))}] has NaN or infinite pixels: expected finite "
            "numbers; drop or repair the image"
        )
    if _is_gram(array):
        raise DataError(
            f"{name} is a symmetric, positive semi-definite matrix {array.shape}, as a kernel "
            "returns it: expected images or vectors; kernels are composed as networks, "
            "serial(first, second), and vectors that are such a matrix can be given as x[:, ::-1]"
        )
    return array


def _array(x: Any, name: str) -> np.ndarray:
    """What NumPy makes of ``x``, unless it is a kernel, traced, ragged or partly masked."""
    if isinstance(x, Kernels):
        raise DataError(
            f"{name} is what a kernel returned: expected images or vectors; kernels are composed "
            "as networks, serial(first, second)"
        )
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError(f"{name} has masked pixels: expected all of them; fill them, x.filled(0)")
    try:
        np.asarray(jax.device_put(np.zeros(())))  # traced within jax.jit, whatever x is
        array = np.asarray(x)
    except jax.errors.TracerArrayConversionError:
        raise DataError(
            f"{name} is traced by JAX, whose jax.grad, jax.jit and jax.vmap cannot enter the "
            "programs of a NeuralKernel; use kernel_function(architecture, get), which they can"
        ) from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} is no array of one shape ({str(error).partition(chr(10))[0]}): expected "
            "(n, height, width, channels) or (n, features), as NumPy reads it"
        ) from None
    if array.dtype.kind == "O":
        what = type(x).__name__ if array.ndim == 0 else "an array of objects"
        raise DataError(
            f"{name} is {what}: expected an array of real numbers, (n, height, width, channels) or "
            "(n, features)"
        )
    return array


def shape_advice(shape: tuple[int, ...]) -> str:
    """What images are expected to be, and how arrays of another shape become images."""
    expected = "expected (n, height, width, channels), (n, length, channels) or (n, features)"
    if 0 in shape:
        return f"{expected}, no axis empty"
    match len(shape):
        case 1:
            return f"{expected}; a single vector is x[None], numbers one by one are x[:, None]"
        case 5:
            return (
                f"{expected}; volumes are not supported: give Dense layers vectors, "
                "x.reshape(len(x), -1), or Conv layers the depth among the channels"
            )
    return expected


def _is_gram(x: np.ndarray) -> bool:
    """Whether vectors are a kernel of images instead: what ``kernel(kernel(x))`` gives.

    That is a square matrix of floats, symmetric to rounding, not diagonal, not one row repeated, of
    a positive diagonal, and positive semi-definite in its first 256 rows and columns. Of features
    only kernels, covariances and the like are, and these can be given in another order of columns,
    which changes no kernel of vectors.
    """
    n = len(x)
    if x.shape != (n, n) or x.dtype.kind != "f" or n < 2 or not (np.diagonal(x) > 0).all():
        return False
    rounding = 64 * float(np.finfo(x.dtype).eps) * float(np.abs(x).max())
    if np.abs(x[0] - x[:, 0]).max() > rounding or np.abs(x - x.T).max() > rounding:
        return False
    if np.count_nonzero(x) == n or (x == x[0]).all():
        return False
    eigenvalues = np.linalg.eigvalsh(x[:256, :256].astype(np.float64))
    return bool(eigenvalues[0] > -1e-5 * eigenvalues[-1])


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
