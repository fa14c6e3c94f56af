"""The kernels of a recurrent network: one cell, the same weights at every step of a signal.

The network is, with standard normal ``W``, ``U``, ``b`` and ``v`` and a state that begins at zero,

    ``z_t = σ_w/√n · W φ(z_{t−1}) + σ_u/√c · U x_t + σ_b b``,   ``f = σ_v/√n · v · r``,

where ``r`` is ``φ(z_T)``, or the mean of all ``φ(z_t)``. Because its weights are shared, two steps
of two signals have a covariance whatever their distance. For ``n → ∞`` the ``z_t`` are Gaussian,

    ``C[t, s] = σ_w² E[φ(z_{t−1}) φ(z'_{s−1})] + σ_u² x_t·x'_s / c + σ_b²``,
    ``D[t, s] = C[t, s] + σ_w² E[φ'(z_{t−1}) φ'(z'_{s−1})] D[t−1, s−1]``,

the terms of a step before the first being zero, and

    ``K = σ_v² mean E[φ(z_t) φ(z'_s)]``,   ``Θ = K + σ_v² mean E[φ'(z_t) φ'(z'_s)] D[t, s]``

over the steps that ``r`` reads on either side (Yang 2019, Wide feedforward or recurrent neural
networks of any architecture are Gaussian processes, appendix B; Alemohammad et al. 2021, The
recurrent neural tangent kernel, theorems 1 and 2, whose readout of the last step reads pairs of
equal steps only).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from kernas.errors import ConfigurationError, DataError

from .architecture import Activation, Erf
from .architecture.base import finite_number
from .architecture.widths import check_count
from .covariance.activations import Dual, has_closed_form
from .interface import (
    Get,
    Kernels,
    check_bytes,
    check_equal_shapes,
    check_finite,
    checked_get,
    checked_images,
    names_of,
    wanted,
)

if TYPE_CHECKING:
    from .finite.recurrent import RecurrentNetwork

Readout = Literal["last", "mean"]

ARRAYS = 12
"""As large as a row of ``C``, that a step holds at once."""


@dataclass(frozen=True)
class RecurrentKernel:
    """NNGP and NTK of a recurrent network of infinite width, as the module's docstring has them.

    A kernel like any other: of signals ``(n, length, channels)``, all of one length, for
    :class:`KernelClassifier` and :class:`KernelRegressor` too. It is no :class:`Architecture`: that
    has no layer which is the same in several places.

    Args:
        activation: φ, one whose dual is a formula.
        W_std: σ_w, of the state, >= 0.
        input_std: σ_u, of the signal, >= 0.
        b_std: σ_b, of the bias, >= 0.
        output_std: σ_v, of the readout, >= 0.
        readout: ``"last"`` for the state after the last step, ``"mean"`` for the mean of all
            states; of signals of L steps, the latter takes L times as long.
        get: the kernel's own choice, for calls that name none.
        tile_bytes: most memory of the arrays of a step, which rows of the matrix share.

    Raises:
        ArchitectureError: a deviation is out of its range.
        ConfigurationError: another argument is, or the nonlinearity has no formula.

    >>> from kernas.kernels import RecurrentKernel
    >>> kernel = RecurrentKernel(W_std=1.2, get=("nngp", "ntk"))
    >>> kernel(np.ones((2, 5, 3))).ntk.shape
    (2, 2)
    """

    activation: Activation = field(default_factory=Erf)
    W_std: float = 1.0
    input_std: float = 1.0
    b_std: float = 0.0
    output_std: float = 1.0
    readout: Readout = "last"
    get: Get | tuple[Get, ...] = "ntk"
    tile_bytes: int = 2**28

    def __post_init__(self) -> None:
        for name in ("W_std", "input_std", "b_std", "output_std"):
            object.__setattr__(self, name, finite_number(getattr(self, name), name, at_least=0))
        if not isinstance(self.activation, Activation) or not has_closed_form(
            self.activation, self.activation
        ):
            raise ConfigurationError(
                f"activation={self.activation!r}: expected a nonlinearity whose dual is a formula, "
                "such as Erf(), in place of tanh, or Relu()"
            )
        if self.readout not in get_args(Readout):
            raise ConfigurationError(f"readout={self.readout!r}: expected 'last' or 'mean'")
        object.__setattr__(self, "get", checked_get(self.get))
        check_bytes(self.tile_bytes, "tile_bytes")

    @property
    def needs_bind(self) -> bool:
        """Never: it takes no statistics of other signals."""
        return False

    @property
    def takes_signals(self) -> bool:
        """Always."""
        return True

    def __call__(
        self, x1: Any, x2: Any = None, get: Get | tuple[Get, ...] | None = None
    ) -> np.ndarray | Kernels:
        """The kernel of all pairs of signals.

        Args:
            x1: ``(n1, length, channels)``.
            x2: ``(n2, length, channels)``; ``None`` for ``x1``.
            get: ``"nngp"``, ``"ntk"`` or a tuple of both.

        Returns:
            ``(n1, n2)``, or :class:`Kernels` for a tuple.

        Raises:
            DataError: they are no signals of one shape, or have NaN.
            ConfigurationError: a signal of the rows and all columns do not fit into ``tile_bytes``.
            KernelRangeError: the kernel is not finite.
        """
        get = self.get if get is None else checked_get(get)
        left = _signals(x1, "x1")
        right = left if x2 is None else _signals(x2, "x2")
        check_equal_shapes(left.shape[1:], right.shape[1:])
        dtype = jnp.result_type(float)
        columns = jnp.asarray(right, dtype)
        rows = min(len(left), self._rows(len(right), left.shape[1], dtype.itemsize))
        tile = _compiled(replace(self, get="ntk", tile_bytes=1), "ntk" in names_of(get))
        parts: list[tuple[np.ndarray, ...]] = []
        for start in range(0, len(left), rows):
            some = left[start : start + rows]
            missing = rows - len(some)  # so that every tile has the shape that is compiled
            padded = np.concatenate([some, np.repeat(some[:1], missing, axis=0)])
            found = tile(jnp.asarray(padded, dtype), columns)
            parts.append(tuple(np.asarray(matrix)[: len(some)] for matrix in found))
        K, *T = (np.concatenate(matrices) for matrices in zip(*parts, strict=True))
        matrices = {"nngp": K} | ({"ntk": T[0]} if T else {})
        check_finite({name: matrices[name] for name in names_of(get)})
        return wanted(get, K, T[0] if T else None)

    def finite_network(self, width: int) -> RecurrentNetwork:
        """The network of finite width, a flax module: ``init(key, x)``, ``apply(variables, x)``.

        Args:
            width: n, numbers in the state.

        Raises:
            ConfigurationError: ``width`` is no integer >= 1.
        """
        check_count(width, "width")
        from .finite.recurrent import RecurrentNetwork

        deviations = (self.W_std, self.input_std, self.b_std, self.output_std)
        return RecurrentNetwork(width, self.activation, *deviations, self.readout)

    def _rows(self, columns: int, length: int, item: int) -> int:
        """Rows of the matrix that are computed at once."""
        steps = length if self.readout == "mean" else 1
        each = ARRAYS * columns * steps * item
        if each > self.tile_bytes:
            raise ConfigurationError(
                f"tile_bytes={self.tile_bytes}: a signal with {columns} others needs {each} bytes; "
                "give at least that"
            )
        return self.tile_bytes // each


def _signals(x: Any, name: str) -> np.ndarray:
    array = checked_images(x, name)
    if array.ndim != 3:
        raise DataError(
            f"{name} has shape {array.shape}: a recurrent network reads signals (n, length, "
            "channels); images row by row are x.reshape(n, height, width * channels)"
        )
    return array


@lru_cache(maxsize=16)
def _compiled(kernel: RecurrentKernel, tangent: bool) -> Any:
    """The kernel of a tile: a function of ``(rows, length, channels)`` and ``(columns, …)``."""
    pairs = _equal_steps if kernel.readout == "last" else _all_steps

    def tile(x1: Array, x2: Array) -> tuple[Array, ...]:
        with jax.default_matmul_precision("highest"):
            K, T = pairs(kernel, x1, x2)
        return (K, K + T) if tangent else (K,)

    return jax.jit(tile)


def _variances(kernel: RecurrentKernel, x: Array) -> Array:
    """``C[t, t]`` of each signal with itself: ``(length, n)``."""
    dual = Dual(kernel.activation, kernel.activation)
    given = kernel.input_std**2 * jnp.mean(x**2, axis=-1).T + kernel.b_std**2

    def step(state: Array, own: Array) -> tuple[Array, Array]:
        C = kernel.W_std**2 * state + own
        return dual(C, C, C)[0], C

    return lax.scan(step, jnp.zeros(x.shape[0], x.dtype), given)[1]


def _equal_steps(kernel: RecurrentKernel, x1: Array, x2: Array) -> tuple[Array, Array]:
    """``K`` and what ``Θ`` has beside, of the last states: step with step."""
    dual = Dual(kernel.activation, kernel.activation)
    zeros = jnp.zeros((len(x1), len(x2)), x1.dtype)

    def step(state: tuple[Array, Array], at: tuple[Array, ...]) -> tuple[Any, None]:
        (K, T), (u, v, a, b) = state, at
        C = kernel.W_std**2 * K + kernel.input_std**2 * (u @ v.T) / u.shape[1] + kernel.b_std**2
        D = C + kernel.W_std**2 * T
        phi, slope = dual(C, *jnp.broadcast_arrays(a[:, None], b[None], C)[:2])
        return (phi, slope * D), None

    steps = (*(jnp.moveaxis(x, 1, 0) for x in (x1, x2)), *(_variances(kernel, x) for x in (x1, x2)))
    (K, T), _ = lax.scan(step, (zeros, zeros), steps)
    return kernel.output_std**2 * K, kernel.output_std**2 * T


def _all_steps(kernel: RecurrentKernel, x1: Array, x2: Array) -> tuple[Array, Array]:
    """Likewise of the mean states: a step of the left signals with all of the right ones."""
    dual = Dual(kernel.activation, kernel.activation)
    length = x1.shape[1]
    zeros = jnp.zeros((len(x1), len(x2), length), x1.dtype)
    b = _variances(kernel, x2).T

    def later(x: Array) -> Array:
        """From step s − 1 to s."""
        return jnp.pad(x[..., :-1], ((0, 0), (0, 0), (1, 0)))

    def step(state: tuple[Array, ...], at: tuple[Array, Array]) -> tuple[Any, None]:
        (K, T, of_K, of_T), (u, a) = state, at
        given = jnp.einsum("ic,jsc->ijs", u, x2) / u.shape[1]
        C = kernel.W_std**2 * later(K) + kernel.input_std**2 * given + kernel.b_std**2
        D = C + kernel.W_std**2 * later(T)
        phi, slope = dual(C, *jnp.broadcast_arrays(a[:, None, None], b[None], C)[:2])
        return (phi, slope * D, of_K + phi.mean(-1), of_T + (slope * D).mean(-1)), None

    sums = jnp.zeros((len(x1), len(x2)), x1.dtype)
    steps = (jnp.moveaxis(x1, 1, 0), _variances(kernel, x1))
    (_, _, K, T), _ = lax.scan(step, (zeros, zeros, sums, sums), steps)
    return kernel.output_std**2 * K / length, kernel.output_std**2 * T / length
