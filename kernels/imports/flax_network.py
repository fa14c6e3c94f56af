"""`from_flax`: a linen module with its variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kernas.errors import ConfigurationError

from .folding import BatchNorm
from .imported import HE, Imported, MaxPooling, checked_shape, imported


def from_flax(
    module: Any,
    variables: Mapping[str, Any],
    image_shape: Sequence[int],
    *,
    arguments: Mapping[str, Any] | None = None,
    max_pool: MaxPooling = None,
    batch_norm: BatchNorm = "normalize",
    W_std: float = HE,
    b_std: float = 0.1,
) -> Imported:
    """The architecture of a linen module, and the finite network with its weights.

    The module is traced once on images of the given shape: layers of ``flax.linen`` are read by
    their rules (``docs/imports.md`` lists them), what JAX computes between them by the program that
    the trace leaves.

    Args:
        module: a ``flax.linen.Module`` of one input.
        variables: its collections, as ``module.init`` returns them and training leaves them.
        image_shape: ``(height, width, channels)``, or ``(features,)`` of a network of vectors.
        arguments: what ``module.apply`` is called with beside images, e.g. ``{"train": False}``.
        max_pool: as of :func:`from_torch`, and ``batch_norm``, ``W_std`` and ``b_std``.

    Raises:
        ArchitectureError: layers have no rule here, or the module branches on data. The message is
            one line that names them and what could stand in.
        ConfigurationError: an argument is not usable; modules of ``nnx`` are not read.

    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> from kernas.kernels import from_flax
    >>> module = nn.Sequential([nn.Conv(8, (3, 3)), nn.relu, lambda x: x.mean((1, 2)), nn.Dense(2)])
    >>> x = jnp.ones((1, 6, 6, 3))
    >>> found = from_flax(module, module.init(jax.random.key(0), x), (6, 6, 3))
    >>> print(found)
    layers_0    1  Conv(3, W_std=1.414, b_std=0.1)
    max         2  Relu
    reduce_sum  3  GlobalAvgPool
    div         3  GlobalAvgPool
    layers_3    4  Dense(W_std=1.414, b_std=0.1)
    """
    import flax.linen as nn

    from .flax_trace import operations_of

    if not isinstance(module, nn.Module):
        raise ConfigurationError(
            f"module={type(module).__name__}: expected a flax.linen.Module; modules of nnx have no "
            "rule here, write the network in linen, or export it to ONNX"
        )
    shape = checked_shape(image_shape)
    operations, output, said = operations_of(module, variables, shape, dict(arguments or {}))
    return imported(
        operations,
        output,
        shape,
        channels_first=False,
        max_pool=max_pool,
        batch_norm=batch_norm,
        W_std=W_std,
        b_std=b_std,
        said=said,
    )
