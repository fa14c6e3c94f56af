"""Options of ``kernas rank``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...default_score import DEFAULT_SCORES
from .arguments import Augment, Backend, DatasetName, Device, Dtype, Resize
from .space import SpaceOptions

OwnSeed = Annotated[
    int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: --seed)")
]


@dataclass(frozen=True)
class RankOptions(SpaceOptions):
    """Rank architectures by the kernels of their infinitely wide networks, without training.

    Without options, NAS-Bench-201 cells are ranked on scikit-learn's digits: no download.
    """

    dataset: DatasetName = "digits"

    sample: int = 100
    """How many cells to draw, no two of them the same network."""

    architectures: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="CELL|FILE",
            help="Rank these instead of a sample: cells by their string, by NASLib's tuple "
            "'(4, 0, 3, 1, 4, 3)' or by their number in the published table, .json architectures, "
            "or text files with one cell a line.",
            help_behavior_hint="(default: a sample)",
        ),
    ] = ()

    truth: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Measured accuracies to compare with: nasbench201, or the path of an .npz table."""

    truth_column: str = "test_cifar10"
    """The table's column."""

    score: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME,...",
            help="Comma-separated scores, the first one ranks: nngp: or ntk: followed by "
            "validation_accuracy, validation_error, loo_accuracy, loo_error, evidence, alignment "
            "or condition.",
        ),
    ] = DEFAULT_SCORES

    ridge: float = 1e-2
    """Ridge relative to the kernel's mean diagonal."""

    image_size: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 8; smaller images keep theirs)"),
    ] = None
    """Side in pixels that images are resized to by area averaging. A multiple of 4 for cells."""

    resize: Resize = None

    n_train: int = 50
    """Images of the regression."""

    n_validation: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 200, or all that are left)"),
    ] = None
    """Further images of the training set for the validation scores; 0 if there are none."""

    n_reference: int = 32
    """Images of the regression that batch normalisation has its statistics from."""

    augment: Augment = ()

    backend: Backend = "kernas"

    seed: int = 0
    """Fixes the sample, the images, the reference images and the bootstrap, but for those that have
    a seed of their own."""

    cell_seed: OwnSeed = None
    """Fixes the sample of cells."""

    image_seed: OwnSeed = None
    """Fixes the images of the regression and of the validation, and the reference images."""

    bootstrap_seed: OwnSeed = None
    """Fixes the intervals of the agreement with the truth."""

    image_seeds: int = 1
    """Draws of the images: every score is the mean over so many, those of the image seed and of the
    numbers that follow it, and its error the deviation of the draws over the root of their
    number."""

    output: Annotated[
        Path | None,
        tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: next runs/rank-DATASET-N)"),
    ] = None
    """Run folder for ranking.csv, timings.csv, summary.json and pictures: ranking.png, the best
    candidates; scores.png, with two scores or more; truth.png, with a truth."""

    grams: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: none kept)")
    ] = None
    """Folder that keeps every candidate's kernel matrices; a later run with another ridge, or with
    other scores of the same kernels, reads them instead of computing them."""

    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the run folder (without --output: the last numbered one)."""

    yes: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Begin without asking what takes more than 10 minutes."""

    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Say what the ranking will take, and neither compute nor write anything."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object and nothing else on stdout."""

    device: Device = "auto"
    """Where to compute."""

    dtype: Dtype = "float32"
    """Floating-point type of the kernels; the regression is always float64."""

    compilation_cache: bool = True
    """Whether compiled programs are kept in the user's cache folder, so that a later run with
    images of the same size starts at once."""

    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """No progress bar, no estimate before, and no word on images that are resized."""
