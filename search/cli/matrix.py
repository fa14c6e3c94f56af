"""From the options of ``kernas gram`` and ``kernas fit`` to a training matrix in a store."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError
from kernas.files import Location

from .agreement import agreed
from .executors import tell_rates
from .interruption import way_on
from .options import MatrixOptions
from .printing import tell

if TYPE_CHECKING:
    from kernas.execution import Executor
    from kernas.kernels import Architecture, GramStore, NeuralKernel
    from kernas.kernels.data import Dataset
    from kernas.kernels.gram import GramEstimate
    from kernas.kernels.interface import Get


@dataclass(frozen=True)
class Filled:
    """A complete store, what was estimated before, and the seconds that it took."""

    store: GramStore
    estimate: GramEstimate
    seconds: float


def training_images(options: MatrixOptions) -> Dataset:
    """The images of the options, which are checked before anything is read.

    Raises:
        ConfigurationError: a number is not positive; the message names the option.
        DataError: the data set cannot be read.
    """
    from kernas.kernels.data import load

    numbers = {
        **{"--n": options.n, "--tile": options.tile, "--shard": options.shard},
        "--tile-bytes": options.tile_bytes,
    }
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ConfigurationError(f"{name} {number}: expected a positive number")
    train, _ = load(
        options.dataset,
        n_train=options.n,
        n_test=1,
        image_size=options.image_size,
        resize=options.resize,
        seed=options.seed,
        standardize=options.standardize,
    )
    return train


def kernel_of(
    options: MatrixOptions, architecture: Architecture, get: Get | tuple[Get, ...]
) -> NeuralKernel:
    """The kernel of a network as the options have it computed.

    Raises:
        ConfigurationError: an unknown kernel.
    """
    from kernas.kernels import NeuralKernel
    from kernas.kernels.augmentation import named

    augment = named(options.augment)
    kernel = NeuralKernel(architecture, get=get, backend=options.backend, augment=augment)
    return kernel if options.tile_bytes is None else replace(kernel, tile_bytes=options.tile_bytes)


def bound(options: MatrixOptions, kernel: NeuralKernel, train: Dataset) -> NeuralKernel:
    """A kernel bound to training images if it has to be."""
    if kernel.needs_bind:
        return kernel.bind(train.x, n_reference=options.n_reference, seed=options.seed)
    return kernel


def fill(
    options: MatrixOptions,
    kernel: NeuralKernel,
    train: Dataset,
    path: Location,
    executor: Executor | None,
) -> Filled | None:
    """The training matrix in a store, once its cost was said; ``None`` if the user declined.

    Raises:
        ConfigurationError: it does not fit on the disk, or nobody can be asked.
        GramStoreError: the store holds another matrix, or an object store refuses.
        KeyboardInterrupt: with the way to go on.
    """
    from kernas.kernels import compute_gram, estimate_gram

    estimate = estimate_gram(kernel, train, store=path, tile_side=options.tile, shard=options.shard)
    tell(f"{path}: {estimate}")
    for fault in estimate.corrupted:
        tell(f"{fault}; it is computed again")
    if estimate.free_bytes is not None and estimate.disk_bytes > estimate.free_bytes:
        raise ConfigurationError(
            f"--store {path}: {estimate.disk_bytes:,} bytes to be written and "
            f"{estimate.free_bytes:,} free; make room, or choose another folder"
        )
    if estimate.missing and not options.yes and not agreed():
        return None
    start = time.perf_counter()
    with way_on(f"{path} keeps its finished tiles; give the same command to go on"):
        store = compute_gram(
            kernel,
            train,
            store=path,
            tile_side=options.tile,
            shard=options.shard,
            progress=not options.quiet,
            executor=executor,
        )
    tell_rates(executor)
    return Filled(store, estimate, time.perf_counter() - start)
