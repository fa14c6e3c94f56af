"""From a name to a training and a test set, ready for a kernel."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from kernas.arrays import read_npy
from kernas.errors import ConfigurationError, DataError
from kernas.files import user_path

from .checks import check_images, check_integer, inputs_of
from .dataset import Dataset
from .known import read_source
from .preprocessing import (
    Resize,
    check_resize,
    fit_standardization,
    resized,
    size_pair,
    target_size,
    to_float,
)
from .source import Source
from .subsets import balanced_order, proportional_split


def load(
    name: str | os.PathLike[str],
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    resize: Resize | None = None,
    seed: int = 0,
    standardize: bool = True,
    largest_side: int | None = None,
) -> tuple[Dataset, Dataset]:
    """A training and a test set: class-balanced subsets, resized, standardised.

    The classes' counts differ by at most one in each set; where a class has too few images, the
    others fill in evenly. With one seed, a smaller set is the beginning of a larger one.

    A data set without a test part of its own (digits, a file with ``x`` and ``y``) is divided by
    the seed, each class in the proportion of ``n_train`` to ``n_test``; the first images of either
    set do not depend on the size of the other as long as no class is used up.

    Args:
        name: a known data set: ``"digits"``, which comes with scikit-learn, ``"digits_hard"``, made
            of it; ``"cifar10"``, ``"cifar100"``, ``"cifar100_coarse"``, ``"mnist"``,
            ``"fashion_mnist"`` or ``"imagenet16-120"``, read from the folder that ``KERNAS_DATA``
            names or else from the cache folder. Or the path of an ``.npz`` file with arrays ``x``
            and ``y``, or ``x_train``, ``y_train``, ``x_test`` and ``y_test``. Or the path of a
            folder of images by class, ``CLASS/image.png``, or with parts, ``train/CLASS/image.png``
            and ``test/CLASS/image.png`` (or ``val/…``, as in ImageNet). Or a synthetic set with its
            fields, ``"hypersphere:d=4,degree=2,n=400,seed=0"``, ``"circle:degree=2,n=400"`` or
            ``"hypercube:d=10,degree=2"``: vectors in two classes, ``positive`` where the target
            function of that degree is ≥ 0 (see :func:`~kernas.kernels.hypersphere`), else
            ``negative``. Where a folder has a data set in several forms, its published files are
            read rather than an ``.npz``: they are the whole data set. ``info["source"]`` says which
            was read. Nothing is ever unpickled. A folder that has the name of a known or synthetic
            data set is written ``"./mnist"``. Signals are ``"rows:of=digits"``, images read row by
            row, and ``"text:path=FILE,length=16"``, windows of a text (see
            :class:`~kernas.kernels.data.signals.Text`), or an ``.npz`` with ``signals=True`` beside
            ``x`` of shape ``(n, length, channels)``.
        n_train: number of training images, at least one of each class; ``None`` takes all that the
            test set leaves.
        n_test: number of test images, >= 1; ``None`` takes all that the training set leaves. If
            both are ``None`` and there is no test part, a third is for the test.
        image_size: side of the resized images in pixels, or (height, width), at most the stored
            one; ``None`` keeps it, and refuses a folder whose images differ in size.
        resize: how images of another aspect ratio come to that of ``image_size`` before they are
            made smaller by area averaging: ``"crop"`` takes the largest centred part that has it
            (the shorter side is scaled to its length, the ends of the longer one are cut off),
            ``"pad"`` adds black borders, ``"stretch"`` distorts. ``None`` crops the images of a
            folder that differ in size, and stretches images that have one; ``info["resize"]``
            says so where images were not stretched.
        seed: which images, >= 0.
        standardize: whether to subtract the mean and divide by the standard deviation of the
            training images, per channel (per feature for vectors). Pixels stored as bytes are in
            [0, 1] before.
        largest_side: instead of ``image_size``, that of images that are larger: they become squares
            of this side, or of their shorter side where that is less. Images of which no side is
            longer stay as they are, and so do vectors; ``info["resized_from"]`` is the size of
            those that do not, ``None`` if they had several.

    Returns:
        The training and the test :class:`Dataset`.

    Raises:
        ConfigurationError: an unknown name, sizes or a seed out of range.
        DataError: a file is missing or damaged, or its arrays are not a labelled data set.

    >>> train, test = load("digits", n_train=200, n_test=100)
    >>> train.x.shape, test.x.shape
    ((200, 8, 8, 1), (100, 8, 8, 1))
    """
    seed = check_integer(seed, "seed", 0)
    for option, value in (("n_train", n_train), ("n_test", n_test)):
        if value is not None:
            check_integer(value, option, 1)
    if largest_side is not None:
        check_integer(largest_side, "largest_side", 1)
        if image_size is not None:
            raise ConfigurationError(
                f"image_size={image_size!r} and largest_side={largest_side}: expected one of them"
            )
    asked = largest_side if image_size is None else image_size
    source, classes, how = _read(name, asked, resize)
    shape = source.x.shape[1:]
    if largest_side is not None:
        image_size = _reduced(shape, largest_side)
    size = target_size(image_size, shape, how)
    if n_train is not None and n_train < len(classes):
        raise ConfigurationError(
            f"n_train={n_train} for the {len(classes)} classes of {source.name}: expected at least "
            f"one image of each; use n_train={len(classes)} or more"
        )
    train_indices, test_indices = _choose(source, n_train, n_test, seed)
    if source.x_test is None or source.y_test is None:
        x_test, y_test = source.x[test_indices], source.y[test_indices]
    else:
        x_test, y_test = source.x_test[test_indices], source.y_test[test_indices]
    x_train, y_train = source.x[train_indices], source.y[train_indices]

    x_train, x_test = _resized(x_train, size, how), _resized(x_test, size, how)
    fitted = fit_standardization(x_train) if standardize else None
    if fitted is not None:
        x_train, x_test = fitted.apply(x_train), fitted.apply(x_test)
    info = {
        "source": source.origin,
        "seed": seed,
        "input_shape": list(x_train.shape[1:]),
        "standardized": fitted is not None,
        **_said(how),
        **_said_of_reduction(source, largest_side, size),
    }
    train, test = (
        Dataset(x, y, classes, source.name, {**info, "part": part, "n_loaded": len(y)}, fitted)
        for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test))
    )
    return train, test


def load_unseen(
    name: str | os.PathLike[str],
    *,
    n: int | None = None,
    n_seen: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    resize: Resize | None = None,
    seed: int = 0,
) -> Dataset:
    """Images to predict at: the test part of a data set, or where it has none what was not seen.

    Args:
        name: as for :func:`load`.
        n: how many, the classes balanced; ``None`` for all, in their own order.
        n_seen: of a data set without a test part, the training images of
            ``load(name, n_train=n_seen, n_test=1, seed=seed)`` are left out; ``None`` if none of
            its images were seen.
        image_size, resize: as for :func:`load`.
        seed: which images were seen, and which are taken, if not all.

    Raises:
        ConfigurationError: a number out of range, or more images than there are.
        DataError: as for :func:`load`.
    """
    seed = check_integer(seed, "seed", 0)
    source, classes, how = _read(name, image_size, resize)
    x, y = source.x_test, source.y_test
    if x is None or y is None:
        x, y = source.x, source.y
        if n_seen is not None:
            seen, _ = _choose(source, check_integer(n_seen, "n_seen", 1), 1, seed)
            x, y = np.delete(x, seen, axis=0), np.delete(y, seen)
    if n is not None:
        if check_integer(n, "n", 1) > len(y):
            raise ConfigurationError(
                f"n={n} but {source.name} has {len(y)} unseen images; use n={len(y)} or less"
            )
        chosen = balanced_order(y, seed)[:n]
        x, y = x[chosen], y[chosen]
    info = {"source": source.origin, "seed": seed, "n_loaded": len(y), **_said(how)}
    x = _resized(x, target_size(image_size, x.shape[1:], how), how)
    return Dataset(x, y, classes, source.name, info)


def read_images(
    path: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    resize: Resize | None = None,
    signals: bool = False,
) -> np.ndarray:
    """Images without labels from an ``.npy`` file, as floats; bytes are in [0, 1] then.

    Args:
        path: of the file.
        image_size, resize: as for :func:`load`.
        signals: whether three axes are those of signals, and not of grey images.

    Raises:
        DataError: no such file, not an array of images, or one with NaN.
        ConfigurationError: an image size out of range.
    """
    array = read_npy(user_path(path), way_out="write it with numpy.save(path, images)")
    x = check_images(array, f"the array of {os.fspath(path)}", signals=signals)
    check_resize(resize, image_size)
    how = resize or "stretch"
    return _resized(x, target_size(image_size, x.shape[1:], how), how)


def _read(
    name: str | os.PathLike[str],
    image_size: int | tuple[int, int] | None,
    resize: Resize | None,
) -> tuple[Source, tuple[str, ...], Resize]:
    """A data set, its classes, and how its images come to an aspect ratio."""
    check_resize(resize, image_size)
    source, classes = number_classes(read_source(name, size_pair(image_size), resize))
    if resize is not None and source.x.ndim < 4:
        raise ConfigurationError(
            f"resize={resize!r} for {inputs_of(source.x.shape[1:])}: only images of shape "
            "(height, width[, channels]) can be resized; leave resize out"
        )
    return source, classes, source.resize or resize or "stretch"


def _said(resize: Resize) -> dict[str, str]:
    """What the record of the data says of resizing; of stretching nothing, as it always did."""
    return {} if resize == "stretch" else {"resize": resize}


def _reduced(shape: tuple[int, ...], largest_side: int) -> int | None:
    """The side of images of a shape that are to be no larger, ``None`` if they stay as they are."""
    if len(shape) != 3 or max(shape[:2]) <= largest_side:
        return None
    return min(largest_side, *shape[:2])


def _said_of_reduction(
    source: Source, largest_side: int | None, size: tuple[int, int] | None
) -> dict[str, Any]:
    """What the record of the data says of images that were too large."""
    if largest_side is None:
        return {}
    if source.resize is not None:  # of different sizes, and resized as they were read
        return {"resized_from": None}
    return {} if size is None else {"resized_from": list(source.x.shape[1:3])}


def _resized(x: np.ndarray, size: tuple[int, int] | None, resize: Resize) -> np.ndarray:
    """Images as floats, of a size in pixels or of their own."""
    x = to_float(x)
    return x if size is None else resized(x, size, resize)


def number_classes(source: Source) -> tuple[Source, tuple[str, ...]]:
    """Labels become indices 0 … C−1 of the classes that occur in training, in their order.

    Raises:
        DataError: one class only, a test label that training lacks, or a class without its name.
    """
    present, y = np.unique(source.y, return_inverse=True)
    if len(present) < 2:
        raise DataError(
            f"all {len(source.y)} labels of {source.name} are {present[0]}: expected at least two "
            "classes to tell apart"
        )
    y_test = source.y_test
    if y_test is not None:
        strange = np.setdiff1d(y_test, present)
        if len(strange):
            raise DataError(
                f"test label {strange[0]} of {source.name} is in no training label: expected the "
                "classes of training only"
            )
        y_test = np.searchsorted(present, y_test)
    names = source.class_names
    if names is None:
        classes = tuple(str(label) for label in present)
    elif present[0] >= 0 and present[-1] < len(names):
        classes = tuple(names[label] for label in present)
    else:
        raise DataError(
            f"labels of {source.name} lie in {present[0]} … {present[-1]} but there are "
            f"{len(names)} class names: expected labels 0 … {len(names) - 1}"
        )
    return replace(source, y=y, y_test=y_test, class_names=None), classes


def _choose(
    source: Source, n_train: int | None, n_test: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and of the test images in their arrays.

    Raises:
        ConfigurationError: more images are asked for than there are.
    """
    n = len(source.y)
    if source.y_test is not None:
        available = {"n_train": (n_train, n), "n_test": (n_test, len(source.y_test))}
        for option, (value, most) in available.items():
            if value is not None and value > most:
                part = option.removeprefix("n_").replace("train", "training")
                raise ConfigurationError(
                    f"{option}={value} but {source.name} has {most} {part} images; use "
                    f"{option}={most} or less"
                )
        train = balanced_order(source.y, seed)[:n_train]
        return train, balanced_order(source.y_test, seed)[:n_test]
    if n_test is None:
        n_test = n - n_train if n_train is not None else max(1, n // 3)
    if n_train is None:
        n_train = n - n_test
    if n_train < 1 or n_test < 1 or n_train + n_test > n:
        raise ConfigurationError(
            f"n_train={n_train} and n_test={n_test} but {source.name} has {n} images for both; use "
            f"sizes >= 1 whose sum is at most {n}"
        )
    # The pool is divided whole; each set then takes the beginning of its part.
    share = Fraction(n_test, n_train + n_test)
    test, train = proportional_split(source.y, share, seed, leave_one=True)
    return train[:n_train], test[:n_test]
