"""What the calls of a PyTorch module compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..architecture import (
    Concat,
    Elementwise,
    Elu,
    Gelu,
    Identity,
    LeakyRelu,
    Relu,
    Selu,
)
from .arithmetic import FUNCTIONS, arithmetic, channels_of
from .refusing import no_rule, refused_groups
from .steps import (
    IMAGES,
    UNSCALED,
    Adaptive,
    Affine,
    Both,
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
from .torch_graph import Call

Settings = Mapping[str, Any]

NOTHING = {
    "Identity": "",
    "Dropout": "Dropout",
    "Dropout1d": "Dropout",
    "Dropout2d": "Dropout",
    "AlphaDropout": "Dropout",
    "FeatureAlphaDropout": "Dropout",
    "StochasticDepth": "StochasticDepth",
    "dropout": "Dropout",
    "dropout2d": "Dropout",
    "stochastic_depth": "StochasticDepth",
    "contiguous": "",
    "clone": "",
    "detach": "",
    "float": "",
    "to": "",
}
"""What does nothing in ``eval`` mode, and what is said of it."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "relu": (),
    "relu_": (),
    "leaky_relu": ("negative_slope",),
    "elu": ("alpha",),
    "selu": (),
    "gelu": ("approximate",),
    "silu": (),
    "mish": (),
    "softplus": ("beta", "threshold"),
    "sigmoid": (),
    "tanh": (),
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": (
        *("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
        "divisor_override",
    ),
    "adaptive_avg_pool2d": ("output_size",),
}
"""Functions and methods that are modules too: the parameters that follow the tensor."""

MODULES = {
    "relu_": "ReLU",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "max_pool2d": "MaxPool2d",
    "avg_pool2d": "AvgPool2d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
}

ALIASES = {
    "iadd": "add",
    "add_": "add",
    "imul": "mul",
    "mul_": "mul",
    "isub": "sub",
    "subtract": "sub",
}
ALIASES |= {"multiply": "mul", "divide": "div", "clip": "clamp", "__add__": "add"}


def operations_of(calls: Sequence[Call]) -> tuple[list[Operation], list[str]]:
    """The operations of a module, and what is left out of it."""
    constants: dict[str, np.ndarray] = {}
    found, quiet = [], []
    for call in calls:
        if call.kind == "constant":
            constants[call.name] = call.weights["value"]
        else:
            step, inputs = _step(call, constants)
            found += [Operation(call.name, call.kind, step, inputs)]
            if isinstance(step, LayerNormalization) and call.weights:
                found = [*found[:-1], *_scaled(call, step)]
            if NOTHING.get(call.kind):
                quiet.append(call.name)
    said = [f"nothing in eval mode: {', '.join(quiet)}."] if quiet else []
    return found, said


def _step(call: Call, constants: Mapping[str, np.ndarray]) -> tuple[Step, tuple[str, ...]]:
    if call.name == IMAGES:
        return Images(), ()
    if call.kind in NOTHING and _drops(call):
        return NoRule("it drops out in eval mode too; give it training=self.training"), call.inputs
    if call.kind in NOTHING:
        return Identity(), call.inputs[:1]
    if call.kind in RULES and "args" not in call.settings:
        return RULES[call.kind](call), call.inputs
    if call.kind in MODULES and "args" in call.settings:
        return _as_module(call), call.inputs[:1]
    kind = ALIASES.get(call.kind, call.kind)
    args = call.settings.get("args", [])
    if kind in ("flatten", "view", "reshape"):
        return (Flattening() if _flattens(kind, call.settings) else _REORDERS), call.inputs[:1]
    if kind == "mean":
        return _mean(call.settings), call.inputs[:1]
    if kind in ("cat", "concat", "concatenate"):
        return _concatenation(call), call.inputs
    if kind in FUNCTIONS and args:
        arguments = [_argument(part, constants) for part in args]
        keywords = call.settings["kwargs"]
        known = all(a is not _UNKNOWN for a in arguments) and set(keywords) <= {"inplace"}
        computed = arithmetic(kind, arguments) if known else None
        if computed is not None:
            return computed
    inputs = tuple(name for name in call.inputs if name not in constants)
    if call.kind in ("matmul", "bmm", "einsum", "baddbmm"):
        return no_rule(call.kind, PRODUCT), inputs
    return no_rule("zeropad" if call.kind == "pad" else call.kind), inputs


PRODUCT = (
    "a product of two inputs has no exact kernel here, so attention has none; take Conv(window) "
    "and GlobalAvgPool()"
)

_REORDERS = NoRule("no layer here cuts or reorders an image; only flatten(x, 1) is Flatten()")
_UNKNOWN = object()


def _argument(part: Any, constants: Mapping[str, np.ndarray]) -> Any:
    """A name, a number, or the array of a constant; what is neither is not known."""
    if isinstance(part, dict):
        name = part["call"]
        if name not in constants:
            return name
        constant = constants[name]
        return constant.reshape(()) if constant.size == 1 else constant
    return part if isinstance(part, int | float) and not isinstance(part, bool) else _UNKNOWN


def _as_module(call: Call) -> Step:
    """The rule of the module that a function is."""
    args, settings = call.settings["args"], dict(call.settings["kwargs"])
    settings |= dict(zip(NAMES[call.kind], args[1:], strict=False))
    return RULES[MODULES[call.kind]](Call(call.name, call.kind, call.inputs, settings))


def _drops(call: Call) -> bool:
    """Whether a function of dropout is told to drop out, as it is by default."""
    if "args" not in call.settings or not NOTHING[call.kind]:
        return False
    args, kwargs = call.settings["args"], call.settings["kwargs"]
    place = 3 if call.kind == "stochastic_depth" else 2
    return bool(kwargs.get("training", args[place] if len(args) > place else True))


def _flattens(kind: str, settings: Settings) -> bool:
    args, kwargs = settings["args"][1:], settings["kwargs"]
    if kind == "flatten":
        start = kwargs.get("start_dim", args[0] if args else 0)
        end = kwargs.get("end_dim", args[1] if len(args) > 1 else -1)
        return start == 1 and end in (-1, 3)
    shape = args[0] if args and isinstance(args[0], list) else args
    return len(shape) == 2 and isinstance(shape[1], int)


def _mean(settings: Settings) -> Step:
    args, kwargs = settings["args"][1:], settings["kwargs"]
    axes = kwargs.get("dim", args[0] if args else None)
    if isinstance(axes, list) and sorted(axis % 4 for axis in axes) == [2, 3]:
        return Adaptive((1, 1))
    return NoRule("a mean here is over all pixels, GlobalAvgPool(): x.mean((2, 3))")


def _concatenation(call: Call) -> Step:
    args, kwargs = call.settings["args"][1:], call.settings["kwargs"]
    axis = kwargs.get("dim", kwargs.get("axis", args[0] if args else 0))
    if axis not in (1, -3):
        return NoRule("Concat() here joins channels, torch.cat(..., 1)")
    return Concat()


def _pair(value: Any) -> Both:
    height, width = value if isinstance(value, list | tuple) else (value, value)
    return int(height), int(width)


def _edges(value: Any) -> tuple[Both, Both]:
    height, width = _pair(value)
    return (height, height), (width, width)


def _convolution(call: Call) -> Step:
    s = call.settings
    kernel = float64(call.weights["weight"]).transpose(2, 3, 1, 0)
    groups, read, made = s["groups"], s["in_channels"], s["out_channels"]
    refused = refused_groups(groups, read, made)
    if refused is not None:
        return refused
    bias = call.weights.get("bias")
    padding, mode = s["padding"], s["padding_mode"]
    dilation, stride = _pair(s["dilation"]), _pair(s["stride"])
    extents = [(side - 1) * d + 1 for side, d in zip(kernel.shape[:2], dilation, strict=True)]
    if padding == "same":
        total = [extent - 1 for extent in extents]
        edges = tuple((t // 2, t - t // 2) for t in total)
    else:
        edges = _edges(0 if padding == "valid" else padding)
    given: Any = (edges[0], edges[1])
    if mode == "circular" and given != ((0, 0), (0, 0)):
        around = tuple((e // 2, e // 2) for e in extents)
        if given != around or stride != (1, 1) or not all(e % 2 for e in extents):
            return NoRule("circular padding here is as wide as half the window, at stride 1")
        given = "CIRCULAR"
    elif mode != "zeros" and given != ((0, 0), (0, 0)):
        return NoRule(f"no layer here pads by {mode!r}; take 'zeros' or 'circular'")
    depthwise = groups > 1
    return Weights(
        kernel,
        None if bias is None else float64(bias),
        call.key,
        stride,
        given,
        dilation,
        depthwise,
    )


def _linear(call: Call) -> Step:
    bias = call.weights.get("bias")
    kernel = float64(call.weights["weight"]).T
    return Weights(kernel, None if bias is None else float64(bias), call.key)


def _batch_norm(call: Call) -> Step:
    w = call.weights
    if "running_mean" not in w or "running_var" not in w:
        return NoRule(
            "it has no running averages and normalises by the batch in eval mode too; take "
            "track_running_stats=True"
        )
    scale, shift = w.get("weight", 1.0), w.get("bias", 0.0)
    return batch_normalization(
        scale, shift, w["running_mean"], w["running_var"], call.settings["eps"]
    )


def _layer_norm(call: Call) -> Step:
    s = call.settings
    if len(s["normalized_shape"]) == 1:
        return LayerNormalization(s["eps"], "last axis")
    if len(s["normalized_shape"]) == 3:
        return LayerNormalization(s["eps"], "channels and pixels")
    return NoRule("LayerNorm() here is over channels, or over channels and pixels")


def _group_norm(call: Call) -> Step:
    if call.settings["num_groups"] != 1:
        return NoRule("LayerNorm('channels and pixels') here has one group; take num_groups=1")
    return LayerNormalization(call.settings["eps"], "channels and pixels")


def _scaled(call: Call, step: LayerNormalization) -> list[Operation]:
    """A normalisation, then the scale and the shift that follow it.

    What reads the module reads the second one, so that has its name.
    """
    axis = -3 if step.over == "channels and pixels" else -1
    parts: list[np.ndarray] = []
    for name, default in (("weight", 1.0), ("bias", 0.0)):
        array = float64(call.weights.get(name, np.asarray(default)))
        values = np.unique(array)
        channels = values.reshape(()) if len(values) == 1 else channels_of(array, axis)
        if channels is None and call.kind == "GroupNorm":
            channels = array
        if channels is None:
            reason = "its scale or shift differs from pixel to pixel; take elementwise_affine=False"
            return [Operation(call.name, call.kind, NoRule(reason), call.inputs)]
        parts.append(channels)
    first = call.name + UNSCALED
    return [
        Operation(first, call.kind, step, call.inputs),
        Operation(call.name, call.kind, Affine(parts[0], parts[1]), (first,)),
    ]


def _max_pool(call: Call) -> Step:
    s = call.settings
    if _pair(s.get("dilation", 1)) != (1, 1):
        return NoRule("no pool here is dilated; leave the dilation out")
    window = _pair(s["kernel_size"])
    stride = window if s.get("stride") in (None, []) else _pair(s["stride"])
    return Pool("max", window, stride, _edges(s.get("padding", 0)), bool(s.get("ceil_mode")))


def _avg_pool(call: Call) -> Step:
    s = call.settings
    if s.get("divisor_override") is not None:
        return NoRule("an average here divides by its window or by its pixels; no divisor_override")
    window = _pair(s["kernel_size"])
    stride = window if s.get("stride") in (None, []) else _pair(s["stride"])
    counts = bool(s.get("count_include_pad", True))
    return Pool(
        "average", window, stride, _edges(s.get("padding", 0)), bool(s.get("ceil_mode")), counts
    )


def _adaptive(call: Call) -> Step:
    size = call.settings["output_size"]
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return Adaptive((height, width))


def _prelu(call: Call) -> Step:
    slopes = np.unique(call.weights["weight"])
    if len(slopes) > 1:
        return NoRule("it has a slope for every channel; LeakyRelu(slope) here has one")
    return LeakyRelu(float(slopes[0]))


def _softplus(call: Call) -> Step:
    if call.settings.get("beta", 1) != 1 or call.settings.get("threshold", 20) < 15:
        return NoRule('Elementwise("softplus") here has beta=1; scale the weights around it')
    return Elementwise("softplus")


def _gelu(call: Call) -> Step:
    by_tanh = call.settings.get("approximate", "none") == "tanh"
    return Elementwise("gelu_tanh") if by_tanh else Gelu()


RULES: dict[str, Callable[[Call], Step]] = {
    "Conv2d": _convolution,
    "Linear": _linear,
    "BatchNorm2d": _batch_norm,
    "BatchNorm1d": _batch_norm,
    "SyncBatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool2d": _adaptive,
    "Flatten": lambda call: (
        Flattening()
        if call.settings["start_dim"] == 1 and call.settings["end_dim"] in (-1, 3)
        else _REORDERS
    ),
    "ReLU": lambda _: Relu(),
    "LeakyReLU": lambda call: LeakyRelu(call.settings.get("negative_slope", 0.01)),
    "PReLU": _prelu,
    "ELU": lambda call: Elu(call.settings.get("alpha", 1.0)),
    "SELU": lambda _: Selu(),
    "GELU": _gelu,
    "SiLU": lambda _: Elementwise("silu"),
    "Mish": lambda _: Elementwise("mish"),
    "Softplus": _softplus,
    "Sigmoid": lambda _: Elementwise("sigmoid"),
    "Tanh": lambda _: Elementwise("tanh"),
}
"""What each module computes."""
