"""`EmpiricalKernel`: NNGP and NTK of one function with one set of parameters, flax or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ConfigurationError

from ..engine import Device, TilesOfRow, balanced, blocks, fill_tiles
from ..interface import (
    Get,
    Kernels,
    check_bytes,
    check_equal_shapes,
    check_finite,
    checked_get,
    checked_images,
    names_of,
    wanted,
)

Apply = Callable[[Any, Any], Any]

DEFAULT_BLOCK_BYTES = 2**30

FEWEST_IMAGES = 4
"""Blocks of fewer images take directional derivatives in place of a Jacobian's rows."""

FORWARD_IMAGES = 32
"""Most images that go through the function at a time."""


@dataclass(frozen=True, eq=False)
class EmpiricalKernel:
    """The kernels of ``f = apply(params, ·)`` itself: nothing is averaged over parameters.

    With ``O`` outputs,

        nngp(x, x') = (1/O) Σ_o f_o(x) f_o(x'),
        ntk(x, x')  = (1/O) Σ_o ⟨∂f_o(x)/∂θ, ∂f_o(x')/∂θ⟩,

    the latter the mean of the diagonal of the kernel of all pairs of outputs. For a network of an
    architecture both tend to ``NeuralKernel(architecture)`` as its width grows.

    Args:
        apply: called as ``apply(params, x)`` with ``x`` of shape ``(n, height, width, channels)``
            or ``(n, features)``; returns ``(n, outputs)``. Each image by itself: batch statistics
            would change with the blocks. Hashable, as functions are.
        params: the parameters θ, a tree of floating-point arrays. What is not differentiated stays
            inside ``apply``.
        get: ``"nngp"``, ``"ntk"``, or a tuple of both, for :class:`Kernels`.
        block_bytes: bound on the bytes of gradients, and of the intermediate results that they
            need, which are held at a time.

    Raises:
        ConfigurationError: an argument is not usable.

    Rows of the Jacobian are taken by ``jax.vjp`` for a block of images and some outputs, and
    multiplied with those of another block: ``N·O`` gradients of ``P`` parameters, each anew for
    every block that it meets, and ``N²·O·P`` multiplications. Where fewer than four images fit into
    a block, derivatives of many images (``jax.jvp``) are taken along the gradient of one output of
    one image instead: ``N²·O`` forward passes, each at least ``P`` multiplications and more where
    weights are shared, but one gradient is held and none is computed twice. Four is about where
    both took equally long, of the convolutional and fully-connected networks that were timed.

    References:
        Novak et al. 2022, Fast finite width neural tangent kernel, sections 3.1 (Jacobian
        contraction) and 3.2 (NTK-vector products).

    >>> import jax.numpy as jnp
    >>> kernel = EmpiricalKernel(lambda w, x: x @ w, jnp.array([[2.0], [0.0]]))
    >>> kernel([[1.0, 3.0]], get="ntk"), kernel([[1.0, 3.0]], get="nngp")
    (array([[10.]], dtype=float32), array([[4.]], dtype=float32))
    """

    apply: Apply
    params: Any
    get: Get | tuple[Get, ...] = "ntk"
    block_bytes: int = DEFAULT_BLOCK_BYTES

    def __post_init__(self) -> None:
        object.__setattr__(self, "get", checked_get(self.get))
        check_bytes(self.block_bytes, "block_bytes")
        if not callable(self.apply):
            raise ConfigurationError(
                f"apply={self.apply!r}: expected a function apply(params, x) -> (n, outputs)"
            )
        try:
            hash(self.apply)
        except TypeError as error:
            raise ConfigurationError(
                f"apply of {type(self.apply).__name__} cannot be hashed ({error}): wrap it in a "
                "function, lambda params, x: ..."
            ) from error
        leaves = jax.tree.leaves(self.params)
        if not leaves:
            raise ConfigurationError(
                "params has no arrays, so there is nothing to differentiate: expected a tree of "
                "floating-point arrays, such as network.init(key, x)['params']"
            )
        for leaf in leaves:
            if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
                raise ConfigurationError(
                    f"params has an array of {jnp.result_type(leaf)}: expected floating-point "
                    "numbers only; keep what is not trained inside apply"
                )

    @property
    def needs_bind(self) -> bool:
        """Never: what it needs of other images is inside ``apply``."""
        return False

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(
        self, x1: Any, x2: Any = None, get: Get | tuple[Get, ...] | None = None
    ) -> np.ndarray | Kernels:
        """The kernel of all pairs.

        Args:
            x1: ``(n1, height, width, channels)`` or ``(n1, features)``.
            x2: ``(n2, …)``; ``None`` for ``x1`` itself, of which one triangle is computed.
            get: ``"nngp"``, ``"ntk"`` or a tuple; the kernel's own choice if ``None``.

        Returns:
            A matrix ``(n1, n2)``, or :class:`Kernels` where ``get`` is a tuple.

        Raises:
            DataError: the images have NaN or differ in shape.
            ConfigurationError: ``apply`` returns no array ``(n, outputs)``, or ``block_bytes`` do
                not hold the gradient of one image.
            KernelRangeError: the function or its gradient is not finite.
        """
        get = self.get if get is None else checked_get(get)
        names = names_of(get)
        left = _images(x1, "x1")
        right = None if x2 is None else _images(x2, "x2")
        if right is not None:
            check_equal_shapes(left.shape[1:], right.shape[1:])
        outputs = self._outputs(left)
        sizes = self._sizes(left)
        ntk = self._ntk(left, right, outputs, sizes) if "ntk" in names else None
        nngp = self._nngp(left, right, sizes) if "nngp" in names else None
        check_finite(Kernels(nngp, ntk))
        return wanted(get, nngp, ntk)

    def _outputs(self, x: np.ndarray) -> int:
        """The number of outputs, from the shapes alone."""
        two = jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype)
        result = jax.eval_shape(self.apply, self.params, two)
        shape = getattr(result, "shape", None)
        if shape is None:
            raise ConfigurationError(
                f"apply returns a {type(result).__name__}: expected one array (n, outputs); return "
                "the network's output alone"
            )
        if len(shape) != 2 or shape[0] != 2 or shape[1] < 1:
            raise ConfigurationError(
                f"apply returns {shape} for two images: expected (2, outputs); end the network in "
                "Dense, Flatten or GlobalAvgPool"
            )
        if not jnp.issubdtype(result.dtype, jnp.floating):
            raise ConfigurationError(
                f"apply returns {result.dtype}: expected floating-point numbers"
            )
        return shape[1]

    def _sizes(self, x: np.ndarray) -> _Sizes:
        """Bytes of one gradient and of what one image's backward pass reads."""
        one = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
        backward = jax.eval_shape(_compiled(self.apply).backward, self.params, one)
        return _Sizes(_bytes(self.params), _bytes(backward))

    def _nngp(self, left: np.ndarray, right: np.ndarray | None, sizes: _Sizes) -> np.ndarray:
        most = max(1, min(FORWARD_IMAGES, self.block_bytes // max(sizes.image, 1)))
        compiled = _compiled(self.apply)

        def forward(x: np.ndarray) -> np.ndarray:
            side = balanced(len(x), most)
            filled = [x[block.filled] for block in blocks(len(x), side)]
            f = [np.asarray(compiled.forward(self.params, some)) for some in filled]
            return np.concatenate(f)[: len(x)]

        f = forward(left)
        g = f if right is None else forward(right)
        K = f @ g.T / f.shape[1]
        return K if right is not None else _mirrored(K)

    def _ntk(
        self, left: np.ndarray, right: np.ndarray | None, outputs: int, sizes: _Sizes
    ) -> np.ndarray:
        longest = max(len(left), 0 if right is None else len(right))
        at_a_time = self.block_bytes // (2 * sizes.gradient + sizes.image)
        K = np.zeros((len(left), len(left if right is None else right)))
        if at_a_time >= min(FEWEST_IMAGES, longest):
            side = balanced(longest, min(at_a_time, FORWARD_IMAGES))
            together = balanced(outputs, at_a_time // side)
            # Past the last output: a row of zeros.
            padded = np.arange(-(-outputs // together) * together).clip(max=outputs)
            for some in padded.reshape(-1, together):
                part = np.zeros_like(K)
                tiles_of = self._contracted(left, right, some, outputs)
                symmetric = right is None
                fill_tiles([part], tiles_of, rows=side, columns=side, symmetric=symmetric)
                K += part
        else:
            most = (self.block_bytes - sizes.gradient) // max(sizes.image, 1)
            if most < 1:
                raise ConfigurationError(
                    f"block_bytes={self.block_bytes}: the gradient of one image takes "
                    f"{sizes.gradient + sizes.image}; give at least that"
                )
            side = balanced(len(left), min(most, FORWARD_IMAGES))
            self._add_products(K, left, right, side, outputs)
        K = (K / outputs).astype(left.dtype)
        return K if right is not None else _mirrored(K)

    def _contracted(
        self, left: np.ndarray, right: np.ndarray | None, some: np.ndarray, outputs: int
    ) -> Callable[[np.ndarray], TilesOfRow]:
        """Tiles of the Jacobian of some outputs times itself."""
        compiled = _compiled(self.apply)

        def tiles_of(row: np.ndarray) -> TilesOfRow:
            rows = compiled.rows(self.params, left[row], some, outputs)

            def tile(col: np.ndarray, _: Device) -> list[Array]:
                if right is None and np.array_equal(row, col):
                    return [compiled.contract(rows, rows)]
                x = left if right is None else right
                columns = compiled.rows(self.params, x[col], some, outputs)
                return [compiled.contract(rows, columns)]

            return tile

        return tiles_of

    def _add_products(
        self, K: np.ndarray, left: np.ndarray, right: np.ndarray | None, side: int, outputs: int
    ) -> None:
        """Derivatives of ``side`` images along one gradient at a time."""
        compiled = _compiled(self.apply)
        x = left if right is None else right
        for j in range(K.shape[1]):
            for output in range(outputs):
                direction = compiled.gradient(self.params, x[j : j + 1], output)
                for block in blocks(len(left), side):
                    if right is not None or block.rows.stop > j:
                        x1 = left[block.filled]
                        column = compiled.derivative(self.params, x1, direction, output)
                        K[block.rows, j] += np.asarray(column)[: len(block)]


class _Sizes(NamedTuple):
    """Bytes of a gradient, and of what the backward pass of one image reads."""

    gradient: int
    image: int


class _Compiled(NamedTuple):
    """A function's derivatives, compiled once for each shape."""

    forward: Callable[..., Array]
    backward: Callable[..., Any]
    rows: Callable[..., list[Array]]
    contract: Callable[..., Array]
    gradient: Callable[..., Any]
    derivative: Callable[..., Array]


@lru_cache(maxsize=64)
def _compiled(apply: Apply) -> _Compiled:
    def precisely(function: Callable[..., Any], static: tuple[int, ...] = ()) -> Any:
        def traced(*args: Any) -> Any:
            with jax.default_matmul_precision("highest"):
                return function(*args)

        return jax.jit(traced, static_argnums=static)

    def backward(params: Any, image: Array) -> Any:
        return jax.vjp(lambda p: apply(p, image), params)[1]

    def rows(params: Any, x: Array, some: Array, outputs: int) -> list[Array]:
        def of_image(image: Array) -> Any:
            _, pull = jax.vjp(lambda p: apply(p, image[None])[0], params)
            dtype = jax.eval_shape(apply, params, image[None]).dtype
            return jax.vmap(lambda cotangent: pull(cotangent)[0])(
                jax.nn.one_hot(some, outputs, dtype=dtype)
            )

        # Not lax.map over images: XLA runs convolutions inside a loop ten times slower on a CPU.
        leaves = jax.tree.leaves(jax.vmap(of_image)(x))
        return [leaf.reshape(len(x), -1) for leaf in leaves]

    def contract(rows: list[Array], columns: list[Array]) -> Array:
        parts = [a @ b.T for a, b in zip(rows, columns, strict=True)]
        return sum(parts[1:], parts[0])

    def gradient(params: Any, image: Array, output: Array) -> Any:
        return jax.grad(lambda p: apply(p, image)[0, output])(params)

    def derivative(params: Any, x: Array, direction: Any, output: Array) -> Array:
        return jax.jvp(lambda p: apply(p, x)[:, output], (params,), (direction,))[1]

    return _Compiled(
        precisely(apply),
        backward,
        precisely(rows, (3,)),
        precisely(contract),
        precisely(gradient),
        precisely(derivative),
    )


def _images(x: Any, name: str) -> np.ndarray:
    return checked_images(x, name).astype(jnp.result_type(float))


def _bytes(tree: Any) -> int:
    return sum(
        math.prod(jnp.shape(leaf)) * jnp.result_type(leaf).itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _mirrored(K: np.ndarray) -> np.ndarray:
    """The lower triangle on both sides of the diagonal."""
    return np.tril(K) + np.tril(K, -1).T
