"""Covers of spaces that nobody has designed one for: drawn until nothing new comes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from kernas.errors import ArchitectureError
from kernas.kernels import Architecture
from kernas.kernels.architecture.gains import with_gains

from .base import Candidate
from .operations import Items, needs

PATIENCE = 1000
"""Draws in a row that need nothing new before a cover is taken for whole."""


class Drawing(Protocol):
    """A space that draws candidates one by one."""

    def draw(self, rng: random.Random) -> Candidate:
        """A candidate."""
        ...


@lru_cache(maxsize=8)
def cover_by_draws(space: Drawing, image_shape: tuple[int, ...]) -> tuple[Architecture, ...]:
    """:func:`sampled_cover` of a space, drawn once."""
    return tuple(sampled_cover(space.draw, image_shape))


def sampled_cover(
    draw: Callable[[random.Random], Candidate],
    image_shape: Sequence[int],
    *,
    patience: int = PATIENCE,
    seed: int = 0,
) -> list[Architecture]:
    """Networks that together need what any of ``patience`` further draws needs.

    Draws are gone through until so many in a row need nothing new. Of those that did, the fewest
    are kept that a greedy choice finds: again and again the one that needs most of what is left.

    Args:
        draw: a random candidate.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        patience: see above, >= 1.
        seed: of the draws.
    """
    rng = random.Random(seed)
    needed: set[tuple[object, ...]] = set()
    kept: list[tuple[Architecture, Items]] = []
    seen: set[str] = set()
    missed = 0
    while missed < patience:
        missed += 1
        try:
            network = draw(rng).architecture
            same = with_gains(network, 1.0).hash
        except ArchitectureError:  # its row will say why
            continue
        if same in seen:
            continue
        seen.add(same)
        items = needs(network, image_shape)
        if not items <= needed:
            needed |= items
            kept.append((network, items))
            missed = 0
    chosen: list[Architecture] = []
    while needed:
        network, items = max(kept, key=lambda pair: len(pair[1] & needed))
        chosen.append(network)
        needed -= items
    return chosen
