"""The metadata of a store: what ``zarr.json`` of its group and of its arrays says, checked.

The identity is in the group's attributes, beside the checksum of them all. An array's metadata
follow from the identity, so what says something else is damaged. zarr reads them after this.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kernas.comparison import first_difference
from kernas.documents import (
    CHECKSUM,
    OBJECT,
    SIZE,
    TEXT,
    Kind,
    expect,
    field,
    list_of,
    one_of,
    optional,
    read,
    unsealed,
)
from kernas.errors import DocumentError, GramStoreError

from ..engine import recorded_blocking
from .identity import FORMAT, SIDES, VERSION, Identity

METADATA, LOCKS = "zarr.json", "locks"

ZARR = {"zarr_format": 3}
"""What all metadata begin with."""

MOST_TILES = 2**16
"""Tiles on one side of a matrix: a folder of more files than that is no store."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9]+)?")
NAME: Kind[str] = Kind(
    "the name of a kernel",
    lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
)


def shape_of(identity: Identity) -> tuple[int, int]:
    """``(n1, n2)`` of the matrix that an identity describes."""
    rows, columns = (identity[side] for side in SIDES)
    return rows["n"], (columns or rows)["n"]


def stored_identity(path: Path) -> Identity | None:
    """What the store in a folder holds; ``None`` if there is nothing yet.

    Raises:
        GramStoreError: the folder is something else, or of another version of the format, or its
            metadata are damaged.
    """
    file = path / METADATA
    if not file.exists():
        found = [path.name] if path.is_file() else [entry.name for entry in path.glob("*")]
        if any(name != LOCKS and not name.startswith("zarr.") for name in found):
            raise GramStoreError(f"{path} is not a Gram store; choose another folder")
        return None
    try:
        document = expect(read(file), OBJECT, "the document")
        _check_same(document, {**ZARR, "node_type": "group", "consolidated_metadata": None})
        attributes = field(document, "attributes", OBJECT)
        made_by = attributes.get("format"), attributes.get("version")
        if made_by[0] != FORMAT or not one_of(1, VERSION).holds(made_by[1]):
            raise GramStoreError(
                f"{path} is a zarr group of format {made_by[0]!r} and version {made_by[1]!r}, not "
                f"a Gram store of version {VERSION}; choose another folder"
            )
        if made_by != (FORMAT, 1) or CHECKSUM in attributes:
            attributes = unsealed(attributes)
        identity = {**attributes, "version": VERSION}
        _check_identity(identity)
    except (OSError, DocumentError) as error:
        raise GramStoreError(
            f"{file} cannot be read ({error}); copy it again, or choose another folder"
        ) from None
    for name in identity["kernels"]:
        _check_array(path / name / METADATA, identity)
    return identity


def _check_identity(identity: Identity) -> None:
    """Refuse attributes that describe no matrix.

    Raises:
        DocumentError: a field is missing or holds something else.
    """
    names = field(identity, "kernels", list_of(NAME))
    if not names or len(set(names)) < len(names):
        raise DocumentError(f"kernels are {names}: expected different names")
    tile_side = field(identity, "tile_side", SIZE)
    field(identity, "x2", optional(OBJECT))
    for side in SIDES:
        if side == "x1" or identity[side] is not None:
            n = field(identity, f"{side}.n", SIZE)
            field(identity, f"{side}.shape", list_of(SIZE))
            field(identity, f"{side}.sha256", TEXT)
            field(identity, f"{side}.preprocessing", optional(OBJECT))
            if n > tile_side * MOST_TILES:
                raise DocumentError(f"{side}.n is {n} with tiles of {tile_side}: too many tiles")
    field(identity, "settings.dtype", one_of("float32", "float64"))
    if "blocking" in identity["settings"]:
        recorded_blocking(identity["settings"]["blocking"])


def _check_array(file: Path, identity: Identity) -> None:
    """Refuse metadata of an array that zarr did not write for this identity; there may be none yet.

    The shape may be that of fewer images: the matrix is about to grow.

    Raises:
        GramStoreError: the message names the field.
    """
    if not file.exists():
        return
    side = identity["tile_side"]
    expected = {
        **ZARR,
        "node_type": "array",
        "data_type": identity["settings"]["dtype"],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [side, side]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN",
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
        "storage_transformers": [],
        "dimension_names": None,
    }
    try:
        document = expect(read(file), OBJECT, "the document")
        _check_same(document, expected)
        field(document, "attributes", OBJECT)
        shape = field(document, "shape", list_of(SIZE, 2))
        if any(there > here for there, here in zip(shape, shape_of(identity), strict=True)):
            raise DocumentError(f"shape is {shape}: expected at most {list(shape_of(identity))}")
    except (OSError, DocumentError) as error:
        raise GramStoreError(
            f"{file} cannot be read ({error}); remove it, and the same compute_gram writes it again"
        ) from None


def _check_same(document: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse other fields than expected, but for those that each array has for itself.

    Fields that are empty may be left out, as older and newer versions of zarr do.
    """
    empty = {key: value for key, value in expected.items() if not value}
    own = ("attributes", "shape")
    found = {key: value for key, value in {**empty, **document}.items() if key not in own}
    difference = first_difference(found, expected)
    if difference is not None:
        name, there, here = difference
        raise DocumentError(f"{name} is {there}: expected {here}")
