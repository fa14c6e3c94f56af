"""What the kernel of a candidate takes: pairs of images, seconds, programs to compile."""

from __future__ import annotations

from collections.abc import Hashable

from kernas.kernels import NeuralKernel
from kernas.kernels.architecture import Normalize

from .base import Cost

# Measured by experiments/benchmarks/rank_estimate.py, on two cores that others used too.

RECORDED = 1.5
"""What a pair with a reference image takes, over one without: its moments are recorded for the
statistics (1.4 to 1.7)."""

CANDIDATE_SECONDS = 0.05
"""Of a candidate whatever its images: lowering, encoding, moving arrays (0.04 to 0.1)."""

HOST_SECONDS = 4e-10
"""Of a kernel's eigendecomposition and regression on the host, over n³ (0.4 s at n = 1000)."""


def cost_of_kernel(
    kernel: NeuralKernel,
    image_shape: tuple[int, ...],
    n: int,
    m: int,
    n_reference: int,
    *,
    family: Hashable = None,
) -> Cost:
    """The cost of regression on ``n`` images, judged on ``m`` others.

    The pairs are ``n (n + 1) / 2 + m n`` and, where the network centres over a batch, those of the
    reference images with each other and with all others. Streams compute no pair twice.

    Args:
        kernel: of the candidate, not bound.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        n: images of the regression.
        m: images beside them, 0 if none are needed.
        n_reference: images whose statistics a network that normalises is bound to, at most.
        family: equal for candidates that share the programs of their streams.

    Returns:
        The cost; with neural-tangents the seconds and the programs are not known.

    Raises:
        ArchitectureError: the network does not fit the images.
        ConfigurationError: not even one pair fits into the bound on bytes.
    """
    of_matrices = n * (n + 1) // 2 + m * n
    if kernel.backend != "kernas":
        return Cost(of_matrices, None)
    plan = kernel.plan(image_shape)
    recorded, r = 0, min(n_reference, n)
    if _centres(kernel):
        recorded = r**2 + (n + m) * r
        if plan.shared:
            recorded = r * (r + 1) // 2 + (n - r + m) * r
            of_matrices -= recorded
    seconds = (
        plan.seconds * (of_matrices + RECORDED * recorded)
        + CANDIDATE_SECONDS
        + HOST_SECONDS * len(kernel.names) * n**3
    )
    parts = ["pairs", "records", *(["reference images"] if kernel.needs_bind else [])]
    users = (family, image_shape) if plan.shared else kernel.architecture.hash
    programs: dict[Hashable, float] = {
        (part, users, kernel.names): plan.compile_seconds for part in parts
    }
    return Cost(of_matrices + recorded, seconds, programs)


def _centres(kernel: NeuralKernel) -> bool:
    """Whether images meet the reference images."""
    layers = (node.layer for node in kernel.architecture.nodes)
    return any(isinstance(layer, Normalize) and layer.center for layer in layers)
