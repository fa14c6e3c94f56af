"""The subcommand ``kernas plan``."""

from __future__ import annotations

from .devices import check_device
from .exit_codes import DONE
from .explain_command import candidates_and_shape
from .options import PlanOptions
from .printing import say


def run_plan(options: PlanOptions) -> int:
    """Print the plan of each architecture that the options name, and return the exit code."""
    from kernas.kernels import NeuralKernel
    from kernas.kernels.augmentation import named

    check_device(None)
    candidates, shape = candidates_and_shape(options)
    augment = named(options.augment)
    for candidate in candidates:
        say(candidate.name)
        kernel = NeuralKernel(candidate.architecture, get=options.get, augment=augment)
        say(str(kernel.plan(shape)))
    return DONE
