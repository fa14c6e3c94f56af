"""A folder of images by class, read through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernas.errors import DataError

from .source import Source

CHANNELS = {"L": 1, "RGB": 3}
"""The modes of Pillow that are read, each with its channels of 8 bits."""


def read_image_folder(folder: Path) -> Source:
    """Images in ``folder/CLASS/…``, or in ``folder/train/CLASS/…`` and ``folder/test/CLASS/…``.

    The classes are numbered in the order of their names. All images have one size and one mode,
    grey (``L``) or colour (``RGB``), and are in memory at once. What is hidden (``.name``) and
    files beside the classes' folders are passed over.

    Raises:
        DataError: the folder has another form, a file is no image, or one differs from the others
            in size or mode; the message names it.
    """
    parts = {path.name: path for path in _folders(folder)}
    if not {"train", "test"} <= set(parts) or not _folders(parts["train"]):
        classes = tuple(parts)
        paths, labels = _list_images(folder, classes)
        return Source(folder.name, folder.name, _read_images(paths), labels, class_names=classes)
    if len(parts) > 2:
        strange = min(set(parts) - {"train", "test"})
        raise DataError(
            f"{folder} holds the folder {strange!r} beside train and test: expected these two "
            "only; move it away"
        )
    classes = tuple(path.name for path in _folders(parts["train"]))
    paths, y = _list_images(parts["train"], classes)
    test_paths, y_test = _list_images(parts["test"], classes)
    x = _read_images(paths + test_paths)
    return Source(folder.name, folder.name, x[: len(y)], y, x[len(y) :], y_test, classes)


def _list_images(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], np.ndarray]:
    """The files of a part, class by class, and their labels ``(n,)``.

    Raises:
        DataError: no class, one that is not among these, or one without a file.
    """
    found = _folders(folder)
    if not found:
        raise DataError(
            f"{folder} holds no folders: expected one for each class, with its images, such as "
            f"{folder / 'CLASS' / 'image.png'}"
        )
    paths: list[Path] = []
    labels: list[int] = []
    for place in found:
        if place.name not in classes:
            raise DataError(
                f"{place} is a class that training lacks: expected {', '.join(classes)}; add it to "
                "training, or remove it"
            )
        images = _visible(place)
        if not images:
            raise DataError(f"{place} is empty: expected the images of its class; remove it")
        paths += images
        labels += [classes.index(place.name)] * len(images)
    return paths, np.array(labels, np.int64)


def _read_images(paths: list[Path]) -> np.ndarray:
    """Pixels in uint8, shape ``(n, height, width, channels)``.

    Raises:
        DataError: an image cannot be read, or differs from the first.
    """
    first_form, first = _read_image(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    for i, path in enumerate(paths):
        form, pixels = _read_image(path)
        if form != first_form:
            raise DataError(
                f"{path} is {form}: expected {first_form}, like {paths[0]}; resize or convert it"
            )
        images[i] = pixels
    return images


def _read_image(path: Path) -> tuple[str, np.ndarray]:
    """What size and mode the image has, in words, and its pixels."""
    from PIL import Image

    if path.is_dir():
        raise DataError(f"{path} is a folder inside a class: expected images; move it away")
    try:
        with Image.open(path) as image:
            mode = image.mode
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read as an image ({error}); remove it, or write it again"
        ) from None
    if mode not in CHANNELS:
        raise DataError(
            f"{path} is an image of mode {mode}: expected {' or '.join(CHANNELS)}; convert it, for "
            "instance with Pillow's image.convert('RGB').save(path)"
        )
    height, width = pixels.shape[:2]
    return f"{height}×{width} in mode {mode}", pixels.reshape(height, width, CHANNELS[mode])


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]
