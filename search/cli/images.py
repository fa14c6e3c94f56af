"""From the options of ``kernas rank`` to images, and to scores on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kernas.errors import ConfigurationError, DataError

from ..defaults import N_VALIDATION
from .options import DrawnImageOptions, RankOptions, SearchOptions
from .printing import tell

if TYPE_CHECKING:
    from kernas.kernels.data import Dataset

    from ..scores import Combined, Score
    from ..spaces import Candidate

DEFAULT_SIDE = 8
"""Pixels to which larger images are resized unless the options say otherwise."""


class Images(NamedTuple):
    """The images of the regression, and those of the validation if there are any."""

    fit: Dataset
    validation: Dataset | None

    @property
    def n_validation(self) -> int:
        """Images of the validation."""
        return 0 if self.validation is None else len(self.validation)


def image_seeds(options: DrawnImageOptions) -> range:
    """The seed of each draw of the images.

    Raises:
        ConfigurationError: there is to be no draw.
    """
    if options.image_seeds < 1:
        raise ConfigurationError(
            f"--image-seeds {options.image_seeds}: expected a number of draws, 1 or more"
        )
    first = options.seed if options.image_seed is None else options.image_seed
    return range(first, first + options.image_seeds)


def read_images(options: DrawnImageOptions, seed: int) -> Images:
    """The images of one draw.

    Raises:
        ConfigurationError: a number is out of its range; the message names the option.
        DataError: the data set cannot be read.
    """
    n_train, n_validation = options.n_train, options.n_validation
    if n_train < 1 or (n_validation or 0) < 0:
        name, value = ("--n-train", n_train) if n_train < 1 else ("--n-validation", n_validation)
        raise ConfigurationError(f"{name} {value}: expected a number of images, for example 100")
    wanted = N_VALIDATION if n_validation is None else n_validation
    try:
        train = _loaded(options, n_train + wanted, seed)
    except ConfigurationError as error:
        train = _loaded(options, None, seed)  # which refuses what no number mends
        if n_validation is not None or n_train >= len(train):
            raise ConfigurationError(
                f"--dataset {options.dataset} with --n-train {n_train} and --n-validation "
                f"{wanted}, {n_train + wanted} images in all: {error}"
            ) from None
    if n_train < train.n_classes:
        raise ConfigurationError(
            f"--n-train {n_train} for the {train.n_classes} classes of {train.name}: expected at "
            f"least one image of each, --n-train {train.n_classes} or more"
        )
    if len(train) == n_train:
        return Images(train.standardized(train), None)
    fit, validation = train.split(n_train / len(train), seed=seed)
    return Images(fit.standardized(fit), validation.standardized(fit))


def halves(options: DrawnImageOptions, seed: int) -> tuple[Dataset, Dataset]:
    """All training images in two halves: for strategies that train on the one, and judge by the
    other.

    Raises:
        DataError: the data set cannot be read.
    """
    train, judged = _loaded(options, None, seed).split(0.5, seed=seed)
    return train.standardized(train), judged.standardized(train)


def _loaded(options: DrawnImageOptions, n: int | None, seed: int) -> Dataset:
    """So many images of the training set, or all of them, as they are stored or smaller."""
    from kernas.kernels.data import load
    from kernas.kernels.data.known import known_name

    size, largest = options.image_size, None
    if size is None and known_name(options.dataset) is not None:
        size = DEFAULT_SIDE
    elif size is None:
        largest = DEFAULT_SIDE
    train, _ = load(
        options.dataset,
        n_train=n,
        n_test=1,
        image_size=size,
        resize=options.resize,
        seed=seed,
        standardize=False,
        largest_side=largest,
    )
    return train


def say_resized(fit: Dataset) -> None:
    """Tell the user what became of images of which no size was asked for."""
    if "resized_from" not in fit.info:
        return
    stored, (height, width) = fit.info["resized_from"], fit.input_shape[:2]
    images = "images of different sizes" if stored is None else f"{stored[0]}×{stored[1]} images"
    tell(f"{fit.name}: {images} are resized to {height}×{width}; --image-size chooses another")


def check_images(
    candidates: Sequence[Candidate], fit: Dataset, augment: Sequence[str] = ()
) -> None:
    """Refuse images that the spaces of the candidates, or augmentations, cannot take.

    Raises:
        ConfigurationError, DataError: the message says which images they take.
    """
    if augment and len(fit.input_shape) != 3:
        raise ConfigurationError(
            f"--augment {' '.join(augment)}: {fit.name} has inputs of shape {fit.input_shape}, "
            "expected images (height, width, channels); leave --augment out"
        )
    for space in dict.fromkeys(candidate.space for candidate in candidates):
        try:
            space.check_shape(fit.input_shape)
        except DataError as error:
            raise DataError(f"{fit.name} has {error}") from None


def scores_on(
    options: RankOptions | SearchOptions,
    names: str,
    draws: Sequence[Images],
    grams: Path | None = None,
) -> tuple[Score | Combined, ...]:
    """The scores of some names, their means where they differ between draws of the images.

    Args:
        options: how they are computed.
        names: comma-separated.
        draws: of the images, one for each seed.
        grams: a folder that keeps matrices.

    Raises:
        ConfigurationError: an option is out of its range.
        MissingDependencyError: the backend is not installed.
    """
    from ..scores import MeanScore, Score

    of_draws = [
        _scores_of_draw(options, names, images, seed, grams)
        for images, seed in zip(draws, image_seeds(options), strict=True)
    ]
    found: list[Score | Combined] = []
    for first, *others in zip(*of_draws, strict=True):
        own = [score for score in (first, *others) if isinstance(score, Score)]
        found.append(MeanScore(own) if len({score.source for score in own}) > 1 else first)
    return tuple(found)


def _scores_of_draw(
    options: RankOptions | SearchOptions, names: str, images: Images, seed: int, grams: Path | None
) -> tuple[Score | Combined, ...]:
    from kernas.kernels.augmentation import named

    from ..scores.registry import parse_scores

    if grams is not None and options.image_seeds > 1:
        grams = grams / f"images-{seed}"  # a store holds the matrix of one draw
    return parse_scores(
        names,
        images.fit,
        images.validation,
        ridge=options.ridge,
        n_reference=options.n_reference,
        reference_seed=seed,
        grams=grams,
        backend=options.backend,
        augment=named(options.augment),
        width=options.width,
        batch_size=options.batch_size,
        repeats=options.repeats,
        seed=seed,
    )
