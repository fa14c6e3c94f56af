"""Windows that move over images, and means over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Pair = tuple[int, int]

Padding = Literal["VALID", "SAME"]


@dataclass(frozen=True)
class Windows:
    """Windows of ``shape`` pixels at steps of ``stride`` over both axes.

    With ``padding="VALID"`` they lie inside the image; with ``"SAME"`` there are zeros around it,
    as many as XLA puts there, and ``⌈size/stride⌉`` windows along an axis.
    """

    shape: Pair
    stride: int = 1
    padding: Padding = "VALID"

    def places(self, size: Pair) -> Pair:
        """Rows and columns of windows in an image; not positive where they do not fit."""
        rows, columns = (
            -(-pixels // self.stride)
            if self.padding == "SAME"
            else (pixels - side) // self.stride + 1
            for pixels, side in zip(size, self.shape, strict=True)
        )
        return rows, columns

    def views(self, images: np.ndarray) -> np.ndarray:
        """What images NHWC have in every window, ``(n, rows, columns, *shape, channels)``."""
        if self.padding == "SAME":
            images = np.pad(images, ((0, 0), *self._edges(images.shape[1:3]), (0, 0)))
        views = sliding_window_view(images, self.shape, axis=(1, 2))
        return np.moveaxis(views[:, :: self.stride, :: self.stride], 3, 5)

    def means(self, images: np.ndarray) -> np.ndarray:
        """Means of images NHWC over every window inside, ``(n, rows, columns, channels)``."""
        n, height, width, channels = images.shape
        rows, columns = (
            self._weights(pixels, axis).astype(images.dtype)
            for axis, pixels in enumerate((height, width))
        )
        found = rows @ images.reshape(n, height, width * channels)
        return columns @ found.reshape(n, len(rows), width, channels)

    def _edges(self, size: Pair) -> list[Pair]:
        """Rows of zeros above and below, and columns left and right."""
        edges = []
        for pixels, side, places in zip(size, self.shape, self.places(size), strict=True):
            total = max((places - 1) * self.stride + side - pixels, 0)
            edges.append((total // 2, total - total // 2))
        return edges

    def _weights(self, pixels: int, axis: int) -> np.ndarray:
        """The matrix of means along an axis, ``(places, pixels)``."""
        side = self.shape[axis]
        starts = np.arange(0, pixels - side + 1, self.stride)[:, None]
        inside = (np.arange(pixels) >= starts) & (np.arange(pixels) < starts + side)
        return inside / side
