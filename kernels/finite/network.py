"""`finite_network`: an architecture with a width, as a flax module."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from kernas.errors import ArchitectureError, ConfigurationError

from ..architecture import Architecture, Dense, Normalize, WeightLayer
from ..architecture.slots import slots_of
from ..architecture.weights import RATES
from ..architecture.widths import check_count
from .convolution import ConvolutionName

if TYPE_CHECKING:
    from .module import FiniteNetwork

Parameterization = Literal["ntk", "standard"]
Normalization = Literal["batchnorm", "limit", "none"]

BATCHNORM_EPSILON = 1e-5
BATCHNORM_MOMENTUM = 0.9
"""Of the running averages; the complement of what PyTorch calls momentum, 0.1 by default."""


def finite_network(
    architecture: Architecture,
    width: int,
    *,
    outputs: int | None = 1,
    parameterization: Parameterization = "ntk",
    normalization: Normalization = "batchnorm",
    scales: Mapping[int, Iterable[float]] | None = None,
    convolution: ConvolutionName = "lax",
    watched: bool = False,
    cuts: tuple[int, ...] = (),
) -> FiniteNetwork:
    """The network of a given width, as a :class:`flax.linen.Module`.

    Its kernels (:class:`EmpiricalKernel`) tend to those of ``NeuralKernel(architecture)`` as
    ``width`` grows, with the normalisation ``"limit"`` if it normalises over a batch.

    Args:
        architecture: the network. A ``MaxPool`` takes the maximum. It may be a template with open
            slots (:class:`kernas.kernels.architecture.Slot`), which ``choices`` fill at every call.
        width: channels of a weight layer of relative width 1, >= 1; another has
            ``round(width * layer.width)``, at least one.
        outputs: channels of the last layer, a ``Dense``; ``None`` for as many as the other layers
            would have in its place. A network that does not end in ``Dense`` takes ``None`` only.
        parameterization: ``"ntk"``: a weight layer with fan-in ``n`` computes
            ``W_std / sqrt(n) * W x + b_std * b`` and its parameters are standard normal (Jacot et
            al. 2018, section 3.1). ``"standard"``: it computes ``W x + b`` and they are normal with
            deviations ``W_std / sqrt(n)`` and ``b_std``. Equal keys draw equal functions; gradients
            and so tangent kernels differ. A layer with ``b_std = 0`` has no bias in either. A
            layer's ``rates`` are those of ``"ntk"``, in which gradients grow by their root.
        normalization: what ``Normalize`` is. ``"batchnorm"``: the statistics of the batch in
            training, running averages otherwise, 1e-5 added to the variance. ``"limit"``: each
            channel's mean over the reference images is subtracted (if the layer centres), and the
            rest divided by the layer's scale: the network that has the exact kernel as its limit.
            ``"none"``: nothing, as proxies such as SynFlow read networks.
        scales: for ``"limit"``, node → one number for each block of its channels, one block unless
            the node reads a ``Concat``: ``NeuralKernel.normalization_scales()`` of the bound
            kernel. Where the number is infinite or the node is missing there
            is nothing to divide, and the output is zero.
        convolution: ``"lax"``, XLA's own, or ``"patches"``, the same sums as one matrix product of
            gathered windows, which is faster for small images on a CPU.
        watched: whether the network says what goes on inside, in collections more, whose shapes are
            those of the batch that it was initialised with. ``"codes"``, kept where ``mutable``
            names it: of every activation φ whether its output is above φ(0), as booleans of the
            output's shape. ``"values"``, likewise: the outputs of every activation and weight layer
            for the first images, as many as have at least one pixel for each channel. ``"gates"``:
            of every weight layer ones, ``(n, …, channels)``, by which its output is multiplied; the
            derivative by a gate is ``Σ_pixels z ∂/∂z`` of an image and channel.
        cuts: nodes at which the network falls into blocks: no derivative goes through them. In the
            collection ``"nudges"`` node 3 has, as ``end_3``, zeros of its output's shape, which are
            added to what the next block reads; ``"ends"``, kept where ``mutable`` names it, has the
            outputs.

    Returns:
        A module: ``variables = module.init(key, x)``, ``module.apply(variables, x)``. The
        collection ``"params"`` holds the weights that train, ``"fixed"`` those of layers with
        ``trainable=False``, ``"batch_stats"`` running averages. See :class:`FiniteNetwork`.

    Raises:
        ArchitectureError: ``outputs`` is given, and the network does not end in ``Dense``; or
            ``"standard"`` is, and a layer has rates.
        ConfigurationError: another argument is out of its range, or ``scales`` are missing.

    >>> import jax
    >>> from kernas.kernels import Dense, Relu, finite_network, serial
    >>> network = finite_network(serial(Dense(), Relu(), Dense(b_std=0.1)), width=32)
    >>> variables = network.init(jax.random.key(0), jax.numpy.ones((2, 5)))
    >>> jax.tree.map(jax.numpy.shape, variables["params"]["Dense_3"])
    {'bias': (1,), 'kernel': (32, 1)}
    """
    if not isinstance(architecture, Architecture):
        raise ConfigurationError(
            f"architecture={architecture!r}: expected an Architecture; build one with serial(...)"
        )
    check_count(width, "width")
    if outputs is not None:
        check_count(outputs, "outputs")
        if not isinstance(architecture.nodes[-1].layer, Dense):
            raise ArchitectureError(
                f"outputs={outputs}, but the network ends in "
                f"{architecture.describe(architecture.output)}: expected Dense(); append it, or "
                "take the features themselves with outputs=None"
            )
    for name, value, choices in (
        ("parameterization", parameterization, get_args(Parameterization)),
        ("normalization", normalization, get_args(Normalization)),
        ("convolution", convolution, get_args(ConvolutionName)),
    ):
        if value not in choices:
            raise ConfigurationError(
                f"{name}={value!r}: expected {' or '.join(map(repr, choices))}"
            )
    if parameterization == "standard" and _is_rated(architecture):
        raise ArchitectureError(
            "parameterization='standard' of a network whose layers have rates, which are those of "
            "the NTK parameterisation: use parameterization='ntk', or leave the rates out"
        )
    checked = _checked_scales(architecture, normalization, scales)
    from .module import FiniteNetwork

    return FiniteNetwork(
        architecture,
        width,
        outputs,
        parameterization,
        normalization,
        checked,
        convolution,
        watched,
        cuts,
    )


def _is_rated(architecture: Architecture) -> bool:
    """Whether a layer has learning rates of its own, in slots too."""
    inside = (branch for slot in slots_of(architecture) for branch in slot.branches)
    layers = (node.layer for part in (architecture, *inside) for node in part.nodes)
    return any(isinstance(layer, WeightLayer) and layer.rates != RATES for layer in layers)


def _checked_scales(
    architecture: Architecture,
    normalization: Normalization,
    scales: Mapping[int, Iterable[float]] | None,
) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """The scales as a hashable value."""
    nodes = {i for i, n in enumerate(architecture.nodes) if isinstance(n.layer, Normalize)}
    if normalization != "limit":
        if scales is not None:
            raise ConfigurationError(
                f"scales are given, but normalization={normalization!r} reads none; use "
                "normalization='limit', or leave them out"
            )
        return ()
    inside = [n.layer for slot in slots_of(architecture) for b in slot.branches for n in b.nodes]
    if any(isinstance(layer, Normalize) for layer in inside):
        raise ConfigurationError(
            "normalization='limit' has scales of one network, and branches of slots normalise; "
            "fill the template with filled(network, choices), or use normalization='batchnorm'"
        )
    if scales is None and nodes:
        raise ConfigurationError(
            f"normalization='limit' needs the scales of nodes {sorted(nodes)}; give "
            "scales=kernel.bind(images).normalization_scales()"
        )
    checked: list[tuple[int, tuple[float, ...]]] = []
    for node, numbers in sorted((scales or {}).items()):
        if node not in nodes:
            raise ConfigurationError(
                f"scales of node {node}, which is no Normalize: expected nodes {sorted(nodes)}"
            )
        values = tuple(float(number) for number in numbers)
        if not values or any(math.isnan(value) or value <= 0 for value in values):
            raise ConfigurationError(
                f"scales of node {node} are {values}: expected numbers > 0, infinity where there "
                "is nothing to divide"
            )
        checked.append((int(node), values))
    return tuple(checked)
