"""`from_torch`: a PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .folding import BatchNorm
from .imported import HE, Imported, MaxPooling, checked_shape, imported
from .torch_graph import Call, calls_of
from .torch_rules import operations_of


def from_torch(
    module: Any,
    image_shape: Sequence[int],
    *,
    max_pool: MaxPooling = None,
    batch_norm: BatchNorm = "normalize",
    W_std: float = HE,
    b_std: float = 0.1,
) -> Imported:
    """The architecture of a PyTorch module in ``eval`` mode, and a finite network of its weights.

    ``torch.fx`` follows a tensor through ``forward``, which may not branch on data; modules,
    functions and methods of PyTorch are read by their rules (``docs/imports.md`` lists them), and
    arithmetic such as ``x * torch.sigmoid(x)`` by the function that it is. Images here are
    ``(n, height, width, channels)`` where PyTorch's are ``(n, channels, height, width)``; outputs
    agree to rounding.

    Args:
        module: a ``torch.nn.Module`` of one input; it is copied, and not changed.
        image_shape: ``(height, width, channels)``, or ``(features,)`` of a network of vectors.
        max_pool: ``"average"`` lets the exact kernel take averages for maxima
            (``MaxPool(as_average=True)``); without it a kernel refuses them by layer. The finite
            network takes the maximum.
        batch_norm: ``"normalize"``: a batch normalisation is a ``Normalize`` of the architecture,
            and its scale γ and shift β are in the running averages of the finite network, ``γ (x −
            m) / s + β = (x − m′) / s′``; where γ is not positive, the weights before it take it.
            ``"fold"``: it goes into the weights before it (or after it, where no zeros are
            padded), and the architecture, whose kernel that then is, has no normalisation.
        W_std: of every weight layer of the architecture; imported weights are what they are, and
            exact kernels read this. √2 is what He et al. (2015) draw before a ReLU.
        b_std: of every bias, > 0; layers without a bias have 0.

    Raises:
        ArchitectureError: layers have no rule here, or the forward pass branches on data. The
            message is one line that names them and what could stand in.
        ConfigurationError: an argument is not usable.
        MissingDependencyError: torch is not installed.
    """
    return from_calls(
        *calls_of(module),
        checked_shape(image_shape),
        max_pool=max_pool,
        batch_norm=batch_norm,
        W_std=W_std,
        b_std=b_std,
    )


def from_calls(
    calls: Sequence[Call], output: str, image_shape: tuple[int, ...], **options: Any
) -> Imported:
    """:func:`from_torch` of recorded calls, which needs no torch; with all of its options.

    Args:
        calls: of a module.
        output: the name of the one whose value it returns.
        image_shape: as of :func:`from_torch`.
        options: all options of :func:`from_torch`.
    """
    operations, said = operations_of(calls)
    return imported(operations, output, image_shape, channels_first=True, said=said, **options)
