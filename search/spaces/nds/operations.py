"""What the edges of these cells may do, by the names of the published code.

References:
    Liu, Simonyan and Yang, DARTS: Differentiable Architecture Search, ICLR 2019, section 3.1.1, and
    ``operations.py`` of its code; Radosavovic et al., On Network Design Spaces for Visual
    Recognition, ICCV 2019, table 1, and ``operations.py`` of its code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kernas.kernels import AvgPool, Conv, DepthwiseConv, MaxPool, Relu
from kernas.kernels.architecture.windows import Padding, Pair

from ..parts import RELU_GAIN

if TYPE_CHECKING:
    from .network import CellPart

Operation = Callable[["CellPart", int, int, bool], int]
"""Appends itself to a cell, given the node that it reads, its stride, and whether its output is two
halves (:class:`CellPart`); returns the last node."""


def _skip(cell: CellPart, node: int, stride: int, halved: bool) -> int:
    return node if stride == 1 else cell.factorised(node)


def _average(window: int) -> Operation:
    def pooled(cell: CellPart, node: int, stride: int, halved: bool) -> int:
        layer = AvgPool(window, stride=stride, padding=around((window, window)), divisor="valid")
        return cell.add(layer, node)

    return pooled


def _maximum(window: int) -> Operation:
    def pooled(cell: CellPart, node: int, stride: int, halved: bool) -> int:
        padding = around((window, window))
        layer = MaxPool(window, stride=stride, padding=padding, as_average=cell.averages)
        return cell.add(layer, node)

    return pooled


def _separable(window: int, *, dilation: int = 1, times: int = 2) -> Operation:
    """ReLU, depthwise, pointwise convolution, normalisation; once, or twice with one stride."""

    def convolved(cell: CellPart, node: int, stride: int, halved: bool) -> int:
        for last, step in ((times == 1, stride), (True, 1))[:times]:
            depthwise = DepthwiseConv(
                window,
                stride=step,
                dilation=dilation,
                padding=around((window, window), dilation),
                W_std=RELU_GAIN,
            )
            node = cell.add(depthwise, cell.add(Relu(), node))
            node = cell.normalized(cell.widened(Conv(1), node, halved and last))
        return node

    return convolved


def _convolution(*windows: Pair) -> Operation:
    """ReLU, convolutions with nothing between, normalisation; an axis is strided by its window."""

    def convolved(cell: CellPart, node: int, stride: int, halved: bool) -> int:
        node, gain = cell.add(Relu(), node), RELU_GAIN
        for place, window in enumerate(windows):
            of_axis = (stride, stride) if len(windows) == 1 else _stride_along(window, stride)
            layer = Conv(window, stride=of_axis, padding=around(window), W_std=gain)
            last = place == len(windows) - 1
            node, gain = cell.widened(layer, node, halved and last), 1.0
        return cell.normalized(node)

    return convolved


def _stride_along(window: Pair, stride: int) -> Pair:
    return (stride if window[0] > 1 else 1, stride if window[1] > 1 else 1)


def around(window: Pair, dilation: int = 1) -> Padding:
    """As many zeros on every side as a window of odd sides reaches over it."""
    height, width = (side // 2 * dilation for side in window)
    return ((height, height), (width, width))


OPERATIONS: dict[str, Operation] = {
    "skip_connect": _skip,
    "avg_pool_3x3": _average(3),
    "max_pool_3x3": _maximum(3),
    "max_pool_5x5": _maximum(5),
    "max_pool_7x7": _maximum(7),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _separable(3, dilation=2, times=1),
    "dil_conv_5x5": _separable(5, dilation=2, times=1),
    "dil_sep_conv_3x3": _separable(3, dilation=2),
    "conv_1x1": _convolution((1, 1)),
    "conv_3x3": _convolution((3, 3)),
    "conv_3x1_1x3": _convolution((1, 3), (3, 1)),
    "conv_7x1_1x7": _convolution((1, 7), (7, 1)),
}
"""The operations of all five spaces; ``none``, which carries zeros, is left out."""

LINEAR = [name for name in OPERATIONS if "conv" not in name]
"""Operations without weights of their own."""
