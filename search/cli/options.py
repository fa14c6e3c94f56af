"""Options of the subcommands. Nothing heavy is imported here, so that help comes at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kernas.published import PUBLISHED

from ..default_score import DEFAULT_SCORES

Device = Literal["auto", "cpu", "gpu", "tpu"]
Dtype = Literal["float32", "float64"]
DatasetName = Annotated[
    str,
    tyro.conf.arg(
        metavar="NAME|PATH",
        help=f"{', '.join(PUBLISHED)}, or the path of an .npz with x and y, or of a folder of "
        "images by class. `kernas data verify` shows which are there.",
    ),
]
Resize = Annotated[
    Literal["crop", "pad", "stretch"] | None,
    tyro.conf.arg(
        help="How images of another shape come to --image-size: cut to their middle, between black "
        "borders, or distorted.",
        help_behavior_hint="(default: a folder's images of different sizes crop, others stretch)",
    ),
]
Augment = Annotated[
    tuple[Literal["flip", "translate"], ...],
    tyro.conf.arg(
        help="Regress on transformed copies too, by the kernel's mean over them: mirror images, "
        "and all shifts around the edges of a circular network.",
        help_behavior_hint="(default: none)",
    ),
]


Backend = Annotated[
    Literal["kernas", "neural-tangents"],
    tyro.conf.arg(
        help="What computes the kernels. neural-tangents refuses networks that normalise over a "
        "batch and those that add correlated branches."
    ),
]


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """What decides the networks that cell strings stand for."""

    space: Literal["nasbench201"] = "nasbench201"
    """The search space that cell strings belong to."""

    cells: int = 1
    """Cells in each of the three stages of the skeleton (published: 5)."""

    center: bool = True
    """Whether normalisation subtracts the mean, as batch normalisation does."""

    reduction: Annotated[
        Literal["residual", "pool"],
        tyro.conf.arg(
            help="What halves the image between stages: the published residual block, or a pool "
            "and a 1x1 convolution."
        ),
    ] = "residual"

    normalize: Annotated[
        Literal["batch", "layer", "none"],
        tyro.conf.arg(
            help="What cells normalise over: the batch, as published, the channels of every "
            "pixel, or nothing."
        ),
    ] = "batch"

    readout: Annotated[
        str,
        tyro.conf.arg(
            metavar="gap|lap:C|flatten",
            help="What a cell's network reads of its last image: the mean over pixels, as "
            "published, means over windows of 2 C + 1 pixels, or every pixel.",
        ),
    ] = "gap"

    padding: Annotated[
        Literal["zero", "circular"],
        tyro.conf.arg(help="Edges of the cells' windows: zero, as published, or around the image."),
    ] = "zero"


@dataclass(frozen=True)
class RankOptions(SpaceOptions):
    """Rank architectures by the kernels of their infinitely wide networks, without training.

    Without options, NAS-Bench-201 cells are ranked on scikit-learn's digits: no download.

    Typical calls:
      kernas rank --sample 50 --score nngp:loo_error,ntk:loo_error --output runs/digits
      kernas rank --dataset cifar10 --truth nasbench201 --sample 100 --n-validation 200
      kernas rank --dataset images.npz --image-size 16 --architectures cells.txt network.json
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
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 8, or a file's stored size)"),
    ] = None
    """Side in pixels that images are resized to by area averaging."""

    resize: Resize = None

    n_train: int = 50
    """Images of the regression."""

    n_validation: int = 200
    """Further images of the training set for the validation scores; 0 if there are none."""

    n_reference: int = 32
    """Images of the regression that batch normalisation has its statistics from."""

    augment: Augment = ()

    backend: Backend = "kernas"

    seed: int = 0
    """Fixes the sample, the images, the reference images and the bootstrap."""

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
    """No progress bar."""


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

    Typical calls:
      kernas gram --architecture network.json --n 1000 --store grams/digits
      kernas gram --architecture network.json --dataset cifar10 --image-size 16 --n 4000
        --get ntk --store grams/cifar --yes
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

    Typical calls:
      kernas fit --model models/digits --n 1000 --yes
      kernas fit --model models/clothes --dataset fashion_mnist --n 4000 --ridge 1e-3 --yes
      kernas fit --model models/cell --architecture network.json --dataset cifar10 --image-size 8
        --n 500 --get nngp
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


@dataclass(frozen=True)
class PredictOptions:
    """Predict classes with a model of kernas fit, and write them into a CSV file.

    Images are resized and standardised as those that the model was fitted to. Of the data set that
    it was fitted to, those are taken that it has not seen.

    Typical calls:
      kernas predict models/digits
      kernas predict models/clothes --n 2000 --output clothes.csv
      kernas predict models/clothes --images photos.npy
    """

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

    images: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npy")] = None
    """Images without labels, (n, height, width) or (n, height, width, channels), instead."""

    n: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all)")] = (
        None
    )
    """How many images of the data set, the classes balanced."""

    output: Annotated[Path, tyro.conf.arg(metavar="PATH")] = Path("predictions.csv")
    """The file to write, which must not exist."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object and nothing else on stdout."""

    device: Device = "auto"
    """Where to compute."""

    compilation_cache: bool = True
    """Whether compiled programs are kept in the user's cache folder."""

    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """No progress bar."""


@dataclass(frozen=True)
class FetchOptions:
    """Download the published files of a data set, compared with their published SHA-256.

    A file that is there and whole is not downloaded again, and none is left half written.

    Typical calls:
      kernas data fetch cifar10
      kernas data fetch mnist --folder data
    """

    name: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(
            metavar="NAME",
            help=f"{', '.join(name for name, known in PUBLISHED.items() if known.files)}.",
        ),
    ]

    folder: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="Folder of all data.",
            help_behavior_hint="(default: $KERNAS_DATA, or else the cache folder)",
        ),
    ] = None

    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """No progress bar."""


@dataclass(frozen=True)
class VerifyOptions:
    """Read data sets as a whole: where they lie, how many images and classes, what is damaged.

    The exit code is 1 if one is damaged, or if one that was named is absent.

    Typical calls:
      kernas data verify
      kernas data verify cifar10 mnist --json
    """

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="[NAME ...]",
            help=f"{', '.join(PUBLISHED)}.",
            help_behavior_hint="(default: all)",
        ),
    ] = ()

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON list and nothing else on stdout."""


@dataclass(frozen=True)
class DataOptions:
    """Fetch and verify the data sets that are known by name."""

    action: tyro.conf.OmitArgPrefixes[
        Annotated[FetchOptions, tyro.conf.subcommand("fetch", prefix_name=False)]
        | Annotated[VerifyOptions, tyro.conf.subcommand("verify", prefix_name=False)]
    ]


@dataclass(frozen=True)
class ExplainOptions(SpaceOptions):
    """Show what the kernel of a network is made of, node by node, and why one is refused.

    Typical calls:
      kernas explain "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|none~1|none~2|"
      kernas explain network.json --image-size 32 --channels 3
    """

    architecture: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CELL|FILE")]
    """A cell string, or a .json file written with Architecture.to_json()."""

    image_size: int = 8
    """Side of the images in pixels; 0 for vectors."""

    channels: int = 3
    """Channels of an image, or features of a vector."""


@dataclass(frozen=True)
class PlanOptions(ExplainOptions):
    """Show what a kernel computes for a pair of images and what that costs; computes nothing.

    A short measurement of the device comes first, once.

    Typical calls:
      kernas plan network.json --image-size 32
      kernas plan network.json --image-size 32 --get nngp --augment flip
    """

    get: Literal["nngp", "ntk"] = "ntk"
    """The kernel."""

    augment: Augment = ()
