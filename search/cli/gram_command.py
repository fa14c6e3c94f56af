"""The subcommand ``kernas gram``."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from .devices import configure_jax
from .matrix import Filled, architecture_of, bound_kernel, fill, training_images
from .options import GramOptions


def run_gram(options: GramOptions) -> int:
    """Compute the matrix that the options name, print what is there, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    # In JSON mode whatever a library prints must not mix with the object.
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        train = training_images(options)
        names: Any = tuple(options.get.split(","))
        kernel = bound_kernel(options, architecture_of(options, options.architecture), names, train)
        filled = fill(options, kernel, train, options.store)
    if filled is None:
        return 0
    if options.json:
        print(json.dumps(_summary(filled), ensure_ascii=False, indent=1))
    else:
        store, estimate = filled.store, filled.estimate
        print(
            f"{' and '.join(store.names)} {store.shape[0]} × {store.shape[1]} in {store.path}: "
            f"{estimate.tiles} tiles, {estimate.missing} of them computed in {filled.seconds:.1f} s"
        )
    return 0


def _summary(filled: Filled) -> dict[str, Any]:
    store, estimate = filled.store, filled.estimate
    return {
        "store": str(store.path),
        "kernels": list(store.names),
        "shape": list(store.shape),
        "tiles": estimate.tiles,
        "computed": estimate.missing,
        "seconds": filled.seconds,
        "estimated_seconds": estimate.seconds,
        "identity": store.identity,
    }
