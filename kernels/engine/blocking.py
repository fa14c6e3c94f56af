"""How a device likes its work cut: by plane or all planes at once, and how many pairs a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Blocking:
    """How the pairs of a tile are computed.

    Attributes:
        by_plane: plane by plane, each through all layers while it is in cache; otherwise all
            planes of a moment at once, instruction by instruction.
        lanes: by plane, the right images that meet one left image at a time.
    """

    by_plane: bool
    lanes: int = 16
