"""Models in the format of ONNX, written node by node."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], shape: tuple[int | str, ...]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def small_onnx() -> onnx.ModelProto:
    """Convolutions, a norm, a residual, pools, sigmoid-weighted units in arithmetic, a readout that
    is reshaped by the shape of the batch."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "W1", "b1"], ["a"], name="first", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["a", "g", "s", "m", "v"], ["n"], name="norm", epsilon=1e-3),
        node("Sigmoid", ["n"], ["p"]),
        node("Mul", ["n", "p"], ["q"], name="swish"),
        node("Conv", ["q", "W2"], ["d"], name="depthwise", group=4, pads=[1, 1, 1, 1]),
        node("Add", ["d", "b2"], ["e"], name="bias"),
        node("Add", ["e", "q"], ["r"], name="residual"),
        node("MaxPool", ["r"], ["t"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", ["t"], ["sh"]),
        node("Constant", [], ["zero"], value_ints=[0]),
        node("Gather", ["sh", "zero"], ["batch"]),
        node("Constant", [], ["rest"], value_ints=[-1]),
        node("Concat", ["batch", "rest"], ["to"], axis=0),
        node("Reshape", ["t", "to"], ["f"], name="flat"),
        node("Gemm", ["f", "W3", "b3"], ["h"], name="hidden", transB=1),
        node("Elu", ["h"], ["i"], alpha=0.7),
        node("MatMul", ["i", "W4"], ["j"], name="last"),
        node("Add", ["j", "b4"], ["y"], name="end"),
    ]
    shapes: dict[str, tuple[int, ...]] = {
        **{"W1": (4, 3, 3, 3), "b1": (4,), "g": (4,), "s": (4,), "m": (4,), "W2": (4, 1, 3, 3)},
        **{"b2": (1, 4, 1, 1), "W3": (5, 36), "b3": (5,), "W4": (5, 2), "b4": (2,)},
    }
    weights: dict[str, np.ndarray] = {
        name: 0.5 * normal(*shape, seed=number)
        for number, (name, shape) in enumerate(shapes.items())
    }
    weights["v"] = np.abs(normal(4)) + np.float32(0.5)
    return model(nodes, weights, ("n", 3, 12, 12))
