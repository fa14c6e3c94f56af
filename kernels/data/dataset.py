"""A labelled data set as the kernels read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from kernas.errors import ConfigurationError, DataError, printable

from .checks import check_images, check_integer, check_labels, check_pair
from .preprocessing import Standardization, fit_standardization
from .subsets import balanced_order, proportional_split

LONGEST_NAME = 60
"""Characters of a name that is shown."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with their class labels; the arrays are read-only.

    Attributes:
        x: float32, shape ``(n, height, width, channels)``, ``(n, length, channels)`` for signals,
            or ``(n, features)``.
        y: int64 class indices in ``0 … C−1``, shape ``(n,)``.
        classes: names of the C classes.
        name: of the data set.
        info: where the images come from and what was done to them: JSON values.
        standardization: what was fitted on the training part and applied to x, if anything.

    Raises:
        DataError: arrays of wrong shape or dtype, NaN, labels out of range.
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    name: str
    info: dict[str, Any] = field(default_factory=dict)
    standardization: Standardization | None = None

    def __post_init__(self) -> None:
        y = check_labels(self.y, f"labels of {self.name}")
        x = check_images(self.x, f"x of {self.name}", signals=True).astype(np.float32, order="C")
        check_pair(x, y, self.name)
        if not (y.min() >= 0 and y.max() < len(self.classes)):
            raise DataError(
                f"labels of {self.name} lie in {y.min()} … {y.max()}: expected class indices "
                f"0 … {len(self.classes) - 1}, one for each of the {len(self.classes)} classes"
            )
        x.setflags(write=False)
        y.setflags(write=False)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "classes", tuple(str(c) for c in self.classes))
        object.__setattr__(self, "info", dict(self.info))

    def __repr__(self) -> str:
        name = printable(self.name)  # may be that of a file, with any characters
        name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        what = ("vector", "signal", "image")[len(self.input_shape) - 1]
        shape = "×".join(map(str, self.input_shape))
        shape += " features" if what == "vector" else ""
        images = f"{len(self):,} {what}{'' if len(self) == 1 else 's'} of {shape}"
        classes = f"{self.n_classes} class{'' if self.n_classes == 1 else 'es'}"
        standardised = "" if self.standardization else "not "
        return f"Dataset({name}: {images}, {classes}, {standardised}standardised)"

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_classes(self) -> int:
        """Number C of classes."""
        return len(self.classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image ``(height, width, channels)``, of a signal ``(length, channels)``, or
        ``(features,)``."""
        return self.x.shape[1:]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of images, labels and class names: the data's identity."""
        digest = hashlib.sha256(repr((self.x.shape, self.classes)).encode())
        digest.update(self.x.astype("<f4", copy=False).tobytes())
        digest.update(self.y.astype("<i8", copy=False).tobytes())
        return digest.hexdigest()

    def subset(self, n: int, seed: int = 0) -> Dataset:
        """A class-balanced subset of n images.

        Counts of the classes differ by at most one as far as the classes have enough images; the
        others fill in evenly. With one seed, smaller subsets are the beginning of larger ones.

        Raises:
            ConfigurationError: n is not in 1 … len(self), or the seed is negative.
        """
        n = check_integer(n, "n", 1)
        if n > len(self):
            raise ConfigurationError(
                f"n={n} images of {self.name}, which has {len(self)}; use at most {len(self)}"
            )
        order = balanced_order(self.y, check_integer(seed, "seed", 0))
        return self._take(order[:n], {"subset": n, "seed": int(seed)})

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two disjoint parts that cover all images, each with the classes in proportion.

        Where the counts of the classes differ by at most one, those of both parts do too.

        Args:
            fraction: of the images that the first part takes, rounded to whole images; in (0, 1).
            seed: of the shuffle, >= 0.

        Raises:
            ConfigurationError: the fraction leaves a part empty, or the seed is negative.
        """
        seed = check_integer(seed, "seed", 0)
        number = fraction if isinstance(fraction, int | float | np.number) else float("nan")
        n_first = round(float(number) * len(self)) if 0 < number < 1 else 0
        if not 0 < n_first < len(self):
            raise ConfigurationError(
                f"fraction={fraction!r} of {len(self)} images: expected a number between 0 and 1 "
                "that leaves images in both parts, such as 0.5"
            )
        parts = proportional_split(self.y, Fraction(n_first, len(self)), seed)
        first, second = (
            self._take(part, {"split": float(number), "seed": seed, "part": i})
            for i, part in enumerate(parts)
        )
        return first, second

    def standardized(self, by: Dataset) -> Dataset:
        """This data with mean 0 and deviation 1 as fitted on another, e.g. the fitted part.

        Args:
            by: the data whose means and deviations, per channel or feature, are used.

        Raises:
            DataError: the two have different channels or features.
        """
        if by.x.shape[-1] != self.x.shape[-1]:
            raise DataError(
                f"{self.name} has {self.x.shape[-1]} channels or features and {by.name} "
                f"{by.x.shape[-1]}: expected equal numbers; standardise by data of the same kind"
            )
        fitted = fit_standardization(by.x)
        steps = [*self.info.get("steps", []), {"standardized_by": by.fingerprint}]
        return replace(
            self,
            x=fitted.apply(self.x),
            info={**self.info, "steps": steps},
            standardization=fitted,
        )

    def _take(self, indices: np.ndarray, step: dict[str, Any]) -> Dataset:
        steps = [*self.info.get("steps", []), step]
        return replace(
            self, x=self.x[indices], y=self.y[indices], info={**self.info, "steps": steps}
        )
