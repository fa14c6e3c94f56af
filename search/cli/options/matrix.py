"""Options of ``kernas gram`` and ``kernas fit``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kernas.files import Location

from .arguments import NETWORK, PLACE, Dtype, Flag, Get
from .parts import (
    ComputingOptions,
    ExecutorOptions,
    ImageOptions,
    KernelOptions,
    PrintingOptions,
    SpaceOptions,
)


@dataclass(frozen=True, kw_only=True)
class TrainingImageOptions(ImageOptions):
    """Images of a matrix."""

    n: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all but one)")
    ] = None
    """Images of the training set."""

    standardize: Annotated[
        bool,
        tyro.conf.arg(
            help="Whether to subtract the mean and divide by the deviation of these images. "
            "Without it, the store of a network without batch normalisation grows: more images of "
            "the same seed begin with those that it holds."
        ),
    ] = True


@dataclass(frozen=True, kw_only=True)
class MatrixOptions(
    ExecutorOptions,
    ComputingOptions,
    PrintingOptions,
    KernelOptions,
    TrainingImageOptions,
    SpaceOptions,
):
    """What decides a Gram matrix, apart from the network and the kernels."""

    tile: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the store's; of a new one 128)"),
    ] = None
    """Images on each side of a tile; a crash costs at most one tile."""

    shard: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="INT",
            help="Tiles on each side of a square that is one file, for matrices of very many "
            "tiles: 1 to 64. A crash then costs at most such a square.",
            help_behavior_hint="(default: the store's; of a new one 1)",
        ),
    ] = None

    tile_bytes: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="INT",
            help="Bound on the bytes of intermediate results, and of prepared images that are "
            "kept.",
            help_behavior_hint="(default: 1 GiB)",
        ),
    ] = None

    yes: Flag = False
    """Begin without asking."""


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """A network, its kernels, and the store of their matrices."""

    architecture: Annotated[str, NETWORK]

    store: Annotated[Location, PLACE]
    """The folder of the store, new or begun, or a URL such as s3://BUCKET/PREFIX."""

    get: Annotated[
        str, tyro.conf.arg(metavar="NAME,...", help="Comma-separated kernels: nngp, ntk.")
    ] = "nngp,ntk"


@dataclass(frozen=True, kw_only=True)
class GramOptions(MatrixOptions, StoreOptions):
    """Compute the kernel of all pairs of images into a store that outlives a crash.

    An estimate of time, memory and disk comes first. Killed at any moment, the same command goes on
    where it stopped; several of them at once share the work. Python reads the store with
    kernas.kernels.GramStore, and any other reader of zarr reads it too.
    """


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A model, and how it is fitted."""

    model: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    """The folder of the model, which must not exist."""

    architecture: Annotated[
        str | None,
        NETWORK,
        tyro.conf.arg(help_behavior_hint="(default: fully connected, two hidden layers of ReLU)"),
    ] = None

    store: Annotated[
        Annotated[Location, PLACE] | None,
        tyro.conf.arg(metavar="PATH|URL", help_behavior_hint="(default: MODEL-gram)"),
    ] = None
    """The folder or URL of the training matrix, new, begun, or made by kernas gram."""

    get: Get = "ntk"

    ridge: Annotated[
        str,
        tyro.conf.arg(
            metavar="NUMBER|loo|evidence",
            help="Relative to the kernel's mean diagonal; or how to choose among 19 from 1e-8 to "
            "10 on the training images: by leave-one-out errors or by the evidence.",
        ),
    ] = "loo"

    solver: Annotated[
        Literal["cholesky", "cg"],
        tyro.conf.arg(
            help="Cholesky factorisation in memory, or conjugate gradients that read the store "
            "tile by tile; these need a number as ridge, and give no probabilities."
        ),
    ] = "cholesky"

    learning_curve: Annotated[
        Flag,
        tyro.conf.arg(
            help="Predict the squared error on other images of trainings on fewer images, and on "
            "twice as many, from the training matrix, and keep it with the model. It takes "
            "an eigendecomposition of the matrix.",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class FitOptions(MatrixOptions, ModelOptions):
    """Fit a classifier, kernel regression with an infinitely wide network, and keep it in a folder.

    The training matrix goes into a store first, with an estimate of time, memory and disk before;
    killed at any moment, the same command goes on where it stopped. The model is a folder of JSON
    and arrays that kernas predict and kernas.kernels.load_model read on any machine.
    """

    dtype: Dtype = "float64"
