"""The search space that the options describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import SpaceOptions

if TYPE_CHECKING:
    from ..spaces import NasBench201


def space_of(options: SpaceOptions) -> NasBench201:
    """The space of the options.

    Raises:
        ConfigurationError: an option is out of its range.
    """
    from ..spaces import NasBench201

    return NasBench201(
        options.cells,
        options.center,
        options.reduction,
        normalize=options.normalize,
        readout=options.readout,
        padding=options.padding,
    )
