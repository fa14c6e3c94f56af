"""A folder of images by class, read through Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kernas.arrays import MAX_INFLATION, memory_bytes
from kernas.errors import DataError
from kernas.files import open_regular, user_path

from .source import Source

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The formats of Pillow that are read: those of pixels, none that runs other programs."""

CHANNELS = {"L": 1, "RGB": 3}
"""The modes of Pillow that are read, each with its channels of 8 bits."""

UNSUSPECTED_BYTES = 1 << 26
"""Of the pixels of an image, whatever the size of its file: one colour takes no space."""

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, OverflowError, MemoryError),
    *(LookupError, TypeError, AttributeError, ZeroDivisionError, struct.error, zlib.error),
)
"""What Pillow raises for files that are damaged."""


def read_image_folder(folder: Path) -> Source:
    """Images in ``folder/CLASS/…``, or in ``folder/train/CLASS/…`` and ``folder/test/CLASS/…``.

    The classes are numbered in the order of their names. Images are BMP, GIF, JPEG, PNG, PPM, TIFF
    or WebP, whatever their names, one in a file. All have one size and one mode,
    grey (``L``) or colour (``RGB``), and are in memory at once. What is hidden (``.name``) and
    files beside the classes' folders are passed over, and so is the orientation in EXIF data.

    Raises:
        DataError: the folder has another form, a file is no image, or one differs from the others
            in size or mode, or claims more pixels than its bytes can hold; the message names it.
        ConfigurationError: the name of a class is not in UTF-8.
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
        user_path(place, "folder")
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
    memory = memory_bytes()
    if len(paths) * first.nbytes > memory:
        raise DataError(
            f"{len(paths):,} images such as {paths[0]} take {len(paths) * first.nbytes:,} bytes: "
            f"expected fewer than the {memory:,} of memory here; make them smaller"
        )
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
        # Warnings are of metadata, such as EXIF that is damaged, which are not read.
        with (
            warnings.catch_warnings(action="ignore"),
            open_regular(path) as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            mode = image.mode
            _check_header(image, path, path.stat().st_size)
            pixels = np.asarray(image)
    except DataError:
        raise
    except (*DAMAGE, Image.DecompressionBombError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path} cannot be read as an image ({reason}); remove it, or write it again"
        ) from None
    height, width = pixels.shape[:2]
    return f"{height}×{width} in mode {mode}", pixels.reshape(height, width, CHANNELS[mode])


def _check_header(image: Image.Image, path: Path, size: int) -> None:
    """Refuse an image by its header, before memory is taken for its pixels.

    Raises:
        DataError: another mode, several images in one, or more pixels than the file can hold.
    """
    if image.mode not in CHANNELS:
        raise DataError(
            f"{path} is an image of mode {image.mode}: expected {' or '.join(CHANNELS)}; convert "
            "it, for instance with Pillow's image.convert('RGB').save(path)"
        )
    # The second image of an MPO, as telephones write it, is another view of the first.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise DataError(f"{path} has several images: expected one; save the one that is meant")
    nbytes = image.width * image.height * CHANNELS[image.mode]
    if nbytes > max(UNSUSPECTED_BYTES, MAX_INFLATION * size):
        raise DataError(
            f"{path} claims {image.width}×{image.height} pixels in {size:,} bytes, so it is "
            "damaged or made to fill the memory; remove it, or make it smaller"
        )


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]
