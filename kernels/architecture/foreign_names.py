"""What stands here in place of the names and calls of stax, flax, PyTorch and Keras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from textwrap import shorten
from typing import Any

from kernas.errors import ArchitectureError

_NO_KINKS = "no layer here: its kinks do not lie at 0; take Relu(), LeakyRelu(slope) or Elu()"
_NO_RESIZING = "no layer here enlarges images; resize them before the kernel"
_NO_MAXIMUM = "a maximum has no exact kernel; take AvgPool(window, stride=...) or GlobalAvgPool()"
_NO_ATTENTION = "attention has no exact kernel here; take Conv(window) and GlobalAvgPool()"
_NO_RECURRENCE = "no recurrent layer here; signals (n, length, channels) are read by Conv((3,))"
_NO_TOKENS = "no layer here reads tokens; give one-hot vectors to Dense()"
_NO_GRAPHS = "no layer here reads graphs; images (n, height, width, channels) or vectors only"
_NO_INDEXING = "no layer here cuts or reorders an image; do it with NumPy before the kernel"
_NO_PRODUCT = "a product of branches has no exact kernel here; join them with Sum() or Concat()"
_NO_DROPOUT = "leave it out: a kernel has no noise of training; ridge regularises the regression"
_DENSE = "it is Dense() here; widths go to infinity, so it takes no number of units"
_CONV = "it is Conv(window, stride=...) here; widths go to infinity, so it takes no channels"
_NORMALIZE = "it is Normalize() here; NeuralKernel(...).bind(images) gives it its statistics"
_BUILD = "chain layers with serial(layer, ...), build other graphs with GraphBuilder()"
_SMOOTH = "enter the function with register_elementwise(name, function), then Elementwise(name)"

NAMES: Mapping[str, str] = {
    # branches and chains
    "fanout": "branches read one node by parallel(branch, ...) or GraphBuilder().add(layer, node)",
    "faninsum": "it is Sum() here; parallel(branch, ...) and residual(branch) join by it",
    "faninconcat": "it is parallel(branch, ..., join=Concat()) here",
    "faninprod": _NO_PRODUCT,
    "multiply": _NO_PRODUCT,
    "add": "it is Sum() here; parallel(branch, ...) and residual(branch) join by it",
    "cat": "it is Concat() here: parallel(branch, ..., join=Concat())",
    "concatenate": "it is Concat() here: parallel(branch, ..., join=Concat())",
    "sequential": "it is serial(layer, ...) here",
    "model": _BUILD,
    "module": _BUILD,
    "modulelist": _BUILD,
    # weights
    "linear": _DENSE,
    "densegeneral": _DENSE,
    "lazylinear": _DENSE,
    "bilinear": _NO_PRODUCT,
    "dotgeneral": "no layer here multiplies by fixed matrices; do it with NumPy before the kernel",
    "conv": _CONV,
    "convolution": _CONV,
    "lazyconv": _CONV,
    "convgeneral": _CONV,
    "convlocal": "no layer here has weights of its own at every pixel; Conv(window) shares them",
    "convtranspose": _NO_RESIZING,
    "convtransposed": _NO_RESIZING,
    "separableconv": "it is serial(DepthwiseConv(window), Conv(1)) here",
    "embed": _NO_TOKENS,
    "embedding": _NO_TOKENS,
    "globalselfattention": _NO_ATTENTION,
    "selfattention": _NO_ATTENTION,
    "attention": _NO_ATTENTION,
    "multiheadattention": _NO_ATTENTION,
    "multiheaddotproductattention": _NO_ATTENTION,
    "transformer": _NO_ATTENTION,
    "rnn": _NO_RECURRENCE,
    "simplernn": _NO_RECURRENCE,
    "gru": _NO_RECURRENCE,
    "grucell": _NO_RECURRENCE,
    "lstm": _NO_RECURRENCE,
    "lstmcell": _NO_RECURRENCE,
    # pools and shapes
    "maxpool": "it is MaxPool(window, stride=...) here; " + _NO_MAXIMUM,
    "maxpooling": "it is MaxPool(window, stride=...) here; " + _NO_MAXIMUM,
    "globalmaxpool": _NO_MAXIMUM,
    "globalmaxpooling": _NO_MAXIMUM,
    "adaptivemaxpool": _NO_MAXIMUM,
    "avgpool": "it is AvgPool(window, stride=...) here",
    "averagepooling": "it is AvgPool(window, stride=...) here",
    "sumpool": "it is AvgPool(window, divisor='window') here, times the size of the window",
    "adaptiveavgpool": "to one pixel it is GlobalAvgPool() here, else AvgPool(window, stride=...)",
    "globalavgpool": "it is GlobalAvgPool() here",
    "globalaveragepooling": "it is GlobalAvgPool() here",
    "globalsumpool": "it is GlobalAvgPool() here, times the number of pixels",
    "imageresize": _NO_RESIZING,
    "upsample": _NO_RESIZING,
    "upsampling": _NO_RESIZING,
    "pixelshuffle": _NO_RESIZING,
    "zeropad": "give Conv or AvgPool a padding=((top, bottom), (left, right))",
    "zeropadding": "give Conv or AvgPool a padding=((top, bottom), (left, right))",
    "slice": _NO_INDEXING,
    "index": _NO_INDEXING,
    "reshape": _NO_INDEXING,
    "permute": _NO_INDEXING,
    "unflatten": _NO_INDEXING,
    "cropping": _NO_INDEXING,
    "aggregate": _NO_GRAPHS,
    # normalisation and noise
    "batchnorm": _NORMALIZE,
    "batchnormalization": _NORMALIZE,
    "lazybatchnorm": _NORMALIZE,
    "syncbatchnorm": _NORMALIZE,
    "layernormalization": "it is LayerNorm() here",
    "rmsnorm": "it is LayerNorm() here: the mean over infinitely many channels is 0 already",
    "groupnorm": "it is LayerNorm('channels and pixels') here: every group of channels is infinite",
    "groupnormalization": "it is LayerNorm('channels and pixels') here: every group is infinite",
    "instancenorm": "no layer here: over pixels of one channel it has no exact kernel; LayerNorm()",
    "dropout": _NO_DROPOUT,
    "alphadropout": _NO_DROPOUT,
    "gaussiandropout": _NO_DROPOUT,
    "gaussiannoise": _NO_DROPOUT,
    "spatialdropout": _NO_DROPOUT,
    # nonlinearities
    "activation": 'nonlinearities are layers here: Relu(), Gelu(), Elementwise("tanh")',
    "abrelu": "it is LeakyRelu(slope=a/b) here, with the W_std after it times b",
    "relu6": _NO_KINKS,
    "prelu": "it is LeakyRelu(slope) here; a slope is not trained",
    "rrelu": "it is LeakyRelu(slope) here; a slope is not random",
    "hardtanh": _NO_KINKS,
    "hardsigmoid": _NO_KINKS,
    "hardswish": _NO_KINKS,
    "hardsilu": _NO_KINKS,
    "hardshrink": _NO_KINKS,
    "softshrink": _NO_KINKS,
    "softsign": 'no layer here: its second derivative jumps; take Elementwise("arctan")',
    "threshold": _NO_KINKS,
    "celu": "it is Elu() here, the W_std before it over alpha, the one after it times alpha",
    "swish": 'it is Elementwise("silu") here',
    "silu": 'it is Elementwise("silu") here',
    "sigmoid": 'it is Elementwise("sigmoid") here',
    "logistic": 'it is Elementwise("sigmoid") here',
    "tanh": 'it is Elementwise("tanh") here',
    "arctan": 'it is Elementwise("arctan") here',
    "atan": 'it is Elementwise("arctan") here',
    "mish": 'it is Elementwise("mish") here',
    "softplus": 'it is Elementwise("softplus") here',
    "gelu": 'it is Gelu() here, and Elementwise("gelu_tanh") its approximation by tanh',
    "newgelu": 'it is Elementwise("gelu_tanh") here',
    "sigmoidlike": "it is Erf() here, scaled by the W_std around it and shifted by a b_std",
    "logsigmoid": _SMOOTH,
    "tanhshrink": _SMOOTH,
    "elementwisenumerical": _SMOOTH,
    "lambda": _SMOOTH,
    "polynomial": "sum Hermite(degree) or Monomial(degree) with parallel(branch, ...)",
    "rectifiedmonomial": "at degree 1 it is Relu() here; no layer here at others",
    "rbf": "it is Sinusoid((2 * gamma)**0.5, math.pi / 4) here, the next W_std times 2**0.5",
    "expnormalized": "it is LayerNorm() and Exp(rate) here, the next W_std over exp(rate**2 / 2)",
    "gabor": _SMOOTH,
    "square": "it is Monomial(2) here",
    "softmax": "it couples channels and has no exact kernel; networks here end in Dense()",
    "logsoftmax": "it couples channels and has no exact kernel; networks here end in Dense()",
    "maxout": _NO_MAXIMUM,
    "glu": _NO_PRODUCT,
}
"""What to write here for a layer of another library, or why there is none. A name stands without
case, underscores and dimensions: ``avgpool`` for ``AvgPool2d`` and ``avg_pool``."""

_DIMENSIONS = {
    "1d": "; windows of signals have one axis, Conv((3,)) or AvgPool((2,))",
    "3d": "; volumes are not supported",
}

_WIDTHS = "widths go to infinity, so a layer takes no number of channels or units"
_LAYOUT = "images are (n, height, width, channels) here"
_FILTER = "weights are normal with standard deviation W_std here"

PARAMETERS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("features", "filters", "units", "out_channels", "in_channels", "out_chan", "out_dim"),
            *("out_features", "in_features", "num_features", "hidden_size", "channels"),
        ),
        _WIDTHS,
    ),
    **dict.fromkeys(("kernel_size", "filter_shape", "window_shape", "pool_size"), "window"),
    "strides": "stride",
    **dict.fromkeys(("kernel_dilation", "dilation_rate", "rhs_dilation"), "dilation"),
    "pad": "padding",
    **dict.fromkeys(("normalize_edges", "count_include_pad"), "divisor"),
    **dict.fromkeys(("kernel_init", "kernel_initializer", "W_init"), _FILTER),
    **dict.fromkeys(("use_bias", "bias"), "biases are b_std=... here, 0 for none"),
    **dict.fromkeys(("bias_init", "bias_initializer", "b_init"), "b_std"),
    **dict.fromkeys(("weight_std", "w_std", "sigma_w"), "W_std"),
    "sigma_b": "b_std",
    "activation": "a nonlinearity is a layer of its own: serial(Conv(3), Relu())",
    **dict.fromkeys(("groups", "feature_group_count"), "one filter a channel is DepthwiseConv"),
    **dict.fromkeys(("input_shape", "input_dim"), "shapes are read from the images"),
    **dict.fromkeys(("dimension_numbers", "data_format", "channel_axis"), _LAYOUT),
    **dict.fromkeys(("negative_slope", "alpha"), "slope"),
    **dict.fromkeys(("epsilon", "layer_norm_eps"), "eps"),
    **dict.fromkeys(("axis", "reduction_axes"), "over"),
    "approximate": 'the approximation by tanh is Elementwise("gelu_tanh")',
    "parameterization": "weights are in the NTK parameterisation here",
}
"""What stands here for a parameter of another library: one of ours, or a sentence."""


def answer(name: object, known: Iterable[str]) -> str | None:
    """What to write for a name that is not ours, ``None`` if nothing comes near it.

    Args:
        name: as somebody wrote it.
        known: the names that could stand in its place.
    """
    if not isinstance(name, str) or name.startswith("__"):
        return None
    plain = _plain(name)
    dimensions = plain[-2:] if plain.endswith(("1d", "2d", "3d")) else ""
    plain = plain.removesuffix(dimensions)
    ours = {_plain(own): own for own in known}
    said = NAMES.get(plain) or (f"it is {ours[plain]} here" if plain in ours else None)
    if said is not None:
        return said + _DIMENSIONS.get(dimensions, "")
    nearest = get_close_matches(plain, ours, n=1)
    return f"perhaps {ours[nearest[0]]} is meant" if nearest else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def no_layer(part: object, known: Iterable[str]) -> str:
    """What is wrong with a thing that was given as a layer and is none, and what to write.

    Args:
        part: a function, a class, a module of another library, a list of layers, …
        known: the names of the layers.
    """
    name = part if isinstance(part, str) else getattr(part, "__name__", type(part).__name__)
    said = answer(name, known) if callable(part) or isinstance(part, str) else None
    if isinstance(part, list | tuple):
        said = "give layers one by one, serial(*layers)"
        if any(map(callable, part)):  # (init_fn, apply_fn, kernel_fn)
            said = "functions of stax do not say which layer they are; write it with ours"
    elif isinstance(part, type) and name in set(known):
        said = f"it is the class, write {name}()"
    said = said or "expected a layer such as Conv(3), or an Architecture"
    return f"cannot add {shorten(repr(part), 200)}: {said}"


def refuse_foreign_call(
    layer: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    fields: tuple[str, ...],
    by_position: tuple[str, ...],
) -> None:
    """Refuse what a layer cannot be called with, in the words of who is used to other libraries.

    Args:
        layer: its name.
        args: what is given by position.
        kwargs: what is given by name.
        fields: names of the layer's parameters.
        by_position: those that may be given by position.

    Raises:
        ArchitectureError: there are too many by position, one is given twice, or one is not ours.
    """
    unknown = [name for name in kwargs if name not in fields]
    twice = [name for name in by_position[: len(args)] if name in kwargs]
    if not unknown and not twice and len(args) <= len(by_position):
        return
    reasons = [_parameter(layer, name, fields) for name in unknown]
    if twice or len(args) > len(by_position):
        reasons.insert(0, _positions(layer, args, kwargs, fields, by_position))
    given = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    call = shorten(f"{layer}({', '.join(given)})", 200)
    raise ArchitectureError(f"{call}: {'; '.join(dict.fromkeys(reasons))}")


def _parameter(layer: str, name: str, fields: tuple[str, ...]) -> str:
    """What to write for a parameter that is not ours."""
    said = PARAMETERS.get(name)
    if said in fields:
        return f"{name} is {said} here"
    if said is not None and " " in said:
        return said
    nearest = get_close_matches(name, fields, n=1)
    if nearest:
        return f"no parameter {name}, perhaps {nearest[0]} is meant"
    return f"no parameter {name}, {layer} has {', '.join(fields) or 'none'}"


def _positions(
    layer: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    fields: tuple[str, ...],
    by_position: tuple[str, ...],
) -> str:
    """How to write what was given by position."""
    if not fields:
        return f"it has no parameters, write {layer}()"
    if "W_std" not in fields:
        named = dict(zip(fields[len(by_position) :], args[len(by_position) :], strict=False))
        parts = [*map(repr, args[: len(by_position)]), *(f"{k}={v!r}" for k, v in named.items())]
        return f"only {', '.join(by_position)} by position, write {layer}({', '.join(parts)})"
    if "window" not in fields:
        return f"{_WIDTHS}: write {layer}(), with W_std and b_std by name"
    return f"{_WIDTHS}: write {_windowed(layer, args, kwargs)}; all but the window by name"


def _windowed(layer: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The layer with the one of its arguments that must be the window, or with either of two."""
    pairs = [value for value in args[1:] if isinstance(value, tuple | list)]
    if "window" in kwargs:
        pairs = [kwargs["window"]]
    if pairs:
        return f"{layer}({pairs[0]!r})"
    if len(args) == 2:
        return f"{layer}({args[1]!r}), or {layer}({args[0]!r}, stride={args[1]!r}) for a stride"
    return f"{layer}(window), e.g. {layer}(3)"
