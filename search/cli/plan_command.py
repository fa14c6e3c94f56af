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
    _check_cluster(options)
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
            if options.workers is not None:
                say(of_cluster(plan, options.n, options.workers, options.device))
    return DONE


def _check_cluster(options: PlanOptions) -> None:
    """Refuse a cluster that is none, or without a matrix, or of an unknown device."""
    from kernas.kernels.engine import roofline_of

    if options.device is not None:
        roofline_of(options.device)
        if options.workers is None:
            raise ConfigurationError(
                f"--device {options.device} without --workers: say how many, for example "
                f"--n 60000 --workers 64 --device {options.device}"
            )
    if options.workers is None:
        return
    if options.workers < 1:
        raise ConfigurationError(
            f"--workers {options.workers}: expected a number of devices, for example 64"
        )
    if options.n is None:
        raise ConfigurationError(
            f"--workers {options.workers} without --n: say of how many images the matrix is, for "
            f"example --n 60000 --workers {options.workers}"
        )


def _of_matrix(plan: KernelPlan, n: int) -> str:
    """What the kernel of all pairs of images takes, compilation apart."""
    import jax.numpy as jnp

    pairs = n * (n + 1) // 2
    memory = size(n**2 * jnp.result_type(float).itemsize)
    return (
        f"{n:,} images: {pairs:,} pairs in about {duration(pairs * plan.seconds)} on this machine; "
        f"the matrix takes {memory} of memory"
    )


def of_cluster(plan: KernelPlan, n: int, workers: int, device: str | None) -> str:
    """What a cluster takes for the tiles of the matrix, and from what that is known.

    Args:
        plan: of a pair.
        n: images.
        workers: how many.
        device: what each of them is, by the name of its roofline; ``None`` for machines like this.

    Raises:
        ConfigurationError: no roofline of the device is known.
    """
    import jax.numpy as jnp

    from kernas.execution import measured_cluster, predict
    from kernas.kernels.engine import roofline_of
    from kernas.kernels.gram import matrix_work
    from kernas.kernels.gram.tiles import TILE_SIDE

    each, seconds = "machines like this one", plan.seconds
    basis = "a worker as it was measured just now"
    if device is not None:
        roofline = roofline_of(device)
        each, seconds = roofline.device, roofline.pair_seconds(plan)
        basis = f"{each} by its roofline, an optimistic bound that nobody has measured"
    work = matrix_work(n, seconds, itemsize=jnp.result_type(float).itemsize)
    found = predict(work, measured_cluster(workers, plan.compile_seconds))
    lines = [
        f"{workers:,} workers ({each}): {found}",
        f"{work.items:,} tiles of {TILE_SIDE} × {TILE_SIDE} images, {duration(work.seconds)} each, "
        f"in {found.calls:,} calls",
        f"{basis}; start, driver and store as measured on one machine",
    ]
    return "\n".join(lines)
