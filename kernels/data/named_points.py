"""Synthetic sets as labelled data sets, by a name with fields: ``hypersphere:d=4,degree=2,n=400``.

The class of a point is the sign of a target function: 1, ``positive``, where the function of the
given degree is at least zero, and 0, ``negative``, where it is less. What the functions are is said
in :mod:`.synthetic`; zero is what rounding leaves of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kernas.errors import ConfigurationError
from kernas.fields import fields_of, parse_fields, value_text

from .checks import check_integer
from .source import Source
from .synthetic import SyntheticSet, circle, hypercube, hypersphere

CLASSES = ("negative", "positive")

MOST_DEGREE = 1000

ZERO = 1e-12
"""What is nearer to zero counts as zero: a target function is zero at some points of a circle."""


class NamedPoints(Protocol):
    """What a name with its fields stands for: a dataclass whose fields are those of the text."""

    @property
    def degree(self) -> int:
        """Which target function the classes are the sign of, ≥ 1."""
        ...

    def points(self) -> SyntheticSet:
        """The points; ConfigurationError where a field is out of its range."""
        ...


@dataclass(frozen=True)
class Hypersphere:
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
class Circle:
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
class Hypercube:
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


NAMED_POINTS: Mapping[str, type[NamedPoints]] = {
    "hypersphere": Hypersphere,
    "circle": Circle,
    "hypercube": Hypercube,
}
"""The synthetic sets that are data sets by name."""


def is_named_points(text: str) -> bool:
    """Whether a text is the name of a synthetic set, with fields or without."""
    return text.partition(":")[0].strip() in NAMED_POINTS


def points_text(text: str) -> str:
    """A name with all its fields, the same however it is written.

    Raises:
        ConfigurationError: a field or its value is unknown.
    """
    name, made = _made(text)
    fields = (
        f"{of.name}={value_text(getattr(made, of.attribute))}" for of in fields_of(type(made))
    )
    return f"{name}:{','.join(fields)}"


def read_points(text: str) -> Source:
    """The points that a name with its fields stands for, and their classes.

    Raises:
        ConfigurationError: a field is unknown, or its value is out of its range.
    """
    _, made = _made(text)
    try:
        degree = check_integer(made.degree, "degree", 1)
        if degree > MOST_DEGREE:
            raise ConfigurationError(f"degree={degree}: expected at most {MOST_DEGREE}")
        points = made.points()
        values = points.target(degree)
    except ConfigurationError as error:
        raise ConfigurationError(f"data set {text!r}: {error}") from None
    whole = points_text(text)
    y = (values > -ZERO).astype(np.int64)
    return Source(whole, whole, points.x, y, class_names=CLASSES)


def _made(text: str) -> tuple[str, NamedPoints]:
    name, _, fields = (part.strip() for part in text.partition(":"))
    kind = NAMED_POINTS[name]
    return name, kind(**parse_fields(kind, fields, text))
