"""Reduced training: fewer channels, smaller images, fewer epochs, fewer images.

Reference: Zhou et al. 2020, EcoNAS, section 3 (c, r, s, e and their indices).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kernas.errors import ConfigurationError, KernasError
from kernas.kernels.architecture.counts import count
from kernas.kernels.architecture.widths import check_count

from ..spaces import Candidate, Space
from .settings import TrainingSettings
from .trained import recipe_for

LARGEST_INDEX = 20

BACKWARD = 2
"""Operations of a backward pass, in forward passes: gradients of what a layer reads, and of its
weights."""


@dataclass(frozen=True)
class FullTraining:
    """What is reduced.

    Attributes:
        recipe: with its width and epochs.
        side: of the images in pixels.
        images: to train on.
    """

    recipe: TrainingSettings
    side: int
    images: int

    def __post_init__(self) -> None:
        check_count(self.side, "side")
        check_count(self.images, "images")
        if self.recipe.steps is not None:
            raise ConfigurationError(
                f"steps={self.recipe.steps} in the recipe: expected epochs, of which a regime has "
                "a part; give steps=None"
            )


@dataclass(frozen=True)
class ReducedTraining(FullTraining):
    """A training as a regime has it; channels, side, epochs and images are whole numbers.

    Attributes:
        rounded: what had to be rounded, ``name → (what the regime asks for, what is taken)``.
    """

    rounded: dict[str, tuple[float, int]]

    def operations(self, candidate: Candidate, channels: int, classes: int) -> float:
        """Floating-point operations of one network's training: three forward passes an image.

        Args:
            candidate: whose network it is.
            channels: of the images.
            classes: of their labels.
        """
        recipe = recipe_for(candidate, self.recipe)
        counted = count(
            candidate.architecture,
            (self.side, self.side, channels),
            width=recipe.width,
            outputs=classes,
        )
        batch = recipe.batch_size
        steps = recipe.epochs * (self.images // batch)
        return float((1 + BACKWARD) * counted.flops * steps * batch)


@dataclass(frozen=True)
class Regime:
    """How far a training is reduced.

    An index ``a`` of channels or ``b`` of resolution is a factor ``2^(−a/2)`` on their number or on
    the side (c4 r4 takes 36 channels to 9, and 32 pixels to 8), so that each halves the operations;
    an index ``d`` of epochs or ``g`` of samples is a factor ``2^−d``. All together are left with
    ``2^−(a + b + d + g)`` of the operations. Below 0 a regime asks for more than the full training.

    Args:
        channels: index a.
        resolution: index b.
        epochs: index d; does not count where ``n_epochs`` is given.
        samples: index g; does not count where ``fraction`` is given.
        n_epochs: epochs themselves, >= 1.
        fraction: of the images, in (0, 1].

    Raises:
        ConfigurationError: an argument is out of its range.

    >>> regime = Regime(channels=4, resolution=4, n_epochs=30)
    >>> full = FullTraining(TrainingSettings(width=36, epochs=120), side=32, images=50_000)
    >>> reduced = regime.reduced(full, batch_size=96)
    >>> reduced.recipe.width, reduced.side, reduced.recipe.epochs, str(regime)
    (9, 8, 30, 'c4 r4 e=30 s0')
    """

    channels: int = 0
    resolution: int = 0
    epochs: int = 0
    samples: int = 0
    n_epochs: int | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        for name in ("channels", "resolution", "epochs", "samples"):
            index = getattr(self, name)
            if isinstance(index, bool) or not isinstance(index, int) or abs(index) > LARGEST_INDEX:
                raise ConfigurationError(
                    f"{name}={index!r}: expected an index, an integer of at most {LARGEST_INDEX}"
                )
        if self.n_epochs is not None:
            check_count(self.n_epochs, "n_epochs")
        share = self.fraction
        if share is not None and not (
            isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1
        ):
            raise ConfigurationError(f"fraction={share!r}: expected a number in (0, 1]")

    def __str__(self) -> str:
        epochs = f"e{self.epochs}" if self.n_epochs is None else f"e={self.n_epochs}"
        samples = f"s{self.samples}" if self.fraction is None else f"s={self.fraction:g}"
        return f"c{self.channels} r{self.resolution} {epochs} {samples}"

    def share_of_operations(self, full: FullTraining) -> float:
        """By the indices, nothing rounded: ``2^−(a + b + d + g)``, values in place of indices."""
        epochs = 2.0**-self.epochs if self.n_epochs is None else self.n_epochs / full.recipe.epochs
        samples = 2.0**-self.samples if self.fraction is None else self.fraction
        return 2.0 ** -(self.channels + self.resolution) * epochs * samples

    def reduced(
        self,
        full: FullTraining,
        *,
        space: Space | None = None,
        channels: int = 3,
        batch_size: int | None = None,
    ) -> ReducedTraining:
        """The training that is left.

        Args:
            full: what is reduced.
            space: whose candidates are trained: the side is the nearest one that it takes.
            channels: of the images, for that.
            batch_size: another one than the recipe's, which is kept otherwise, but for fewer images
                than it has: then all of them.

        Raises:
            ConfigurationError: fewer than two images are left, or the space takes no side near.
        """
        epochs = full.recipe.epochs * 2.0**-self.epochs if self.n_epochs is None else self.n_epochs
        share = 2.0**-self.samples if self.fraction is None else self.fraction
        wanted = {
            "width": full.recipe.width * 2 ** (-self.channels / 2),
            "side": full.side * 2 ** (-self.resolution / 2),
            "epochs": epochs,
            "images": full.images * share,
        }
        taken = {name: max(1, math.floor(value + 0.5)) for name, value in wanted.items()}
        if space is not None:
            taken["side"] = _nearest_side(space, wanted["side"], channels)
        if taken["images"] < 2:
            raise ConfigurationError(
                f"{self} of {full.images} images leaves {taken['images']}: expected two or more; "
                "give a smaller index of samples, or a larger fraction"
            )
        rounded = {
            name: (value, taken[name]) for name, value in wanted.items() if taken[name] != value
        }
        batch = min(batch_size or full.recipe.batch_size, taken["images"])
        recipe = replace(
            full.recipe, width=taken["width"], epochs=taken["epochs"], batch_size=batch
        )
        return ReducedTraining(recipe, taken["side"], taken["images"], rounded)


def _nearest_side(space: Space, wanted: float, channels: int) -> int:
    """The side nearest to the wanted one that a space takes, of two the larger."""
    near: Sequence[int] = sorted(
        range(1, 2 * math.ceil(wanted) + 8), key=lambda side: (abs(side - wanted), -side)
    )
    for side in near:
        try:
            space.check_shape((side, side, channels))
        except KernasError:
            continue
        return side
    raise ConfigurationError(
        f"{space.name} takes no images of a side near {wanted:.1f} pixels; give a smaller index of "
        "resolution"
    )
