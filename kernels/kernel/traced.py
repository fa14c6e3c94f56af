"""`kernel_function`: the kernel as a pure function of JAX, of images and of scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError, UnboundKernelError

from ..architecture import Architecture, Normalize
from ..architecture.layers import Node, WeightLayer
from ..architecture.scales import SCALES, LayerScales, scales_of
from ..engine import Gains, Traced, traced_bytes, traced_pairs, traced_reference
from ..interface import Get, check_bytes, checked_get, checked_images, names_of, wanted
from ..program import Program, lower
from ..program.ops import WeightOp

DEFAULT_TRACED_BYTES = 4 * 2**30
"""Default bound on what a traced kernel and its derivative take."""


def kernel_function(
    architecture: Architecture,
    get: Get | tuple[Get, ...] = "ntk",
    *,
    reference: ArrayLike | None = None,
    memory_bytes: int = DEFAULT_TRACED_BYTES,
) -> TracedKernel:
    """The exact kernel of a network as a pure function of JAX, ``k(x1, x2=None, scales=None)``.

    It can be differentiated, in the images and in all scales of weights and biases, compiled and
    mapped: ``jax.grad``, ``jax.jacrev``, ``jax.jit``, ``jax.vmap`` and their compositions::

        k = kernel_function(architecture, "nngp")
        k(x1, x2)                                              # (n1, n2), as NeuralKernel gives it
        jax.jacrev(lambda scales: k(x1, x2, scales))(scales_of(architecture))
        jax.vmap(jax.grad(lambda a, b: k(a[None], b[None])[0, 0]), (0, None))(x1, x2[0])

    The formulas are those of :class:`NeuralKernel`, and values equal its to rounding. All pairs are
    in memory at once: for more images than that holds, and wherever no derivative is wanted,
    ``NeuralKernel`` is the one to use.

    *Where a derivative does not exist.* The NTK of a network with a kink, such as ReLU, has a cusp
    at equal images: its angle moves like the size of a difference. There the *symmetric* derivative
    is returned, the mean of both sides'. First derivatives of ``nngp`` are exact at equal images
    too. Where a node vanishes at an image, and kernels of networks with a kink and without biases
    have another cusp, the derivative is finite: the mean of both sides' through the first
    nonlinearity. Second derivatives are finite everywhere; at equal images they are exact for
    smooth nonlinearities, and for ``nngp`` with ReLU, leaky ReLU and abs. Of ``ntk`` with a kink
    they do not exist there, and with ELU and SELU they are not computed: what is returned leaves
    the angle out. Between nearly equal pixels derivatives lose digits: angles below ``sqrt(16 ε)``
    are taken for 0 (6e-8 in float64, 1e-3 in float32).

    Unlike ``NeuralKernel``, traced kernels refuse no overflow, and not the variances at which the
    series of an ``Elementwise`` nonlinearity loses digits.

    Args:
        architecture: the network; its output must be a vector.
        get: ``"nngp"``, ``"ntk"``, or a tuple of both, for :class:`Kernels`.
        reference: images whose statistics ``Normalize`` takes, with the scales of each call and
            differentiated with them; ``NeuralKernel.bind(x_train).reference`` are those of a bound
            kernel. Networks without ``Normalize`` need none.
        memory_bytes: bound on an estimate of what a call and its derivative take.

    Returns:
        A :class:`TracedKernel`.

    Raises:
        ConfigurationError: an argument is not usable.
        UnboundKernelError: the network normalises over a batch, and there is no ``reference``.
        DataError: the reference images are not usable.

    References:
        Jacot et al. 2018, Neural tangent kernel, theorem 1; Price 1958, A useful theorem for
        nonlinear devices having Gaussian inputs, for derivatives by a covariance.

    >>> import jax
    >>> from kernas.kernels import Dense, Relu, kernel_function, scales_of, serial
    >>> network = serial(Dense(W_std=2**0.5), Relu(), Dense())
    >>> k = kernel_function(network, "nngp")
    >>> x = jax.numpy.eye(2)
    >>> slopes = jax.grad(lambda scales: k(x, x, scales)[0, 0])(scales_of(network))
    >>> round(float(slopes["node3"]["W_std"]), 4)  # K is W_std² / 2 of the last layer
    1.0
    """
    if not isinstance(architecture, Architecture):
        raise ConfigurationError(
            f"architecture={architecture!r:.80}: expected an Architecture, such as "
            "serial(...), or kernel.architecture of a NeuralKernel"
        )
    check_bytes(memory_bytes, "memory_bytes")
    images = None if reference is None else checked_images(reference, "reference")
    if images is None and any(isinstance(node.layer, Normalize) for node in architecture.nodes):
        raise UnboundKernelError(
            "this network normalises over a batch, so its kernel needs reference images; give "
            "kernel_function(architecture, get, reference=NeuralKernel(architecture)"
            ".bind(x_train).reference)"
        )
    return TracedKernel(architecture, checked_get(get), images, memory_bytes)


@dataclass(frozen=True, eq=False)
class TracedKernel:
    """What :func:`kernel_function` returns: a pure function of images and scales."""

    architecture: Architecture
    get: Get | tuple[Get, ...]
    reference: np.ndarray | None
    memory_bytes: int

    def __call__(
        self, x1: ArrayLike, x2: ArrayLike | None = None, scales: LayerScales | None = None
    ) -> Any:
        """The kernel of all pairs.

        Args:
            x1: ``(n1, height, width, channels)``, ``(n1, length, channels)`` or ``(n1, features)``.
            x2: ``(n2, …)``; ``None`` for ``x1``.
            scales: ``W_std`` and ``b_std`` by layer, as :func:`scales_of` gives them; layers and
                scales that are left out keep the architecture's.

        Returns:
            An array ``(n1, n2)``, or :class:`Kernels` of two where ``get`` is a tuple, in JAX's
            precision. Where a kernel overflows it is not finite: traced values cannot be refused.

        Raises:
            ConfigurationError: a layer or a scale does not exist, a scale is negative or not
                finite (where it is a number, and not traced), or the images do not fit into
                ``memory_bytes``; the message says how many do.
            DataError: the images have the wrong number of axes or different shapes.
            ArchitectureError: the network does not fit the images.
        """
        left = _images(x1, "x1")
        right = left if x2 is None else _images(x2, "x2")
        if left.shape[1:] != right.shape[1:]:
            raise DataError(
                f"x1 has images of {left.shape[1:]} and x2 of {right.shape[1:]}: expected equal "
                "shapes"
            )
        program = self.program(left.shape[1:])
        checked = self.checked(scales)
        self._check_memory(program, left.shape[1:], len(left), len(right))
        K, T = self._compiled(left, right, checked)
        return wanted(self.get, cast(Any, K), cast(Any, T))

    @property
    def tangent(self) -> bool:
        """Whether ``Θ`` is computed."""
        return "ntk" in names_of(self.get)

    def program(self, image_shape: tuple[int, ...]) -> Program:
        """The network lowered, its weight layers marked.

        Raises:
            ArchitectureError: the network does not fit the images.
            DataError: the reference images have another shape.
        """
        if self.reference is not None and self.reference.shape[1:] != image_shape:
            raise DataError(
                f"images of {image_shape}, and reference images of {self.reference.shape[1:]}: "
                "expected equal shapes"
            )
        return _lowered(self.architecture, image_shape)

    def checked(self, scales: LayerScales | None) -> LayerScales:
        """All scales, those that are given in place of the architecture's.

        Raises:
            ConfigurationError: as for a call.
        """
        own = scales_of(self.architecture)
        for layer, of in ({} if scales is None else _mapping(scales, "scales")).items():
            if layer not in own:
                raise ConfigurationError(
                    f"scales[{layer!r}]: the network has no such weight layer; expected some of "
                    f"{', '.join(own)}, as scales_of(architecture) gives them"
                )
            for name, value in _mapping(of, f"scales[{layer!r}]").items():
                if name not in SCALES:
                    raise ConfigurationError(
                        f"scales[{layer!r}][{name!r}]: expected W_std or b_std"
                    )
                own[layer][name] = _checked_scale(value, f"scales[{layer!r}][{name!r}]")
        return own

    def statistics(self, program: Program, scales: LayerScales) -> Traced | None:
        """Those of the reference images, with some scales."""
        reference = None if self.reference is None else _pixels(self.reference, program)
        gains = _gains(program, self.architecture, scales)
        return traced_reference(program, reference, gains, with_tangent=self.tangent)

    def pairs(
        self,
        program: Program,
        left: Array,
        right: Array,
        scales: LayerScales,
        statistics: Traced | None,
    ) -> tuple[Array, Array | None]:
        """``K`` and ``Θ`` of all pairs, nothing checked."""
        gains = _gains(program, self.architecture, scales)
        return traced_pairs(
            program,
            _pixels(left, program),
            _pixels(right, program),
            gains,
            statistics,
            with_tangent=self.tangent,
        )

    def bytes(self, program: Program, n_left: int, n_right: int) -> int:
        """What a call and its derivative take at most, by estimate."""
        n_reference = 0 if self.reference is None else len(self.reference)
        return traced_bytes(program, n_left, n_right, n_reference, with_tangent=self.tangent)

    def fitting(self, program: Program, most: int) -> int:
        """The most images, up to a number, of which all pairs fit; 0 if not even one does."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.bytes(program, middle, middle) <= self.memory_bytes
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    @cached_property
    def _compiled(self) -> Any:
        def function(left: Array, right: Array, scales: LayerScales) -> Any:
            program = self.program(left.shape[1:])
            return self.pairs(program, left, right, scales, self.statistics(program, scales))

        return jax.jit(function)

    def _check_memory(self, program: Program, shape: tuple[int, ...], n1: int, n2: int) -> None:
        needed = self.bytes(program, n1, n2)
        if needed <= self.memory_bytes:
            return
        fitting = self.fitting(program, max(n1, n2))
        way_out = (
            f"batches of {fitting} and {fitting} images fit"
            if fitting
            else f"a pair needs {self.bytes(program, 1, 1)} bytes; give a larger memory_bytes"
        )
        raise ConfigurationError(
            f"{n1} and {n2} images of {shape}: their kernel and its derivative need about {needed} "
            f"bytes, the bound is memory_bytes={self.memory_bytes}; {way_out}, and NeuralKernel, "
            "which is not traced, takes any number"
        )


@lru_cache(maxsize=256)
def _lowered(architecture: Architecture, image_shape: tuple[int, ...]) -> Program:
    """The program of a network whose scales are the numbers of its nodes: instructions of layers
    with equal scales would be merged, and one without a bias could be given none."""
    nodes = tuple(
        Node(replace(node.layer, W_std=index + 1.0, b_std=index + 1.0), node.inputs)
        if isinstance(node.layer, WeightLayer)
        else node
        for index, node in enumerate(architecture.nodes)
    )
    return lower(Architecture(nodes), image_shape)


def _gains(program: Program, network: Architecture, scales: LayerScales) -> Mapping[int, Gains]:
    """σ_w² and σ_b², and what the learning rates make of them, by instruction."""
    found: dict[int, Gains] = {}
    dtype = jnp.result_type(float)
    for index, op in enumerate(program.ops):
        if isinstance(op, WeightOp):
            of = scales[f"node{round(op.W_std) - 1}"]
            squares = [jnp.asarray(of[name], dtype) ** 2 for name in SCALES]
            rated = [rate * square for rate, square in zip(op.rates, squares, strict=True)]
            found[index] = (*squares, *rated)
    return found


def _images(x: Any, name: str) -> Array:
    """Images in JAX's precision, checked as far as traced ones can be.

    Raises:
        DataError: the number of axes is wrong, or concrete images are not usable.
    """
    if isinstance(x, Tracer):
        if x.ndim not in (2, 3, 4) or 0 in x.shape:
            raise DataError(
                f"{name} has shape {x.shape}: expected (n, height, width, channels), (n, length, "
                "channels) or (n, features); a single image is x[None]"
            )
        return jnp.asarray(x, jnp.result_type(float))
    return jnp.asarray(_concrete(x, name), jnp.result_type(float))


def _concrete(x: Any, name: str) -> np.ndarray:
    with jax.ensure_compile_time_eval():  # beside traced values others may be concrete
        return checked_images(x, name)


def _pixels(x: ArrayLike, program: Program) -> Array:
    """Images or vectors as ``[n, h, w, channels]`` in JAX's precision."""
    x = jnp.asarray(x, jnp.result_type(float))
    if len(program.image_shape) == 1:
        return x.reshape(len(x), 1, 1, -1)
    return x.reshape(len(x), *program.image_shape)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{name}={value!r:.60}: expected a mapping, such as scales_of(architecture)"
        )
    return value


def _checked_scale(value: Any, name: str) -> Any:
    """A scale, as it is if it is traced.

    Raises:
        ConfigurationError: it is not one finite number >= 0.
    """
    if np.shape(value) != ():
        raise ConfigurationError(f"{name} has shape {np.shape(value)}: expected one number")
    if isinstance(value, Tracer):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < float("inf"):
        raise ConfigurationError(f"{name}={value!r:.60}: expected a finite number >= 0")
    return value
