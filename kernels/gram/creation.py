"""The metadata of a store as zarr writes them: made, and brought up to an identity."""

from __future__ import annotations

import json
from typing import Any

from kernas.documents import LARGEST, parse, sealed
from kernas.places import Place

from .identity import Identity
from .metadata import METADATA, array_shape, shape_of, shard_of, stored_identity


def is_settled(place: Place, identity: Identity) -> bool:
    """Whether a store is there and has an array of each kernel in the shape that is wanted, and
    nothing that a killed process left of its metadata."""
    stored = stored_identity(place)
    if stored is None or shape_of(stored) != shape_of(identity):
        return False
    shapes = [array_shape(place, name, stored) for name in identity["kernels"]]
    return all(shape == shape_of(identity) for shape in shapes) and not any(
        place.has_remains(key) for key in metadata_names(identity)
    )


def bring_up(place: Place, identity: Identity) -> None:
    """Write the metadata that are not there or say something else, the group's first.

    Of several processes that begin a store at once without locks, the first one's identity stays.

    Raises:
        OSError: they cannot be written.
    """
    for key in metadata_names(identity):
        place.tidy(key)
    for key, new in _documents(identity).items():
        content = place.content(key, LARGEST)
        if content is None:
            place.create(key, _text(new))
            continue
        old = parse(content)
        if old["node_type"] == "array":
            new["attributes"] = old["attributes"]  # which users may have given it
            changed = old["shape"] != new["shape"]
        else:
            changed = key == METADATA and old["attributes"] != new["attributes"]
        if changed:
            place.write(key, _text(new))


def metadata_names(identity: Identity) -> list[str]:
    """Where metadata are: the group's, and those of what is in it."""
    names = {
        name[:end]
        for name in identity["kernels"]
        for end in (*(at for at, letter in enumerate(name) if letter == "/"), len(name))
    }
    return [METADATA, *(f"{name}/{METADATA}" for name in sorted(names))]


def _documents(identity: Identity) -> dict[str, Any]:
    """All metadata by their names, as zarr has them."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    memory: dict[str, Any] = {}
    side, shard = identity["tile_side"], shard_of(identity)
    group = zarr.create_group(MemoryStore(memory), zarr_format=3, attributes=sealed(identity))
    for name in identity["kernels"]:
        group.create_array(
            name,
            shape=shape_of(identity),
            chunks=(side, side),
            shards=None if shard == 1 else (side * shard, side * shard),
            dtype=identity["settings"]["dtype"],
            fill_value=float("nan"),
            compressors=[Crc32cCodec()],  # and none that compresses: digits do not repeat
        )
    return {key: parse(memory[key].to_bytes()) for key in metadata_names(identity)}


def _text(document: Any) -> bytes:
    """A document as zarr writes it."""
    return json.dumps(document, indent=2).encode()
