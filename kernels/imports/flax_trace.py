"""A linen module as operations: its layers by their names, what is between them by its jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from kernas.errors import ArchitectureError

from ..architecture import Concat, Identity
from .arithmetic import channels_of, with_constant
from .refusing import no_rule, refused_groups
from .steps import (
    IMAGES,
    UNSCALED,
    Adaptive,
    Affine,
    Flattening,
    Images,
    LayerNormalization,
    NoRule,
    Operation,
    Pointwise,
    Pool,
    Step,
    Weights,
    batch_normalization,
    float64,
)

BATCH = 2
"""Images that a module is traced with."""

MARK = "layer of flax "
"""What the name of a layer's equation begins with."""

Variables = Mapping[str, Any]


def operations_of(
    module: Any, variables: Variables, image_shape: tuple[int, ...], arguments: dict[str, Any]
) -> tuple[list[Operation], str, list[str]]:
    """The operations of a module, the name of its output, and what is left out of it.

    Raises:
        ArchitectureError: it cannot be traced, or returns anything but one array.
    """
    layers: list[tuple[str, Any]] = []

    def marked(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        layer = context.module
        value = call(*args, **kwargs)
        known = type(layer).__module__.startswith("flax.linen")
        if not known or context.method_name != "__call__" or type(layer) in COMPOSED:
            return value
        if not args or not isinstance(args[0], jax.Array) or not isinstance(value, jax.Array):
            return value
        layers.append(("/".join(layer.path) or type(layer).__name__, layer))
        return _mark(f"{MARK}{len(layers) - 1}", args[0], value)

    def forward(x: Any) -> Any:
        with nn.intercept_methods(marked):
            return module.apply(variables, x, **arguments)

    images = jax.ShapeDtypeStruct((BATCH, *image_shape), jnp.float32)
    try:
        closed = jax.make_jaxpr(forward)(images)
    except jax.errors.ConcretizationTypeError as error:
        raise ArchitectureError(
            f"{type(module).__name__} cannot be traced ({_first_line(error)}): its forward pass "
            "may not branch on data; write the branch that is taken"
        ) from error
    except (flax.errors.FlaxError, TypeError, ValueError) as error:
        raise ArchitectureError(
            f"{type(module).__name__} cannot be traced on images of {image_shape} "
            f"({_first_line(error)}); give its own image_shape, and what it is called with as "
            'arguments={"train": False}'
        ) from error
    if len(closed.jaxpr.outvars) != 1:
        raise ArchitectureError(
            f"{type(module).__name__} returns {len(closed.jaxpr.outvars)} arrays: expected one"
        )
    reading = _Reading(layers, variables)
    (output,) = reading.read(closed.jaxpr, closed.consts, [IMAGES])
    if not isinstance(output, str):
        raise ArchitectureError("the module's output does not depend on its input")
    said = [f"nothing outside of training: {', '.join(reading.quiet)}."] if reading.quiet else []
    return reading.operations, output, said


COMPOSED = (nn.Sequential,)
"""Modules of flax whose layers are read one by one."""


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _mark(name: str, x: Any, value: Any) -> Any:
    """The value, by an equation of that name which reads ``x``."""

    def marked(x: Any, value: Any) -> Any:
        return value

    marked.__name__ = name
    return jax.jit(marked)(x, value)


class _Reading:
    """Equations in order; values are names of operations, or arrays where they are constants."""

    def __init__(self, layers: list[tuple[str, Any]], variables: Variables) -> None:
        self._layers, self._variables = layers, variables
        self.operations = [Operation(IMAGES, "input", Images(), ())]
        self._taken: dict[str, int] = {IMAGES: 1}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.quiet: list[str] = []

    def read(self, jaxpr: Any, constants: Any, inputs: list[Any]) -> list[Any]:
        """The values of a program's outputs."""
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
        values |= dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, value in zip(jaxpr.invars, inputs, strict=True):
            if isinstance(value, str):
                self._shapes[value] = variable.aval.shape

        def value_of(atom: Any) -> Any:
            return atom.val if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [value_of(atom) for atom in equation.invars])
            values |= dict(zip(equation.outvars, results, strict=True))
        return [value_of(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, given: list[Any]) -> list[Any]:
        name, parameters = equation.primitive.name, equation.params
        inner = next((parameters[k] for k in ("jaxpr", "call_jaxpr") if k in parameters), None)
        label = str(parameters.get("name", ""))
        if label.startswith(MARK) and given:
            return [self._layer(int(label.removeprefix(MARK)), given, equation)]
        if name in INLINED and inner is not None:
            closed = hasattr(inner, "consts")
            return self.read(
                inner.jaxpr if closed else inner, inner.consts if closed else (), given
            )
        if not any(isinstance(value, str) for value in given):
            results = equation.primitive.bind(*given, **parameters)
            return list(results) if equation.primitive.multiple_results else [results]
        step = self._step(name, parameters, given, equation)
        inputs = tuple(value for value in given if isinstance(value, str))
        if isinstance(step, tuple):
            first = self._append(name + UNSCALED, name, step[0], inputs, equation)
            return [self._append(name, name, step[1], (first,), equation)]
        made = self._append(name, name, step, inputs, equation)
        return [made] * len(equation.outvars)

    def _append(
        self, name: str, kind: str, step: Step, inputs: tuple[str, ...], equation: Any
    ) -> str:
        number = self._taken[name] = self._taken.get(name, 0) + 1
        free = name if number == 1 else f"{name}:{number}"
        self.operations.append(Operation(free, kind, step, inputs))
        self._shapes[free] = equation.outvars[0].aval.shape
        return free

    def _layer(self, number: int, given: list[Any], equation: Any) -> Any:
        """A layer of flax, read by its rule."""
        path, layer = self._layers[number]
        kind = type(layer).__name__
        x = given[0]
        if not isinstance(x, str):
            return given[1]
        weights = {
            collection: _at(tree, layer.path) for collection, tree in self._variables.items()
        }
        rule = RULES.get(kind)
        step: Any = no_rule(kind) if rule is None else rule(layer, weights, path)
        if kind == "Dropout":
            self.quiet.append(path)
        inputs: tuple[str, ...] = (x,)
        if isinstance(step, tuple):
            inputs = (self._append(path + UNSCALED, kind, step[0], inputs, equation),)
            step = step[1]
        return self._append(path, kind, step, inputs, equation)

    def _step(self, name: str, parameters: Any, given: list[Any], equation: Any) -> Any:
        """What an equation computes; of a sum over windows the average and its factor."""
        shapes = [self._shapes[v] if isinstance(v, str) else np.shape(v) for v in given]
        made = equation.outvars[0].aval.shape
        if name in ("convert_element_type", "copy", "stop_gradient", "copy_p"):
            return Identity()
        if name == "reshape":
            flat = len(made) == 2 and len(shapes[0]) == 4 and made[0] == shapes[0][0]
            if made == shapes[0]:
                return Identity()
            return Flattening() if flat else no_rule("reshape")
        if name == "concatenate":
            if parameters["dimension"] != len(made) - 1 or not all(
                isinstance(v, str) for v in given
            ):
                return NoRule("Concat() here joins channels that are computed")
            return Concat()
        if name == "reduce_sum" and tuple(parameters["axes"]) == (1, 2) and len(shapes[0]) == 4:
            pixels = shapes[0][1] * shapes[0][2]
            return Adaptive((1, 1)), Affine(np.asarray(float(pixels)), np.zeros(()))
        if name == "reduce_max":
            return no_rule(
                "softmax" if len(shapes[0]) - 1 in parameters["axes"] else "globalmaxpool"
            )
        if name in ("reduce_window_max", "reduce_window_sum"):
            return _pool(name, parameters)
        if name == "dot_general":
            return no_rule("multiply", PRODUCT)
        return self._function(name, given, equation)

    def _function(self, name: str, given: list[Any], equation: Any) -> Step:
        """A function of numbers, or a constant for every channel added or multiplied."""
        if name not in POINTWISE:
            return no_rule(name)
        made = equation.outvars[0].aval.shape
        given = [v if isinstance(v, str) else _one(v) for v in given]
        constants = [v for v in given if not isinstance(v, str)]
        if any(np.size(v) > 1 for v in constants):
            return self._of_array(name, given, made) if len(given) == 2 else no_rule(name)
        fixed = [v if isinstance(v, str) else jnp.reshape(jnp.asarray(v), ()) for v in given]
        primitive, parameters = equation.primitive, equation.params

        def function(*values: Any) -> Any:
            rest = iter(values)
            parts = [jnp.asarray(next(rest)) if isinstance(v, str) else v for v in fixed]
            if name in SHAPED:
                return parts[0]
            shape = np.broadcast_shapes(*(part.shape for part in parts))
            return primitive.bind(*(jnp.broadcast_to(p, shape) for p in parts), **parameters)

        return Pointwise(function, adds=name in ("add", "add_any") and not constants)

    def _of_array(self, name: str, given: list[Any], made: tuple[int, ...]) -> Step:
        """With a constant array: of every channel, or the pixels that an average counts."""
        first = isinstance(given[0], str)
        constant = np.asarray(given[1 if first else 0], dtype=np.float64)
        last = self.operations[-1]
        average = self.operations[-2].step if len(self.operations) > 1 else None
        if name == "div" and first and isinstance(average, Pool) and last.name == given[0]:
            same = _counts(average, self._shapes[self.operations[-2].inputs[0]], constant)
            if same:
                window = average.window[0] * average.window[1]
                valid = Pool("average", average.window, average.stride, average.padding)
                before = self.operations[-2]
                self.operations[-2] = Operation(before.name, before.kind, valid, before.inputs)
                return Affine(np.asarray(1.0 / window), np.zeros(()))
        channels = channels_of(constant, -1)
        if channels is None or (channels.size > 1 and channels.size != made[-1]):
            return NoRule("a constant here is one number, or one for every channel")
        found = with_constant(name, channels, first=first)
        return found or NoRule("a constant for every channel is added or multiplied here")


PRODUCT = (
    "a product of two inputs, or with weights that are no layer of flax, has no exact kernel here; "
    "take Dense(), or Conv(window) and GlobalAvgPool() for attention"
)

INLINED = (
    "jit",
    "pjit",
    "custom_jvp_call",
    "custom_vjp_call",
    "closed_call",
    "remat",
    "checkpoint",
)

SHAPED = ("broadcast_in_dim",)

POINTWISE = {
    *("add", "add_any", "sub", "mul", "div", "neg", "max", "min", "abs", "sign", "exp", "exp2"),
    *("expm1", "log", "log1p", "tanh", "logistic", "erf", "erfc", "erf_inv", "sin", "cos", "atan"),
    *("integer_pow", "pow", "square", "sqrt", "rsqrt", "select_n", "gt", "ge", "lt", "le", "eq"),
    *("ne", "atan2", "and", "or", "not", "broadcast_in_dim", "is_finite", "clamp"),
}
"""Primitives that act on every number by itself."""


def _one(constant: Any) -> Any:
    """A constant array of equal numbers as one of them."""
    array = np.asarray(constant)
    return array.ravel()[:1] if array.size and (array == array.ravel()[0]).all() else array


def _at(tree: Any, path: tuple[str, ...]) -> dict[str, Any]:
    for part in path:
        tree = tree.get(part, {})
    return {name: value for name, value in tree.items() if not isinstance(value, Mapping)}


def _pool(name: str, parameters: Any) -> Any:
    window, strides = parameters["window_dimensions"], parameters["window_strides"]
    padding = tuple(tuple(edge) for edge in parameters["padding"])
    dilated = {*parameters["window_dilation"], *parameters["base_dilation"]} != {1}
    whole = len(window) == 4 and window[0] == window[3] == 1 and strides[0] == strides[3] == 1
    if not whole or dilated:
        return NoRule("a pool here has windows of height and width, without dilation")
    height, width = window[1], window[2]
    options: Any = ((height, width), (strides[1], strides[2]), (padding[1], padding[2]))
    if name == "reduce_window_max":
        return Pool("max", *options)
    average = Pool("average", *options, counts_padding=True)
    return average, Affine(np.asarray(float(height * width)), np.zeros(()))


def _counts(pool: Pool, shape: tuple[int, ...], constant: np.ndarray) -> bool:
    """Whether a constant has, for every window, the number of pixels that lie in it."""
    sizes = []
    for axis in (0, 1):
        low, high = pool.padding[axis]
        ones = np.pad(np.ones(shape[1 + axis]), (low, high))
        starts = range(0, len(ones) - pool.window[axis] + 1, pool.stride[axis])
        sizes.append(np.array([ones[start : start + pool.window[axis]].sum() for start in starts]))
    expected = np.multiply.outer(*sizes)
    return constant.size == expected.size and bool((constant.ravel() == expected.ravel()).all())


def _numbers(value: Any) -> tuple[int, int]:
    height, width = value if isinstance(value, tuple | list) else (value, value)
    return int(height), int(width)


def _convolution(layer: Any, weights: Variables, path: str) -> Step:
    own = weights["params"]
    kernel = float64(own["kernel"])
    if kernel.ndim != 4:
        return no_rule(f"Conv{kernel.ndim - 2}d")
    groups, made = layer.feature_group_count, kernel.shape[-1]
    read = kernel.shape[2] * groups
    refused = refused_groups(groups, read, made)
    if refused is not None:
        return refused
    if layer.mask is not None or _numbers(layer.input_dilation or 1) != (1, 1):
        return NoRule("no layer here has masked weights or a dilated input")
    padding = layer.padding
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID", "CIRCULAR"):
            return NoRule(f"no layer here pads by {padding!r}; take 'SAME'")
    else:
        pairs = [padding] * 2 if isinstance(padding, int) else list(padding)
        edges = [(edge, edge) if isinstance(edge, int) else tuple(edge) for edge in pairs]
        padding = (edges[0], edges[1])
    return Weights(
        kernel,
        float64(own["bias"]) if "bias" in own else None,
        path,
        _numbers(layer.strides or 1),
        padding,
        _numbers(layer.kernel_dilation or 1),
        groups > 1,
    )


def _dense(layer: Any, weights: Variables, path: str) -> Step:
    own = weights["params"]
    return Weights(float64(own["kernel"]), float64(own["bias"]) if "bias" in own else None, path)


def _batch_norm(layer: Any, weights: Variables, path: str) -> Step:
    if layer.axis != -1:
        return NoRule("Normalize() here is over every axis but the channels, axis=-1")
    own, averages = weights.get("params", {}), weights["batch_stats"]
    scale, shift = own.get("scale", 1.0), own.get("bias", 0.0)
    return batch_normalization(scale, shift, averages["mean"], averages["var"], layer.epsilon)


def _layer_norm(layer: Any, weights: Variables, path: str) -> Any:
    axes = (
        layer.reduction_axes if isinstance(layer.reduction_axes, tuple) else (layer.reduction_axes,)
    )
    if tuple(
        layer.feature_axes if isinstance(layer.feature_axes, tuple) else (layer.feature_axes,)
    ) != (-1,) or axes not in ((-1,), (1, 2, 3)):
        return NoRule("LayerNorm() here is over channels, or over channels and pixels")
    over = "channels" if axes == (-1,) else "channels and pixels"
    return _scaled(LayerNormalization(layer.epsilon, over), weights)


def _group_norm(layer: Any, weights: Variables, path: str) -> Any:
    if layer.num_groups != 1:
        return NoRule("LayerNorm('channels and pixels') here has one group; take num_groups=1")
    return _scaled(LayerNormalization(layer.epsilon, "channels and pixels"), weights)


def _scaled(step: LayerNormalization, weights: Variables) -> Any:
    own = weights.get("params", {})
    return step, Affine(float64(own.get("scale", 1.0)), float64(own.get("bias", 0.0)))


RULES: dict[str, Callable[[Any, Variables, str], Any]] = {
    "Conv": _convolution,
    "Dense": _dense,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "Dropout": lambda *_: Identity(),
}
"""What each layer of flax computes."""
