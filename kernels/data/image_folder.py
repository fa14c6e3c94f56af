"""A folder of images by class, read through Pillow."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from kernas.arrays import MAX_INFLATION, memory_bytes
from kernas.errors import ConfigurationError, DataError
from kernas.files import open_regular, user_path

from .preprocessing import Resize, resized, target_size, to_float
from .source import Source

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

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


def read_image_folder(
    folder: Path, size: tuple[int, int] | None = None, resize: Resize | None = None
) -> Source:
    """Images in ``folder/CLASS/…``, or in ``folder/train/CLASS/…`` and ``folder/test/CLASS/…``.

    The test part may be called ``val``, as in ImageNet. The classes are numbered in the order of
    their names. Images are BMP, GIF, JPEG, PNG, PPM, TIFF or WebP, whatever their names, one in a
    file. All have one mode, grey (``L``) or colour (``RGB``), and one size, or are brought to one
    as they are read; they are in memory at once. What is hidden (``.name``) and files beside the
    classes' folders are passed over, and so is the orientation in EXIF data.

    Args:
        folder: of the images.
        size: height and width of images that differ in size; those that agree are kept as bytes.
        resize: how these come to the aspect ratio, ``None`` for ``"crop"``.

    Raises:
        ConfigurationError: an image is smaller than ``size``; the message names it.
        DataError: the folder has another form, a file is no image, or one differs from the others
            in mode, or without ``size`` in size, or claims more pixels than its bytes can hold; the
            message names it.
        ConfigurationError: the name of a class is not in UTF-8.
    """
    parts = {path.name: path for path in _folders(folder)}
    second = "test" if "test" in parts else "val"
    if not {"train", second} <= set(parts) or not _folders(parts["train"]):
        classes = tuple(parts)
        paths, labels = _list_images(folder, classes)
        x, how = _read_images(paths, size, resize)
        return Source(folder.name, folder.name, x, labels, class_names=classes, resize=how)
    if len(parts) > 2:
        strange = min(set(parts) - {"train", second})
        raise DataError(
            f"{folder} holds the folder {strange!r} beside train and {second}: expected these two "
            "only; move it away"
        )
    classes = tuple(path.name for path in _folders(parts["train"]))
    paths, y = _list_images(parts["train"], classes)
    test_paths, y_test = _list_images(parts[second], classes)
    x, how = _read_images(paths + test_paths, size, resize)
    return Source(folder.name, folder.name, x[: len(y)], y, x[len(y) :], y_test, classes, how)


def _list_images(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], np.ndarray]:
    """The files of a part, class by class, and their labels ``(n,)``.

    Raises:
        DataError: no class, one that is not among these, or one without a file.
    """
    found = _folders(folder)
    if not found:
        name = next((path.name for path in _visible(folder)), "image.png")
        raise DataError(
            f"{folder} holds no folders: expected one for each class, with its images, such as "
            f"{folder / (classes[0] if classes else 'CLASS') / name}; sort the images into folders "
            "by their labels"
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


def _read_images(
    paths: list[Path], size: tuple[int, int] | None, resize: Resize | None
) -> tuple[np.ndarray, Resize | None]:
    """Pixels ``(n, height, width, channels)``, and how they came to one size if they had not.

    Images of one size are in uint8; others, of ``size``, in float32 with white at 1.

    Raises:
        ConfigurationError: an image is smaller than ``size``.
        DataError: an image cannot be read, or differs from the first.
    """
    how = resize or "crop" if size is not None and _differ(paths, size, resize or "crop") else None
    first_form, first = _read_image(paths[0])
    kept = first.shape if how is None or size is None else (*size, first.shape[-1])
    dtype = np.dtype(np.uint8 if how is None else np.float32)
    needed, memory = len(paths) * math.prod(kept) * dtype.itemsize, memory_bytes()
    if needed > memory:
        raise DataError(
            f"{len(paths):,} images such as {paths[0]} take {needed:,} bytes: expected fewer than "
            f"the {memory:,} of memory here; make them smaller"
        )
    images = np.empty((len(paths), *kept), dtype)
    for i, path in enumerate(paths):
        form, pixels = _read_image(path)
        if pixels.shape[-1] != first.shape[-1] or (how is None and form != first_form):
            raise DataError(
                f"{path} is {form}: expected {first_form}, like {paths[0]}; convert it, or give "
                "image_size, to which images of one mode and different sizes are resized"
            )
        if how is None or size is None:
            images[i] = pixels
        else:
            images[i] = resized(to_float(pixels[None]), size, how)[0]
    return images, how


def _differ(paths: list[Path], size: tuple[int, int], resize: Resize) -> bool:
    """Whether images differ in size, by their headers, which are read before any pixels.

    Raises:
        ConfigurationError: they do, and one is smaller than ``size``.
        DataError: a file is no image.
    """
    sides = [_opened(path, lambda image: (image.height, image.width)) for path in paths]
    if len(set(sides)) == 1:
        return False
    for path, own in zip(paths, sides, strict=True):
        try:
            target_size(size, (*own, 1), resize)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}, or remove the image") from None
    return True


class _Bounded(io.BufferedReader):
    """A file of which no more is asked than it has: Pillow asks for what a damaged header claims,
    and Python would take the memory before it reads."""

    def __init__(self, path: Path) -> None:
        opened = open_regular(path)
        self._size = os.fstat(opened.fileno()).st_size
        super().__init__(cast(io.BufferedReader, opened).detach())

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(None if size is None else min(size, self._size))


def _opened(path: Path, read: Callable[[Image.Image], T]) -> T:
    """What is read from an image that Pillow opens."""
    from PIL import Image

    if path.is_dir():
        raise DataError(f"{path} is a folder inside a class: expected images; move it away")
    try:
        # Warnings are of metadata, such as EXIF that is damaged, which are not read.
        with (
            warnings.catch_warnings(action="ignore"),
            _Bounded(path) as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            _check_header(image, path, path.stat().st_size)
            return read(image)
    except DataError:
        raise
    except (*DAMAGE, Image.DecompressionBombError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path} cannot be read as an image ({reason}); remove it, or write it again"
        ) from None


def _read_image(path: Path) -> tuple[str, np.ndarray]:
    """What size and mode the image has, in words, and its pixels."""
    mode, pixels = _opened(path, lambda image: (image.mode, np.asarray(image)))
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
