"""Networks whose kernels are compared with those of random finite ones: a case for each rule."""

from __future__ import annotations

from collections.abc import Callable

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
    Selu,
    Sign,
    Sin,
    Sinusoid,
)
from kernas.kernels.architecture.combinators import GraphBuilder, parallel, residual, serial
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
    Normalize,
    Relu,
    Sum,
    Zero,
)

HE = 2**0.5
SAME_POOL = AvgPool(3, padding="SAME")
AROUND = ((1, 1), (1, 1))


def chain() -> Architecture:
    conv = Conv(3, W_std=HE, b_std=0.3)
    return serial(conv, Relu(), conv, Relu(), GlobalAvgPool(), Dense(b_std=0.5))


def skip_beside_pool() -> Architecture:
    both = parallel(Identity(), SAME_POOL)
    return serial(Conv(3, W_std=HE), both, Relu(), GlobalAvgPool(), Dense())


def strided_residual() -> Architecture:
    branch = serial(
        Conv(3, stride=2, padding=AROUND, W_std=HE), Relu(), Conv(3, padding=AROUND, W_std=HE)
    )
    block = residual(branch, serial(AvgPool(2, stride=2), Conv(1)))
    return serial(Conv(3, W_std=HE), Relu(), block, Relu(), GlobalAvgPool(), Dense())


def conv_and_its_pool(convs: int) -> Architecture:
    """``conv(r) + pool(conv(r))``, with one convolution or with two."""
    builder = GraphBuilder()
    r = builder.add(Relu(), builder.add(Conv(3, W_std=HE), builder.input))
    ends = [builder.add(Conv(3, W_std=HE), r) for _ in range(convs)]
    total = builder.add(Sum(), ends[0], builder.add(AvgPool(3, padding=AROUND), ends[-1]))
    return builder.build(builder.add(serial(Relu(), GlobalAvgPool(), Dense()), total))


def branches_of_relus() -> Architecture:
    branch = serial(Dense(W_std=HE), Relu())
    return serial(parallel(branch, branch), Dense(W_std=HE), Relu(), Dense())


def weights_beside_relu() -> Architecture:
    return serial(
        Conv(3, W_std=HE, b_std=0.5),
        parallel(Identity(), serial(SAME_POOL, Relu())),
        Conv(3, W_std=HE),
        Relu(),
        GlobalAvgPool(),
        Dense(),
    )


def frozen_ends() -> Architecture:
    return serial(
        Conv((3, 1), W_std=HE, trainable=False),
        AvgPool(2, padding="SAME", divisor="window"),
        Relu(),
        Conv(3, padding="VALID", W_std=HE, b_std=0.2),
        Relu(),
        Flatten(),
        Dense(trainable=False),
    )


def normalized(center: bool) -> Architecture:
    norm = Normalize(center=center)
    layers = (Conv(3, W_std=HE), norm, Relu(), Conv(3, W_std=HE, b_std=0.2), norm, Relu())
    return serial(*layers, norm, GlobalAvgPool(), Dense())


def cell() -> Architecture:
    """A cell as in NAS-Bench-201, between a stem and a readout."""
    builder = GraphBuilder()

    def conv(window: int) -> Architecture:
        return serial(Relu(), Conv(window, W_std=HE), Normalize())

    a = builder.add(serial(Conv(3), Normalize()), builder.input)
    b = builder.add(conv(3), a)
    c = builder.add(Sum(), builder.add(Identity(), a), builder.add(SAME_POOL, b))
    last = (builder.add(Zero(), a), builder.add(conv(1), b), builder.add(Identity(), c))
    d = builder.add(Sum(), *last, builder.add(SAME_POOL, a))
    return builder.build(builder.add(serial(Normalize(), Relu(), GlobalAvgPool(), Dense()), d))


def relu_beside_erf() -> Architecture:
    """Two nonlinearities of one convolution and of its pool, added: a cross dual."""
    branches = parallel(Relu(), serial(SAME_POOL, Erf()))
    return serial(Conv(3, W_std=HE), branches, Conv(3, W_std=HE), Relu(), GlobalAvgPool(), Dense())


def cosine_beside_softplus() -> Architecture:
    """Independent branches whose nonlinearities have means: C_ab = 0 and E[φ] E[ψ] ≠ 0."""
    branches = parallel(serial(Dense(W_std=HE), Cos()), serial(Dense(), Elementwise("softplus")))
    return serial(branches, Dense(W_std=HE), Elementwise("tanh"), Dense())


def sign_beside_weights() -> Architecture:
    """Stein's rule where K has a derivative that gradients do not see, and where φ(0) ≠ 0."""
    beside = parallel(Identity(), serial(parallel(Sign(), Gaussian(0.8))))
    return serial(Dense(W_std=HE), beside, Dense(), LeakyRelu(0.3), Dense())


def readout(*layers: Layer | Architecture) -> Architecture:
    """The layers, then ReLU, the mean over pixels and a dense layer."""
    return serial(*layers, Relu(), GlobalAvgPool(), Dense())


def dilated_and_circular() -> Architecture:
    """On four pixels two taps of the first window meet at one pixel."""
    first = Conv(3, padding="CIRCULAR", dilation=(2, 1), W_std=HE, b_std=0.2)
    return readout(first, Relu(), Conv((2, 3), dilation=2, W_std=HE))


def cropped() -> Architecture:
    return serial(
        Conv((2, 3), padding=((-1, 1), (0, 1)), W_std=HE),
        Relu(),
        AvgPool((2, 1), padding=((0, 0), (-1, 0))),
        Conv((2, 1), padding=((1, 0), (0, -1)), W_std=HE, b_std=0.2),
        Relu(),
        Flatten(),
        Dense(),
    )


def depthwise_separable() -> Architecture:
    depthwise = DepthwiseConv((3, 2), W_std=1.2, b_std=0.3)
    return readout(Conv(3, W_std=HE), Relu(), depthwise, Conv(1, W_std=HE))


def depthwise_beside_skip() -> Architecture:
    """Of a nonlinearity's output and of what it reads, with untrained filters in one of them."""
    beside = parallel(
        DepthwiseConv(3, padding="CIRCULAR", trainable=False),
        Relu(),
        serial(Relu(), DepthwiseConv(2, W_std=HE)),
    )
    return readout(Conv(3, W_std=HE), beside, Conv(1, W_std=HE))


def local_pool(c: int, edges: str) -> Architecture:
    pool = LocalAvgPool(c, "zero" if edges == "zero" else "circular")
    layers = (Conv(3, W_std=HE, b_std=0.3), Relu(), Conv(3, W_std=HE), Relu())
    return serial(*layers, pool, Dense())


def layer_norm(norm: LayerNorm) -> Architecture:
    return readout(Conv(3, W_std=HE, b_std=0.2), norm, Relu(), Conv(3, W_std=HE), norm)


def layer_norm_beside_its_input(norm: LayerNorm) -> Architecture:
    both = parallel(Identity(), serial(norm, SAME_POOL))
    return readout(Conv(3, W_std=HE), Relu(), Conv(3, W_std=HE), both)


def two_widths() -> Architecture:
    """Channels of different variances side by side, two of the second for one of the first."""
    narrow, wide = Conv(3, W_std=HE), Conv((1, 2), W_std=2.0, b_std=0.5, width=2)
    return parallel(narrow, wide, join=Concat())


def concat_that_meets_again() -> Architecture:
    """``ab + (b, pool(a))``, and a nonlinearity of it beside ``ba``: every kind of moment."""
    builder = GraphBuilder()
    a, b = (builder.add(Conv(w, W_std=HE), builder.input) for w in (3, 1))
    ab, ba = builder.add(Concat(), a, b), builder.add(Concat(), b, a)
    pooled = builder.add(Concat(), b, builder.add(SAME_POOL, a))
    r = builder.add(Relu(), builder.add(Sum(), ab, pooled))
    return builder.build(builder.add(readout(Conv(1, W_std=HE)), builder.add(Sum(), r, ba)))


def flattened_beside_pooled() -> Architecture:
    """Sixteen pixels' channels, then three times the channels of the mean over pixels."""
    mean = serial(Conv(1, W_std=HE, width=3), Relu(), GlobalAvgPool())
    return serial(
        Conv(3, W_std=HE),
        Relu(),
        parallel(Flatten(), mean, join=Concat()),
        Dense(W_std=HE),
        Relu(),
        Dense(),
    )


def normalized_concat() -> Architecture:
    """Statistics of every part, of its weights and of its nonlinearity."""
    norms = (Normalize(), Relu(), Normalize(center=False))
    return serial(two_widths(), *norms, Flatten(), Dense(W_std=HE), Relu(), Dense())


def other_nonlinearities() -> Architecture:
    """Those that no other case has, on channels side by side."""
    kinds = (Abs(), Gelu(), Sin(), Sinusoid(0.7, 0.4), Exp(0.4), Monomial(2), Hermite(3))
    return serial(Dense(), parallel(*kinds, join=Concat()), Dense(W_std=HE), Relu(), Dense())


CASES: dict[str, Callable[[], Architecture]] = {
    "chain with bias": chain,
    "skip beside pool": skip_beside_pool,
    "strided residual": strided_residual,
    "one convolution twice": lambda: conv_and_its_pool(1),
    "two convolutions": lambda: conv_and_its_pool(2),
    "relus of two branches": branches_of_relus,
    "weights beside relu": weights_beside_relu,
    "untrained ends": frozen_ends,
    "Normalize centred": lambda: normalized(True),
    "Normalize RMS": lambda: normalized(False),
    "cell": cell,
    "relu beside erf": relu_beside_erf,
    "cosine beside softplus": cosine_beside_softplus,
    "sign and bell beside weights": sign_beside_weights,
    "dilated and circular": dilated_and_circular,
    "cropped": cropped,
    "depthwise separable": depthwise_separable,
    "depthwise beside skip": depthwise_beside_skip,
    "local average, zero edges": lambda: local_pool(1, "zero"),
    "local average, circular edges": lambda: local_pool(1, "circular"),
    "LayerNorm over channels": lambda: layer_norm(LayerNorm(eps=0.1)),
    "LayerNorm over pixels too": lambda: layer_norm(LayerNorm("channels and pixels")),
    "LayerNorm beside its input": lambda: layer_norm_beside_its_input(LayerNorm()),
    "pixels' LayerNorm beside its input": lambda: layer_norm_beside_its_input(
        LayerNorm("channels and pixels", eps=0.2)
    ),
    "Concat of two widths": lambda: readout(two_widths(), Relu(), Conv(3, W_std=HE)),
    "Concat that meets again": concat_that_meets_again,
    "flattened beside pooled": flattened_beside_pooled,
    "LayerNorm of Concat": lambda: readout(two_widths(), LayerNorm(), Relu(), Conv(1, W_std=HE)),
    "Normalize of Concat": normalized_concat,
    "other nonlinearities": other_nonlinearities,
    "exponential linear units": lambda: serial(
        Dense(), Elu(0.6), Dense(W_std=HE), Selu(), Dense(), Relu(), Dense()
    ),
}

CHOSEN = (
    "one convolution twice",
    "relus of two branches",
    "weights beside relu",
    "untrained ends",
    "cell",
    "relu beside erf",
    "cosine beside softplus",
    "sign and bell beside weights",
    "depthwise beside skip",
    "local average, zero edges",
    "LayerNorm beside its input",
    "pixels' LayerNorm beside its input",
    "Concat that meets again",
    "Normalize of Concat",
    "other nonlinearities",
    "exponential linear units",
)
"""Those that the ordinary run takes: every layer, and every way in which branches meet.

Edges and strides by themselves need no draws: the loops in NumPy take every variation of them.
"""
