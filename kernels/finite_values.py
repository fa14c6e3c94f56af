"""Kernels that overflow, or vanish where the network does not, are refused wherever they are made.

The message names the layer where a kernel leaves the range of its numbers, and what helps. Results
that are finite cost a look at their extremes; the search for the layer begins only if they are not,
or if the kernel of an image that is not black is zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from kernas.errors import KernelRangeError

from .architecture import Architecture, LayerNorm, Normalize, Relu, WeightLayer
from .engine import (
    Fault,
    Images,
    Matrix,
    Request,
    Statistics,
    fault_in_float64,
    first_fault,
    suspects,
    tiny,
)
from .interface import first_not_finite
from .program import Program, lower, nodes_of_instructions

ORDINARY = 1e-6, 1e6
"""Mean squares of pixels between these need no standardisation."""

_lowered = lru_cache(maxsize=256)(lower)


@dataclass(frozen=True)
class RangeCheck:
    """Checks what is computed for some networks and images of one shape.

    Args:
        networks: by what messages call them; ``None`` for the only one.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        with_tangent: whether the tangent kernel is computed.
    """

    networks: Mapping[Hashable | None, Architecture]
    image_shape: tuple[int, ...]
    with_tangent: bool

    def bound(self, program: Program, reference: np.ndarray, statistics: Statistics) -> None:
        """Refuse statistics of reference images that are out of range.

        Raises:
            KernelRangeError: the message names the layer.
        """
        broken, vanishing = suspects(program, statistics.reference)
        scales, means = (
            np.array([complex(value) for value in part.values()]) for part in statistics.constants
        )
        out = bool(broken.any()) or not (np.isfinite(scales).all() and np.isfinite(means).all())
        if out or vanishing.any() or (scales == 0).any():
            chosen = _brightest(reference, broken if broken.any() else vanishing)
            self._refuse(reference[chosen], None, "the reference images", out=out, binding=True)

    def images(
        self,
        program: Program,
        x: np.ndarray,
        images: Images,
        statistics: Statistics | None,
    ) -> None:
        """Refuse images whose records are out of range.

        Raises:
            KernelRangeError: the message names the image and the layer.
        """
        broken, vanishing = suspects(program, images)
        self._look(x, statistics, broken, vanishing, "image {}")

    def matrices(
        self,
        request: Request,
        matrices: Sequence[Matrix],
        statistics: Statistics | None,
    ) -> None:
        """Refuse kernels that are out of range, one matrix of each network.

        Raises:
            KernelRangeError: the message names an image, the network and the layer.
        """
        rows, columns = (
            _pixels(views[0], self.image_shape) for views in (request.rows, request.columns)
        )
        for (label, network), (K, T) in zip(self.networks.items(), matrices, strict=True):
            check = RangeCheck({label: network}, self.image_shape, self.with_tangent)
            for matrix in (K, T):
                bad = first_not_finite(matrix)
                if bad is not None:
                    pair = np.stack([rows[bad[0]], columns[bad[1]]])
                    other = "x1" if request.symmetric else "x2"
                    where = f"image {bad[0]} of x1 with image {bad[1]} of {other}"
                    check._refuse(pair, statistics, where, out=True)
            least = tiny(K.dtype)
            small = _sizes(K, 1) < least
            if request.symmetric:
                check._look(rows, statistics, None, small | (np.diag(K) < least), "image {}")
            else:
                check._look(rows, statistics, None, small, "image {} of x1")
                check._look(columns, statistics, None, _sizes(K, 0) < least, "image {} of x2")

    def _look(
        self,
        x: np.ndarray,
        statistics: Statistics | None,
        broken: np.ndarray | None,
        vanishing: np.ndarray,
        name: str,
    ) -> None:
        if broken is not None and broken.any():
            image = int(np.argmax(broken))
            self._refuse(x[[image]], statistics, name.format(image), out=True)
        if vanishing.any():
            (image,) = _brightest(x, vanishing)[:1]
            if np.any(x[image]):  # of a black image the kernel may be zero
                self._refuse(x[[image]], statistics, name.format(image), out=False)

    @np.errstate(over="ignore", invalid="ignore")
    def _refuse(
        self,
        pixels: np.ndarray,
        statistics: Statistics | None,
        where: str,
        *,
        out: bool,
        binding: bool = False,
    ) -> None:
        """Find the layer and refuse; do nothing if what vanishes is zero in the network too."""
        dtype = jnp.result_type(float)
        for label, network in self.networks.items():
            program = _lowered(network, self.image_shape)
            arguments: Any = (program, pixels, statistics)
            options = {"with_tangent": self.with_tangent, "binding": binding}
            fault = first_fault(*arguments, **options)
            if fault is None:
                continue
            wider = dtype != np.float64 and not fault_in_float64(*arguments, **options)
            node = nodes_of_instructions(network, self.image_shape)[fault.instruction]
            of = "" if label is None else f" of networks[{label!r}]"
            raise KernelRangeError(
                f"{where}: the {fault.kernel} {_WORDS[fault.kind].format(dtype)} at "
                f"{network.describe(node)}{of}; {_helps(network, node, fault, pixels, wider)}"
            )
        if out:
            raise KernelRangeError(
                f"{where}: the kernel is not finite in {dtype}; standardise the images, or choose "
                "W_std nearer to critical"
            )


_WORDS = {
    "overflow": "overflows {}",
    "underflow": "underflows to zero in {}, where the network is not zero,",
}


def _helps(network: Architecture, node: int, fault: Fault, pixels: np.ndarray, wider: bool) -> str:
    """What brings a kernel back into range, as far as it is not done already."""
    ways: list[str] = []
    scale = float(
        np.mean(np.square(pixels, dtype=np.float64).reshape(len(pixels), -1), axis=1).max()
    )
    ordinary = ORDINARY[0] <= scale <= ORDINARY[1]
    if not ordinary:
        ways.append(f"standardise the images (their mean square is {scale:.1e})")
    layers = [node.layer for node in network.nodes]
    if ordinary or any(_is_far(layer) for layer in layers):
        critical = " (√2 is critical before Relu)" if _has(layers, Relu) else ""
        if fault.kind == "underflow":
            ways.append(f"raise W_std{critical}")
        else:
            bias = any(isinstance(layer, WeightLayer) and layer.b_std for layer in layers)
            ways.append(f"lower W_std{' and b_std' if bias else ''}{critical}")
        before = sum(isinstance(layer, WeightLayer) for layer in layers[: node + 1])
        if before > 1 and not _has(layers, LayerNorm, Normalize):
            ways.append("insert LayerNorm() after weight layers")
    if wider:
        ways.append("compute in float64 (jax.enable_x64(True), or --dtype float64)")
    return ", or ".join(ways)


def _has(layers: Iterable[object], *kinds: type) -> bool:
    return any(isinstance(layer, kinds) for layer in layers)


def _is_far(layer: object) -> bool:
    """Whether a layer's weights are far from any that are critical."""
    return isinstance(layer, WeightLayer) and not 0.25 <= layer.W_std <= 4


def _pixels(view: Images, image_shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(view.pixels).reshape(-1, *image_shape)


def _sizes(K: np.ndarray, axis: int) -> np.ndarray:
    """The largest size of the entries along an axis, without a copy of the matrix."""
    return np.maximum(K.max(axis), -K.min(axis))


def _brightest(x: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Two images with the largest pixels of those that are marked, or of all if none is."""
    marked = np.flatnonzero(among) if among.any() else np.arange(len(x))
    return marked[np.argsort(-np.abs(x[marked]).reshape(len(marked), -1).max(axis=1))[:2]]
