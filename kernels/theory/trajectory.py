"""`gradient_path`: a finite network trained by gradient flow, with all states on the way."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from kernas.errors import ConfigurationError, DataError, DivergenceError, RunFolderError

from ..architecture import Architecture, Normalize
from ..architecture.widths import check_count
from ..finite import EmpiricalKernel, finite_network
from ..gram.identity import fingerprint
from ..interface import checked_images
from .blocks import Blocks, Shapes
from .integrators import INTEGRATORS, IntegratorName

LossName = Literal["squared", "logistic"]

LOSSES: dict[LossName, Callable[[Any, Any], Any]] = {
    "squared": lambda f, y: (f - y) ** 2 / 2,
    "logistic": lambda f, y: jnp.logaddexp(0.0, -y * f),
}
"""Of an output and its target."""

MOST_IMAGES = 200
"""Training images: every state costs the tangent kernel of each with all queries."""

MOST_PARAMETERS = 100_000
"""Of the network: every state has them all, in float64."""

MOST_BYTES = 2**31
"""Of the states of a path in memory."""

BLOCK_BYTES = 2**24
"""Of the states of one block."""

PACKAGES = ("kernas", "jax", "jaxlib", "flax", "numpy")

ROUNDING = 1e-9
"""By how much, relatively, rounding may raise a loss that does not fall."""


@partial(jax.jit, static_argnums=0)
def mean_losses(loss: LossName, f: Array, y: Array) -> Array:
    """``L = Σ_i ℓ(y_i, f_i) / n`` of outputs ``(…, n)``, shape ``(…)``."""
    return LOSSES[loss](f, y).mean(axis=-1)


@partial(jax.jit, static_argnums=0)
def loss_slopes(loss: LossName, f: Array, y: Array) -> Array:
    """``L'_i = ∂L/∂f_i`` of outputs ``(…, n)``, of the same shape."""
    return jax.grad(lambda outputs: mean_losses(loss, outputs, y).sum())(f)


@dataclass(frozen=True)
class ScalarNetwork:
    """A finite network with one output as a function of its trained parameters in one vector.

    Args:
        architecture: the network, whose last layer is a ``Dense``.
        width: of its layers.
        image_shape: of what it reads.
    """

    architecture: Architecture
    width: int
    image_shape: tuple[int, ...]

    @cached_property
    def _init(self) -> Callable[[Any], Any]:
        zeros = np.zeros((1, *self.image_shape))
        return jax.jit(lambda key: dict(self.module.init(key, zeros)))

    @cached_property
    def module(self) -> Any:
        return finite_network(self.architecture, self.width)

    @cached_property
    def _shapes(self) -> Any:
        """Of the tree of trained parameters."""
        return jax.eval_shape(self._init, jax.random.key(0)).get("params", {})

    @cached_property
    def tree_of(self) -> Callable[[Any], Any]:
        """Makes of a vector ``(P,)`` the tree that the network's module takes."""
        return ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), self._shapes))[1]

    @cached_property
    def parameters(self) -> int:
        """How many parameters P are trained; nothing is drawn."""
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self._shapes))

    def draw(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Standard normal parameters ``(P,)``, and variables that are not trained."""
        variables = self._init(jax.random.key(seed))
        vector, _ = ravel_pytree(variables.pop("params"))
        return np.asarray(vector), variables

    def apply(self, params: Any, x: Any) -> Any:
        """Outputs ``(n, 1)`` of a network that trains all its weights, from their tree."""
        return self.module.apply({"params": params}, x)

    def outputs(self, vector: Any, fixed: Mapping[str, Any], x: Any) -> Any:
        """Outputs ``(n,)``, for JAX to trace."""
        return self.module.apply({"params": self.tree_of(vector), **fixed}, x)[:, 0]

    @cached_property
    def evaluate(self) -> Callable[..., Any]:
        """:meth:`outputs`, compiled."""
        return jax.jit(self.outputs)

    @cached_property
    def advance(self) -> Callable[..., Any]:
        """The parameters one step of gradient flow later, compiled."""

        def advanced(
            integrator: IntegratorName,
            loss: LossName,
            step: float,
            vector: Any,
            fixed: Mapping[str, Any],
            x: Any,
            y: Any,
        ) -> Any:
            total = jax.grad(lambda v: mean_losses(loss, self.outputs(v, fixed, x), y))
            return INTEGRATORS[integrator].stepped(lambda v: -total(v), vector, step)

        return jax.jit(advanced, static_argnums=(0, 1))


@lru_cache(maxsize=16)
def _network(architecture: Architecture, width: int, image_shape: tuple[int, ...]) -> ScalarNetwork:
    """With what was compiled of it."""
    return ScalarNetwork(architecture, width, image_shape)


@dataclass(frozen=True, eq=False)
class GradientPath:
    """A finite network along gradient flow; :func:`gradient_path` makes it.

    Attributes:
        network: the network as a function of a vector of parameters.
        start: the parameters before training, shape ``(P,)``.
        fixed: variables of layers that are not trained.
        x: the training images, in float64.
        y: their targets, shape ``(n,)``.
        time: T, of the whole training.
        steps: S, of equal length.
        loss: its name.
        integrator: the name of what made the steps.
        outputs: of the network for the training images at times ``0, T/S, …, T``, ``(S + 1, n)``.
        keeps_states: whether the parameters of all steps were kept.
        identity: what decides all that, as JSON values.
    """

    network: ScalarNetwork
    start: np.ndarray
    fixed: dict[str, Any]
    x: np.ndarray
    y: np.ndarray
    time: float
    steps: int
    loss: LossName
    integrator: IntegratorName
    outputs: np.ndarray
    keeps_states: bool
    identity: dict[str, Any]
    _blocks: Blocks

    @property
    def architecture(self) -> Architecture:
        """Of the network, for the kernel of its limit: ``NeuralKernel(path.architecture)``."""
        return self.network.architecture

    @property
    def times(self) -> np.ndarray:
        """At which the states are, shape ``(S + 1,)``."""
        return np.linspace(0.0, self.time, self.steps + 1)

    @property
    def losses(self) -> np.ndarray:
        """``Σ_i ℓ(y_i, f_t(x_i)) / n`` at these times, shape ``(S + 1,)``."""
        with jax.enable_x64(True):
            return np.asarray(mean_losses(self.loss, self.outputs, self.y))

    @property
    def loss_slopes(self) -> np.ndarray:
        """``L'_i(t) = ∂L/∂f_t(x_i)`` at these times, shape ``(S + 1, n)``."""
        with jax.enable_x64(True):
            return np.asarray(loss_slopes(self.loss, self.outputs, self.y))

    @property
    def quadrature(self) -> np.ndarray:
        """Weights that integrate values at these times over ``[0, T]``, shape ``(S + 1,)``."""
        return INTEGRATORS[self.integrator].weights(self.steps, self.time / self.steps)

    @property
    def trained(self) -> np.ndarray:
        """The parameters at the end, shape ``(P,)``."""
        *_, (_, states) = self._stored()
        return states[-1]

    def evaluate(self, vector: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Outputs of the network with some parameters, shape ``(m,)``."""
        with jax.enable_x64(True):
            return np.asarray(self.network.evaluate(vector, self.fixed, x))

    def tangent_kernel(self, vector: np.ndarray, x: np.ndarray) -> np.ndarray:
        """``⟨∂f(x)/∂θ, ∂f(x_i)/∂θ⟩`` with the training images, at some parameters, ``(m, n)``."""
        with jax.enable_x64(True):
            kernel = EmpiricalKernel(self._apply, self.network.tree_of(vector))
            return np.asarray(kernel(x, self.x))

    @cached_property
    def _apply(self) -> Callable[[Any, Any], Any]:
        """The network as a function of its trained weights; without others, it is compiled once for
        all paths."""
        if not self.fixed:
            return self.network.apply
        return lambda params, x: self.network.module.apply({"params": params, **self.fixed}, x)

    def states(self) -> Iterator[tuple[int, np.ndarray]]:
        """The parameters of all steps, a block at a time.

        Yields:
            The number of the first step, and its and the next ones' parameters, ``(k, P)``.

        Raises:
            ConfigurationError: they were not kept.
            RunFolderError: a block of the store is damaged, or was removed.
        """
        if not self.keeps_states:
            raise ConfigurationError(
                "this path kept its outputs and its end, not the parameters of its steps, along "
                "which kernels are integrated: train with gradient_path(…, keep=True)"
            )
        return self._stored()

    def _stored(self) -> Iterator[tuple[int, np.ndarray]]:
        for number, steps in enumerate(self._cut.blocks()):
            found = self._blocks.get(number, self._cut.shapes(steps))
            if found is None:
                raise RunFolderError(
                    f"block {number} of the path is no longer in its store; the gradient_path(…) "
                    "that made it computes it again"
                )
            yield steps.start, found["parameters"]

    @property
    def _cut(self) -> _Cut:
        return _Cut(len(self.start), len(self.y), self.steps, self.keeps_states)


@dataclass(frozen=True)
class _Cut:
    """How the states of a path are cut into blocks."""

    parameters: int
    images: int
    steps: int
    keep: bool

    @property
    def length(self) -> int:
        """States of a block."""
        return max(1, BLOCK_BYTES // (8 * self.parameters))

    def blocks(self) -> Iterator[range]:
        """The numbers of the states of every block."""
        states = self.steps + 1
        for first in range(0, states, self.length):
            yield range(first, min(first + self.length, states))

    def shapes(self, steps: range) -> Shapes:
        """Of the arrays of a block."""
        kept = len(steps) if self.keep else 1
        return {"parameters": (kept, self.parameters), "outputs": (len(steps), self.images)}


def gradient_path(
    architecture: Architecture,
    width: int,
    x: Any,
    y: Any,
    *,
    time: float,
    steps: int,
    loss: LossName = "squared",
    integrator: IntegratorName = "rk4",
    seed: int = 0,
    keep: bool = True,
    store: str | os.PathLike[str] | None = None,
) -> GradientPath:
    r"""Train a finite network with one output by gradient flow, and keep its states.

    From standard normal parameters θ(0), in the parameterisation of the NTK, it solves

    ``dθ/dt = −∇L(θ)``,  ``L(θ) = (1/n) Σ_i ℓ(y_i, f_θ(x_i))``,

    in steps of length ``T/S``, with ``ℓ = (f − y)² / 2`` (``"squared"``) or
    ``ℓ = log(1 + exp(−y f))`` (``"logistic"``). Time is that of
    :func:`~kernas.kernels.gradient_descent_mse` with ``learning_rate=1``. All is in float64.

    Args:
        architecture: the network, which ends in ``Dense``.
        width: channels of a layer of relative width 1.
        x: n training images or vectors, at most 200.
        y: targets, shape ``(n,)``; with ``"logistic"`` −1 or 1.
        time: T > 0.
        steps: S >= 1, with ``"rk4"`` even.
        loss: ``"squared"`` or ``"logistic"``.
        integrator: ``"euler"`` for gradient descent with the learning rate ``T/S``, of order 1;
            ``"heun"``, of order 2; ``"rk4"``, of order 4. The orders are those of networks whose
            activations are smooth; a kink, such as that of ReLU, leaves less.
        seed: of the parameters at the start.
        keep: whether the parameters of all steps are kept, ``8 P (S + 1)`` bytes, which
            :class:`PathKernel` needs; otherwise those at the end.
        store: folder that keeps the path, in blocks of at most 16 MB: the same call goes on where
            an interrupted one ended, and computes nothing that is there. ``None`` for memory.

    Returns:
        A :class:`GradientPath`.

    Raises:
        ArchitectureError: the network does not end in ``Dense``, or does not fit the images.
        ConfigurationError: an argument is out of its range; the network has more than 100,000
            parameters, or normalises over a batch; the states do not fit into 2 GiB of memory.
        DataError: images or targets are not usable, or there are more than 200.
        DivergenceError: the loss rises above its start or is not finite, so the step is too large.
        RunFolderError: the store is of another path, damaged, or cannot be written.

    Reference:
        Domingos 2020, Every model learned by gradient descent is approximately a kernel machine,
        arXiv 2012.00152, section 2.

    >>> import kernas.kernels as kk
    >>> network = kk.serial(kk.Dense(), kk.Erf(), kk.Dense())
    >>> path = gradient_path(network, 16, [[0.0], [0.5], [1.0]], [0.0, 1.0, 0.0], time=4, steps=40)
    >>> path.outputs.shape, bool(path.losses[-1] < path.losses[0])
    ((41, 3), True)
    """
    images, targets = _checked_data(x, y, loss)
    _check_options(architecture, width, time, steps, integrator, seed)
    INTEGRATORS[integrator].weights(steps, 1.0)
    with jax.enable_x64(True):
        network = _network(architecture, width, images.shape[1:])
        _check_size(network.parameters, steps, keep, store)
        identity = {
            "format": "kernas.gradient_path",
            "version": 1,
            "architecture": architecture.hash,
            "width": width,
            "seed": seed,
            "x": {"n": len(images), "shape": images.shape[1:], "sha256": fingerprint(images)},
            "y": fingerprint(targets),
            "time": float(time),
            "steps": steps,
            "loss": loss,
            "integrator": integrator,
            "keep": keep,
            "block_bytes": BLOCK_BYTES,
            "device": jax.local_devices()[0].device_kind,
            "versions": {name: version(name) for name in PACKAGES},
        }
        blocks = Blocks.of(store, identity)
        start, fixed = network.draw(seed)
        outputs = np.zeros((0, len(images)))
        path = GradientPath(
            *(network, start, fixed, images, targets, float(time), steps, loss, integrator),
            *(outputs, keep, identity, blocks),
        )
        return replace(path, outputs=_followed(path))


def _followed(path: GradientPath) -> np.ndarray:
    """The outputs of all states, ``(S + 1, n)``; their blocks are in place then.

    Raises:
        DivergenceError: the loss rises above its start or is not finite.
    """
    cut, vector, parts = path._cut, path.start, []
    step = path.time / path.steps
    first = float(mean_losses(path.loss, path.evaluate(vector, path.x), path.y))
    for number, steps in enumerate(cut.blocks()):
        found = path._blocks.get(number, cut.shapes(steps))
        if found is None:
            states: list[np.ndarray] = []
            values: list[np.ndarray] = []
            for at in steps:
                if at:
                    vector = np.asarray(
                        path.network.advance(
                            *(path.integrator, path.loss, step, vector),
                            *(path.fixed, path.x, path.y),
                        )
                    )
                if not cut.keep:
                    states.clear()
                states.append(vector)
                values.append(path.evaluate(vector, path.x))
            found = {"parameters": np.stack(states), "outputs": np.stack(values)}
            _check_falls(
                np.asarray(mean_losses(path.loss, found["outputs"], path.y)), first, steps, path
            )
            path._blocks.put(number, found)
        vector = found["parameters"][-1]
        parts.append(found["outputs"])
    return np.concatenate(parts)


def _check_falls(losses: np.ndarray, first: float, steps: range, path: GradientPath) -> None:
    """Refuse a loss above that of the start: along gradient flow none rises.

    Raises:
        DivergenceError: the step is too large.
    """
    wrong = np.flatnonzero(~(losses <= first * (1 + ROUNDING)))
    if len(wrong):
        raise DivergenceError(
            f"the loss is {losses[wrong[0]]:.3g} after {steps[wrong[0]]} of {path.steps} steps of "
            f"{path.time / path.steps:.3g}, and {first:.3g} before them; along gradient flow it "
            f"never rises, so the step is too large: give steps={2 * path.steps} or more"
        )


def _checked_data(x: Any, y: Any, loss: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images and targets in float64.

    Raises:
        ConfigurationError: the loss is unknown.
        DataError: they are not usable, or too many.
    """
    if loss not in LOSSES:
        raise ConfigurationError(f"loss={loss!r}: expected 'squared' or 'logistic'")
    images = np.asarray(checked_images(x, "x"), np.float64)
    if len(images) > MOST_IMAGES:
        raise DataError(
            f"x has {len(images)} images: expected at most {MOST_IMAGES}, since every step costs "
            "the tangent kernel of each; give a subset"
        )
    targets = np.asarray(y)
    if targets.shape != (len(images),) or targets.dtype.kind not in "fiub":
        raise DataError(
            f"y has shape {targets.shape} and dtype {targets.dtype}: expected one number for each "
            f"of {len(images)} images; a network of several classes is several paths"
        )
    targets = targets.astype(np.float64)
    if not np.isfinite(targets).all():
        raise DataError("y has NaN or infinite targets: expected finite numbers")
    if loss == "logistic" and not np.isin(targets, (-1, 1)).all():
        raise DataError(
            "y has other targets than −1 and 1, which loss='logistic' expects; of two labels give "
            "np.where(labels == one, 1, -1)"
        )
    return images, targets


def _check_options(
    architecture: Any, width: Any, time: Any, steps: Any, integrator: Any, seed: Any
) -> None:
    """Refuse what is out of range.

    Raises:
        ConfigurationError: the message has what was given.
    """
    finite_network(architecture, width)  # which refuses these two
    for index, node in enumerate(architecture.nodes):
        if isinstance(node.layer, Normalize):
            raise ConfigurationError(
                f"{architecture.describe(index)} makes outputs depend on the batch, which has no "
                "tangent kernel of single images: take LayerNorm, or leave it out"
            )
    if not isinstance(time, int | float) or isinstance(time, bool) or not 0 < time < math.inf:
        raise ConfigurationError(f"time={time!r}: expected a finite number > 0")
    check_count(steps, "steps")
    if integrator not in INTEGRATORS:
        known = ", ".join(map(repr, get_args(IntegratorName)))
        raise ConfigurationError(f"integrator={integrator!r}: expected one of {known}")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigurationError(f"seed={seed!r}: expected an integer >= 0")


def _check_size(parameters: int, steps: int, keep: bool, store: Any) -> None:
    """Refuse what is beyond the bounds.

    Raises:
        ConfigurationError: the message has the size.
    """
    if not 0 < parameters <= MOST_PARAMETERS:
        raise ConfigurationError(
            f"the network trains {parameters:,} parameters: expected 1 to {MOST_PARAMETERS:,}; "
            "give a smaller width, or smaller images"
        )
    size = 8 * parameters * (steps + 1)
    if keep and store is None and size > MOST_BYTES:
        raise ConfigurationError(
            f"{steps + 1:,} states of {parameters:,} parameters take {size:,} bytes: expected at "
            f"most {MOST_BYTES:,} in memory; give a folder, store=…, or fewer steps"
        )
