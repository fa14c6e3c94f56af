"""Several sets of shared weights, mixed by a code of the path: K-shot architecture search.

Reference: Su et al. 2021, K-shot NAS, section 3.2 (the convex combination and its simplex code).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

HIDDEN = 32
"""Units of the network that makes the code."""

SETS, CODE = "sets", "code"
"""Parts of the parameters: the sets of weights, and the weights of the network that mixes them."""


def start_of_sets(
    params: Any, sets: int, branches: Sequence[int], rng: np.random.Generator
) -> dict[str, Any]:
    """The parameters of several sets before the first step.

    All sets start from the same weights; the code that weighs them differs from path to path from
    the beginning, so that their gradients do.

    Args:
        params: of the template.
        sets: K, how many.
        branches: how many each choice is among.
        rng: draws the weights of the code, normal with He's deviations.
    """
    wide = sum(branches)
    first = rng.standard_normal((wide, HIDDEN)) * np.sqrt(2 / len(branches))
    second = rng.standard_normal((HIDDEN, sets)) * np.sqrt(1 / HIDDEN)
    return {
        SETS: jax.tree.map(lambda leaf: np.repeat(leaf[None], sets, axis=0), params),
        CODE: {"first": first.astype(np.float32), "second": second.astype(np.float32)},
    }


def code(weights: Any, choices: Array, branches: Sequence[int]) -> Array:
    """The weights of the sets, ``λ = softmax(W₂ relu(W₁ e))``, with ``e`` the choices one-hot.

    Args:
        weights: of its network.
        choices: ``(slots,)``.
        branches: how many each choice is among.
    """
    hot = [jax.nn.one_hot(choices[place], count) for place, count in enumerate(branches)]
    return jax.nn.softmax(jax.nn.relu(jnp.concatenate(hot) @ weights["first"]) @ weights["second"])


def mixed(params: Any, choices: Array, branches: Sequence[int]) -> Any:
    """``θ = Σ_k λ_k θ_k`` of a path; parameters of a single set are what they are."""
    if SETS not in params:
        return params
    shares = code(params[CODE], choices, branches)
    return jax.tree.map(lambda leaf: jnp.tensordot(shares, leaf, axes=1), params[SETS])
