"""`NeuralKernel`: the kernel of an infinitely wide network as a function of images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from kernas.errors import ConfigurationError, UnboundKernelError

from ..architecture import Architecture, Normalize
from ..augmentation import Augmentation, checked_augment, identity_of_augment
from ..backends import BACKENDS, BackendName, check_backend
from ..engine import DEFAULT_BIND_BYTES, DEFAULT_TILE_BYTES, Blocking, SharedPrograms
from ..interface import Get, Kernels, check_bytes, checked_get, names_of, wanted
from .computation import Computation
from .computed import ComputedKernel, identity_of_network
from .parameters import ScikitParameters
from .prepared import Inputs, PreparedImages
from .reference import Bound

Returned = TypeVar("Returned", bound=np.ndarray | Kernels)
"""What a call returns that names no kernel: a matrix, or :class:`Kernels` of a tuple."""


@dataclass(frozen=True, eq=False)
class NeuralKernel(ComputedKernel, ScikitParameters, Generic[Returned]):
    """Exact NNGP and NTK of an infinitely wide network.

    ``kernel(x1, x2=None, get=None)`` is the matrix of all pairs. With ``f`` a network of the
    architecture with random weights, ``nngp`` is ``E[f(x) f(x')]`` and ``ntk`` is
    ``Σ_θ η_θ E[∂f(x)/∂θ ∂f(x')/∂θ]`` over its trainable weights, per output, as widths go to
    infinity in the NTK parameterisation; the learning rates η are 1 but in layers with ``rates``.

    Args:
        architecture: the network; its output must be a vector (``Flatten`` or ``GlobalAvgPool``).
        get: ``"nngp"``, ``"ntk"``, or a tuple of both, for :class:`Kernels`.
        tile_bytes: bound on the bytes of intermediate results; of neural-tangents estimated.
        backend: ``"kernas"``, or ``"neural-tangents"``, which refuses networks whose branches are
            correlated or that normalise over a batch. There the kernel of an image with itself
            carries the rounding that the singularity (below) makes of it.
        blocking: how the own engine cuts its work; by default chosen from the network and a short
            measurement of the device, kept in the user's cache folder (:func:`blocking_of`).
        augment: :class:`Flip`, :class:`Translate`, or a tuple of both: the kernel's mean over
            transformed copies of the images, so that regression on the images themselves is
            regression on all copies of them (:mod:`kernas.kernels.augmentation`).
        programs: what is compiled for several networks at once; changes no result. A network that
            needs more (:meth:`shares`), and each network without, has programs of its own.
            neural-tangents ignores it.

    Raises:
        ConfigurationError: ``get``, ``tile_bytes``, ``backend``, ``augment`` or ``programs`` is not
            usable.
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
    backend: BackendName = "kernas"
    blocking: Blocking | None = None
    augment: Augmentation | tuple[Augmentation, ...] = ()
    programs: SharedPrograms | None = None
    _bound: Bound | None = None

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: NeuralKernel[np.ndarray],
            architecture: Architecture,
            get: Get = "ntk",
            tile_bytes: int = ...,
            backend: BackendName = ...,
            blocking: Blocking | None = ...,
            augment: Augmentation | tuple[Augmentation, ...] = ...,
            programs: SharedPrograms | None = ...,
        ) -> None: ...
        @overload
        def __init__(
            self: NeuralKernel[Kernels],
            architecture: Architecture,
            get: tuple[Get, ...],
            tile_bytes: int = ...,
            backend: BackendName = ...,
            blocking: Blocking | None = ...,
            augment: Augmentation | tuple[Augmentation, ...] = ...,
            programs: SharedPrograms | None = ...,
        ) -> None: ...
        def __init__(self, *arguments: Any, **named: Any) -> None: ...

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
        if not isinstance(self.programs, SharedPrograms | None):
            raise ConfigurationError(
                f"programs={self.programs!r:.80}: expected SharedPrograms or None; make them with "
                "SharedPrograms.of(architectures, image_shape)"
            )

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

    def shares(self, image_shape: Sequence[int]) -> bool:
        """Whether this kernel is computed by :attr:`programs`; otherwise by programs of its own.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Returns:
            ``False`` without programs, where they are of other images or lack an operation that
            the network needs, and where it is computed in another way or by another backend.

        Raises:
            ArchitectureError: the network does not fit the images.
        """
        return self._computation.shares(image_shape, self._tangent)

    def compile(
        self, image_shape: Sequence[int], n_train: int, n_test: int = 0, *, n_reference: int = 32
    ) -> Future[None]:
        """Begin to compile, side by side on all cores, the programs that calls will run.

        A following :meth:`bind`, :meth:`prepare` and :meth:`gram_and_cross`, or a call, on so many
        images find them compiled::

            compiled = kernel.compile(x_train.shape[1:], len(x_train), len(x_test))
            ...  # prepare the images
            compiled.result()
            gram, cross = kernel.bind(x_train).gram_and_cross(x_train, x_test)

        Calls that are made before the end compile for themselves. Does nothing for networks that
        are not computed as streams (``settings(image_shape)["blocking"]``), and with
        neural-tangents.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.
            n_train: images of the Gram matrix.
            n_test: images that are set beside them.
            n_reference: as it will be given to :meth:`bind`.

        Returns:
            At once. ``result()`` waits until all is compiled, and raises what went wrong.

        Raises:
            ConfigurationError: a number of images is negative, there is none to train with or to
                bind to, or not even one pair fits into ``tile_bytes``.
            ArchitectureError: the network does not fit the images.
        """
        if min(n_train, n_reference) < 1 or n_test < 0:
            raise ConfigurationError(
                f"n_train={n_train!r}, n_test={n_test!r}, n_reference={n_reference!r}: expected "
                "numbers of images, the first and the last at least 1"
            )
        return self._computation.compile(
            image_shape, n_train, n_test, n_reference=n_reference, tangent=self._tangent
        )

    def bind(
        self,
        x_train: np.ndarray,
        n_reference: int = 32,
        seed: int = 0,
        *,
        bind_bytes: int = DEFAULT_BIND_BYTES,
    ) -> NeuralKernel[Returned]:
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
        bound = self._computation.bind(
            x_train,
            n_reference=n_reference,
            seed=seed,
            max_bytes=bind_bytes,
            tangent=self._tangent,
        )
        return replace(self, _bound=bound)

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
        names = names_of(self.get if get is None else checked_get(get))
        return self._computation.prepare(x, "ntk" in names)

    @overload
    def __call__(self, x1: Inputs, x2: Inputs | None = None, get: None = None) -> Returned: ...
    @overload
    def __call__(self, x1: Inputs, x2: Inputs | None = None, *, get: Get) -> np.ndarray: ...
    @overload
    def __call__(
        self, x1: Inputs, x2: Inputs | None = None, *, get: tuple[Get, ...]
    ) -> Kernels: ...
    @overload
    def __call__(
        self, x1: Inputs, x2: Inputs | None = None, get: Get | tuple[Get, ...] | None = None
    ) -> Any: ...
    def __call__(
        self, x1: Inputs, x2: Inputs | None = None, get: Get | tuple[Get, ...] | None = None
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
            DataError: the images have NaN, their shapes differ, or another kernel prepared them.
            ArchitectureError: the network does not fit them, or the backend cannot express it.
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
        found = self._computation.matrices(requests, "ntk" in names_of(get))
        return [wanted(get, K, T) for ((K, T),) in found]

    def normalization_scales(self) -> dict[int, tuple[float, ...]]:
        """What each ``Normalize`` of the bound network divides by: ``√(v − m)``, or ``√v``.

        Returns:
            For each such node a number for each block of its channels (one, but for Concat);
            infinity for a block that is constant, or that the kernel does not read.

        Raises:
            UnboundKernelError: the kernel is not bound.
        """
        if self._bound is None:
            raise UnboundKernelError(
                "the scales are those of reference images; call kernel.bind(x_train)"
            )
        return self._bound.scales(self._computation.program(self._bound.image_shape))

    def identity(self) -> dict[str, Any]:
        """Which function of images this is, as JSON values; beside it, :meth:`settings`.

        Returns:
            ``kernels``, their names; ``architecture``, its ``hash`` and its ``nodes``; ``bound``,
            of a network that normalises over a batch the ``n_reference`` images, the ``seed`` of
            their draw and their ``sha256``, ``None`` of others and before :meth:`bind`; and
            ``augment``, the names of augmentations, where there are any.
        """
        bound = self._bound if self.needs_bind else None
        return {
            "kernels": list(self.names),
            "architecture": identity_of_network(self.architecture),
            "bound": None if bound is None else bound.identity(),
            **identity_of_augment(self.augment),
        }

    @property
    def _tangent(self) -> bool:
        return "ntk" in self.names

    @property
    def _computation(self) -> Computation:
        return Computation(
            {None: self.architecture},
            BACKENDS[self.backend],
            self.tile_bytes,
            self.blocking,
            checked_augment(self.augment),
            self._bound,
            self.programs,
        )
