"""`from_onnx`: a model in the format of ONNX. The only module that imports onnx."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError, DataError, MissingDependencyError

from ..architecture import Concat, Elementwise, Elu, Gelu, Identity, LeakyRelu, Relu, Selu, Sum
from .arithmetic import FUNCTIONS, arithmetic, channels_of
from .folding import BatchNorm
from .imported import HE, Imported, MaxPooling, checked_shape, imported
from .refusing import no_rule, refused_groups
from .steps import (
    IMAGES,
    UNSCALED,
    Adaptive,
    Affine,
    Array,
    Flattening,
    Images,
    LayerNormalization,
    NoRule,
    Operation,
    Pool,
    Step,
    Weights,
    batch_normalization,
    float64,
)

INSTALL = "pip install 'kernas[onnx]'"


def from_onnx(
    model: Any,
    image_shape: Sequence[int] | None = None,
    *,
    max_pool: MaxPooling = None,
    batch_norm: BatchNorm = "normalize",
    W_std: float = HE,
    b_std: float = 0.1,
) -> Imported:
    """The architecture of a model in the format of ONNX, and the finite network with its weights.

    Images here are ``(n, height, width, channels)`` where those of ONNX are ``(n, channels, height,
    width)``; outputs agree to rounding.

    Args:
        model: an ``onnx.ModelProto``, its bytes, or the path of its file.
        image_shape: ``(height, width, channels)`` or ``(features,)``; by default that of the
            model's input.
        max_pool: as of :func:`from_torch`, and ``batch_norm``, ``W_std`` and ``b_std``.

    Raises:
        ArchitectureError: layers have no rule here; the message is one line that names them and
            what could stand in.
        ConfigurationError: an argument is not usable, or the model does not say its input's shape.
        DataError: it is no model.
        MissingDependencyError: onnx is not installed.
    """
    reading = _Reading(_loaded(model), image_shape)
    return imported(
        reading.operations,
        reading.output,
        reading.image_shape,
        channels_first=True,
        max_pool=max_pool,
        batch_norm=batch_norm,
        W_std=W_std,
        b_std=b_std,
        said=reading.said,
    )


def _loaded(model: Any) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(f"from_onnx needs the package onnx; {INSTALL}") from error
    if isinstance(model, onnx.ModelProto):
        return model
    try:
        if isinstance(model, bytes):
            return onnx.load_model_from_string(model)
        if isinstance(model, str | os.PathLike):
            return onnx.load_model(os.fspath(model))
    except Exception as error:  # protobuf's errors have no common base
        raise DataError(f"the model cannot be read ({error}): expected a file of ONNX") from error
    raise ConfigurationError(
        f"model={type(model).__name__}: expected an onnx.ModelProto, its bytes or a path"
    )


class _Reading:
    """The operations of a graph; what depends on constants alone is computed by onnx itself."""

    def __init__(self, model: Any, image_shape: Sequence[int] | None) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.shape_inference.infer_shapes(model).graph
        self._known: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self._shapes = {v.name: _dimensions(v) for v in (*graph.value_info, *graph.input)}
        self._of: dict[str, str] = {}  # tensors → the operations that give them
        inputs = [value.name for value in graph.input if value.name not in self._known]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ArchitectureError(
                f"the model has {len(inputs)} inputs and {len(graph.output)} outputs: expected one "
                "of each"
            )
        self.image_shape = self._image_shape(inputs[0], image_shape)
        self.operations = [Operation(IMAGES, "input", Images(), ())]
        self._of[inputs[0]] = IMAGES
        quiet: list[str] = []
        for number, node in enumerate(graph.node):
            self._read(node, node.name or f"{node.op_type}_{number}")
            if node.op_type == "Dropout":
                quiet.append(node.name or f"{node.op_type}_{number}")
        self.said = [f"nothing outside of training: {', '.join(quiet)}."] if quiet else []
        if graph.output[0].name not in self._of:
            raise ArchitectureError("the model's output does not depend on its input")
        self.output = self._of[graph.output[0].name]

    def _image_shape(self, name: str, given: Sequence[int] | None) -> tuple[int, ...]:
        if given is not None:
            return checked_shape(given)
        batch_and_image: tuple[Any, ...] = self._shapes[name]
        if len(batch_and_image) not in (2, 4) or None in batch_and_image[1:]:
            raise ConfigurationError(
                f"the model's input {name!r} has the shape {batch_and_image}: expected (n, "
                "channels, height, width) or (n, features) in numbers; give image_shape=(height, "
                "width, channels) or (features,)"
            )
        channels, *pixels = batch_and_image[1:]
        return checked_shape((*pixels, channels))

    def _read(self, node: Any, name: str) -> None:
        from onnx.reference import ReferenceEvaluator

        given = [tensor for tensor in node.input if tensor]
        if node.op_type == "Shape" and None not in self._shapes.get(given[0], (None,))[1:]:
            # 0 is what Reshape takes for "as it was": the size of the batch.
            self._known[node.output[0]] = np.array([0, *self._shapes[given[0]][1:]])
            return
        if all(tensor in self._known for tensor in given):
            feeds = {tensor: self._known[tensor] for tensor in given}
            results = ReferenceEvaluator(node).run(None, feeds)
            self._known |= dict(zip(node.output, results, strict=False))
            return
        step, read = self._step(node)
        inputs = tuple(self._of[tensor] for tensor in read if tensor in self._of)
        self._of[node.output[0]] = name
        if isinstance(step, tuple):
            first = name + UNSCALED
            self.operations.append(Operation(first, node.op_type, step[0], inputs))
            step, inputs = step[1], (first,)
        self.operations.append(Operation(name, node.op_type, step, inputs))
        for other in node.output[1:]:
            self._of[other] = name

    def _step(self, node: Any) -> tuple[Any, list[str]]:
        """What a node computes, and the tensors that it reads; of a layer norm two steps."""
        kind, settings = node.op_type, _attributes(node)
        tensors = list(node.input)
        values = [self._known.get(tensor) for tensor in tensors]
        if kind in RULES:
            return RULES[kind](settings, values, tensors), tensors[:1]
        if kind == "Concat":
            axis = settings["axis"]
            if axis not in (1, -3) or any(value is not None for value in values):
                return NoRule("Concat() here joins channels that are computed"), tensors
            return Concat(), tensors
        if kind == "Sum" and all(value is None for value in values):
            return Sum(), tensors
        function = NAMES.get(kind, kind.lower())
        if function in FUNCTIONS:
            arguments = [
                self._of[tensor] if value is None else _constant(value)
                for tensor, value in zip(tensors, values, strict=True)
                if tensor
            ]
            computed = arithmetic(function, arguments)
            if computed is not None:
                read = [t for t in tensors if t not in self._known]
                return computed[0], read
        return no_rule(KINDS.get(kind, kind), REASONS.get(kind)), tensors


def _constant(value: Array) -> Array:
    return value.reshape(()) if value.size == 1 else value


def _dimensions(value: Any) -> tuple[int | None, ...]:
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dimensions)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


Settings = Mapping[str, Any]
Values = Sequence[Array | None]

NAMES = {
    "Max": "maximum",
    "Min": "minimum",
    "Neg": "neg",
    "Pow": "pow",
    "Atan": "atan",
    "Clip": "clamp",
    "Div": "div",
}
"""Functions of numbers that are called otherwise in ``FUNCTIONS``."""

KINDS = {"Pad": "zeropad", "Clip": "relu6", "MatMul": "multiply", "GlobalMaxPool": "globalmaxpool"}
"""What stands in for an operator in messages."""

REASONS = {
    "MatMul": (
        "a product of two inputs has no exact kernel here, so attention has none; take "
        "Conv(window) and GlobalAvgPool()"
    ),
    "Transpose": "no layer here cuts or reorders an image; export the model with images (n, "
    "channels, height, width)",
}


def _pads(settings: Settings) -> Any:
    """Edges, ``"SAME"``, or ``None`` for what kernas does not have."""
    auto = settings.get("auto_pad", b"NOTSET")
    if auto == b"SAME_LOWER":
        return None
    if auto == b"SAME_UPPER":
        return "SAME"
    top, left, bottom, right = settings.get("pads", (0, 0, 0, 0)) if auto == b"NOTSET" else (0,) * 4
    return (top, bottom), (left, right)


def _pair(settings: Settings, name: str) -> tuple[int, int]:
    height, width = settings.get(name, (1, 1))
    return int(height), int(width)


def _convolution(settings: Settings, values: Values, tensors: Sequence[str]) -> Step:
    weight = values[1]
    if weight is None:
        return NoRule("its weights are computed; layers here have weights of their own")
    if weight.ndim != 4:
        return no_rule(f"Conv{weight.ndim - 2}d")
    kernel = float64(weight).transpose(2, 3, 1, 0)
    groups, made = settings.get("group", 1), kernel.shape[-1]
    read = kernel.shape[2] * groups
    refused = refused_groups(groups, read, made)
    if refused is not None:
        return refused
    padding = _pads(settings)
    if padding is None:
        return NoRule("SAME here pads the end of an axis first, auto_pad='SAME_UPPER'")
    bias = values[2] if len(values) > 2 else None
    return Weights(
        kernel,
        None if bias is None else float64(bias),
        tensors[1],
        _pair(settings, "strides"),
        padding,
        _pair(settings, "dilations"),
        groups > 1,
    )


def _product(settings: Settings, values: Values, tensors: Sequence[str]) -> Step:
    weight = values[1]
    if weight is None or settings.get("transA") or weight.ndim != 2:
        return NoRule(REASONS["MatMul"])
    if values[0] is not None:
        return NoRule("its weights stand before the features; export x @ W")
    kernel = float64(weight) * settings.get("alpha", 1.0)
    bias = values[2] if len(values) > 2 else None
    if bias is not None:
        made = kernel.shape[0 if settings.get("transB") else 1]
        bias = np.broadcast_to(float64(bias) * settings.get("beta", 1.0), (1, made))[0]
    return Weights(kernel.T if settings.get("transB") else kernel, bias, tensors[1])


def _batch_norm(settings: Settings, values: Values, tensors: Sequence[str]) -> Step:
    if settings.get("training_mode"):
        return NoRule("it is in training mode; export the model in eval mode")
    if any(value is None for value in values[1:5]):
        return NoRule("its averages are computed; export the model in eval mode")
    scale, shift, mean, variance = values[1:5]
    return batch_normalization(scale, shift, mean, variance, settings.get("epsilon", 1e-5))


def _layer_norm(settings: Settings, values: Values, tensors: Sequence[str]) -> Any:
    axis = settings.get("axis", -1)
    if axis not in (-1, 1):
        return NoRule("LayerNorm() here is over channels, or over channels and pixels")
    over = "last axis" if axis == -1 else "channels and pixels"
    parts = []
    for value, default in ((values[1], 1.0), (values[2] if len(values) > 2 else None, 0.0)):
        array = float64(np.asarray(default if value is None else value))
        same = np.unique(array)
        part = same.reshape(()) if len(same) == 1 else channels_of(array, -3 if axis == 1 else -1)
        if part is None:
            return NoRule("its scale or shift differs from pixel to pixel")
        parts.append(part)
    normalization = LayerNormalization(settings.get("epsilon", 1e-5), over)
    return normalization, Affine(parts[0], parts[1])


def _pool(kind: Any) -> Callable[[Settings, Values, Sequence[str]], Step]:
    def rule(settings: Settings, values: Values, tensors: Sequence[str]) -> Step:
        window = settings["kernel_shape"]
        if len(window) != 2 or math.prod(settings.get("dilations", (1, 1))) != 1:
            return NoRule(
                "pools here have two axes and no dilation; signals are images of height 1"
            )
        padding = _pads(settings)
        if padding is None or isinstance(padding, str):
            return NoRule("a pool here has its padding in numbers; export it with pads")
        return Pool(
            kind,
            (window[0], window[1]),
            _pair(settings, "strides"),
            padding,
            bool(settings.get("ceil_mode", 0)),
            bool(settings.get("count_include_pad", 0)),
        )

    return rule


def _reshape(settings: Settings, values: Values, tensors: Sequence[str]) -> Step:
    shape = values[1]
    if shape is None or len(shape) != 2:
        return NoRule(
            "no layer here cuts or reorders an image; only one vector an image is Flatten()"
        )
    return Flattening()


def _mean(settings: Settings, values: Values, tensors: Sequence[str]) -> Step:
    axes = settings.get("axes", values[1] if len(values) > 1 else None)
    if axes is None or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
        return NoRule("a mean here is over all pixels, GlobalAvgPool()")
    return Adaptive((1, 1))


RULES: dict[str, Callable[[Settings, Values, Sequence[str]], Any]] = {
    "Conv": _convolution,
    "Gemm": _product,
    "MatMul": _product,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("average"),
    "GlobalAveragePool": lambda *_: Adaptive((1, 1)),
    "ReduceMean": _mean,
    "Flatten": lambda settings, *_: (
        Flattening()
        if settings.get("axis", 1) == 1
        else NoRule("only one vector an image is Flatten()")
    ),
    "Reshape": _reshape,
    "Squeeze": lambda settings, *_: NoRule("export Flatten in its place"),
    "Identity": lambda *_: Identity(),
    "Dropout": lambda *_: Identity(),
    "Cast": lambda *_: Identity(),
    "Relu": lambda *_: Relu(),
    "LeakyRelu": lambda settings, *_: LeakyRelu(_decimal(settings.get("alpha", 0.01))),
    "Elu": lambda settings, *_: Elu(_decimal(settings.get("alpha", 1.0))),
    "Selu": lambda *_: Selu(),
    "Gelu": lambda settings, *_: (
        Elementwise("gelu_tanh") if settings.get("approximate") == b"tanh" else Gelu()
    ),
    "Mish": lambda *_: Elementwise("mish"),
    "Softplus": lambda *_: Elementwise("softplus"),
}
"""What each operator computes; those of numbers alone are in ``FUNCTIONS``."""


def _decimal(value: float) -> float:
    """A number that is kept in float32, without the digits which that adds."""
    return float(f"{value:.7g}")
