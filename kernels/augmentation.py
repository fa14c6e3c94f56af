"""Augmented kernels: regression on all transformed copies of the images, none of them made.

For a finite group ``G`` of transformations of images the augmented kernel is

    K^G(x, x') = 1/|G|² Σ_{g, h ∈ G} K(g x, h x'),

which is ``1/|G| Σ_h K(x, h x')`` where ``K`` is *equivariant*, ``K(g x, g x') = K(x, x')``. There,
ridge regression with ``K`` on the data set of all ``g x`` with their labels, at the absolute ridge
``ρ``, predicts what regression with ``K^G`` on the data set itself does at ``ρ / |G|`` (Li et al.
2019, Enhanced convolutional neural tangent kernels, section 4.1 and theorem 4.4). Where ``K`` is
not equivariant the mean over both sides is still a kernel, of functions that are the same for an
image and its copies, but no theorem about augmented data holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError, DataError

from .architecture import (
    Architecture,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    LocalAvgPool,
    Normalize,
    Sum,
    Zero,
)
from .architecture.windows import WindowLayer, axis_padding, extent, stride_of, tap_offsets
from .data.checks import inputs_of

LINEAR = Dense, Identity, Sum, Zero, Flatten, GlobalAvgPool, LocalAvgPool
"""Layers that a mean of kernels of vectors passes through; the readouts are identities there."""

WIDTH = 1
"""The axis of an architecture's pixels along which images are mirrored."""


@dataclass(frozen=True)
class Flip:
    """Every image and its mirror image, left and right exchanged; ``|G| = 2``.

    Of an equivariant kernel it takes two evaluations a pair, ``(K(x, x') + K(x, F x')) / 2``, of
    another one four (Li et al. 2019, section 4.1; there ``K^F``). A kernel is equivariant unless a
    window lies otherwise on the mirrored pixels, as those of stride 2 do on an even side, or a
    centred ``Normalize`` has its means from images without their mirror images.
    """

    def order(self, image_shape: Sequence[int]) -> int:
        """Elements of the group, ``|G|``."""
        return 2


@dataclass(frozen=True)
class Translate:
    """Every image shifted by every number of rows and columns, around the edges.

    ``|G|`` is the number of pixels. The kernel must be equivariant: every window with
    ``padding="CIRCULAR"`` and stride 1. What reads the pixels side by side, ``Flatten`` or a
    circular ``LocalAvgPool``, becomes ``GlobalAvgPool``, because with ``K_F`` the kernel under
    ``Flatten`` and ``P`` pixels ``K_GAP(x, x') = (1/P) Σ_τ K_F(x, τ x')`` exactly (Li et al. 2019,
    section 4.1): all shifts for the price of one evaluation.
    """

    def order(self, image_shape: Sequence[int]) -> int:
        """Elements of the group, ``|G|``."""
        height, width = image_shape[:2]
        return height * width


Augmentation = Flip | Translate

NAMES: dict[str, type[Flip] | type[Translate]] = {"flip": Flip, "translate": Translate}
"""Augmentations by the names that records and the command line give them."""


def checked_augment(augment: Any) -> tuple[Augmentation, ...]:
    """One augmentation, several, or ``None``, as a tuple in the order of their names.

    Raises:
        ConfigurationError: it is something else, or has one twice.
    """
    given = () if augment is None else augment
    several = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not all(isinstance(one, Flip | Translate) for one in several):
        raise ConfigurationError(
            f"augment={augment!r}: expected Flip(), Translate() or a tuple of both"
        )
    if len(set(several)) < len(several):
        raise ConfigurationError(f"augment={augment!r}: expected each augmentation once")
    return tuple(sorted(several, key=name_of))


def name_of(augmentation: Augmentation) -> str:
    """What records call an augmentation."""
    return next(name for name, kind in NAMES.items() if kind is type(augmentation))


def identity_of_augment(augment: Any) -> dict[str, list[str]]:
    """The names of augmentations, for a record; without them, nothing."""
    names = [name_of(one) for one in checked_augment(augment)]
    return {"augment": names} if names else {}


def named(names: Sequence[str]) -> tuple[Augmentation, ...]:
    """Augmentations by their names.

    Raises:
        ConfigurationError: one is unknown.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigurationError(f"augmentation {unknown[0]!r}: expected one of {', '.join(NAMES)}")
    return tuple(NAMES[name]() for name in names)


def group_order(augment: Any, image_shape: Sequence[int]) -> int:
    """Elements of the group of all augmentations together, ``|G|``.

    Regression with the augmented kernel at the absolute ridge ``ρ / |G|`` is that on augmented data
    at ``ρ``.

    Args:
        augment: an augmentation or a tuple of them.
        image_shape: ``(height, width, channels)``.

    >>> group_order((Flip(), Translate()), (8, 8, 1))
    128
    """
    orders = [one.order(image_shape) for one in checked_augment(augment)]
    return int(np.prod(orders, dtype=int))


@dataclass(frozen=True)
class Augmented:
    """How the kernel of a network under augmentations is computed.

    Attributes:
        architecture: the network, in which translations may have become a readout.
        views: images that stand for one: the image itself, and its mirror image or not.
        both: whether the mean is over the views of both images, instead of the right one's.
    """

    architecture: Architecture
    views: int
    both: bool

    @property
    def evaluations(self) -> int:
        """Of the network's kernel, for one pair of images."""
        return self.views ** (2 if self.both else 1)


@lru_cache(maxsize=256)
def augmented(
    architecture: Architecture, augment: tuple[Augmentation, ...], image_shape: tuple[int, ...]
) -> Augmented:
    """Plan an augmented kernel.

    Raises:
        DataError: vectors cannot be flipped or shifted.
        ArchitectureError: translations are asked of a kernel that is not equivariant to them, or
            of one that reads shifted pixels nonlinearly; the message names the layer.
    """
    if augment and len(image_shape) != 3:
        raise DataError(
            f"augment={augment} for {inputs_of(image_shape)}: expected images "
            "(height, width, channels)"
        )
    if Translate() in augment:
        architecture = _all_shifts(architecture, image_shape)
    if Flip() not in augment:
        return Augmented(architecture, 1, False)
    return Augmented(architecture, 2, not keeps_mirror_images(architecture, image_shape))


def views_of(x: np.ndarray, number: int) -> Iterator[np.ndarray]:
    """The images, and, for two views, their mirror images."""
    yield x
    if number == 2:
        yield np.ascontiguousarray(x[:, :, ::-1])


def keeps_mirror_images(architecture: Architecture, image_shape: tuple[int, ...]) -> bool:
    """Whether ``K(F x, F x') = K(x, x')`` for mirror images, by the geometry of every layer.

    A window keeps them if, on the mirrored axis of ``w`` pixels, the taps of output ``p`` are the
    mirror image of those of output ``m − 1 − p`` of ``m``: first tap + last tap + ``(m − 1)`` ·
    stride ``= w − 1``. Means of a centred ``Normalize`` are covariances with images that are not
    mirrored.
    """
    shapes = architecture.shapes(image_shape)
    for index, node in enumerate(architecture.nodes):
        layer = node.layer
        if isinstance(layer, Normalize) and layer.center:
            return False
        if isinstance(layer, WindowLayer):
            width, outputs = shapes[node.inputs[0]][WIDTH], shapes[index][WIDTH]
            taps = tap_offsets(layer, WIDTH, width)
            excess = taps[0] + taps[-1] + (outputs - 1) * stride_of(layer)[WIDTH] - (width - 1)
            if excess % width if layer.padding == "CIRCULAR" else excess:
                return False
    return True


def _all_shifts(architecture: Architecture, image_shape: tuple[int, ...]) -> Architecture:
    """The network whose kernel is the mean over all shifts.

    Raises:
        ArchitectureError: there is none.
    """
    shapes = architecture.shapes(image_shape)
    shifted: set[int] = set()  # nodes whose kernel reads pixels side by side
    nodes = list(architecture.nodes)
    for index, node in enumerate(nodes):
        layer, pixels = node.layer, shapes[node.inputs[0]] if node.inputs else ()
        reason = _shift_reason(layer, pixels)
        if reason:
            raise ArchitectureError(
                f"augment=Translate(): {architecture.describe(index)} {reason}, so the kernel of "
                "shifted images is not that of the images; give padding='CIRCULAR' and stride 1 "
                "(circular edges for LocalAvgPool), or regress on shifted copies of the images"
            )
        if isinstance(layer, Flatten | LocalAvgPool) and pixels:
            nodes[index] = replace(node, layer=GlobalAvgPool())
            shifted.add(index)
        elif shifted.intersection(node.inputs):
            if not isinstance(layer, LINEAR):
                raise ArchitectureError(
                    f"augment=Translate(): {architecture.describe(index)} is not linear in the "
                    "kernel of the flattened pixels before it, so that the mean over shifts does "
                    "not pass through it; use GlobalAvgPool() before it"
                )
            shifted.add(index)
    return Architecture(tuple(nodes))


def _shift_reason(layer: Any, pixels: tuple[int, ...]) -> str:
    """Why a layer does not commute with shifts around the edges; empty if it does."""
    if not pixels:
        return ""
    if isinstance(layer, LocalAvgPool):
        return "averages zeros beyond the edges" if layer.radius and layer.edges == "zero" else ""
    if not isinstance(layer, WindowLayer):
        return ""
    if stride_of(layer) != (1, 1):
        return f"moves by {stride_of(layer)} pixels"
    for axis in (0, 1):
        edges = axis_padding(layer, axis, pixels[axis])
        if layer.padding != "CIRCULAR" and (extent(layer, axis) > 1 or edges != (0, 0)):
            return f"has padding={layer.padding!r}"
    return ""
