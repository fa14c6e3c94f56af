"""One small network for every layer and every variation of its parameters: the conformance list.

Names are "Layer: variation". Inputs are images of 5×4 pixels and two channels, or vectors where the
name says so or the layer is a nonlinearity (see :func:`shape_of`). A nonlinearity comes after the
layer where one may.
"""

from __future__ import annotations

from typing import Any

from kernas.kernels.architecture.activations import (
    Abs,
    Cos,
    Elementwise,
    Elu,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    Hermite,
    LeakyRelu,
    Monomial,
    Relu,
    Selu,
    Sign,
    Sin,
    Sinusoid,
)
from kernas.kernels.architecture.combinators import GraphBuilder, Piece, parallel, residual, serial
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Sum,
    Zero,
)

IMAGE = (5, 4, 2)
VECTOR = (6,)
CONV = Conv(3, W_std=1.4, b_std=0.1)
OTHER = Conv((2, 1), b_std=0.3)

ACTIVATIONS: tuple[Layer, ...] = (
    Relu(),
    LeakyRelu(),
    LeakyRelu(-0.3),
    Elu(),
    Elu(0.6),
    Selu(),
    Abs(),
    Sign(),
    Erf(),
    Gelu(),
    Sin(),
    Cos(),
    Sinusoid(),
    Sinusoid(0.7, 0.4),
    Exp(),
    Exp(-0.4),
    Gaussian(),
    Gaussian(0.8),
    Monomial(1),
    Monomial(3),
    Hermite(1),
    Hermite(4),
    Elementwise("tanh"),
    Elementwise("softplus"),
)


def shape_of(name: str) -> tuple[int, ...]:
    """``(height, width, channels)`` or ``(features,)`` of a case's inputs."""
    layer, variation = name.split(": ")
    activations = {type(activation).__name__ for activation in ACTIVATIONS}
    return VECTOR if layer in activations or "vector" in variation else IMAGE


def _read(*parts: Piece) -> Architecture:
    """The parts, then ReLU, all pixels side by side and a dense layer."""
    return serial(*parts, Relu(), Flatten(), Dense())


def _windows(**more: Any) -> dict[str, dict[str, Any]]:
    """Arguments of layers with a window."""
    return {
        "default": {"window": 2},
        "rectangular": {"window": (3, 1)},
        "stride": {"window": 2, "stride": 2},
        "SAME": {"window": 3, "padding": "SAME"},
        "SAME, stride": {"window": (2, 3), "stride": (1, 2), "padding": "SAME"},
        "VALID": {"window": (2, 3), "padding": "VALID"},
        "CIRCULAR": {"window": 3, "padding": "CIRCULAR"},
        "CIRCULAR, stride": {"window": (3, 2), "stride": (2, 1), "padding": "CIRCULAR"},
        "padded": {"window": 3, "padding": ((1, 2), (0, 1))},
        "cropped": {"window": 2, "padding": ((-1, 0), (1, -1))},
        **more,
    }


WEIGHTS: dict[str, dict[str, Any]] = {
    "deviations": {"W_std": 1.5, "b_std": 0.4},
    "zero weights": {"W_std": 0.0, "b_std": 0.4},
    "untrained": {"b_std": 0.3, "trainable": False},
}
WEIGHT_WINDOWS = _windows(
    dilation={"window": (2, 3), "dilation": (2, 1)},
    large={"window": (4, 3), "padding": "SAME"},
    **{"large, CIRCULAR": {"window": 4, "padding": "CIRCULAR"}},
    **{"dilation, CIRCULAR": {"window": 3, "dilation": 2, "padding": "CIRCULAR"}},
    **{"dilation, stride": {"window": 2, "dilation": (1, 2), "stride": 2, "padding": "SAME"}},
    **{name: {"window": 3, **more} for name, more in WEIGHTS.items()},
)
POOL_WINDOWS = _windows(
    **{
        f"{padding}, divided by the window": {"window": 3, "padding": edges, "divisor": "window"}
        for padding, edges in (("SAME", "SAME"), ("padded", ((0, 1), (2, 0))))
    }
)


def _weight_layers() -> dict[str, Architecture]:
    found: dict[str, Architecture] = {}
    for name, own in WEIGHT_WINDOWS.items():
        found[f"Conv: {name}"] = _read(Conv(**own), Relu(), CONV)
        found[f"DepthwiseConv: {name}"] = _read(CONV, Relu(), DepthwiseConv(**own), Conv(1))
    found["Conv: width"] = _read(Conv(2, width=2))
    for name, own in {"default": {}, **WEIGHTS, "width": {"width": 0.5}}.items():
        found[f"Dense: vector, {name}"] = serial(Dense(**own), Relu(), Dense())
    found["Dense: image"] = serial(Flatten(), Dense(b_std=0.2), Relu(), Dense())
    beside = parallel(Identity(), DepthwiseConv(3))
    found["DepthwiseConv: beside a skip"] = _read(CONV, beside, Conv(1))
    found["DepthwiseConv: of itself"] = _read(CONV, DepthwiseConv(3), DepthwiseConv(2), Conv(1))
    mean = serial(CONV, Relu(), DepthwiseConv(3), GlobalAvgPool())
    found["DepthwiseConv: at the end"] = serial(mean, Dense())
    return found


def _pools() -> dict[str, Architecture]:
    found = {f"AvgPool: {name}": _read(CONV, AvgPool(**own)) for name, own in POOL_WINDOWS.items()}
    large = AvgPool((3, 7), padding="CIRCULAR")
    found["AvgPool: CIRCULAR, larger than the image"] = _read(CONV, AvgPool(2, stride=2), large)
    found["AvgPool: of a nonlinearity"] = _read(CONV, Relu(), AvgPool(2), CONV)
    found["AvgPool: beside a skip"] = _read(CONV, residual(AvgPool(3, padding="SAME")))
    found["AvgPool: of the input"] = _read(AvgPool(2), CONV)
    for name, own in _windows().items():
        found[f"MaxPool: {name}"] = _read(CONV, Relu(), MaxPool(**own, as_average=True), CONV)
    for pool in (*map(LocalAvgPool, (0, 1, 4)), *(LocalAvgPool(c, "circular") for c in (0, 1))):
        found[f"LocalAvgPool: {pool.edges}, {pool.c}"] = serial(CONV, Relu(), pool, Dense())
    then_dense = (LocalAvgPool(1), Dense(), Relu(), Dense())
    found["LocalAvgPool: then dense layers"] = serial(CONV, Relu(), *then_dense)
    found["LocalAvgPool: of weights"] = serial(CONV, LocalAvgPool(1), Relu(), Dense())
    found["LocalAvgPool: vector"] = serial(Dense(), LocalAvgPool(2), Relu(), Dense())
    found["GlobalAvgPool: image"] = serial(CONV, Relu(), GlobalAvgPool(), Dense())
    found["GlobalAvgPool: of weights"] = serial(CONV, GlobalAvgPool(), Relu(), Dense())
    found["GlobalAvgPool: vector"] = serial(Dense(), GlobalAvgPool(), Relu(), Dense())
    found["Flatten: image"] = serial(CONV, Relu(), Flatten(), Dense(), Relu(), Dense())
    found["Flatten: of weights"] = serial(CONV, Flatten(), Relu(), Dense())
    found["Flatten: vector"] = serial(Dense(), Flatten(), Relu(), Dense())
    found["Flatten: vector, beside itself"] = serial(Dense(), residual(Flatten()), Relu(), Dense())
    return found


def _normalisations() -> dict[str, Architecture]:
    found: dict[str, Architecture] = {}
    for center in (True, False):
        norm, name = Normalize(center=center), "centred" if center else "root mean square"
        found[f"Normalize: {name}"] = _read(CONV, norm, Relu(), norm, CONV)
        found[f"Normalize: {name}, vector"] = serial(Dense(), norm, Relu(), Dense())
        found[f"Normalize: {name}, Concat"] = _read(_two_widths(), norm)
    for over in ("channels", "channels and pixels"):
        norm = LayerNorm(over, eps=0.2)
        found[f"LayerNorm: {over}"] = _read(CONV, LayerNorm(over))
        found[f"LayerNorm: {over}, eps"] = _read(CONV, norm, Relu(), CONV, norm)
        found[f"LayerNorm: {over}, beside a skip"] = _read(CONV, residual(norm))
        found[f"LayerNorm: {over}, of a sum"] = _read(parallel(CONV, CONV), norm)
        found[f"LayerNorm: {over}, pooled"] = _read(CONV, norm, AvgPool(2))
        found[f"LayerNorm: {over}, flattened"] = serial(CONV, Flatten(), norm, Relu(), Dense())
        orders = (serial(norm, Flatten()), serial(Flatten(), norm))
        for name, join in (("added", Sum()), ("concatenated", Concat())):
            both = parallel(*orders, join=join)
            found[f"LayerNorm: {over}, both sides of Flatten {name}"] = serial(CONV, both, Dense())
        found[f"LayerNorm: {over}, vector"] = serial(Dense(b_std=0.3), norm, Relu(), Dense())
        found[f"LayerNorm: {over}, Concat"] = _read(_two_widths(), norm)
        found[f"LayerNorm: {over}, depthwise"] = _read(CONV, DepthwiseConv(3), norm, Conv(1))
    return found


def _two_widths() -> Architecture:
    return parallel(CONV, Conv((1, 2), W_std=2.0, width=2), join=Concat())


def _concatenations() -> dict[str, Architecture]:
    found = {
        "Concat: one": _read(CONV, parallel(Identity(), join=Concat())),
        "Concat: widths": _read(_two_widths(), Relu(), CONV),
        "Concat: linear": _read(_two_widths(), CONV),
        "Concat: three widths": _read(
            parallel(_two_widths(), Conv(2, width=0.5), join=Concat()), Relu(), CONV
        ),
        "Concat: of one node twice": _read(CONV, parallel(Identity(), Identity(), join=Concat())),
        "Concat: nonlinearity beside weights": _read(
            CONV, parallel(Identity(), Relu(), join=Concat()), CONV
        ),
        "Concat: pooled": _read(_two_widths(), AvgPool(2, padding="SAME"), Relu(), Conv(1)),
        "Concat: depthwise": _read(_two_widths(), Relu(), DepthwiseConv(3), Conv(1)),
        "Concat: residual": _read(_two_widths(), residual(AvgPool(3, padding="SAME"))),
        "Concat: of the input": _read(
            parallel(Identity(), AvgPool(3, padding="SAME"), join=Concat()), CONV
        ),
        "Concat: pixels averaged": serial(_two_widths(), Relu(), GlobalAvgPool(), Dense()),
        "Concat: local average": serial(_two_widths(), Relu(), LocalAvgPool(1), Dense()),
        "Concat: flattened after": serial(_two_widths(), Relu(), Flatten(), Dense()),
        "Concat: the output": serial(_two_widths(), Relu(), Flatten()),
        "Concat: flattened beside pooled": serial(
            serial(CONV, Relu(), parallel(Flatten(), GlobalAvgPool(), join=Concat())),
            Dense(),
            Relu(),
            Dense(),
        ),
        "Concat: vector": serial(
            parallel(Dense(), Dense(W_std=2.0, width=3), join=Concat()), Relu(), Dense()
        ),
    }
    for joined in ("sum", "nonlinearity of the sum", "nonlinearity beside weights"):
        builder = GraphBuilder()
        a, b = builder.add(CONV, builder.input), builder.add(OTHER, builder.input)
        ab, ba = builder.add(Concat(), a, b), builder.add(Concat(), b, a)
        total = builder.add(Sum(), ab, ba)
        if joined == "nonlinearity of the sum":
            total = builder.add(Relu(), total)
        elif joined == "nonlinearity beside weights":
            total = builder.add(Sum(), builder.add(Relu(), ab), ba)
        end = builder.add(_read(Conv(1)), total)
        found[f"Concat: meets again, {joined}"] = builder.build(end)
    return found


def _routes() -> dict[str, Architecture]:
    pool = AvgPool(3, padding="SAME")
    return {
        "Input: image": serial(Flatten(), Dense()),
        "Input: vector": serial(Dense()),
        "Input: itself the output, vector": serial(Identity()),
        "Input: beside its pool": _read(residual(pool), CONV),
        "Identity: image": _read(CONV, Identity()),
        "Zero: beside weights": _read(parallel(CONV, serial(CONV, Zero()))),
        "Zero: then bias": _read(CONV, Zero(), Conv(1, b_std=0.5)),
        "Zero: vector, then cosine": serial(Dense(), Zero(), Cos(), Dense()),
        "Sum: one": _read(CONV, Sum()),
        "Sum: two weight layers": _read(parallel(CONV, CONV)),
        "Sum: one weight layer twice": _read(CONV, parallel(Identity(), Identity())),
        "Sum: two nonlinearities": _read(
            parallel(serial(CONV, Relu()), serial(OTHER, Relu())), CONV
        ),
        "Sum: weights beside their nonlinearity": _read(CONV, residual(Relu()), CONV),
        "Sum: weights beside a nonlinearity of their pool": _read(
            CONV, residual(serial(pool, Relu())), CONV
        ),
        "Sum: vector, different nonlinearities": serial(
            Dense(), parallel(Relu(), Erf(), Identity()), Dense(), Relu(), Dense()
        ),
    }


CASES: dict[str, Architecture] = {
    **_routes(),
    **_weight_layers(),
    **_pools(),
    **{
        f"{type(layer).__name__}: {', '.join(map(str, vars(layer).values())) or 'default'}": serial(
            Dense(W_std=0.9, b_std=0.3), layer, Dense(b_std=0.1), Relu(), Dense()
        )
        for layer in ACTIVATIONS
    },
    **_normalisations(),
    **_concatenations(),
}
"""Every layer class in every variation, by the name of the layer that is tested."""
