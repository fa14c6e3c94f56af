"""How a device likes its work cut: in planes, whole or as a stream, and how many pairs at a time.

How many pairs a plane should hold depends on the processor's caches and vectors, so it is measured:
a short chain of convolutions at a size near the images', once for each device and precision, kept
in the user's cache folder. The choice moves the last digits of a result; records of runs hold it,
and a run that is resumed takes it from there.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import jax

from kernas.documents import (
    NOT_NEGATIVE,
    OBJECT,
    SIZE,
    field,
    one_of,
    optional,
    read,
    sealed,
    unsealed,
)
from kernas.errors import DocumentError
from kernas.files import system_cache

from .workers import local_workers

CPU_LANES = (8, 16, 32, 64)
"""Pairs at a time that are tried on a CPU, whose caches hold a plane of so many."""

ACCELERATOR_LANES = (128, 256, 512, 1024)
"""Pairs at a time that are tried on other devices: a TPU's vectors have 128 lanes, and the 132
multiprocessors of an H100 hold 270,336 threads, which is a plane of 32×32 pixels of 264 pairs."""

PROBE_SIDES = (8, 16, 32)
"""Sides of the images on which they are tried; the next larger one stands for those between."""

NEARLY = 1.1
"""The smallest number of pairs whose time is within this factor of the least is taken."""

FORMAT = 4

WayName = Literal["planes", "whole", "stream"]

STREAM_PIXELS = 1024
"""Images of so many pixels are streams; larger ones are computed in planes."""


def stream_lanes(pixels: int, platform: str) -> int:
    """Pairs of a block of a stream (``experiments/benchmarks/representations.py``).

    On a CPU moments of more than 64 pixels are larger than its caches with any number of pairs, and
    long enough for its vectors with one.
    """
    if platform != "cpu":
        return 128
    return 16 if pixels <= 64 else 1


@dataclass(frozen=True)
class Blocking:
    """How the pairs of a tile are computed.

    Attributes:
        way: ``"planes"``, each through all layers while it is in cache; ``"whole"``, all planes of
            a moment at once, instruction by instruction; ``"stream"``, whole moments of small
            images, the instructions being data. A network that cannot be a stream is computed
            whole.
        lanes: in planes, the right images that meet one left image at a time; in a stream, the
            pairs of a block.
        nanoseconds: measured time of one convolution with its nonlinearity at one pair of pixels,
            ``None`` if the choice was not measured.
    """

    way: WayName
    lanes: int = 16
    nanoseconds: float | None = None

    @property
    def by_plane(self) -> bool:
        """Whether a moment is computed plane by plane."""
        return self.way == "planes"


def recorded_blocking(document: Any) -> Blocking:
    """The blocking that a record of settings holds, as ``asdict`` made it.

    Raises:
        DocumentError: it is none.
    """
    return Blocking(
        field(document, "way", one_of(*get_args(WayName))),
        field(document, "lanes", SIZE),
        field(document, "nanoseconds", optional(NOT_NEGATIVE)),
    )


Measure = Callable[[int, Sequence[int]], dict[int, float]]
"""Of a side of images, the time of a layer at one pair of pixels by pairs at a time, in
nanoseconds."""


def probe_side(pixels: Sequence[int]) -> int:
    """The side of the images on which the choice for images of these pixels is measured."""
    return next((side for side in PROBE_SIDES if side >= max(pixels)), PROBE_SIDES[-1])


def lanes_tried(platform: str) -> tuple[int, ...]:
    """Pairs at a time that are tried on a device of a platform, ``"cpu"`` or another of JAX's.

    A tile holds no more of them than ``tile_bytes`` allows, whatever is chosen.
    """
    return CPU_LANES if platform == "cpu" else ACCELERATOR_LANES


@lru_cache(maxsize=64)
def measured_blocking(side: int, with_tangent: bool, dtype: str, measure: Measure) -> Blocking:
    """The fastest choice in planes, from the cache folder or by measuring it now."""
    device = jax.local_devices()[0]
    key = {
        "format": FORMAT,
        "device": device.device_kind,
        "workers": len(local_workers()),
        "jax": jax.__version__,
        "dtype": dtype,
        "with_tangent": with_tangent,
        "side": side,
    }
    name = "-".join(str(value) for value in key.values()).replace(" ", "_").replace("/", "_")
    cache = system_cache()
    path = None if cache is None else cache / "blocking" / f"{name}.json"
    known = None if path is None else _read(path, key)
    if known is None:
        tried = lanes_tried(device.platform)
        times = measure(side, tried)
        # Fewer pairs at a time waste less at the edges of a matrix.
        fastest = next(n for n in tried if times[n] <= NEARLY * min(times.values()))
        known = Blocking("planes", fastest, round(times[fastest], 3))
        if path is not None:
            found = {"key": key, "nanoseconds": times, "blocking": asdict(known)}
            _write(path, sealed(found))
    return known


def _read(path: Path, key: dict[str, Any]) -> Blocking | None:
    """A measurement from the cache folder; ``None`` where there is none that can be read."""
    try:
        found = unsealed(read(path))
        if field(found, "key", OBJECT) != key:
            return None
        return recorded_blocking(field(found, "blocking", OBJECT))
    except (OSError, DocumentError):
        return None  # it is measured again


def _write(path: Path, known: dict[str, Any]) -> None:
    """Keep a measurement; where the folder cannot be written it is measured in every process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(known, file)
        Path(file.name).replace(path)
    except OSError:
        return
