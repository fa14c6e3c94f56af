"""The metadata of a store: what ``zarr.json`` of its group and of its arrays says, checked.

The identity is in the group's attributes, beside the checksum of them all. An array's metadata
follow from the identity, so what says something else is damaged. zarr reads them after this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kernas.comparison import first_difference
from kernas.documents import (
    CHECKSUM,
    LARGEST,
    OBJECT,
    SIZE,
    TEXT,
    Kind,
    expect,
    field,
    list_of,
    one_of,
    optional,
    parse,
    unsealed,
)
from kernas.errors import DocumentError, GramStoreError
from kernas.places import Folder, Place

from ..engine import recorded_blocking
from .identity import FORMAT, SIDES, VERSION, Identity

METADATA, LOCKS = "zarr.json", "locks"

ZARR = {"zarr_format": 3}
"""What all metadata begin with."""

MOST_TILES = 2**16
"""Tiles on one side of a matrix: a folder of more files than that is no store."""

MOST_SHARD = 64
"""Tiles on one side of a shard, which is in memory as a whole."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9]+)?")
NAME: Kind[str] = Kind(
    "the name of a kernel",
    lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
)


def shape_of(identity: Identity) -> tuple[int, int]:
    """``(n1, n2)`` of the matrix that an identity describes."""
    rows, columns = (identity[side] for side in SIDES)
    return rows["n"], (columns or rows)["n"]


def shard_of(identity: Identity) -> int:
    """Tiles on each side of a shard; 1 where each tile is kept by itself."""
    return identity.get("shard", 1)


def stored_identity(place: Place) -> Identity | None:
    """What the store in a place holds; ``None`` if there is nothing yet.

    Raises:
        GramStoreError: the place is something else, or of another version of the format, or its
            metadata are damaged, or an object store refuses.
    """
    file = place.at(METADATA)
    try:
        content = place.content(METADATA, LARGEST)
        if content is None:
            _check_new(place)
            return None
        document = expect(parse(content), OBJECT, "the document")
        _check_same(document, {**ZARR, "node_type": "group", "consolidated_metadata": None})
        attributes = field(document, "attributes", OBJECT)
        made_by = attributes.get("format"), attributes.get("version")
        if made_by[0] != FORMAT or not one_of(1, VERSION).holds(made_by[1]):
            raise GramStoreError(
                f"{place} is a zarr group of format {made_by[0]!r} and version {made_by[1]!r}, not "
                f"a Gram store of version {VERSION}; choose another folder"
            )
        if made_by != (FORMAT, 1) or CHECKSUM in attributes:
            attributes = unsealed(attributes)
        identity = {**attributes, "version": VERSION}
        _check_identity(identity)
    except (OSError, DocumentError) as error:
        if isinstance(error, OSError) and not isinstance(place, Folder):
            raise GramStoreError(refused(place, error)) from None
        raise GramStoreError(
            f"{file} cannot be read ({error}); copy it again, or choose another folder"
        ) from None
    for name in identity["kernels"]:
        array_shape(place, name, identity)
    return identity


def refused(place: Place, error: OSError) -> str:
    """What an object store has answered, and what may mend it."""
    return (
        f"{place} cannot be used ({error.strerror or error}): check its bucket, and the endpoint "
        "and the credentials that the environment gives"
    )


def _check_new(place: Place) -> None:
    """Refuse a place that holds something else.

    Raises:
        GramStoreError: there is something.
        OSError: an object store refuses.
    """
    if any(name != LOCKS and not name.startswith("zarr.") for name in place.names()):
        raise GramStoreError(f"{place} is not a Gram store; choose another folder")


def _check_identity(identity: Identity) -> None:
    """Refuse attributes that describe no matrix.

    Raises:
        DocumentError: a field is missing or holds something else.
    """
    names = field(identity, "kernels", list_of(NAME))
    if not names or len(set(names)) < len(names):
        raise DocumentError(f"kernels are {names}: expected different names")
    tile_side = field(identity, "tile_side", SIZE)
    if "shard" in identity:
        shard = field(identity, "shard", SIZE)
        if not 2 <= shard <= MOST_SHARD:
            raise DocumentError(f"shard is {shard}: expected one from 2 to {MOST_SHARD}")
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


def array_shape(place: Place, name: str, identity: Identity) -> tuple[int, int] | None:
    """The shape of a kernel's array, perhaps of fewer images: the matrix is about to grow then.

    Returns:
        ``None`` if there is none yet.

    Raises:
        GramStoreError: zarr did not write it for this identity; the message names the field.
    """
    key = f"{name}/{METADATA}"
    expected = {
        **ZARR,
        "node_type": "array",
        "data_type": identity["settings"]["dtype"],
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN",
        "storage_transformers": [],
        "dimension_names": None,
        **_chunks(identity["tile_side"], shard_of(identity)),
    }
    try:
        content = place.content(key, LARGEST)
        if content is None:
            return None
        document = expect(parse(content), OBJECT, "the document")
        _check_same(document, expected)
        field(document, "attributes", OBJECT)
        shape = field(document, "shape", list_of(SIZE, 2))
        if any(there > here for there, here in zip(shape, shape_of(identity), strict=True)):
            raise DocumentError(f"shape is {shape}: expected at most {list(shape_of(identity))}")
    except (OSError, DocumentError) as error:
        raise GramStoreError(
            f"{place.at(key)} cannot be read ({error}); remove it, and the same compute_gram "
            "writes it again"
        ) from None
    return shape[0], shape[1]


def _chunks(side: int, shard: int) -> dict[str, Any]:
    """How an array is cut and encoded."""
    ends = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
    codecs: Sequence[Any] = ends
    if shard > 1:
        inner = {
            "chunk_shape": [side, side],
            "codecs": list(ends),
            "index_codecs": list(ends),
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    whole = {"chunk_shape": [side * shard] * 2}
    return {
        "chunk_grid": {"name": "regular", "configuration": whole},
        "codecs": list(codecs),
    }


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
