"""`fit_scales`: Adam on the logarithms of a network's scales, by the evidence or leave-one-out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from kernas.errors import ConfigurationError, DataError, KernelRangeError

from ..architecture import Architecture
from ..architecture.scales import LayerScales, flat_scales, scales_of, with_scales
from ..data.subsets import balanced_order
from ..interface import Get, check_bytes, checked_images
from ..kernel import NeuralKernel, TracedKernel, kernel_function
from ..program import Program
from ..regression.checks import check_ridge
from ..regression.targets import centred_one_hot
from .objectives import OBJECTIVES, ObjectiveName, objective_of

DEFAULT_FITTING_BYTES = 2**30
"""Default bound on what the pairs of a tile and their derivative take."""


@dataclass(frozen=True)
class FittedScales:
    """What :func:`fit_scales` returns.

    Attributes:
        architecture: the network with the learned scales.
        scales: those, as :func:`kernas.kernels.scales_of` gives them.
        objective: by what they were learned.
        path: the objective at the architecture's own scales and after each step, shape
            ``(steps + 1,)``, or shorter where the kernel left the range of its numbers.
        best: the step whose scales are returned.
        images: of how many images the Gram matrix was.
        ridge: the relative ridge of the objective.
    """

    architecture: Architecture
    scales: LayerScales
    objective: str
    path: np.ndarray
    best: int
    images: int
    ridge: float


def fit_scales(
    architecture: Architecture,
    x: Any,
    y: Any,
    objective: ObjectiveName = "evidence",
    *,
    get: Get = "nngp",
    ridge: float = 1e-3,
    b_std: float | None = None,
    steps: int = 40,
    learning_rate: float = 0.1,
    n_images: int = 256,
    n_reference: int = 32,
    seed: int = 0,
    memory_bytes: int = DEFAULT_FITTING_BYTES,
) -> FittedScales:
    """Learn ``W_std`` and ``b_std`` of all weight layers from training images.

    Adam ascends the log marginal likelihood of the targets, or descends the mean squared error of
    leave-one-out, in ``log σ`` of each scale, with gradients of the exact kernel, in float64. A
    scale that is 0 has no logarithm and stays 0; give ``b_std`` to let biases that are 0 begin
    there. The best scales of the path are returned, not the last.

    Both objectives do not change when the kernel is multiplied by a number. So a network of ReLU
    without biases, whose kernel only scales with ``W_std``, has nothing to learn: give ``b_std``.

    Args:
        architecture: the network.
        x: images ``(n, …)``, as a kernel takes them.
        y: labels ``(n,)``, integers or strings, which become centred one-hot targets; or targets in
            floating point, ``(n,)`` or ``(n, C)``, whose mean is subtracted.
        objective: ``"evidence"`` or ``"loo_error"``.
        get: ``"nngp"``, the prior of the Gaussian process, or ``"ntk"``.
        ridge: λ > 0, relative to the mean diagonal, fixed while scales are learned.
        b_std: where biases that are 0 begin, > 0; ``None`` to leave them at 0.
        steps: of Adam, >= 0.
        learning_rate: of Adam, > 0: a scale moves by at most about this share a step.
        n_images: at most so many of the images, drawn by the seed, balanced over labels: a step
            costs about three Gram matrices of them.
        n_reference: of these, how many ``Normalize`` takes its statistics from; they follow the
            scales.
        seed: of the draws.
        memory_bytes: bound on the pairs that are computed at a time.

    Returns:
        A :class:`FittedScales`.

    Raises:
        ConfigurationError: an argument is not usable, or not even a pair fits into
            ``memory_bytes``.
        DataError: images or targets are not usable.
        KernelRangeError: the objective is not finite at the architecture's own scales.
        ArchitectureError: the network does not fit the images.

    References:
        Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 5.4.1 and
        5.4.2; Kingma and Ba, Adam, 2015.
    """
    _check_options(architecture, objective, b_std, steps, learning_rate, n_images, get)
    ridge = check_ridge(ridge)
    if ridge == 0:
        raise ConfigurationError("ridge=0: expected a number > 0, such as 1e-3")
    check_bytes(memory_bytes, "memory_bytes")
    images = checked_images(x, "x")
    targets, order = _targets(y, len(images), seed)
    chosen = np.sort(order[:n_images])
    images, targets = images[chosen], targets[chosen]
    if np.asarray(y).dtype.kind == "f":
        targets = targets - targets.mean(axis=0)
    rank = int(np.linalg.matrix_rank(targets))
    if rank == 0:
        raise DataError("y is the same for all images: expected at least two labels or targets")
    with jax.enable_x64(True):
        problem = _Problem.of(architecture, get, images, n_reference, seed, memory_bytes)
        start = scales_of(architecture)
        for of in start.values():
            if b_std is not None and of["b_std"] == 0:
                of["b_std"] = b_std
        free = {name: value for name, value in flat_scales(start).items() if value > 0}
        if not free:
            raise ConfigurationError("all scales of the architecture are 0: there is none to learn")
        value = problem.objective(objective, jnp.asarray(targets), ridge, rank)
        logarithms, path, best = _ascended(value, free, objective, steps, learning_rate)
    learned = {name: float(np.exp(logarithm)) for name, logarithm in logarithms.items()}
    found = with_scales(architecture, learned)
    return FittedScales(found, scales_of(found), objective, path, best, len(images), ridge)


@dataclass(frozen=True)
class _Problem:
    """A kernel and the images whose Gram matrix is wanted, in tiles.

    Attributes:
        kernel: of the network.
        program: of the images.
        tiles: the images, ``(tiles, side, …)``; the last tile is filled up with repetitions.
        n: how many images there are.
    """

    kernel: TracedKernel
    program: Program
    tiles: Array
    n: int

    @staticmethod
    def of(
        architecture: Architecture,
        get: Get,
        images: np.ndarray,
        n_reference: int,
        seed: int,
        memory_bytes: int,
    ) -> _Problem:
        """Cut the images into tiles that fit."""
        neural = NeuralKernel(architecture, get)
        reference = None
        if neural.needs_bind:
            if not isinstance(n_reference, int) or n_reference < 1:
                raise ConfigurationError(f"n_reference={n_reference!r}: expected an integer >= 1")
            drawn = np.random.default_rng(seed).permutation(len(images))[:n_reference]
            reference = images[np.sort(drawn)]
        kernel = kernel_function(architecture, get, reference=reference, memory_bytes=memory_bytes)
        program = kernel.program(images.shape[1:])
        most = kernel.fitting(program, len(images))
        if most == 0:
            needed = kernel.bytes(program, 1, 1)
            raise ConfigurationError(
                f"memory_bytes={memory_bytes}: a pair of images of {images.shape[1:]} needs "
                f"{needed}; give at least that"
            )
        count = -(-len(images) // most)
        side = -(-len(images) // count)
        filled = np.minimum(np.arange(count * side), len(images) - 1)
        tiles = jnp.asarray(images[filled], float).reshape(count, side, *images.shape[1:])
        return _Problem(kernel, program, tiles, len(images))

    def gram(self, scales: LayerScales) -> Array:
        """The Gram matrix, one triangle of tiles; each tile is computed again for its derivative,
        so that one of them is in memory at a time."""
        statistics = self.kernel.statistics(self.program, scales)
        count, side = self.tiles.shape[:2]
        rows, columns = map(jnp.asarray, np.triu_indices(count))

        @jax.checkpoint
        def tile(at: tuple[Array, Array]) -> Array:
            left, right = self.tiles[at[0]], self.tiles[at[1]]
            K, T = self.kernel.pairs(self.program, left, right, scales, statistics)
            return K if T is None else T

        found = lax.map(tile, (rows, columns))
        whole = jnp.zeros((count, count, side, side), found.dtype)
        whole = whole.at[columns, rows].set(jnp.swapaxes(found, 1, 2)).at[rows, columns].set(found)
        matrix = jnp.swapaxes(whole, 1, 2).reshape(count * side, count * side)[: self.n, : self.n]
        return (matrix + matrix.T) / 2

    def objective(self, name: str, Y: Array, ridge: float, rank: int) -> Any:
        """Of logarithms of scales the objective and its gradient, compiled."""
        own = scales_of(self.kernel.architecture)

        def value(logarithms: Mapping[str, Array]) -> Array:
            scales: LayerScales = {layer: dict(of) for layer, of in own.items()}
            for key, logarithm in logarithms.items():
                layer, scale = key.split("__")
                scales[layer][scale] = jnp.exp(logarithm)
            return objective_of(name, self.gram(scales), Y, ridge, rank)

        return jax.jit(jax.value_and_grad(value))


def _ascended(
    value: Any, free: Mapping[str, float], name: str, steps: int, learning_rate: float
) -> tuple[dict[str, float], np.ndarray, int]:
    """Adam: the best logarithms, the path of the objective, and where on it they are."""
    import optax  # here alone: scikit-learn's face works without it being loaded

    sign = OBJECTIVES[name].sign
    logarithms = {key: jnp.log(jnp.asarray(scale, float)) for key, scale in free.items()}
    # Objectives of many images are large: per unit of their first value, and a gradient that is
    # rounding moves nothing.
    adam = optax.adam(learning_rate, eps=1e-6)
    state, unit = adam.init(logarithms), 1.0
    path: list[float] = []
    best = logarithms
    for step in range(steps + 1):
        found, gradient = value(logarithms)
        if not np.isfinite(float(found)) or not all(np.isfinite(g) for g in gradient.values()):
            if not path:
                raise KernelRangeError(
                    f"the {name} is {float(found)} at the architecture's own scales; standardise "
                    "the images, use a larger ridge, or choose W_std nearer to critical"
                )
            break
        if not path:
            unit = max(abs(float(found)), 1.0)
        elif sign * float(found) > sign * max(path, key=lambda one: sign * one):
            best = logarithms
        path.append(float(found))
        if step < steps:
            descent = {key: -sign * g / unit for key, g in gradient.items()}
            updates, state = adam.update(descent, state)
            logarithms = cast(Any, optax.apply_updates(logarithms, updates))
    at = int(np.argmax(sign * np.array(path)))
    return {key: float(one) for key, one in best.items()}, np.array(path), at


def _targets(y: Any, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets ``(n, C)`` in float64, and the order in which images are taken."""
    values = np.asarray(y)
    if len(values) != n if values.ndim else True:
        raise DataError(f"y has shape {values.shape}: expected one label or target for {n} images")
    if values.ndim == 1 and values.dtype.kind in "iubUSO":
        labels, indices = np.unique(values, return_inverse=True)
        if len(labels) < 2:
            raise DataError("y is the same for all images: expected at least two labels or targets")
        return centred_one_hot(indices, len(labels)), balanced_order(indices, seed)
    if values.ndim > 2 or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(
            f"y of shape {values.shape} and dtype {values.dtype}: expected labels (n,), or finite "
            "targets (n,) or (n, C) in floating point"
        )
    targets = np.asarray(values, np.float64).reshape(n, -1)
    return targets, np.random.default_rng(seed).permutation(n)


def _check_options(
    architecture: Any,
    objective: Any,
    b_std: Any,
    steps: Any,
    learning_rate: Any,
    n_images: Any,
    get: Any,
) -> None:
    """Refuse what is out of range.

    Raises:
        ConfigurationError: the message has what was given.
    """
    if not isinstance(architecture, Architecture):
        raise ConfigurationError(
            f"architecture={architecture!r:.80}: expected an Architecture, such as serial(...)"
        )
    if objective not in OBJECTIVES:
        raise ConfigurationError(
            f"objective={objective!r}: expected one of {', '.join(map(repr, OBJECTIVES))}"
        )
    if get not in ("nngp", "ntk"):
        raise ConfigurationError(f"get={get!r}: expected 'nngp' or 'ntk'")
    if b_std is not None and not 0 < b_std < float("inf"):
        raise ConfigurationError(f"b_std={b_std!r}: expected a finite number > 0, or None")
    if not isinstance(steps, int) or steps < 0:
        raise ConfigurationError(f"steps={steps!r}: expected an integer >= 0")
    if not 0 < learning_rate < float("inf"):
        raise ConfigurationError(f"learning_rate={learning_rate!r}: expected a finite number > 0")
    if not isinstance(n_images, int) or n_images < 2:
        raise ConfigurationError(f"n_images={n_images!r}: expected an integer >= 2")
