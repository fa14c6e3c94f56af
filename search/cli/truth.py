"""The table of measured accuracies that goes with the images and the space of the options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..defaults import SHIPPED_SPACE, SHIPPED_TRUTH, SPACE
from .options import RankOptions, SearchOptions

if TYPE_CHECKING:
    from ..spaces import Space
    from ..truth import Truth


def space_text(options: RankOptions | SearchOptions) -> str:
    """The space that is asked for, or that of the shipped truth on its images."""
    return options.space or (SHIPPED_SPACE if _on_shipped(options) else SPACE)


def truth_of(options: RankOptions | SearchOptions, space: Space) -> Truth | None:
    """The truth that was asked for, or the shipped one where images and space are its own."""
    from ..spaces import space_from_text
    from ..truth import load_truth

    if options.truth == "none":
        return None
    if options.truth is not None:
        return load_truth(options.truth, options.truth_column)
    own = _on_shipped(options) and space == space_from_text(SHIPPED_SPACE)
    return load_truth(SHIPPED_TRUTH, options.truth_column) if own else None


def _on_shipped(options: RankOptions | SearchOptions) -> bool:
    """Whether the images are those of the shipped truth's trainings."""
    from kernas.kernels.data.known import known_name

    return known_name(options.dataset) == SHIPPED_TRUTH
