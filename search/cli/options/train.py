"""Options of ``kernas train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .arguments import NETWORK, DatasetName, Flag
from .parts import DeviceOptions, ExecutorOptions, ImageOptions, PrintingOptions, SpaceOptions


@dataclass(frozen=True, kw_only=True)
class TrainedImageOptions(ImageOptions):
    """Images to train and to test on."""

    dataset: Annotated[  # pyright: ignore[reportIncompatibleVariableOverride]
        DatasetName | None,
        tyro.conf.arg(help_behavior_hint="(default: digits, or that of the run of --best)"),
    ] = None

    n_train: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all)")
    ] = None
    """Images of the training set."""

    n_test: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all)")
    ] = None
    """Images of the test set."""


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How networks are trained; Python's names and defaults are those of TrainingSettings."""

    width: int = 8
    """Channels of a weight layer of relative width 1."""

    optimizer: Annotated[
        Literal["sgd", "adam"],
        tyro.conf.arg(help="SGD with Nesterov momentum, or AdamW; both with a cosine schedule."),
    ] = "sgd"

    learning_rate: float = 0.05
    """At the first step."""

    momentum: float = 0.9
    """Of SGD."""

    weight_decay: float = 5e-4
    """Of all weights and biases."""

    batch_size: int = 50
    """Images of a step."""

    epochs: int = 10
    """Passes over the training images."""

    steps: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: of the epochs)")
    ] = None
    """Steps of the optimiser, in place of epochs."""

    augment: Annotated[
        Flag, tyro.conf.arg(help="Mirror images, and crop them out of themselves, at random.")
    ] = False

    seeds: int = 3
    """How many networks, which differ in their first weights and in their batches."""


@dataclass(frozen=True, kw_only=True)
class TrainOutputOptions(PrintingOptions):
    """Where a training is written, and how it begins."""

    output: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="Run folder for curve.csv, curve.png, metrics.json and checkpoint.npz, which has "
            "the weights of all seeds.",
            help_behavior_hint="(default: next runs/train-DATASET-N)",
        ),
    ] = None

    export: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="New folder for the network of the first seed: network.json, weights.npz, and "
            "load.py, whose few lines read them with flax.",
            help_behavior_hint="(default: none)",
        ),
    ] = None

    resume: Annotated[
        Flag,
        tyro.conf.arg(help="Go on with the run folder (without --output: the last numbered one)."),
    ] = False

    yes: Flag = False
    """Begin without asking what takes more than 10 minutes."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions(
    ExecutorOptions,
    DeviceOptions,
    TrainOutputOptions,
    RecipeOptions,
    TrainedImageOptions,
    SpaceOptions,
):
    """Train finite networks of one architecture, several seeds at once.

    A few steps are timed first, to say what the training will take. Killed at any moment, the same
    command with --resume goes on, and ends with the same weights.
    """

    architecture: Annotated[tyro.conf.Positional[str | None], NETWORK] = None

    best: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="RUN",
            help="Train the best candidates of a finished run folder of kernas search or kernas "
            "rank in place of one network, each into a folder of its own; --export is of the one "
            "whose test accuracy is the highest.",
            help_behavior_hint="(default: none)",
        ),
    ] = None

    top: int = 3
    """How many of them."""
