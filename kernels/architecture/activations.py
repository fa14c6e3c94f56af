"""The nonlinearities: layers that map every number by itself.

Their second moments for Gaussian inputs are in ``covariance/activations``, a file for each family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .base import Layer, finite_number, integer_in, nonzero_number
from .elementwise import function_named


def _check_degree(value: Any) -> None:
    integer_in(value, "degree", 1, 30, "; for a constant use b_std")


@dataclass(frozen=True)
class Activation(Layer):
    """A pointwise nonlinearity φ; its dual kernels are in ``covariance/activations``.

    Attributes:
        has_gradient: whether gradients pass; if not, ``φ' = 0`` almost everywhere.
    """

    has_gradient: ClassVar[bool] = True

    @property
    def keeps_zero(self) -> bool:
        """Whether ``φ(0) = 0``, so that zeros stay zeros."""
        return True


@dataclass(frozen=True)
class Relu(Activation):
    """``max(x, 0)``."""


@dataclass(frozen=True)
class LeakyRelu(Activation):
    """``x`` for ``x > 0``, ``slope · x`` otherwise.

    Args:
        slope: of the negative side, any finite number.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", finite_number(self.slope, "slope"))


@dataclass(frozen=True)
class Elu(Activation):
    """``x`` for ``x > 0``, ``alpha · (exp(x) − 1)`` otherwise (Clevert et al. 2016).

    Args:
        alpha: any finite number.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", finite_number(self.alpha, "alpha"))


@dataclass(frozen=True)
class Selu(Activation):
    """``SCALE · Elu(ALPHA)``, which keeps mean 0 and variance 1 (Klambauer et al. 2017, eq. 2).

    Attributes:
        SCALE: λ.
        ALPHA: α.
    """

    SCALE: ClassVar[float] = 1.0507009873554804934
    ALPHA: ClassVar[float] = 1.6732632423543772848


@dataclass(frozen=True)
class Abs(Activation):
    """``|x|``."""


@dataclass(frozen=True)
class Sign(Activation):
    """``−1``, ``0`` or ``1``. No gradient passes: its derivative is zero almost everywhere."""

    has_gradient: ClassVar[bool] = False


@dataclass(frozen=True)
class Erf(Activation):
    """``erf(x) = (2/√π) ∫₀ˣ exp(−t²) dt``."""


@dataclass(frozen=True)
class Gelu(Activation):
    """``x Φ(x)``, ``Φ`` the normal distribution function.

    ``Elementwise("gelu_tanh")`` is the approximation by tanh that some libraries use.
    """


@dataclass(frozen=True)
class Sin(Activation):
    """``sin(x)``."""


@dataclass(frozen=True)
class Cos(Activation):
    """``cos(x)``."""

    @property
    def keeps_zero(self) -> bool:
        return False


@dataclass(frozen=True)
class Sinusoid(Activation):
    """``sin(frequency · x + phase)``.

    Args:
        frequency: ω, finite and not 0.
        phase: in radians.
    """

    frequency: float = 1.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        frequency = nonzero_number(self.frequency, "frequency")
        object.__setattr__(self, "frequency", frequency)
        object.__setattr__(self, "phase", finite_number(self.phase, "phase"))

    @property
    def keeps_zero(self) -> bool:
        return self.phase == 0


@dataclass(frozen=True)
class Exp(Activation):
    """``exp(rate · x)``.

    Args:
        rate: finite and not 0.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", nonzero_number(self.rate, "rate"))

    @property
    def keeps_zero(self) -> bool:
        return False


@dataclass(frozen=True)
class Gaussian(Activation):
    """``exp(−x² / (2 scale²))``.

    Args:
        scale: distance at which the bell has fallen to ``exp(−1/2)``, finite and > 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", finite_number(self.scale, "scale", above=0))

    @property
    def keeps_zero(self) -> bool:
        return False


@dataclass(frozen=True)
class Monomial(Activation):
    """``x ** degree``.

    Args:
        degree: 1 to 30.
    """

    degree: int

    def __post_init__(self) -> None:
        _check_degree(self.degree)


@dataclass(frozen=True)
class Hermite(Activation):
    """``He_degree(x) / √(degree!)``, the probabilists' polynomial of unit norm.

    For unit variances its dual is ``ρ ** degree``.

    Args:
        degree: 1 to 30.
    """

    degree: int

    def __post_init__(self) -> None:
        _check_degree(self.degree)

    @property
    def keeps_zero(self) -> bool:
        return self.degree % 2 == 1


@dataclass(frozen=True)
class Elementwise(Activation):
    """A smooth function by its name, whose kernel is a Hermite series.

    Args:
        name: ``"arctan"``, ``"gelu_tanh"``, ``"mish"``, ``"sigmoid"``, ``"silu"``, ``"softplus"``,
            ``"tanh"``, or one that :func:`register_elementwise` was given.

    Raises:
        ArchitectureError: no function has this name.
    """

    name: str

    def __post_init__(self) -> None:
        function_named(self.name, layers=(kind.__name__ for kind in ACTIVATIONS))

    @property
    def keeps_zero(self) -> bool:
        with jax.ensure_compile_time_eval():  # an instruction asks while it is traced
            return bool(function_named(self.name)(jnp.zeros(())) == 0)


ACTIVATIONS: tuple[type[Activation], ...] = (
    Relu,
    LeakyRelu,
    Elu,
    Selu,
    Abs,
    Sign,
    Erf,
    Gelu,
    Sin,
    Cos,
    Sinusoid,
    Exp,
    Gaussian,
    Monomial,
    Hermite,
    Elementwise,
)
"""Every nonlinearity."""
