"""A recurrent controller: an LSTM that chooses one parameter after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

HIDDEN = 35
"""Units of a layer; there are two (Zoph and Le 2016, section 4.1)."""

RANGE = 0.08
"""First weights are uniform in ±RANGE (same place)."""


class _Lstm(nn.Module):
    """The logits of every parameter, after the choices of those before it.

    Attributes:
        sizes: options of each parameter.
    """

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, chosen: jax.Array) -> list[jax.Array]:
        """Logits of shapes ``(sizes[p],)``; ``chosen`` is ``(parameters,)``, of which the last one
        is not read."""
        weights = nn.initializers.uniform(2 * RANGE)

        def small(*arguments: Any) -> jax.Array:
            return weights(*arguments) - RANGE

        cells = [nn.OptimizedLSTMCell(HIDDEN, kernel_init=small, recurrent_kernel_init=small)
                 for _ in range(2)]  # fmt: skip
        states = [(jnp.zeros(HIDDEN), jnp.zeros(HIDDEN)) for _ in cells]
        read = self.param("start", small, (HIDDEN,))
        found: list[jax.Array] = []
        for place, size in enumerate(self.sizes):
            for layer, cell in enumerate(cells):
                states[layer], read = cell(states[layer], read)
            found.append(nn.Dense(size, kernel_init=small)(read))
            read = nn.Embed(size, HIDDEN, embedding_init=small)(chosen[place])
        return found


@dataclass(frozen=True)
class Controller:
    """A policy over parameters with options, ``π(a) = Π_p softmax(logits_p(a_1 … a_{p-1}))_{a_p}``.

    Attributes:
        sizes: options of each parameter.
        learning_rate: of Adam.
        entropy: β, the weight of the policy's entropy along a path.
    """

    sizes: tuple[int, ...]
    learning_rate: float
    entropy: float

    @cached_property
    def network(self) -> _Lstm:
        """Its layers."""
        return _Lstm(self.sizes)

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """What moves its weights."""
        return optax.adam(self.learning_rate)

    def begin(self, seed: int) -> tuple[Any, Any]:
        """First weights, and what Adam knows."""
        first = jnp.zeros(len(self.sizes), jnp.int32)
        variables = self.network.init(jax.random.key(seed % 2**31), first)
        return variables, self.optimizer.init(variables)

    def drawn(self, variables: Any, rng: random.Random) -> list[int]:
        """Options that the policy draws."""
        chosen = np.zeros(len(self.sizes), np.int32)
        for place, size in enumerate(self.sizes):
            logits = np.asarray(_logits(self, variables, chosen)[place], np.float64)
            weights = np.exp(logits - logits.max())
            chosen[place] = rng.choices(range(size), weights=weights.tolist())[0]
        return chosen.tolist()

    def objective(self, variables: Any, chosen: jax.Array, advantage: float) -> jax.Array:
        """``advantage log π(chosen) + β Σ_p H_p``, whose gradient is that of REINFORCE."""
        total = jnp.zeros(())
        of_parameters: Any = self.network.apply(variables, chosen)
        for place, logits in enumerate(of_parameters):
            logs = jax.nn.log_softmax(logits)
            total += advantage * logs[chosen[place]] - self.entropy * (jnp.exp(logs) * logs).sum()
        return total

    def moved(
        self, state: tuple[Any, Any], chosen: Sequence[int], advantage: float
    ) -> tuple[Any, Any]:
        """The weights after a step of Adam towards what was rewarded."""
        return _moved(self, state, np.array(chosen, np.int32), advantage)


@partial(jax.jit, static_argnums=0)
def _logits(controller: Controller, variables: Any, chosen: jax.Array) -> Any:
    """Of every parameter; compiled once for equal controllers."""
    return controller.network.apply(variables, chosen)


@partial(jax.jit, static_argnums=0)
def _moved(
    controller: Controller, state: tuple[Any, Any], chosen: jax.Array, advantage: float
) -> tuple[Any, Any]:
    variables, moments = state
    gradients = jax.grad(lambda v: -controller.objective(v, chosen, advantage))(variables)
    updates, moments = controller.optimizer.update(gradients, moments)
    return optax.apply_updates(variables, updates), moments
