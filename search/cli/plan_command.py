"""The subcommand ``kernas plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError
from kernas.quantities import duration, size

from .devices import check_device
from .exit_codes import DONE
from .explain_command import candidates_and_shape
from .options import PlanOptions
from .printing import say

if TYPE_CHECKING:
    from kernas.kernels.engine import KernelPlan


def run_plan(options: PlanOptions) -> int:
    """Print the plan of each architecture that the options name, and return the exit code."""
    from kernas.kernels import NeuralKernel
    from kernas.kernels.augmentation import named

    if options.n is not None and options.n < 1:
        raise ConfigurationError(f"--n {options.n}: expected a number of images, for example 1000")
    check_device(None)
    candidates, shape = candidates_and_shape(options)
    augment = named(options.augment)
    for candidate in candidates:
        say(candidate.name)
        kernel = NeuralKernel(candidate.architecture, get=options.get, augment=augment)
        plan = kernel.plan(shape)
        say(str(plan))
        if options.n is not None:
            say(_of_matrix(plan, options.n))
    return DONE


def _of_matrix(plan: KernelPlan, n: int) -> str:
    """What the kernel of all pairs of images takes, compilation apart."""
    import jax.numpy as jnp

    pairs = n * (n + 1) // 2
    memory = size(n**2 * jnp.result_type(float).itemsize)
    return (
        f"{n:,} images: {pairs:,} pairs in about {duration(pairs * plan.seconds)} on this machine; "
        f"the matrix takes {memory} of memory"
    )
