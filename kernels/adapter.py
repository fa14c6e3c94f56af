"""Kernels of other libraries where one of ours is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from kernas.errors import ConfigurationError, DataError

from .interface import (
    Get,
    KernelFunction,
    Kernels,
    check_equal_shapes,
    check_finite,
    checked_get,
    checked_images,
    names_of,
    wanted,
)


def as_kernel(kernel_fn: Callable[..., Any], get: Get | tuple[Get, ...] = "ntk") -> KernelFunction:
    """A ``kernel_fn`` of neural-tangents as a kernel; what is one already is returned as it is.

    Args:
        kernel_fn: called as ``kernel_fn(x1, x2, get)`` with ``get`` a tuple of names; returns an
            object with matrices ``(n1, n2)`` of these names, as ``stax`` does, batched or not.
        get: the kernel's own choice, for calls that name none.

    Raises:
        ConfigurationError: ``kernel_fn`` cannot be called, or ``get`` is not usable.

    >>> from types import SimpleNamespace
    >>> linear = as_kernel(lambda x1, x2, get: SimpleNamespace(nngp=x1 @ x2.T), get="nngp")
    >>> linear([[1.0, 2.0]], [[3.0, 4.0]])
    array([[11.]], dtype=float32)
    """
    if isinstance(kernel_fn, KernelFunction):
        return kernel_fn
    if not callable(kernel_fn):
        raise ConfigurationError(
            f"kernel_fn={kernel_fn!r}: expected a function kernel_fn(x1, x2, get), such as the "
            "third part of a layer of neural-tangents"
        )
    return AdaptedKernel(kernel_fn, checked_get(get))


@dataclass(frozen=True, eq=False)
class AdaptedKernel:
    """The kernel that :func:`as_kernel` makes; it checks what goes in and what comes out."""

    kernel_fn: Callable[..., Any]
    get: Get | tuple[Get, ...]

    @property
    def needs_bind(self) -> bool:
        """Never: what it needs of other images, it has."""
        return False

    def __call__(
        self, x1: Any, x2: Any = None, get: Get | tuple[Get, ...] | None = None
    ) -> np.ndarray | Kernels:
        """The kernel of all pairs, as :meth:`NeuralKernel.__call__` returns it.

        Raises:
            DataError: the images have NaN or differ in shape, or the function returned matrices of
                another shape.
            KernelRangeError: the function returned numbers that are not finite.
        """
        get = self.get if get is None else checked_get(get)
        names = names_of(get)
        left = checked_images(x1, "x1")
        right = left if x2 is None else checked_images(x2, "x2")
        check_equal_shapes(left.shape[1:], right.shape[1:])
        dtype = jnp.result_type(float)
        first = jnp.asarray(left, dtype)
        second = None if x2 is None else jnp.asarray(right, dtype)
        returned = self.kernel_fn(first, second, names)
        matrices = {name: np.asarray(getattr(returned, name)) for name in names}
        for name, matrix in matrices.items():
            if matrix.shape != (len(left), len(right)):
                raise DataError(
                    f"kernel_fn returned {name} of shape {matrix.shape}: expected "
                    f"{(len(left), len(right))}; end the network with Flatten or GlobalAvgPool"
                )
        check_finite(matrices)
        return wanted(get, matrices.get("nngp"), matrices.get("ntk"))
