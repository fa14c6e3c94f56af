"""Options of ``kernas gram`` and ``kernas fit``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .arguments import Augment, Backend, DatasetName, Device, Dtype, Resize
from .space import SpaceOptions


@dataclass(frozen=True, kw_only=True)
class MatrixOptions(SpaceOptions):
    """What decides a Gram matrix, apart from the network and the kernels."""

    dataset: DatasetName = "digits"

    n: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all but one)")
    ] = None
    """Images of the training set."""

    image_size: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the stored size)")
    ] = None
    """Side in pixels that images are resized to by area averaging."""

    resize: Resize = None

    standardize: bool = True
    """Whether to subtract the mean and divide by the deviation of these images. Without it, the
    store of a network without batch normalisation grows: more images of the same seed begin with
    those that it holds."""

    seed: int = 0
    """Fixes the images and the reference images."""

    n_reference: int = 32
    """Images that batch normalisation has its statistics from."""

    augment: Augment = ()

    backend: Backend = "kernas"

    tile: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the store's; of a new one 128)"),
    ] = None
    """Images on each side of a tile; a crash costs at most one tile."""

    tile_bytes: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 1 GiB)")
    ] = None
    """Bound on the bytes of intermediate results, and of prepared images that are kept."""

    yes: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Begin without asking."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object and nothing else on stdout."""

    device: Device = "auto"
    """Where to compute."""

    compilation_cache: bool = True
    """Whether compiled programs are kept in the user's cache folder."""

    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """No progress bar."""


@dataclass(frozen=True, kw_only=True)
class GramOptions(MatrixOptions):
    """Compute the kernel of all pairs of images into a store that outlives a crash.

    An estimate of time, memory and disk comes first. Killed at any moment, the same command goes on
    where it stopped; several of them at once share the work. Python reads the store with
    kernas.kernels.GramStore, and any other reader of zarr reads it too.
    """

    architecture: Annotated[str, tyro.conf.arg(metavar="CELL|FILE")]
    """A cell string, or a .json file written with Architecture.to_json()."""

    store: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    """The folder of the store, new or begun."""

    get: Annotated[
        str, tyro.conf.arg(metavar="NAME,...", help="Comma-separated kernels: nngp, ntk.")
    ] = "nngp,ntk"

    dtype: Dtype = "float32"
    """Floating-point type of the kernels."""


@dataclass(frozen=True, kw_only=True)
class FitOptions(MatrixOptions):
    """Fit a classifier, kernel regression with an infinitely wide network, and keep it in a folder.

    The training matrix goes into a store first, with an estimate of time, memory and disk before;
    killed at any moment, the same command goes on where it stopped. The model is a folder of JSON
    and arrays that kernas predict and kernas.kernels.load_model read on any machine.
    """

    model: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    """The folder of the model, which must not exist."""

    architecture: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CELL|FILE",
            help_behavior_hint="(default: fully connected, two hidden layers of ReLU)",
        ),
    ] = None
    """A cell string, or a .json file written with Architecture.to_json()."""

    store: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: MODEL-gram)")
    ] = None
    """The folder of the training matrix, new, begun, or made by kernas gram."""

    get: Literal["nngp", "ntk"] = "ntk"
    """The kernel to regress with."""

    ridge: Annotated[
        str,
        tyro.conf.arg(
            metavar="NUMBER|loo|evidence",
            help="Relative to the kernel's mean diagonal; or how to choose among 19 from 1e-8 to "
            "10 on the training images: by leave-one-out errors or by the evidence.",
        ),
    ] = "loo"

    solver: Literal["cholesky", "cg"] = "cholesky"
    """Cholesky factorisation in memory, or conjugate gradients that read the store tile by tile;
    these need a number as ridge, and give no probabilities."""

    dtype: Dtype = "float64"
    """Floating-point type of the kernel; the regression is always float64."""
