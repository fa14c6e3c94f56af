"""Options of ``kernas rank``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...defaults import (
    DEFAULT_SCORES,
    N_VALIDATION,
    PRESETS,
    SHIPPED_SPACE,
    SHIPPED_TRUTH,
    SPACE,
    TRUTH,
)
from .arguments import DatasetName, Flag, ImageSize, Quiet
from .parts import (
    ComputingOptions,
    EvaluatingOptions,
    ImageOptions,
    KernelOptions,
    PrintingOptions,
    SpaceOptions,
)


def described(name: str) -> str:
    """A preset's figures."""
    preset = PRESETS[name]
    return f"{name} Spearman {preset.spearman} in {preset.seconds} s each"


OwnSeed = Annotated[
    int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: --seed)")
]


@dataclass(frozen=True, kw_only=True)
class SearchedSpaceOptions(SpaceOptions):
    """The space whose candidates are scored."""

    space: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME[:FIELD=VALUE,...]",
            help=f"The search space and its fields, such as {SHIPPED_SPACE}; `kernas spaces` lists "
            "them. Your own Space is MODULE:NAME.",
            help_behavior_hint=f"(default: {SPACE}; of {SHIPPED_TRUTH} {SHIPPED_SPACE})",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CandidateOptions(SearchedSpaceOptions):
    """What is ranked."""

    sample: int = 100
    """How many candidates to draw, no two of them the same network."""

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

    cell_seed: OwnSeed = None
    """Fixes the sample of candidates."""


@dataclass(frozen=True, kw_only=True)
class TruthOptions:
    """What candidates are compared with."""

    truth: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME|FILE",
            help=f"Measured accuracies to compare with: {SHIPPED_TRUTH}, which comes with kernas, "
            f"{TRUTH}, the path of an .npz table, or none. Of {SHIPPED_TRUTH} a sample is drawn "
            "from those that were measured.",
            help_behavior_hint=f"(default: {SHIPPED_TRUTH} with its images and space, else none)",
        ),
    ] = None

    truth_column: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help="The table's column.",
            help_behavior_hint=f"(default: test_cifar10, and of {SHIPPED_TRUTH} accuracy)",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ScoreSettingOptions:
    """How scores are computed."""

    ridge: float = 1e-2
    """Ridge relative to the kernel's mean diagonal."""

    width: int = 16
    """Channels of the finite networks: those that are counted, drawn for proxies, or trained."""

    repeats: int = 3
    """Networks that a proxy is the mean of."""

    batch_size: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="INT",
            help="Images of the regression that are a proxy's batch.",
            help_behavior_hint="(default: 32, or half of them)",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(TruthOptions, ScoreSettingOptions):
    """What candidates are ranked by."""

    score: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME,...",
            help="Comma-separated scores, the first one ranks: `kernas scores` lists them. "
            "ntk:gcv@cosine and ntk:gcv@centred read the kernel's cosines and the centred kernel. "
            "log_rank(ntk:loo_error, 2*params) combines the ranks of some, with their weights; all "
            "is every other one that trains nothing. fast, validation and best were chosen by how "
            "they rank, and agree with the accuracy of 1,000 other cells of NAS-Bench-201: "
            f"{', '.join(map(described, PRESETS))}. In DARTS params and depth rank better.",
        ),
    ] = DEFAULT_SCORES

    bootstrap_seed: OwnSeed = None
    """Fixes the intervals of the agreement with the truth."""


@dataclass(frozen=True, kw_only=True)
class DrawnImageOptions(ImageOptions):
    """Images of the regression and of the validation, in one draw or in several."""

    dataset: DatasetName = SHIPPED_TRUTH

    image_size: Annotated[
        ImageSize, tyro.conf.arg(help_behavior_hint="(default: 8; smaller images keep theirs)")
    ] = None

    n_train: int = 50
    """Images of the regression."""

    n_validation: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="INT", help_behavior_hint=f"(default: {N_VALIDATION}, or all that are left)"
        ),
    ] = None
    """Further images of the training set for the validation scores; 0 if there are none."""

    image_seed: OwnSeed = None
    """Fixes the images of the regression and of the validation, and the reference images."""

    image_seeds: Annotated[
        int,
        tyro.conf.arg(
            help="Draws of the images: every score is the mean over so many, those of the image "
            "seed and of the numbers that follow it, and its error the deviation of the draws over "
            "the root of their number."
        ),
    ] = 1


@dataclass(frozen=True, kw_only=True)
class RunOptions(EvaluatingOptions, PrintingOptions):
    """Where a ranking is written, and how it begins."""

    output: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="Run folder for ranking.csv, timings.csv, summary.json and pictures: ranking.png, "
            "the best candidates; scores.png and agreement.png, of several scores; truth.png, "
            "fidelity.png and comparison.csv, with a truth.",
            help_behavior_hint="(default: next runs/rank-DATASET-N)",
        ),
    ] = None

    grams: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="Folder that keeps every candidate's kernel matrices; a later run with another "
            "ridge, or with other scores of the same kernels, reads them instead of computing "
            "them.",
            help_behavior_hint="(default: none kept)",
        ),
    ] = None

    resume: Annotated[
        Flag,
        tyro.conf.arg(
            help="Go on with the run folder (without --output: the last numbered one), perhaps "
            "with a larger --sample, more scores or another truth; another process may be at it."
        ),
    ] = False

    dry_run: Flag = False
    """Say what the ranking will take, and neither compute nor write anything."""

    quiet: Annotated[
        Quiet,
        tyro.conf.arg(
            help="No progress bar, no estimate before, and no word on images that are resized."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class RankOptions(
    ComputingOptions, RunOptions, KernelOptions, DrawnImageOptions, ScoreOptions, CandidateOptions
):
    """Rank architectures by the kernels of their infinitely wide networks, without training.

    Without options, cells are ranked on digits that come with kernas, and the ranking is compared
    with the accuracies of the same cells, trained: no download.
    """
