"""The reference images of a bound kernel: what ``Normalize`` has its statistics from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kernas.errors import DataError, UnboundKernelError

from ..engine import Statistics
from ..program import Program
from .prepared import check_precision


@dataclass(frozen=True, eq=False)
class Bound:
    """Reference images and their statistics.

    Attributes:
        statistics: ``None`` of a network that needs none.
        reference: the images.
        seed: of their draw.
    """

    statistics: Statistics | None
    reference: np.ndarray
    seed: int

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of the images that the kernel is for."""
        return self.reference.shape[1:]

    @cached_property
    def sha256(self) -> str:
        """Of the images in float64, in hexadecimal."""
        content = np.ascontiguousarray(self.reference, np.float64).tobytes()
        return hashlib.sha256(content).hexdigest()

    def identity(self) -> dict[str, Any]:
        """Which images these are, as JSON values."""
        return {"n_reference": len(self.reference), "seed": self.seed, "sha256": self.sha256}

    def scales(self, program: Program) -> dict[int, tuple[float, ...]]:
        """What each ``Normalize`` divides by, for each block of its channels; see
        :meth:`NeuralKernel.normalization_scales`."""
        known = {} if self.statistics is None else self.statistics.constants.scales

        def deviation(record: int | None) -> float:
            inverse = 0.0 if record is None else float(known[record])
            return float("inf") if inverse == 0 else inverse**-0.5

        return {node: tuple(map(deviation, records)) for node, records in program.scales}


def statistics_for(program: Program, bound: Bound | None, *, tangent: bool) -> Statistics | None:
    """The statistics that a program needs.

    Raises:
        UnboundKernelError: there are none, or none of the tangent kernel, which is wanted.
        DataError: they are of images of another shape, or were computed in another precision.
    """
    if not program.needs_reference:
        return None
    if bound is None:
        raise UnboundKernelError(
            "this network normalises over a batch, so its kernel needs reference images; "
            "call kernel.bind(x_train) and use what it returns"
        )
    if bound.image_shape != program.image_shape:
        raise DataError(
            f"images of {program.image_shape}, but the kernel was bound to images of "
            f"{bound.image_shape}; bind it to images of the same shape"
        )
    statistics = bound.statistics
    if statistics is not None and tangent and not statistics.with_tangent:
        raise UnboundKernelError(
            "the kernel was bound with get='nngp', which recorded no statistics of the "
            'tangent kernel; bind NeuralKernel(architecture, get=("nngp", "ntk"))'
        )
    if statistics is not None:
        check_precision(statistics.reference, "the kernel was bound")
    return statistics
