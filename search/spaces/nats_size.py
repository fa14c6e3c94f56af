"""The size space of NATS-Bench: one cell, and how many channels its layers have.

Reference: Dong, Liu, Musial and Gabrys, NATS-Bench: Benchmarking NAS Algorithms for Architecture
Topology and Size, IEEE TPAMI 2021, section 3.2; the layers are those of ``DynamicShapeTinyNet`` of
the code published with it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernas.errors import ArchitectureError
from kernas.kernels import Architecture

from .abilities import Distribution
from .base import Candidate
from .cell_skeleton import sized_network
from .cell_strings import operations_of
from .choices import BuiltSpace
from .nasbench201 import NasBench201

CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
"""The cell of every candidate: the best of NAS-Bench-201 on CIFAR-100."""

CHANNELS = tuple(range(8, 65, 8))

UNIT = 16
"""Channels of relative width 1: networks of this width have the channels that names say."""

LAYERS = ("stem", "reduction 1", "cell 2", "reduction 2", "cell 3")

_NAME = re.compile("[0-9]{1,6}(:[0-9]{1,6}){4}")


@dataclass(frozen=True)
class NatsSize(BuiltSpace):
    """The size space of NATS-Bench: five numbers of channels, 8, 16, … or 64, of one cell.

    A name is ``stem:reduction:cell:reduction:cell``, as published: ``"8:16:24:32:40"``. The first
    number is that of the first cell too. Networks of width 16 have these channels.

    Widths do not reach an exact kernel. The 32,768 networks have four kernels between them, told
    apart by whether a reduction has the channels of the cell behind it, where the cell's skip is a
    skip, or others, where it is a 1×1 convolution: scores of kernels are refused. Counts, proxies,
    kernels in the standard parameterisation and training rank them.

    Args:
        center: whether the normalisation subtracts the mean (``Normalize(center=…)``).

    >>> from kernas.kernels.architecture.counts import count
    >>> network = NatsSize().candidate("8:8:8:8:8").architecture
    >>> count(network, (32, 32, 3), width=16, outputs=10).params  # published: 0.011714 M
    11714
    """

    center: bool = True

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return "nats-size"

    @property
    def choices(self) -> dict[str, Distribution]:
        """The channels of each of :data:`LAYERS`."""
        return {layer: list(CHANNELS) for layer in LAYERS}

    def refuses_kernels(self) -> str | None:
        """Widths do not reach them."""
        return (
            "its networks differ in widths, which a kernel of infinite width does not see; choose "
            "counts, proxies, ntk_standard or trained accuracy"
        )

    def candidate(self, given: Any) -> Candidate:
        """The candidate of ``"8:16:24:32:40"``, of a mapping, or of a tuple of five numbers.

        Raises:
            ArchitectureError: it is neither, or a number is none of 8, 16, …, 64.
        """
        if isinstance(given, str):
            if not _NAME.fullmatch(given.strip()):
                raise ArchitectureError(
                    f"{given!r:.120} is none of the space {self.name!r}: expected five numbers of "
                    "channels, for example 8:16:24:32:40"
                )
            given = tuple(map(int, given.split(":")))
        return super().candidate(given)

    def name_of(self, genotype: tuple[int, ...]) -> str:
        """The numbers with colons between."""
        return ":".join(map(str, genotype))

    def recognises(self, text: str) -> bool:
        """Whether a text is five numbers with colons between."""
        return bool(_NAME.fullmatch(text.strip()))

    def built(self, values: Mapping[str, Any]) -> Architecture:
        """The network of the numbers of channels.

        Stem (3×3 convolution, normalisation), cell, twice a residual reduction and a cell;
        normalisation, ReLU, global average pool, dense.
        """
        widths = [values[layer] / UNIT for layer in LAYERS]
        return sized_network(NasBench201(1, center=self.center), operations_of(CELL), widths)

    def cover(self, image_shape: Sequence[int]) -> list[Architecture]:
        """The four networks of different operations."""
        found = itertools.product((8, 16), repeat=2)
        return [self.architecture((8, 8, first, 8, second)) for first, second in found]

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse what :class:`NasBench201` refuses.

        Raises:
            ConfigurationError, DataError: as there.
        """
        NasBench201(1).check_shape(image_shape)
