"""The subcommand ``kernas plan``."""

from __future__ import annotations

from .explain_command import candidates_and_shape
from .options import PlanOptions


def run_plan(options: PlanOptions) -> int:
    """Print the plan of each architecture that the options name, and return the exit code."""
    from kernas.kernels import NeuralKernel
    from kernas.kernels.augmentation import named

    candidates, shape = candidates_and_shape(options)
    augment = named(options.augment)
    for candidate in candidates:
        print(candidate.name)
        print(NeuralKernel(candidate.architecture, get=options.get, augment=augment).plan(shape))
    return 0
