"""The data sets that are known by name: the forms in which each may lie in a folder, and readers.

One folder after the other is looked through, the one that ``KERNAS_DATA`` names first; within a
folder the published files come before an ``.npz``, because they are the whole data set, and an
unpacked folder before its archive, because it is read sooner.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np

from kernas.errors import ConfigurationError, DataError
from kernas.files import user_path
from kernas.published import PUBLISHED

from .cifar import CifarLayout, read_cifar_archive, read_cifar_folder
from .digits import CLASSES as DIGITS
from .digits import read_digits, read_hard_digits
from .folders import data_folders, told
from .idx import IdxLayout, read_idx_folder
from .image_folder import read_image_folder
from .named_sets import NAMED_SETS, is_named, read_named, whole_text
from .preprocessing import Resize
from .readers import read_npz
from .source import Source


@dataclass(frozen=True)
class Form:
    """One way in which a data set may lie in a folder.

    Attributes:
        path: of its file or folder there.
        read: from that path and the data set's name to its arrays; refuses what is damaged.
        is_there: whether that path holds this form.
        summed: whether reading compares what is read with a published SHA-256.
    """

    path: str
    read: Callable[[Path, str], Source]
    is_there: Callable[[Path], bool] = Path.is_file
    summed: bool = False


@dataclass(frozen=True)
class KnownSet:
    """A data set by name: its forms, the preferred ones first, or what reads it without any."""

    forms: tuple[Form, ...] = ()
    embedded: Callable[[], Source] | None = None


def read_source(
    name: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    resize: Resize | None = None,
) -> Source:
    """The arrays of a known or synthetic data set, of an ``.npz`` file, or of a folder of images.

    Args:
        name: of the set, with its fields if it is synthetic, or a path.
        size, resize: what the images of a folder become if they differ in size, see
            :func:`read_image_folder`; all others keep theirs.

    Raises:
        ConfigurationError: neither a known name nor a path.
        DataError: a file is missing or unreadable, or its arrays are not a labelled data set.
    """
    text = os.fspath(name)
    known = known_name(text)
    if known is not None:
        return read_known(known)
    if is_named(text):
        return read_named(text, read_source)
    path = user_path(text)
    try:
        if path.is_dir():
            return read_image_folder(path, size, resize)
        if path.suffix == ".txt" and path.is_file():
            raise ConfigurationError(
                f"{path} is a text: windows of it are the data set {f'text:path={text}'!r}"
            )
        if path.suffix == ".npz" or path.exists():
            return read_npz(path, path.stem)
    except OSError as error:
        raise _unreadable(path, error) from None
    raise ConfigurationError(
        f"unknown data set {text!r}{_nearest(text)}: expected one of {', '.join(DATASETS)}, or "
        f"{', '.join(NAMED_SETS)} with fields, or the path of an .npz file or of a folder of "
        "images by class"
    )


def known_name(text: str) -> str | None:
    """The known data set that a text names, ``None`` if it is a path or nothing known.

    Case, hyphens, underscores and spaces do not matter, ``CIFAR-10`` is ``cifar10``, unless there
    is a file or folder of that name.
    """
    if text in DATASETS:
        return text
    if {"/", "\\", "."} & set(text):
        return None
    named = _SPELLINGS.get(_letters(text))
    return None if named is None or user_path(text).exists() else named


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _nearest(text: str) -> str:
    """The known name that a text may be a slip of."""
    names = {**_SPELLINGS, **{name: name for name in NAMED_SETS}}
    near = get_close_matches(_letters(text.partition(":")[0]), names, n=1, cutoff=0.7)
    return f", did you mean {names[near[0]]!r}?" if near else ""


def location(name: str | os.PathLike[str]) -> str:
    """The name of a known data set, that of a synthetic one with all its fields, or an absolute
    path: the same however it is written."""
    text = os.fspath(name)
    if is_named(text):
        return whole_text(text)
    return known_name(text) or str(user_path(text).resolve())


def read_known(name: str) -> Source:
    """The arrays of a known data set, from the first place that has it.

    Raises:
        DataError: no place has it, or what is there is damaged.
    """
    embedded = DATASETS[name].embedded
    if embedded is not None:
        return embedded()
    found = find_known(name)
    if found is None:
        raise DataError(_absent(name))
    form, path = found
    try:
        return form.read(path, name)
    except OSError as error:
        raise _unreadable(path, error) from None


def find_known(name: str) -> tuple[Form, Path] | None:
    """In which form and where a known data set lies, ``None`` if it is nowhere.

    Raises:
        ConfigurationError: ``KERNAS_DATA`` names no folder.
        DataError: a folder may not be looked into.
    """
    for folder in data_folders() if DATASETS[name].forms else ():
        for form in DATASETS[name].forms:
            try:
                there = form.is_there(folder / form.path)
            except OSError as error:
                raise _unreadable(folder, error) from None
            if there:
                return form, folder / form.path
    return None


def check_name(name: str) -> None:
    """Refuse a name that is not known.

    Raises:
        ConfigurationError: the message lists the known ones.
    """
    if is_named(name):
        raise ConfigurationError(
            f"data set {name!r} is made when it is named, and lies nowhere: there is nothing to "
            "fetch or to verify"
        )
    if name not in DATASETS:
        raise ConfigurationError(
            f"unknown data set {name!r}{_nearest(name)}: expected one of {', '.join(DATASETS)}"
        )


def way_to(name: str) -> str:
    """How a data set that is absent is got."""
    return PUBLISHED[name].unpublished or f"run `kernas data fetch {name}`"


def _absent(name: str) -> str:
    *others, last = [form.path for form in DATASETS[name].forms]
    needs = f"{', '.join(others)} or {last}" if others else last
    folders = data_folders()
    put = f", or put it into {folders[-1]}" if folders else ""
    unset = "" if os.environ.get("KERNAS_DATA") else " (KERNAS_DATA is not set)"
    return (
        f"data set {name!r} needs {needs}, which is not in {told(folders)}{unset}; {way_to(name)}, "
        f"or set KERNAS_DATA to the folder that holds it{put}"
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be read ({error.strerror or error}); check it and its permissions"
    )


def _read_imagenet16(path: Path, name: str) -> Source:
    source = read_npz(path, name)
    for labels, what in ((source.y, "training"), (source.y_test, "test")):
        outside = np.zeros(0, bool) if labels is None else (labels < 0) | (labels >= 120)
        if labels is not None and outside.any():
            first = int(np.argmax(outside))
            raise DataError(
                f"{what} image {first} of {path} has label {labels[first]}: expected 0 … 119; "
                f"{PUBLISHED[name].unpublished}"
            )
    if source.x.shape[1:] != (16, 16, 3):
        raise DataError(
            f"{path} has images of shape {source.x.shape[1:]}: expected (16, 16, 3); "
            f"{PUBLISHED[name].unpublished}"
        )
    return source


def cifar_forms(name: str, layout: CifarLayout) -> tuple[Form, ...]:
    """The unpacked folder and the archive."""
    (archive,) = PUBLISHED[name].files
    return (
        Form(f"{layout.folder}/", partial(read_cifar_folder, layout=layout), layout.is_in),
        Form(archive.name, partial(read_cifar_archive, layout=layout, file=archive), summed=True),
    )


def idx_forms(
    name: str, classes: tuple[str, ...], n_train: int = 60_000, n_test: int = 10_000, side: int = 28
) -> tuple[Form, ...]:
    """The folder of the four idx files."""
    shapes = ((n_train, side, side), (n_train,), (n_test, side, side), (n_test,))
    layout = IdxLayout(tuple(zip(PUBLISHED[name].files, shapes, strict=True)), classes)
    read = partial(read_idx_folder, layout=layout)
    return (Form(f"{PUBLISHED[name].folder}/", read, layout.is_in, summed=True),)


CIFAR10 = CifarLayout(
    folder="cifar-10-batches-bin",
    train=tuple((f"data_batch_{i}.bin", 10_000) for i in range(1, 6)),
    test=(("test_batch.bin", 10_000),),
    names="batches.meta.txt",
    n_classes=10,
)
CIFAR100 = CifarLayout(
    folder="cifar-100-binary",
    train=(("train.bin", 50_000),),
    test=(("test.bin", 10_000),),
    names="fine_label_names.txt",
    n_classes=100,
    label_bytes=2,
    label=1,
)
CIFAR100_COARSE = replace(CIFAR100, names="coarse_label_names.txt", n_classes=20, label=0)
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

DATASETS: dict[str, KnownSet] = {
    "digits": KnownSet(embedded=read_digits),
    "digits_hard": KnownSet(embedded=read_hard_digits),
    "cifar10": KnownSet((*cifar_forms("cifar10", CIFAR10), Form("cifar10_10k_2k.npz", read_npz))),
    "cifar100": KnownSet(cifar_forms("cifar100", CIFAR100)),
    "cifar100_coarse": KnownSet(cifar_forms("cifar100_coarse", CIFAR100_COARSE)),
    "mnist": KnownSet(idx_forms("mnist", DIGITS)),
    "fashion_mnist": KnownSet(
        (*idx_forms("fashion_mnist", CLOTHES), Form("fashion_mnist.npz", read_npz))
    ),
    "imagenet16-120": KnownSet((Form("imagenet16-120.npz", _read_imagenet16),)),
}
"""The names are those of :data:`kernas.published.PUBLISHED`."""

_SPELLINGS = {_letters(name): name for name in DATASETS}
