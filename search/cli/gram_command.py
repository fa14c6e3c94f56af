"""The subcommand ``kernas gram``."""

from __future__ import annotations

from typing import Any

from .devices import configure_jax
from .executors import executor_of
from .exit_codes import DONE
from .matrix import Filled, bound, fill, kernel_of, training_images
from .options import GramOptions
from .printing import messages_aside, say, say_json
from .space import architecture_of


def run_gram(options: GramOptions) -> int:
    """Compute the matrix that the options name, print what is there, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        executor = executor_of(options.executor, options.device)
        train = training_images(options)
        names: Any = tuple(options.get.split(","))
        kernel = kernel_of(options, architecture_of(options, options.architecture), names)
        filled = fill(options, bound(options, kernel, train), train, options.store, executor)
    if filled is None:
        return DONE
    if options.json:
        say_json(_summary(filled))
    else:
        store, estimate = filled.store, filled.estimate
        say(
            f"{' and '.join(store.names)} {store.shape[0]} × {store.shape[1]} in {store.location}: "
            f"{estimate.tiles} tiles, {estimate.missing} of them computed in {filled.seconds:.1f} s"
        )
    return DONE


def _summary(filled: Filled) -> dict[str, Any]:
    store, estimate = filled.store, filled.estimate
    return {
        "store": str(store.location),
        "kernels": list(store.names),
        "shape": list(store.shape),
        "tiles": estimate.tiles,
        "computed": estimate.missing,
        "seconds": filled.seconds,
        "estimated_seconds": estimate.seconds,
        "identity": store.identity,
    }
