"""A data set as it is stored, before anything is chosen or computed from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .preprocessing import Resize


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it is stored.

    Attributes:
        name: of the data set.
        origin: the file's name, or the package the images come with.
        x, y: training images and labels, or all of them where there is no test part.
        x_test, y_test: the test part, if the data set has one of its own.
        class_names: names of the classes 0, 1, …, if the data set has them.
        resize: how images of different sizes were brought to one, ``None`` if they had one.
    """

    name: str
    origin: str
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    x_test: np.ndarray | None = field(default=None, repr=False)
    y_test: np.ndarray | None = field(default=None, repr=False)
    class_names: tuple[str, ...] | None = None
    resize: Resize | None = None
