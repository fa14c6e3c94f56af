"""A recurrent network of finite width, whose limit :class:`RecurrentKernel` is."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import normal

from kernas.errors import DataError

from ..architecture import Activation
from ..covariance.activations.functions import function_of


class RecurrentNetwork(nn.Module):
    """``z_t = σ_w/√n · φ(z_{t−1}) W + σ_u/√c · x_t U + σ_b b``, ``f = σ_v/√n · r v``.

    Parameters, standard normal: ``state`` ``(n, n)``, ``input`` ``(c, n)``, ``bias`` ``(n,)``,
    ``output`` ``(n, 1)``.
    """

    width: int
    activation: Activation
    W_std: float
    input_std: float
    b_std: float
    output_std: float
    readout: str

    @nn.compact
    def __call__(self, x: Any) -> Array:
        """The output on signals ``(n, length, channels)``: ``(n, 1)``.

        Raises:
            DataError: they have other axes.
        """
        x = jnp.asarray(x, jnp.result_type(float))
        if x.ndim != 3:
            raise DataError(f"x has shape {x.shape}: expected signals (n, length, channels)")
        n, c = self.width, x.shape[-1]

        def weights(name: str, *shape: int) -> Array:
            return self.param(name, normal(1.0), shape, x.dtype)

        W = self.W_std / math.sqrt(n) * weights("state", n, n)
        U = self.input_std / math.sqrt(c) * weights("input", c, n)
        b = self.b_std * weights("bias", n)
        v = self.output_std / math.sqrt(n) * weights("output", n, 1)
        phi = function_of(self.activation)

        def step(state: Array, at: Array) -> tuple[Array, Array]:
            state = phi(state @ W + at @ U + b)
            return state, state

        begin = jnp.zeros((len(x), n), x.dtype)
        last, states = lax.scan(step, begin, jnp.moveaxis(x, 1, 0))
        return (last if self.readout == "last" else states.mean(axis=0)) @ v
