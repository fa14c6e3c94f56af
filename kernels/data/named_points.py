"""Synthetic sets as labelled data sets, by a name with fields: ``hypersphere:d=4,degree=2,n=400``.

The class of a point is the sign of a target function: 1, ``positive``, where the function of the
given degree is at least zero, and 0, ``negative``, where it is less. What the functions are is said
in :mod:`.synthetic`; zero is what rounding leaves of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernas.errors import ConfigurationError

from .checks import check_integer
from .source import Source
from .synthetic import SyntheticSet, circle, hypercube, hypersphere

CLASSES = ("negative", "positive")

MOST_DEGREE = 1000

ZERO = 1e-12
"""What is nearer to zero counts as zero: a target function is zero at some points of a circle."""


class NamedPoints(ABC):
    """Points, and the sign of a target function of theirs.

    Attributes:
        degree: of the function, ≥ 1.
    """

    degree: int

    @abstractmethod
    def points(self) -> SyntheticSet:
        """The points; ConfigurationError where a field is out of its range."""

    def source(self, whole: str, read: Callable[[str], Source]) -> Source:
        """The points and their classes.

        Raises:
            ConfigurationError: a field is out of its range.
        """
        degree = check_integer(self.degree, "degree", 1)
        if degree > MOST_DEGREE:
            raise ConfigurationError(f"degree={degree}: expected at most {MOST_DEGREE}")
        points = self.points()
        y = (points.target(degree) > -ZERO).astype(np.int64)
        return Source(whole, whole, points.x, y, class_names=CLASSES)


@dataclass(frozen=True)
class Hypersphere(NamedPoints):
    """Points drawn uniformly from the unit sphere of d + 1 dimensions.

    The target function of degree k is the zonal harmonic ``√N(d, k) · P_k(x_1)``; of degree 2 it is
    positive where ``x_1² > 1 / (d + 1)``.

    Args:
        d: dimension of the sphere, ≥ 1.
        degree: of the harmonic, 1 … 1000.
        n: number of points, ≥ 1.
        seed: of the draw, ≥ 0.
    """

    d: int = 4
    degree: int = 2
    n: int = 1000
    seed: int = 0

    def points(self) -> SyntheticSet:
        """The points."""
        return hypersphere(check_integer(self.n, "n", 1), self.d, self.seed)


@dataclass(frozen=True)
class Circle(NamedPoints):
    """Points at equal distances on the unit circle.

    The target function of degree k is ``√2 cos(kθ)``.

    Args:
        degree: the frequency, 1 … n / 2.
        n: number of points, ≥ 1.
    """

    degree: int = 2
    n: int = 1000

    def points(self) -> SyntheticSet:
        """The points."""
        return circle(check_integer(self.n, "n", 1))


@dataclass(frozen=True)
class Hypercube(NamedPoints):
    """All corners of the cube ``{−1, 1}^d``.

    The target function of degree k is the parity ``x_1 ⋯ x_k``.

    Args:
        d: dimension, 1 … 20.
        degree: how many coordinates are multiplied, 1 … d.
    """

    d: int = 10
    degree: int = 2

    def points(self) -> SyntheticSet:
        """The points."""
        return hypercube(self.d)
