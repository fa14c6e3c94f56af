"""How near a kernel must be to the NumPy reference: the stated tolerances, for each precision.

A difference is taken relative to ``sqrt(K(x, x) K(x', x'))``, of ``Θ`` likewise. The derivative of
arccos is singular at ±1, so the tangent kernel of networks with nearly equal pixels has a wider
bound, computed from the reference's distance of the closest correlation from ±1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
from oracles.numpy_kernel import evaluate
from oracles.recorded import recorded

from kernas.kernels import Kernels, NeuralKernel
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.backends import BackendName
from kernas.kernels.engine import Blocking

BOTH = ("nngp", "ntk")
FLOAT64 = Kernels(1e-10, 1e-10)
FLOAT32 = Kernels(1e-5, 1e-4)


@dataclass(frozen=True)
class Expected:
    """Reference kernels between two sets of images.

    Attributes:
        kernels: both, ``(n1, n2)``.
        sizes: ``sqrt(K(x, x) K(x', x'))`` of both.
        margin: distance from ±1 of the closest correlation of two different variables.
    """

    kernels: Kernels
    sizes: Kernels
    margin: float


def expected_kernels(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> Expected:
    """The kernels by the NumPy oracle.

    Args:
        architecture: the network.
        x1: images ``(n1, …)``.
        x2: images ``(n2, …)``; ``x1`` if not given.
        reference: images whose statistics ``Normalize`` uses.
    """
    *arrays, margin = _expected(architecture, x1, x2, reference)
    return Expected(Kernels(*arrays[:2]), Kernels(*arrays[2:]), float(margin))


@recorded(rtol=1e-12)
def _expected(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None,
    reference: np.ndarray | None,
) -> tuple[np.ndarray, ...]:
    """Kernels, their sizes, and the margin."""
    evaluation, left, right = evaluate(architecture, x1, x2, reference)
    whole = evaluation.output()
    kernels = [part[np.ix_(left, right)] for part in whole]
    deviations = [np.sqrt(np.diag(part)) for part in whole]
    sizes = [np.outer(d[left], d[right]) for d in deviations]
    return *kernels, *sizes, np.array(evaluation.margin)


def with_rounding(tolerance: float, epsilon: float, closest: float) -> float:
    """The stated tolerance, or what rounding does to arccos at ``1 − |ρ| = closest``.

    The correlation carries an error of some ε, which arccos multiplies by
    ``1 / sqrt(2 closest)``, and by no more than ``sqrt(2 / ε)``.
    """
    rounding = 32 * epsilon
    return max(tolerance, rounding / np.sqrt(2 * max(closest, rounding)))


def check_kernels(kernels: Kernels, expected: Expected, tolerance: Kernels | None = None) -> None:
    """Assert that kernels are within tolerance of the expected ones.

    Args:
        kernels: both, of any precision.
        expected: what they should be.
        tolerance: of both; that of the kernels' precision if not given.
    """
    epsilon = float(np.finfo(kernels.nngp.dtype).eps)
    tolerance = tolerance or (FLOAT64 if epsilon < 1e-10 else FLOAT32)
    allowed = Kernels(tolerance.nngp, with_rounding(tolerance.ntk, epsilon, expected.margin))
    for name, ours, theirs, size, most in zip(
        BOTH, kernels, expected.kernels, expected.sizes, allowed, strict=True
    ):
        error = np.max(np.abs(ours - theirs) / np.where(size > 0, size, 1.0))
        assert error <= most, f"{name} in {kernels.nngp.dtype}: {error:.2e} of its size"


def check_engine(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    *,
    backend: BackendName = "kernas",
    blocking: Blocking | None = None,
    precisions: tuple[type, ...] = (np.float64, np.float32),
    double: float = FLOAT64.nngp,
) -> None:
    """Assert that ``NeuralKernel`` agrees with the NumPy oracle in each precision.

    Args:
        architecture: the network.
        x1: images ``(n1, …)``, rounded to float32 for both precisions.
        x2: images ``(n2, …)``; ``x1`` if not given.
        reference: images to bind to.
        backend: of the kernel.
        blocking: of the kernel; streams, which are compiled for each network, only if asked for.
        precisions: ``float64``, ``float32`` or both.
        double: tolerance in float64.
    """
    x1 = x1.astype(np.float32).astype(float)
    x2, reference = (
        None if x is None else x.astype(np.float32).astype(float) for x in (x2, reference)
    )
    expected = expected_kernels(architecture, x1, x2, reference)
    for precision in precisions:
        with jax.enable_x64(precision is np.float64):
            kernel = NeuralKernel(architecture, get=BOTH, backend=backend, blocking=blocking)
            chosen = kernel.settings(x1.shape[1:]).get("blocking", {})
            if blocking is None and chosen.get("way") == "stream":
                kernel = replace(kernel, blocking=Blocking("whole"))
            if reference is not None:
                kernel = kernel.bind(reference, len(reference))
            kernels = kernel(x1, x2)
        assert kernels.nngp.dtype == precision
        tolerance = Kernels(double, double) if precision is np.float64 else FLOAT32
        check_kernels(kernels, expected, tolerance)
