"""`NeuralKernel`: the kernel of an infinitely wide network as a function of images."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args, overload

import jax.numpy as jnp
import numpy as np

from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    UnboundKernelError,
)

from ._compat import import_neural_tangents
from .architecture import Architecture, Normalize
from .architecture.scales import scales_of, with_scales
from .augmentation import (
    Augmentation,
    Augmented,
    augmented,
    checked_augment,
    identity_of_augment,
    views_of,
)
from .backends import neural_tangents
from .engine import (
    DEFAULT_BIND_BYTES,
    DEFAULT_TILE_BYTES,
    Blocking,
    Images,
    KernelPlan,
    Request,
    Statistics,
    TileShape,
    balanced,
    bind,
    grams,
    kernel_plan,
    prepare,
    resolved,
    share,
    tile_shape,
)
from .finite_values import RangeCheck
from .interface import (
    Get,
    Kernels,
    check_bytes,
    check_equal_shapes,
    checked_get,
    checked_images,
    names_of,
    wanted,
)
from .program import Program, lower

Backend = Literal["kernas", "neural-tangents"]


def check_backend(backend: Any) -> None:
    """Refuse what is no backend, and one that is not there.

    Raises:
        ConfigurationError: it is none.
        MissingDependencyError: it is not installed.
    """
    if backend not in get_args(Backend):
        raise ConfigurationError(f"backend={backend!r}: expected 'kernas' or 'neural-tangents'")
    if backend == "neural-tangents":
        import_neural_tangents()


PARAMETERS = ("architecture", "get", "tile_bytes", "backend", "blocking", "augment")
"""Arguments of :class:`NeuralKernel` that :meth:`NeuralKernel.set_params` sets."""


@lru_cache(maxsize=256)
def _lower(architecture: Architecture, image_shape: tuple[int, ...]) -> Program:
    return lower(architecture, image_shape)


def share_compilation(architectures: Iterable[Architecture], image_shape: Sequence[int]) -> None:
    """Let the kernels of several networks share what is compiled for them.

    Small images in networks with pools or strides inside are computed by programs that take the
    network as data. Such a program knows the operations of the networks that are given here, so it
    is compiled once for all of them, and not for each by itself. It changes no result.

    Args:
        architectures: those whose kernels are going to be computed; one that does not fit the
            images is passed over, its kernel says why.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
    """

    def programs() -> Iterator[Program]:
        for architecture in architectures:
            with contextlib.suppress(ArchitectureError):
                yield _lower(architecture, tuple(image_shape))

    share(programs())


@dataclass(frozen=True, eq=False)
class _Bound:
    """Reference images and their statistics."""

    statistics: Statistics | None
    reference: np.ndarray
    seed: int

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of the images that the kernel is for."""
        return self.reference.shape[1:]

    @cached_property
    def sha256(self) -> str:
        """Of the images in float64, in hexadecimal."""
        content = np.ascontiguousarray(self.reference, np.float64).tobytes()
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """Images with everything a kernel needs of each by itself; see :meth:`NeuralKernel.prepare`.

    neural-tangents has no such part: for it they are the images as they were given. Where the
    kernel is augmented they have several views, the images themselves and their mirror images.
    """

    views: tuple[Images, ...] | tuple[np.ndarray, ...]
    _program: Program
    _statistics: Statistics | None
    _tangent: bool

    def __len__(self) -> int:
        return len(self.views[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the images and of what was computed of each."""
        return sum(view.nbytes for view in self.views)

    def check_fit(
        self,
        program: Program,
        statistics: Statistics | None,
        *,
        views: int,
        tangent: bool,
        recorded: bool = True,
    ) -> None:
        """Refuse them for another kernel than the one that prepared them.

        Args:
            program: of the kernel that they are given to.
            statistics: of its reference images.
            views: images that stand for one.
            tangent: whether the tangent kernel is wanted.
            recorded: whether the own engine computes it.

        Raises:
            DataError: another kernel prepared them, or not for the tangent kernel, or JAX computed
                in another precision then.
        """
        if (
            self._program != program
            or self._statistics is not statistics
            or len(self.views) != views
            or isinstance(self.views[0], Images) != recorded
        ):
            raise DataError(
                "these images were prepared by another kernel; prepare them with this one"
            )
        if tangent and not self._tangent:
            raise DataError(
                "these images were prepared without the tangent kernel; prepare them with "
                'get=("nngp", "ntk")'
            )
        if isinstance(self.views[0], Images):
            check_precision(self.views[0], "these images were prepared")


def check_precision(images: Images, done: str) -> None:
    """Refuse records of another precision than the one that JAX computes in.

    Raises:
        DataError: the message says what was ``done`` in the other one.
    """
    then, now = np.dtype(images.pixels.dtype), np.dtype(jnp.result_type(float))
    if then != now:
        raise DataError(
            f"{done} in {then}, and JAX computes in {now} now: expected one precision; do it again "
            f"in this one, or call with jax.enable_x64({then == np.float64})"
        )


Inputs = np.ndarray | PreparedImages


def request_of(left: PreparedImages, right: PreparedImages | None, *, both: bool) -> Request[Any]:
    """The matrix of prepared images, the mean over the views of the right ones or of ``both``."""
    rows: Any = left.views if both else left.views[:1]
    columns: Any = left.views if right is None else right.views
    return Request(rows, columns, right is None)


def engine_settings(blocking: Blocking, tile: TileShape, tile_bytes: int) -> dict[str, Any]:
    """What decides the last digits of a result of the own engine, as JSON values."""
    return {
        "backend": "kernas",
        "dtype": str(jnp.result_type(float)),
        "tile_bytes": tile_bytes,
        "blocking": asdict(blocking),
        "tile_rows": tile.rows,
        "tile_columns": tile.columns,
        "record_chunk": tile.chunk,
    }


@dataclass(frozen=True, eq=False)
class NeuralKernel:
    """Exact NNGP and NTK of an infinitely wide network.

    ``kernel(x1, x2=None, get=None)`` is the matrix of all pairs. With ``f`` a network of the
    architecture with random weights, ``nngp`` is ``E[f(x) f(x')]`` and ``ntk`` is
    ``Σ_θ E[∂f(x)/∂θ ∂f(x')/∂θ]`` over its trainable weights, per output, as widths go to
    infinity in the NTK parameterisation.

    Args:
        architecture: the network; its output must be a vector (``Flatten`` or ``GlobalAvgPool``).
        get: ``"nngp"``, ``"ntk"``, or a tuple of both, for :class:`Kernels`.
        tile_bytes: bound on the bytes of intermediate results that are held at a time; with
            neural-tangents an estimate of it.
        backend: ``"kernas"``, or ``"neural-tangents"``, which refuses networks whose branches are
            correlated or that normalise over a batch. There the kernel of an image with itself
            carries the rounding that the singularity (below) makes of it.

        blocking: how the own engine cuts its work; by default chosen from the network and from a
            short measurement of the device, which is kept in the user's cache folder
            (:func:`blocking_of`).
        augment: :class:`Flip`, :class:`Translate`, or a tuple of both: the kernel's mean over
            transformed copies of the images, so that regression on the images themselves is
            regression on all copies of them (:mod:`kernas.kernels.augmentation`).

    Raises:
        ConfigurationError: ``get``, ``tile_bytes``, ``backend`` or ``augment`` is not usable.
        MissingDependencyError: the backend is not installed.

    Computes in float32, or in float64 where JAX's x64 mode is on. Equal images give the kernel of
    the image with itself. Between nearly equal pixels, each nonlinearity may change
    ``ntk`` by ``sqrt(24 ε) / π`` of its value, 5e-4 in float32, since the derivative of arccos
    is singular there; ``nngp`` keeps its digits.

    References:
        Lee et al. 2018, Deep neural networks as Gaussian processes, section 2; Jacot et al. 2018,
        Neural tangent kernel, theorem 1; Arora et al. 2019, On exact computation with an
        infinitely wide neural net, section 4.
    """

    architecture: Architecture
    get: Get | tuple[Get, ...] = "ntk"
    tile_bytes: int = DEFAULT_TILE_BYTES
    backend: Backend = "kernas"
    blocking: Blocking | None = None
    augment: Augmentation | tuple[Augmentation, ...] = ()
    _bound: _Bound | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "augment", checked_augment(self.augment))
        if not isinstance(self.architecture, Architecture):
            raise ConfigurationError(
                f"architecture={self.architecture!r}: expected an Architecture; "
                "build one with serial(...)"
            )
        object.__setattr__(self, "get", checked_get(self.get))
        check_bytes(self.tile_bytes, "tile_bytes")
        check_backend(self.backend)

    @property
    def needs_bind(self) -> bool:
        """Whether the network normalises over a batch, so that it needs reference images."""
        return any(isinstance(node.layer, Normalize) for node in self.architecture.nodes)

    @property
    def names(self) -> tuple[Get, ...]:
        """What a Gram store calls the kernels."""
        return names_of(self.get)

    @property
    def is_bound(self) -> bool:
        """Whether :meth:`bind` gave this kernel its reference images."""
        return self._bound is not None

    @property
    def reference(self) -> np.ndarray | None:
        """The images that :meth:`bind` drew; ``None`` if the kernel is not bound.

        Bound to them, with as many and the same seed, a kernel is this one again.
        """
        return None if self._bound is None else self._bound.reference

    def bind(
        self,
        x_train: np.ndarray,
        n_reference: int = 32,
        seed: int = 0,
        *,
        bind_bytes: int = DEFAULT_BIND_BYTES,
    ) -> NeuralKernel:
        """The kernel whose ``Normalize`` layers have their statistics from training images.

        Args:
            x_train: ``(n, height, width, channels)`` or ``(n, features)``.
            n_reference: how many of them are drawn, without repetition; all if there are fewer.
                Part of the kernel's identity: another number is another kernel.
            seed: of the draw.
            bind_bytes: bound on the bytes that the pairs of reference images take. What does not
                fit is refused: the number of images never follows the memory at hand.

        Returns:
            A bound kernel; this one is not changed.

        Raises:
            ConfigurationError: ``n_reference`` is not positive, or does not fit into
                ``bind_bytes``; the message says what fits.
            DataError: the images have NaN or the wrong number of axes.
            ArchitectureError: the network does not fit the images.
            KernelRangeError: as for a call.
        """
        if not isinstance(n_reference, int) or n_reference < 1:
            raise ConfigurationError(
                f"n_reference={n_reference!r}: expected a positive number of images"
            )
        x = checked_images(x_train, "x_train")
        program = self._program(x.shape[1:])
        chosen = np.random.default_rng(seed).permutation(len(x))[:n_reference]
        reference = x[np.sort(chosen)]
        statistics, tangent = None, "ntk" in names_of(self.get)
        if program.needs_reference:
            statistics = bind(
                program,
                reference,
                blocking=self._blocking(program, tangent),
                max_bytes=bind_bytes,
                with_tangent=tangent,
            )
            self._range(program, tangent).bound(program, reference, statistics)
        return replace(self, _bound=_Bound(statistics, reference, seed))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Arguments by name, as scikit-learn asks for them.

        Args:
            deep: whether to give the scales too, ``node3__W_std`` and ``node3__b_std`` of the
                weight layer that is node 3, and ``W_std`` and ``b_std`` where all layers have one.
        """
        arguments = {name: getattr(self, name) for name in PARAMETERS}
        return {**arguments, **(scales_of(self.architecture) if deep else {})}

    def set_params(self, **params: Any) -> NeuralKernel:
        """The kernel with other parameters; this one is not changed.

        An estimator replaces its kernel by it: ``GridSearchCV(KernelClassifier(kernel),
        {"kernel__W_std": [1.2, 1.4], "kernel__b_std": [0, 0.1]})``.

        Args:
            params: names of :meth:`get_params`. ``W_std`` and ``b_std`` are set in all weight
                layers, the last one included, and ``node3__W_std`` in the one that is node 3,
                which goes before.

        Returns:
            A kernel without a bound: statistics belong to the scales that they were taken with.
            Estimators bind in ``fit``.

        Raises:
            ConfigurationError: there is no such parameter, or its value is not usable.
            ArchitectureError: a scale is not a finite number >= 0.
        """
        if not params:
            return self
        arguments = {name: params[name] for name in params if name in PARAMETERS}
        changed = replace(self, _bound=None, **arguments)
        scales = {name: params[name] for name in params if name not in PARAMETERS}
        if not scales:
            return changed
        return replace(changed, architecture=with_scales(changed.architecture, scales))

    def __sklearn_clone__(self) -> NeuralKernel:
        """A kernel never changes: its clone is the kernel."""
        return self

    def prepare(self, x: np.ndarray, get: Get | tuple[Get, ...] | None = None) -> PreparedImages:
        """Do once what the kernel needs of each image, for images that stand in several calls.

        ``kernel(prepared)`` and ``kernel(x, prepared)`` equal the calls with the images
        themselves, and skip the work that depends on one image only.

        Args:
            x: ``(n, height, width, channels)`` or ``(n, features)``.
            get: the kernels that will be asked for; the kernel's own choice if ``None``.

        Raises:
            UnboundKernelError, DataError, ArchitectureError, KernelRangeError: as for a call.
        """
        x = checked_images(x, "x")
        tangent = "ntk" in names_of(self.get if get is None else checked_get(get))
        program = self._program(x.shape[1:])
        views = tuple(views_of(x, self._augmented(x.shape[1:]).views))
        if self.backend == "neural-tangents":
            return PreparedImages(views, program, None, tangent)
        statistics = self._statistics(program, tangent)
        tile = self._tiles(program, statistics, tangent)
        recorded = tuple(
            prepare(program, view, statistics, tile=tile, with_tangent=tangent) for view in views
        )
        check = self._range(program, tangent)
        for view, images in zip(views, recorded, strict=True):
            check.images(program, view, images, statistics)
        return PreparedImages(recorded, program, statistics, tangent)

    @overload
    def __call__(self, x1: Inputs, x2: Inputs | None = None, get: Get | None = None) -> Any: ...
    @overload
    def __call__(
        self, x1: Inputs, x2: Inputs | None = None, *, get: tuple[Get, ...]
    ) -> Kernels: ...
    @overload
    def __call__(
        self, x1: Inputs, x2: Inputs | None = None, get: Get | tuple[Get, ...] | None = None
    ) -> Any: ...
    def __call__(
        self,
        x1: Inputs,
        x2: Inputs | None = None,
        get: Get | tuple[Get, ...] | None = None,
    ) -> np.ndarray | Kernels:
        """The kernel of all pairs.

        Args:
            x1: ``(n1, height, width, channels)`` or ``(n1, features)``, or prepared images.
            x2: ``(n2, …)``; ``None`` for ``x1`` itself, of which one triangle is computed.
            get: ``"nngp"``, ``"ntk"`` or a tuple; the kernel's own choice if ``None``.

        Returns:
            A matrix ``(n1, n2)``, or :class:`Kernels` of two where ``get`` is a tuple.

        Raises:
            UnboundKernelError: the network normalises over a batch and is not bound.
            DataError: the images have NaN, their shapes differ, or they were prepared by another
                kernel.
            ArchitectureError: the network does not fit the images, or the backend cannot
                express it.
            KernelRangeError: the kernel overflows, or is zero where the network is not; the
                message names the layer, and what helps.
        """
        (matrix,) = self._matrices([(x1, x2)], get)
        return matrix

    def gram_and_cross(
        self, x_train: Inputs, x_test: Inputs, get: Get | tuple[Get, ...] | None = None
    ) -> tuple[Any, Any]:
        """What regression reads, all of its pairs in one sweep.

        Args:
            x_train: ``(n, height, width, channels)`` or ``(n, features)``, or prepared images.
            x_test: ``(m, …)``.
            get: as for a call.

        Returns:
            ``kernel(x_train)``, ``(n, n)``, and ``kernel(x_test, x_train)``, ``(m, n)``, without
            computing a pair twice.

        Raises:
            UnboundKernelError, DataError, ArchitectureError, KernelRangeError: as for a call.
        """
        train = x_train if isinstance(x_train, PreparedImages) else self.prepare(x_train, get)
        gram, cross = self._matrices([(train, None), (x_test, train)], get)
        return gram, cross

    def named(self, x1: Inputs, x2: Inputs | None = None) -> dict[str, np.ndarray]:
        """The kernels of all pairs by :attr:`names`, as a Gram store keeps them."""
        found = self(x1, x2, get=self.names)
        return {name: getattr(found, name) for name in self.names}

    def _matrices(
        self, requests: Sequence[tuple[Inputs, Inputs | None]], get: Get | tuple[Get, ...] | None
    ) -> list[Any]:
        """A matrix, or :class:`Kernels`, for each pair of sets of images."""
        get = self.get if get is None else checked_get(get)
        tangent = "ntk" in names_of(get)

        def made(x: Inputs) -> PreparedImages:
            return x if isinstance(x, PreparedImages) else self.prepare(x, get)

        prepared = [(made(x1), None if x2 is None else made(x2)) for x1, x2 in requests]
        for left, right in prepared:
            self._check_prepared(left, right, tangent)
        program, statistics = prepared[0][0]._program, prepared[0][0]._statistics
        both = self._augmented(program.image_shape).both
        asked = [request_of(left, right, both=both) for left, right in prepared]
        if self.backend == "neural-tangents":
            matrices = [self._neural_tangents(program, request, tangent) for request in asked]
        else:
            found = grams(
                program,
                asked,
                statistics,
                tile=self._tiles(program, statistics, tangent),
                with_tangent=tangent,
            )
            matrices = [matrix for (matrix,) in found]
        check = self._range(program, tangent)
        for request, matrix in zip(asked, matrices, strict=True):
            check.matrices(request, [matrix], statistics)
        return [wanted(get, K, T) for K, T in matrices]

    def _neural_tangents(
        self, program: Program, request: Request[np.ndarray], tangent: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        architecture = self._augmented(program.image_shape).architecture
        side = balanced(max(request.shape), self._neural_tangents_side(program, tangent))
        found = [
            neural_tangents.gram(
                architecture, rows, None if columns is rows else columns, side=side, tangent=tangent
            )
            for rows, columns in request.meetings
        ]
        K, T = (
            None if parts[0] is None else np.mean(parts, axis=0, dtype=parts[0].dtype)
            for parts in zip(*found, strict=True)
        )
        assert K is not None
        return K, T

    def normalization_scales(self) -> dict[int, tuple[float, ...]]:
        """What each ``Normalize`` of the bound network divides by: ``√(v − m)``, or ``√v``.

        Returns:
            For each such node a number for each block of its channels (one, but for
            concatenations); infinity for a block that is constant, or that the kernel does not
            read.

        Raises:
            UnboundKernelError: the kernel is not bound.
        """
        if self._bound is None:
            raise UnboundKernelError(
                "the scales are those of reference images; call kernel.bind(x_train)"
            )
        program = self._program(self._bound.image_shape)
        statistics = self._bound.statistics
        known = {} if statistics is None else statistics.constants.scales

        def deviation(record: int | None) -> float:
            inverse = 0.0 if record is None else float(known[record])
            return float("inf") if inverse == 0 else inverse**-0.5

        return {node: tuple(map(deviation, records)) for node, records in program.scales}

    def _augmented(self, image_shape: tuple[int, ...]) -> Augmented:
        """How the mean over transformed images is computed."""
        return augmented(self.architecture, checked_augment(self.augment), image_shape)

    def _program(self, image_shape: tuple[int, ...]) -> Program:
        """The network lowered, once the backend is known to express it."""
        architecture = self._augmented(image_shape).architecture
        program = _lower(architecture, image_shape)
        if self.backend == "neural-tangents":
            neural_tangents.check_expressible(architecture, image_shape)
        return program

    def _range(self, program: Program, tangent: bool) -> RangeCheck:
        network = self._augmented(program.image_shape).architecture
        return RangeCheck({None: network}, program.image_shape, tangent)

    def _neural_tangents_side(self, program: Program, tangent: bool) -> int:
        architecture = self._augmented(program.image_shape).architecture
        return neural_tangents.tile_side(
            architecture, program.image_shape, self.tile_bytes, tangent=tangent
        )

    def _tiles(self, program: Program, statistics: Statistics | None, tangent: bool) -> TileShape:
        n_reference = 0 if statistics is None else len(statistics.reference)
        return tile_shape(
            program,
            self.tile_bytes,
            n_reference,
            blocking=self._blocking(program, tangent),
            with_tangent=tangent,
        )

    def _blocking(self, program: Program, tangent: bool) -> Blocking:
        return resolved(program, self.blocking, with_tangent=tangent)

    def _check_prepared(
        self, left: PreparedImages, right: PreparedImages | None, tangent: bool
    ) -> None:
        if right is not None:
            check_equal_shapes(left._program.image_shape, right._program.image_shape)
        for side in (left, right or left):
            program = self._program(side._program.image_shape)
            side.check_fit(
                program,
                self._statistics(program, tangent),
                views=self._augmented(program.image_shape).views,
                tangent=tangent,
                recorded=self.backend == "kernas",
            )

    def plan(self, image_shape: Sequence[int]) -> KernelPlan:
        """What will be computed for a pair of images, and what it costs; computes nothing.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Raises:
            ConfigurationError: another backend computes the kernel, or not even one pair fits into
                ``tile_bytes``.
            ArchitectureError: the network does not fit the images.
        """
        if self.backend != "kernas":
            raise ConfigurationError(
                f"backend={self.backend!r}: plans are the own engine's; use backend='kernas'"
            )
        tangent = "ntk" in names_of(self.get)
        program = self._program(tuple(image_shape))
        statistics = None if self._bound is None else self._bound.statistics
        tile = self._tiles(program, statistics, tangent)
        return kernel_plan(
            program,
            self._blocking(program, tangent),
            tile,
            with_tangent=tangent,
            evaluations=self._augmented(program.image_shape).evaluations,
        )

    def identity(self) -> dict[str, Any]:
        """Which function of images this is, as JSON values; beside it, :meth:`settings`.

        Returns:
            ``kernels``, their names; ``architecture``, its ``hash`` and its ``nodes``; ``bound``,
            of a network that normalises over a batch the ``n_reference`` images, the ``seed`` of
            their draw and their ``sha256``, ``None`` of others and before :meth:`bind`; and
            ``augment``, the names of augmentations, where there are any.
        """
        bound = None
        if self.needs_bind and self._bound is not None:
            bound = {
                "n_reference": len(self._bound.reference),
                "seed": self._bound.seed,
                "sha256": self._bound.sha256,
            }
        return {
            "kernels": list(names_of(self.get)),
            "architecture": {
                "hash": self.architecture.hash,
                **json.loads(self.architecture.to_json()),
            },
            "bound": bound,
            **identity_of_augment(self.augment),
        }

    def settings(self, image_shape: Sequence[int]) -> dict[str, Any]:
        """What decides the last digits of a result, for a record beside it.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Returns:
            ``backend``; ``dtype``; ``tile_bytes``; of neural-tangents ``tile_side``, of the own
            engine ``blocking``, ``tile_rows``, ``tile_columns`` and ``record_chunk``: the most
            images on the sides of a tile and in a chunk of records.
        """
        tangent = "ntk" in names_of(self.get)
        program = self._program(tuple(image_shape))
        if self.backend == "neural-tangents":
            return {
                "backend": self.backend,
                "dtype": str(jnp.result_type(float)),
                "tile_bytes": self.tile_bytes,
                "tile_side": self._neural_tangents_side(program, tangent),
            }
        statistics = None if self._bound is None else self._bound.statistics
        tile = self._tiles(program, statistics, tangent)
        return engine_settings(self._blocking(program, tangent), tile, self.tile_bytes)

    def _statistics(self, program: Program, tangent: bool) -> Statistics | None:
        if not program.needs_reference:
            return None
        if self._bound is None:
            raise UnboundKernelError(
                "this network normalises over a batch, so its kernel needs reference images; "
                "call kernel.bind(x_train) and use what it returns"
            )
        if self._bound.image_shape != program.image_shape:
            raise DataError(
                f"images of {program.image_shape}, but the kernel was bound to images of "
                f"{self._bound.image_shape}; bind it to images of the same shape"
            )
        statistics = self._bound.statistics
        if statistics is not None and tangent and not statistics.with_tangent:
            raise UnboundKernelError(
                f"the kernel was bound with get={self.get!r}, which recorded no statistics of the "
                'tangent kernel; bind NeuralKernel(architecture, get=("nngp", "ntk"))'
            )
        if statistics is not None:
            check_precision(statistics.reference, "the kernel was bound")
        return statistics
