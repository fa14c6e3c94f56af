"""Blocks and readouts of the layers that NAS-Bench-201 does not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from oracles.geometry import axis_windows
from oracles.random_blocks import Draw

from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Sum,
    WindowLayer,
)


class DrawAll(Draw):
    """A network being drawn of every layer."""

    # --- layers ----------------------------------------------------------------------------------

    def keeping(self, width: float = 1.0) -> Layer:
        layer = super().keeping()
        if isinstance(layer, Conv) and self.chance(0.3):
            dilation = self.choose(1, 2), self.choose(1, 2)
            layer = replace(layer, padding=self.choose("SAME", "CIRCULAR"), dilation=dilation)
        return replace(cast(Conv | Dense, layer), width=width)

    def smoothing(self) -> Layer:
        if not self.size or min(self.size) < 4 or self.chance(0.6):
            return super().smoothing()
        return self.choose(
            AvgPool(self.choose(2, 3), padding="CIRCULAR"),
            MaxPool(3, padding="SAME", as_average=True),
        )

    def depthwise(self) -> Layer:
        """A depthwise convolution that keeps the size."""
        trainable = not self.chance(0.2)
        self.trained = self.trained or trainable
        return DepthwiseConv(
            self.choose(2, 3, (1, 3)),
            padding=self.choose("SAME", "CIRCULAR"),
            dilation=self.choose(1, 1, 2),
            W_std=self.choose(1.0, 1.6),
            b_std=self.choose(0.0, 0.2),
            trainable=trainable,
        )

    def layer_norm(self) -> Layer:
        """Over channels, or pixels too, with an eps that matters or not."""
        return LayerNorm(self.choose("channels", "channels and pixels"), self.choose(1e-12, 0.3))

    # --- parts of a network ----------------------------------------------------------------------

    def kinds(self) -> list[Callable[[int], int]]:
        kinds = [*super().kinds(), self.normed, self.concat, self.concats_that_meet]
        kinds += [self.normed, self.concat]
        if self.size:
            kinds += [self.separable] * 2
        if self.size and min(self.size) >= 3:
            kinds += [self.any_windows] * 2
        return kinds

    def normed(self, h: int) -> int:
        """A node's LayerNorm, perhaps beside the node."""
        other = self.add(self.layer_norm(), h)
        if self.chance(0.5):
            return self.add(self.keeping(), self.relu(other))
        return self.add(Sum(), h, self.add(self.smoothing(), other))

    def separable(self, h: int) -> int:
        """A depthwise separable convolution, perhaps with a LayerNorm or a skip inside."""
        r = self.relu(h)
        d = self.add(self.depthwise(), r)
        inside = self.choose("nothing", "norm", "skip")
        if inside == "norm":
            d = self.add(self.layer_norm(), d)
        elif inside == "skip":
            d = self.add(Sum(), d, self.choose(h, r))
        return self.norm(self.add(self.weights(), self.norm(d)))

    def concat(self, h: int) -> int:
        """Two or three nodes of different widths, mixed by weights, as they are or through ReLU."""
        parts = [self.choose(h, self.add(self.smoothing(), h))]
        for _ in range(self.choose(1, 2)):
            width = self.choose(0.5, 1.0, 2.0)
            parts.append(self.add(self.keeping(width), self.relu(self.choose(h, parts[0]))))
        order = [parts[i] for i in self.rng.permutation(len(parts))]
        if self.chance(0.3):
            order[0] = self.relu(order[0])
            return self.add(self.keeping(), self.norm(self.add(Concat(), *order)))
        joined = self.add(Concat(), *order)
        joined = self.add(self.layer_norm(), joined) if self.chance(0.3) else self.norm(joined)
        return self.add(self.keeping(), self.norm(self.relu(joined)))

    def concats_that_meet(self, h: int) -> int:
        """Sums of concatenations of one and the same nodes in different orders."""
        other = self.add(self.keeping(), self.relu(h))
        first = self.add(Concat(), h, other)
        second = self.add(Concat(), *self.choose((other, h), (self.add(self.smoothing(), h), h)))
        total = self.add(Sum(), first, second)
        if self.chance(0.5):
            total = self.add(Sum(), self.relu(total), self.choose(first, second))
        return self.add(self.keeping(), self.choose(total, self.add(self.smoothing(), total)))

    def any_windows(self, h: int) -> int:
        """A layer with a window, dilated, circular, cropped and of any stride."""
        layer = self.window_layer()
        while not self.fits(layer):
            layer = self.window_layer()
        h = self.relu(h)
        if isinstance(layer, AvgPool | MaxPool):
            h = self.add(self.keeping(), h)
        h = self.add(layer, h)
        self.resize(layer)
        return self.add(self.weights(), h) if isinstance(layer, DepthwiseConv) else h

    def window_layer(self) -> WindowLayer:
        """Any layer with a window, whether or not it fits."""
        kind: Any = self.choose(Conv, DepthwiseConv, AvgPool, MaxPool)
        both = lambda *options: (self.choose(*options), self.choose(*options))  # noqa: E731
        window, stride, dilation = both(1, 2, 3), both(1, 1, 2), both(1, 1, 2)
        if kind in (Conv, DepthwiseConv):
            own: dict[str, Any] = {"dilation": dilation, "W_std": 2**0.5}
        else:
            own, dilation = ({"as_average": True} if kind is MaxPool else {}), (1, 1)
        reach = [(w - 1) * d for w, d in zip(window, dilation, strict=True)]
        edges = tuple(tuple(int(e) for e in self.rng.integers(-1, r + 1, 2)) for r in reach)
        padding = self.choose("SAME", "VALID", "CIRCULAR", edges, edges)
        return kind(window, stride=stride, padding=padding, **own)

    def fits(self, layer: WindowLayer) -> bool:
        """Whether pixels are left, and not made equal by a pool around the whole image."""
        pool = isinstance(layer, AvgPool | MaxPool)
        for axis, size in enumerate(self.size):
            windows = axis_windows(layer, axis, size)
            if not windows or (pool and layer.padding == "CIRCULAR" and len(windows[0]) >= size):
                return False
        return True

    def vector(self, h: int) -> int:
        """The pixels side by side, as they are or averaged locally, or the mean, or several."""
        readouts: list[Layer] = [Flatten(), GlobalAvgPool()]
        if self.size:
            readouts.append(LocalAvgPool(int(self.rng.integers(max(self.size)))))
            largest = (min(self.size) - 1) // 2
            readouts.append(LocalAvgPool(int(self.rng.integers(largest + 1)), "circular"))
        if self.chance(0.7):
            return self.add(self.choose(*readouts), h)
        other = self.relu(self.add(self.keeping(self.choose(0.5, 2.0)), h))
        parts = [self.add(self.choose(*readouts), part) for part in (h, other)]
        return self.add(Concat(), *parts)
