"""The subcommand ``kernas gram``."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kernas.errors import ConfigurationError

from .devices import configure_jax
from .options import GramOptions

if TYPE_CHECKING:
    from kernas.kernels import GramEstimate, GramStore, NeuralKernel
    from kernas.kernels.data import Dataset


def run_gram(options: GramOptions) -> int:
    """Compute the matrix that the options name, print what is there, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    # In JSON mode whatever a library prints must not mix with the object.
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        result = _gram(options)
    if result is None:
        return 0
    store, estimate, seconds = result
    if options.json:
        print(json.dumps(_summary(store, estimate, seconds), ensure_ascii=False, indent=1))
    else:
        names = " and ".join(store.names)
        print(
            f"{names} {store.shape[0]} × {store.shape[1]} in {store.path}: "
            f"{estimate.tiles} tiles, {estimate.missing} of them computed in {seconds:.1f} s"
        )
    return 0


def _gram(options: GramOptions) -> tuple[GramStore, GramEstimate, float] | None:
    """The finished store; ``None`` if the user declined."""
    from kernas.kernels import compute_gram, estimate_gram

    _check(options)
    train = _data(options)
    kernel = _kernel(options, train)
    estimate = estimate_gram(kernel, train, store=options.store, tile_side=options.tile)
    print(f"{options.store}: {estimate}", file=sys.stderr)
    for fault in estimate.corrupted:
        print(f"{fault}; it is computed again", file=sys.stderr)
    if estimate.disk_bytes > estimate.free_bytes:
        raise ConfigurationError(
            f"--store {options.store}: {estimate.disk_bytes:,} bytes to be written and "
            f"{estimate.free_bytes:,} free; make room, or choose another folder"
        )
    if estimate.missing and not options.yes and not _agreed():
        return None
    start = time.perf_counter()
    try:
        store = compute_gram(
            kernel,
            train,
            store=options.store,
            tile_side=options.tile,
            progress=not options.quiet,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{options.store} keeps its finished tiles; give the same command to go on"
        ) from None
    return store, estimate, time.perf_counter() - start


def _check(options: GramOptions) -> None:
    """Refuse options that are out of range before anything is read.

    Raises:
        ConfigurationError: the message names the option.
    """
    numbers = {"--n": options.n, "--tile": options.tile, "--tile-bytes": options.tile_bytes}
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ConfigurationError(f"{name} {number}: expected a positive number")


def _data(options: GramOptions) -> Dataset:
    from kernas.kernels.data import load

    train, _ = load(
        options.dataset,
        n_train=options.n,
        n_test=1,
        image_size=options.image_size,
        seed=options.seed,
        standardize=options.standardize,
    )
    return train


def _kernel(options: GramOptions, train: Dataset) -> NeuralKernel:
    """The kernel of the one architecture that the options name, bound if it has to be.

    Raises:
        ConfigurationError: they name several, or an unknown kernel.
    """
    from kernas.kernels import NeuralKernel

    from ..spaces import NasBench201, read_candidates

    space = NasBench201(options.cells, options.center, options.reduction)
    candidates = read_candidates([options.architecture], space)
    if len(candidates) != 1:
        raise ConfigurationError(
            f"--architecture {options.architecture} has {len(candidates)} cells: expected one; "
            "give its string"
        )
    names: Any = tuple(options.get.split(","))
    kernel = NeuralKernel(candidates[0].architecture, get=names)
    if options.tile_bytes is not None:
        kernel = replace(kernel, tile_bytes=options.tile_bytes)
    if kernel.needs_bind:
        return kernel.bind(train.x, n_reference=options.n_reference, seed=options.seed)
    return kernel


def _agreed() -> bool:
    """Whether the user says yes.

    Raises:
        ConfigurationError: there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "there is no terminal to ask on whether to begin: give --yes to begin without asking"
        )
    print("begin? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _summary(store: GramStore, estimate: GramEstimate, seconds: float) -> dict[str, Any]:
    return {
        "store": str(store.path),
        "kernels": list(store.names),
        "shape": list(store.shape),
        "tiles": estimate.tiles,
        "computed": estimate.missing,
        "seconds": seconds,
        "estimated_seconds": estimate.seconds,
        "identity": store.identity,
    }
