"""Options of ``kernas predict``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .parts import DeviceOptions, ExecutorOptions, PrintingOptions


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """A model, the images that it predicts at, and where the predictions go."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL")]
    """The folder of the model."""

    dataset: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME|PATH",
            help="Labelled images: a known name, an .npz, or a folder of images by class; its test "
            "part, or if there is none all that the model has not seen.",
            help_behavior_hint="(default: the model's)",
        ),
    ] = None

    images: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.npy", help_behavior_hint="(default: a data set)")
    ] = None
    """Images without labels, (n, height, width) or (n, height, width, channels), instead."""

    n: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all)")] = (
        None
    )
    """How many images of the data set, the classes balanced."""

    output: Annotated[Path, tyro.conf.arg(metavar="PATH")] = Path("predictions.csv")
    """The file to write, which must not exist."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions(ExecutorOptions, DeviceOptions, PrintingOptions, PredictionOptions):
    """Predict classes with a model of kernas fit, and write them into a CSV file.

    Images are resized and standardised as those that the model was fitted to. Of the data set that
    it was fitted to, those are taken that it has not seen.
    """
