"""What a store holds, as JSON values: two matrices that could differ in a bit never share one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from kernas import __version__

from ..data import Dataset
from ..engine import Blocking, Device
from ..interface import checked_images
from ..kernel import PreparedImages

FORMAT, VERSION = "kernas.gram", 2
"""Stores of version 1 differ by the checksum of their identity, which they lack."""

SIDES = ("x1", "x2")
"""The images of the rows and of the columns."""

HASHED_IMAGES = 1024
"""Images that are converted at a time."""

Identity = dict[str, Any]

Source = Dataset | np.ndarray


@runtime_checkable
class StorableKernel(Protocol):
    """What a store accepts: a kernel that says which functions of images it is.

    :class:`NeuralKernel` and :class:`KernelTable` do.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """What the store calls the matrices."""
        ...

    @property
    def tile_bytes(self) -> int:
        """Bound on the bytes of intermediate results."""
        ...

    @property
    def blocking(self) -> Blocking | None:
        """How the work is cut; ``None`` leaves it to the kernel."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages whose versions may move the last digits."""
        ...

    def identity(self) -> dict[str, Any]:
        """Which functions of images these are, as JSON values."""
        ...

    def settings(self, image_shape: Sequence[int]) -> dict[str, Any]:
        """What else decides the last digits, as JSON values."""
        ...

    def pair_bytes(self, image_shape: Sequence[int]) -> int:
        """Bytes of intermediate results for a pair of images."""
        ...

    def prepare(self, x: np.ndarray) -> PreparedImages:
        """Images with what the kernel needs of each by itself."""
        ...

    def named(self, x1: Any, x2: Any = None) -> dict[str, np.ndarray]:
        """The matrices of all pairs of images, prepared or not, by :attr:`names`."""
        ...

    def with_blocking(self, blocking: Blocking) -> StorableKernel:
        """The same kernel, its work cut as said."""
        ...


def images_of(source: Source, name: str) -> np.ndarray:
    """The images of a data set, or an array of them.

    Raises:
        DataError: they have NaN or the wrong number of axes.
    """
    return checked_images(source.x if isinstance(source, Dataset) else source, name)


def fingerprint(x: np.ndarray) -> str:
    """SHA-256 of images as float64, in hexadecimal, whatever type they are stored in."""
    digest = hashlib.sha256()
    for start in range(0, len(x), HASHED_IMAGES):
        part = np.ascontiguousarray(x[start : start + HASHED_IMAGES], "<f8")
        digest.update(part.tobytes())
    return digest.hexdigest()


def identity_of(
    kernel: StorableKernel, x1: Source, x2: Source | None, *, tile_side: int, shard: int = 1
) -> Identity:
    """Everything that decides the bytes of a matrix.

    Raises:
        ConfigurationError: not even one pair of images fits into the kernel's ``tile_bytes``.
        ArchitectureError: the network does not fit the images.
    """
    shape = images_of(x1, "x1").shape[1:]
    device: Device = jax.local_devices()[0]
    packages = ["jax", "jaxlib", "numpy", "zarr", *kernel.packages]
    identity = {
        "format": FORMAT,
        "version": VERSION,
        **kernel.identity(),
        "x1": _images(x1, "x1"),
        "x2": None if x2 is None else _images(x2, "x2"),
        "tile_side": tile_side,
        **({} if shard == 1 else {"shard": shard}),
        "settings": kernel.settings(shape),
        "device": {"platform": device.platform, "kind": device.device_kind},
        "versions": {
            "kernas": __version__,
            **{name: version(name) for name in packages},
        },
    }
    return json.loads(json.dumps(identity))


def _images(source: Source, name: str) -> dict[str, Any]:
    x = images_of(source, name)
    return {
        "n": len(x),
        "shape": list(x.shape[1:]),
        "sha256": fingerprint(x),
        "preprocessing": source.info if isinstance(source, Dataset) else None,
    }


def as_far_as(
    stored: Mapping[str, Any], identity: Identity, sources: Mapping[str, Any]
) -> Identity:
    """The identity of a matrix of more images, cut to the first ones that a store holds.

    Args:
        stored: the store's identity.
        identity: that of the images at hand.
        sources: ``x1`` and ``x2``, the images at hand; ``None`` where there are none.

    Returns:
        What ``stored`` is if these images go on where the stored ones end. How the images were
        made may name their number, or be unknown of an array, so the pixels speak for it.
    """
    cut = dict(identity)
    for side in SIDES:
        there, here = stored.get(side), identity[side]
        if not there or not here:
            continue
        known = {"preprocessing": there["preprocessing"]}
        if there["n"] < here["n"]:
            first = images_of(sources[side], side)[: there["n"]]
            cut[side] = {**here, **known, "n": there["n"], "sha256": fingerprint(first)}
        elif not here["preprocessing"] or not there["preprocessing"]:
            cut[side] = {**here, **known}
    return cut
