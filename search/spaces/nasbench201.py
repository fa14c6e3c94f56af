"""NAS-Bench-201: cells of four nodes and six edges in a fixed macro-skeleton.

Reference: Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search, ICLR 2020, section 2.1 and figure 1 (cell, operations, skeleton).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from kernas.errors import ConfigurationError
from kernas.kernels import (
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GraphBuilder,
    LayerNorm,
    LocalAvgPool,
    Normalize,
    Relu,
    Sum,
    Zero,
)
from kernas.kernels.architecture import Layer
from kernas.kernels.architecture.windows import Padding

from .base import Candidate
from .cell_strings import EDGES, OPERATIONS, Cell, format_cell, operations_of

STAGE_WIDTHS = (1.0, 2.0, 4.0)
"""Channels of the three stages, relative to the stem's."""

RELU_GAIN = 2**0.5
"""``W_std`` of convolutions that a normalisation follows, which removes it (He et al. 2015)."""

PYTORCH_GAIN = 3**-0.5
"""``W_std`` of the layers that no normalisation follows, as the benchmark trained them: PyTorch
draws a layer's weights uniformly from ``±1/sqrt(fan_in)``, a variance of ``1/(3 fan_in)``."""

Normalization = Literal["batch", "layer", "none"]
Edges = Literal["zero", "circular"]


@dataclass(frozen=True)
class NasBench201:
    """The NAS-Bench-201 space of 15,625 cells.

    A cell string lists, for the nodes 1 to 3, the operation on the edge from every earlier node:
    ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``. A node is the sum of its edges, node 0 the input.

    Args:
        cells_per_stage: cells in each of the three stages, >= 1 (published: 5).
        center: whether the normalisation subtracts the mean (``Normalize(center=…)``).
        reduction: what stands between stages: ``"residual"``, the published block of stride 2, or
            ``"pool"``, an average pool 2×2, a 1×1 convolution and a normalisation.
        shortcut_W_std: gain of the shortcut's 1×1 convolution in a residual reduction, > 0. It has
            neither a ReLU before it nor a normalisation after it, so that it weighs the shortcut
            against the block.
        readout_W_std: gain of the last layer, > 0, which scales both kernels by its square.
        normalize: ``"batch"``, as published; ``"layer"``, every pixel over its channels
            (:class:`LayerNorm`); or ``"none"``. Networks without batch normalisation need no
            reference images, and neural-tangents can express those whose sums have uncorrelated
            terms.
        readout: what makes a vector of the last image: ``"gap"``, the mean over pixels, as
            published; ``"lap:C"``, means over windows of ``2 C + 1`` pixels
            (:class:`LocalAvgPool`); or ``"flatten"``.
        padding: edges of the 3×3 windows, ``"zero"``, as published, or ``"circular"``.

    Normalisations remove every other gain; without them it is √2 (He et al. 2015).
    ``docs/spaces.md`` compares the published skeleton with this one, layer by layer.

    Raises:
        ConfigurationError: an argument is out of its range.

    >>> space = NasBench201(cells_per_stage=1)
    >>> space.architecture(space.sample(1, seed=0)[0].name)
    <Architecture ...>
    """

    cells_per_stage: int = 5
    center: bool = True
    reduction: Literal["residual", "pool"] = "residual"
    shortcut_W_std: float = PYTORCH_GAIN
    readout_W_std: float = PYTORCH_GAIN
    normalize: Normalization = "batch"
    readout: str = "gap"
    padding: Edges = "zero"

    def __post_init__(self) -> None:
        if not isinstance(self.cells_per_stage, int) or self.cells_per_stage < 1:
            raise ConfigurationError(
                f"cells_per_stage={self.cells_per_stage!r}: expected an integer >= 1 (published: 5)"
            )
        if self.reduction not in ("residual", "pool"):
            raise ConfigurationError(f"reduction={self.reduction!r}: expected 'residual' or 'pool'")
        for name, known in (("normalize", get_args(Normalization)), ("padding", get_args(Edges))):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}"
                )
        if self.normalize != "batch" and not self.center:
            raise ConfigurationError(
                f"center=False with normalize={self.normalize!r}: only batch normalisation has a "
                "form that subtracts no mean"
            )
        _readout(self.readout)
        for name in ("shortcut_W_std", "readout_W_std"):
            gain = getattr(self, name)
            if not isinstance(gain, int | float) or not 0 < gain < float("inf"):
                raise ConfigurationError(
                    f"{name}={gain!r}: expected a number > 0 (published: {PYTORCH_GAIN:.4f})"
                )

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return "nasbench201"

    def settings(self) -> dict[str, Any]:
        """What identifies the space in the records of a run."""
        return {
            "name": self.name,
            "cells_per_stage": self.cells_per_stage,
            "center": self.center,
            "reduction": self.reduction,
            "shortcut_W_std": self.shortcut_W_std,
            "readout_W_std": self.readout_W_std,
            "normalize": self.normalize,
            "readout": self.readout,
            "padding": self.padding,
        }

    def parse(self, cell: Cell) -> tuple[str, ...]:
        """The six operations of a cell, in the order of :data:`EDGES`.

        Args:
            cell: a cell string, with the edges of a node in any order; six operations in the order
                of :data:`EDGES`; a tuple of NASLib's six indices, ``(4, 0, 3, 1, 4, 3)``, whose
                order of operations and of edges is NASLib's own; or the number of the cell in the
                published table, 0 to 15,624, which lies in a folder of data and has another order
                than :meth:`enumerate`. All methods that take a cell take all of these.

        Raises:
            ArchitectureError: it is none of these, an operation is unknown, or a node does not
                read each earlier node exactly once. The message names the part and the fix.

        >>> space = NasBench201()
        >>> space.parse(1) == space.parse((2, 2, 0, 4, 2, 0))
        True
        """
        return operations_of(cell)

    def format(self, operations: tuple[str, ...]) -> str:
        """The cell string of six operations: the inverse of :meth:`parse`.

        Raises:
            ArchitectureError: there are not six operations, or one is unknown.
        """
        return format_cell(operations)

    def enumerate(self) -> Iterator[str]:
        """All 15,625 cell strings, the last edge varying fastest."""
        for operations in itertools.product(OPERATIONS, repeat=len(EDGES)):
            yield self.format(operations)

    def canonical(self, cell: Cell) -> str:
        """The benchmark's own name of the cell's class: 6,466 classes in all.

        A node's text joins its edges' texts, sorted, by ``+``: ``#`` for an edge that carries zero,
        the source's text for a skip, ``(source)@operation`` otherwise. This is the benchmark's
        notion of equal cells, not that of equal networks: since a skip inserts its source's text
        without brackets or sorting, it merges some different networks, and it does not know that
        pools are linear, so it splits some equal ones. ``architecture(cell).hash`` decides what is
        computed once.

        Raises:
            ArchitectureError: as :meth:`parse`.

        Reference: the isomorphism check of Dong and Yang 2020, section 2.1.
        """
        texts = {0: "0"}
        edges = dict(zip(EDGES, self.parse(cell), strict=True))
        for target in (1, 2, 3):
            parts = []
            for source in range(target):
                operation, text = edges[source, target], texts[source]
                if operation == "none" or text == "#":
                    parts.append("#")
                elif operation == "skip_connect":
                    parts.append(text)
                else:
                    parts.append(f"({text})@{operation}")
            texts[target] = "+".join(sorted(parts))
        return texts[3]

    def architecture(self, cell: Cell) -> Architecture:
        """The cell's whole network.

        Stem (3×3 convolution, normalisation); three stages of ``cells_per_stage`` cells with a
        reduction before the second and the third; normalisation, ReLU, global average pool, dense.
        An edge with a convolution is ReLU, convolution, normalisation.

        Raises:
            ArchitectureError: as :meth:`parse`.
        """
        operations = self.parse(cell)
        skeleton = _Skeleton(self)
        node = skeleton.normalized(skeleton.conv(skeleton.builder.input, 3, 1.0))
        for stage, width in enumerate(STAGE_WIDTHS):
            if stage > 0:
                node = skeleton.reduction(node, width)
            for _ in range(self.cells_per_stage):
                node = skeleton.cell(node, operations, width)
        node = skeleton.add(Relu(), skeleton.normalized(node))
        node = skeleton.add(_readout(self.readout), node)
        return skeleton.builder.build(skeleton.add(Dense(W_std=self.readout_W_std), node))

    def candidate(self, cell: Cell) -> Candidate:
        """A cell as a candidate, named by its cell string in the published order of edges.

        Raises:
            ArchitectureError: as :meth:`parse`.
        """
        name = self.format(self.parse(cell))
        return Candidate(name, partial(self.architecture, name))

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Cells drawn uniformly without repeats of one network.

        Cells are visited in a random order of all 15,625, and one whose network was seen before is
        passed over. Networks are compared by their hash in the skeleton of one cell per stage,
        which is cheap and tells the same cells apart as a deeper one.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or larger than the number of different networks.
        """
        total = len(OPERATIONS) ** len(EDGES)
        if n < 1 or n > total:
            raise ConfigurationError(
                f"sample of n={n} cells: expected 1 to {total}, and no more than there are "
                "different networks"
            )
        skeleton = replace(self, cells_per_stage=1)
        cells = list(self.enumerate())
        random.Random(seed).shuffle(cells)
        seen: set[str] = set()
        chosen: list[Candidate] = []
        for cell in cells:
            key = skeleton.architecture(cell).hash
            if key not in seen:
                seen.add(key)
                chosen.append(self.candidate(cell))
                if len(chosen) == n:
                    return chosen
        raise ConfigurationError(
            f"sample of n={n} cells: the space has only {len(chosen)} different networks; ask for "
            "at most as many"
        )

    def check_image_size(self, size: int) -> None:
        """Refuse a side that the two reductions cannot halve.

        Raises:
            ConfigurationError: the side in pixels is not a positive multiple of 4.
        """
        if size < 4 or size % 4:
            raise ConfigurationError(
                f"image size {size}: the two reductions of NAS-Bench-201 halve it twice; choose a "
                f"multiple of 4, for example {max(4, size - size % 4)}"
            )


def _readout(name: str) -> Layer:
    """The layer that a readout's name stands for.

    Raises:
        ConfigurationError: there is none of this name.
    """
    kind, _, radius = name.partition(":") if isinstance(name, str) else ("", "", "")
    match kind:
        case "gap" if not radius:
            return GlobalAvgPool()
        case "flatten" if not radius:
            return Flatten()
        case "lap" if radius.isascii() and radius.isdecimal():
            return LocalAvgPool(int(radius))
    raise ConfigurationError(
        f"readout={name!r}: expected gap, flatten, or lap: and the radius of its windows in "
        "pixels, for example lap:1"
    )


class _Skeleton:
    """A network in the making; its methods append to it and return the last node."""

    def __init__(self, space: NasBench201) -> None:
        self.space = space
        self.builder = GraphBuilder()
        self.add = self.builder.add

    def conv(
        self, node: int, window: int, width: float, stride: int = 1, W_std: float = RELU_GAIN
    ) -> int:
        layer = Conv(window, stride=stride, padding=self._padding(window), W_std=W_std, width=width)
        return self.add(layer, node)

    def normalized(self, node: int) -> int:
        match self.space.normalize:
            case "batch":
                return self.add(Normalize(center=self.space.center), node)
            case "layer":
                return self.add(LayerNorm(), node)
            case "none":
                return node

    def relu_conv_normalized(self, node: int, window: int, width: float, stride: int = 1) -> int:
        return self.normalized(self.conv(self.add(Relu(), node), window, width, stride))

    def reduction(self, node: int, width: float) -> int:
        pooled = self.add(AvgPool(2, stride=2, padding="VALID"), node)
        if self.space.reduction == "pool":
            return self.normalized(self.conv(pooled, 1, width))
        shortcut = self.conv(pooled, 1, width, W_std=self.space.shortcut_W_std)
        branch = self.relu_conv_normalized(node, 3, width, stride=2)
        branch = self.relu_conv_normalized(branch, 3, width)
        return self.add(Sum(), branch, shortcut)

    def cell(self, node: int, operations: tuple[str, ...], width: float) -> int:
        """A cell that reads ``node``; edges that carry zero are left out."""
        values: dict[int, int | None] = {0: node}
        edges = dict(zip(EDGES, operations, strict=True))
        for target in (1, 2, 3):
            parts: list[int] = []
            for source in range(target):
                value = values[source]
                if value is not None and edges[source, target] != "none":
                    parts.append(self._operation(value, edges[source, target], width))
            values[target] = self.add(Sum(), *parts) if parts else None
        output = values[3]
        return self.add(Zero(), node) if output is None else output

    def _operation(self, node: int, operation: str, width: float) -> int:
        if operation == "skip_connect":
            return node
        if operation == "avg_pool_3x3":
            pool = AvgPool(3, stride=1, padding=self._padding(3), divisor="valid")
            return self.add(pool, node)
        return self.relu_conv_normalized(node, 1 if operation == "nor_conv_1x1" else 3, width)

    def _padding(self, window: int) -> Padding:
        if self.space.padding == "circular" and window > 1:
            return "CIRCULAR"
        edge = window // 2
        return ((edge, edge), (edge, edge))
