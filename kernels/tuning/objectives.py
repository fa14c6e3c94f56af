"""What scales are learned by, as functions of a Gram matrix that JAX differentiates.

The same numbers as :func:`kernas.kernels.regression.log_evidence` and the score ``loo_error``,
which NumPy computes from eigenvalues; ``tests/kernels/test_tuning.py`` compares them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Float
from scipy.special import gammaln

ObjectiveName = Literal["evidence", "loo_error"]

Square = Float[Array, "n n"]
Targets = Float[Array, "n C"]


class Objective(NamedTuple):
    """A number of a Gram matrix.

    Attributes:
        compute: of ``A = K + ρI`` factorised, the targets and their rank.
        sign: 1 if larger is better, −1 if smaller is.
    """

    compute: Callable[[Square, Targets, int], Array]
    sign: int


def log_evidence(lower: Square, Y: Targets, rank: int) -> Float[Array, ""]:
    """``−½ r (n log(π tr YᵀA⁻¹Y) + log|A|) + log Γ(nr/2)``, the kernel's scale integrated out."""
    n = len(lower)
    quadratic = jnp.sum(solve_triangular(lower, Y, lower=True) ** 2)
    log_determinant = 2 * jnp.sum(jnp.log(jnp.diag(lower)))
    constant = float(gammaln(n * rank / 2))
    return -0.5 * rank * (n * (math.log(math.pi) + jnp.log(quadratic)) + log_determinant) + constant


def loo_error(lower: Square, Y: Targets, rank: int) -> Float[Array, ""]:
    """``(1/n) Σ_i |[A⁻¹Y]_i / [A⁻¹]_ii|²``, the mean squared error of leave-one-out."""
    inverse = cho_solve((lower, True), jnp.eye(len(lower), dtype=lower.dtype))
    residuals = (inverse @ Y) / jnp.diag(inverse)[:, None]
    return jnp.mean(jnp.sum(residuals**2, axis=1))


OBJECTIVES: dict[str, Objective] = {
    "evidence": Objective(log_evidence, 1),
    "loo_error": Objective(loo_error, -1),
}


def objective_of(name: str, gram: Square, Y: Targets, ridge: float, rank: int) -> Array:
    """An objective of ``A = K + ridge · mean(diag K) · I``."""
    rho = ridge * jnp.mean(jnp.diag(gram))
    lower = jnp.linalg.cholesky(gram + rho * jnp.eye(len(gram), dtype=gram.dtype))
    return OBJECTIVES[name].compute(lower, Y, rank)
