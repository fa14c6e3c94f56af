"""The Gram matrices that scores of an architecture's exact kernel are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from kernas.errors import ConfigurationError, DataError, GramStoreError, KernelRangeError
from kernas.kernels import Architecture, Kernels, NeuralKernel
from kernas.kernels.augmentation import Augmentation, checked_augment, identity_of_augment
from kernas.kernels.backends import BackendName, check_backend
from kernas.kernels.data import Dataset
from kernas.kernels.engine import Blocking
from kernas.kernels.kernel import SharedPrograms
from kernas.kernels.regression import METRICS, DegenerateKernelError, ScoreValue, score_gram

from .base import Cost, Evaluation, joined
from .kernel_cost import cost_of_kernel

if TYPE_CHECKING:
    from .kernel_score import KernelScore

KernelName = Literal["nngp", "ntk"]
KERNELS: tuple[KernelName, ...] = ("nngp", "ntk")


@dataclass(frozen=True, eq=False)
class KernelSource:
    """The Gram matrices that several kernel scores share: one evaluation for all of them.

    Two sources are equal when their data sets have the same fingerprints and their other fields
    are equal.

    Args:
        fit: the labelled images of the regression.
        validation: other labelled images, needed by the validation scores only.
        ridge: relative to the mean diagonal of the Gram matrix of ``fit``, > 0.
        n_reference: images that the statistics of ``Normalize`` come from, >= 1.
        reference_seed: chooses them among those of ``fit``.
        tile_bytes: bound of a tile's memory; ``None`` leaves it to :class:`NeuralKernel`.
        blocking: how the engine cuts its work, no part of the identity: it moves last digits only;
            ``None`` leaves it to :class:`NeuralKernel`.
        grams: a folder that keeps the matrices as Gram stores, ``HASH/KERNELS/train`` and
            ``HASH/KERNELS/validation`` of each architecture; what is there already is not computed
            again, for another ridge or metric for instance. ``None`` keeps none.
        backend: ``"kernas"`` or ``"neural-tangents"``, which refuses some candidates.
        augment: regression on transformed copies too; see :class:`NeuralKernel`.

    Raises:
        ConfigurationError: an argument is out of its range.
        DataError: the two data sets differ in shape or in classes.
    """

    fit: Dataset
    validation: Dataset | None = None
    ridge: float = 1e-2
    n_reference: int = 32
    reference_seed: int = 0
    tile_bytes: int | None = None
    blocking: Blocking | None = None
    grams: Path | None = None
    backend: BackendName = "kernas"
    augment: Augmentation | tuple[Augmentation, ...] = ()
    _programs: SharedPrograms | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "augment", checked_augment(self.augment))
        check_backend(self.backend)
        if not 0 < self.ridge < float("inf"):
            raise ConfigurationError(
                f"ridge={self.ridge!r}: expected a finite number > 0, relative to the mean "
                "diagonal, for example 1e-2"
            )
        if self.n_reference < 1:
            raise ConfigurationError(
                f"n_reference={self.n_reference!r}: expected at least 1 image, for example 32"
            )
        other = self.validation
        if other is None:
            return
        if other.x.shape[1:] != self.fit.x.shape[1:]:
            raise DataError(
                f"validation images of shape {other.x.shape[1:]} and fit images of shape "
                f"{self.fit.x.shape[1:]}; take both from one data set, e.g. train.split(0.5)"
            )
        if other.classes != self.fit.classes:
            raise DataError(
                f"validation classes {list(other.classes)} differ from fit classes "
                f"{list(self.fit.classes)}; take both from one data set, e.g. train.split(0.5)"
            )

    def _key(self) -> tuple[Any, ...]:
        validation = None if self.validation is None else self.validation.fingerprint
        return (
            self.fit.fingerprint,
            validation,
            self.ridge,
            self.n_reference,
            self.reference_seed,
            self.tile_bytes,
            self.grams,
            self.backend,
            self.augment,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KernelSource) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def expect(self, architectures: Iterable[Architecture]) -> None:
        """Let the kernels that are going to be evaluated share what is compiled."""
        if self.backend == "kernas":
            programs = SharedPrograms.of(architectures, self.fit.x.shape[1:])
            object.__setattr__(self, "_programs", programs)

    def cost(self, architecture: Architecture, scores: Sequence[KernelScore]) -> Cost:
        """What :meth:`begin` with the same arguments and its host's part will take.

        Matrices that ``grams`` holds whole take nothing; of neural-tangents no time is known.
        """
        gets = _gets(scores)
        validation = self.validation if _needs_validation(scores) else None
        if self.grams is not None and self._are_kept(architecture, gets, validation):
            return Cost()
        return cost_of_kernel(
            self._kernel(architecture, gets),
            self.fit.x.shape[1:],
            len(self.fit),
            0 if validation is None else len(validation),
            self.n_reference,
        )

    def begin(
        self, architecture: Architecture, scores: Sequence[KernelScore]
    ) -> Callable[[], Evaluation]:
        """The Gram matrices of an architecture; what is returned computes the scores from them.

        NNGP and NTK come from one pass over the images, unless one of them is out of range; images
        outside ``fit`` are met only when a score needs them.
        """
        gets = _gets(scores)
        kernel = self._kernel(architecture, gets)
        settings = kernel.settings(self.fit.x.shape[1:])
        try:
            if kernel.needs_bind:
                kernel = kernel.bind(self.fit.x, self.n_reference, self.reference_seed)
                settings = kernel.settings(self.fit.x.shape[1:])
            gram, cross = self._matrices(kernel, gets, _needs_validation(scores))
        except KernelRangeError as error:
            if len(gets) > 1:
                apart = [[score for score in scores if score.get == get] for get in gets]
                begun = [self.begin(architecture, some) for some in apart]
                return lambda: joined(finish() for finish in begun)
            reasons = dict.fromkeys((score.name for score in scores), str(error))
            return partial(Evaluation, {}, reasons, settings)
        return partial(self._evaluated, gram, cross, scores, settings)

    def _kernel(self, architecture: Architecture, gets: tuple[KernelName, ...]) -> NeuralKernel:
        """Of an architecture, not bound."""
        kernel = NeuralKernel(
            architecture,
            get=gets,
            backend=self.backend,
            blocking=self.blocking,
            augment=self.augment,
            programs=self._programs,
        )
        return kernel if self.tile_bytes is None else replace(kernel, tile_bytes=self.tile_bytes)

    def _matrices(
        self, kernel: NeuralKernel, gets: tuple[KernelName, ...], needs_validation: bool
    ) -> tuple[Kernels, Kernels | None]:
        """The kernel of the images of ``fit``, and of those of ``validation`` with them."""
        validation = cast(Dataset, self.validation) if needs_validation else None
        if self.grams is None:
            if validation is None:
                return kernel(self.fit.x, get=gets), None
            return kernel.gram_and_cross(self.fit.x, validation.x, gets)
        from kernas.kernels import compute_gram  # zarr takes a while to import

        folder = self._folder(kernel.architecture, gets)
        gram = compute_gram(kernel, self.fit, store=folder / "train").kernels()
        if validation is None:
            return gram, None
        return gram, compute_gram(
            kernel, validation, self.fit, store=folder / "validation"
        ).kernels()

    def _folder(self, architecture: Architecture, gets: tuple[KernelName, ...]) -> Path:
        """Of the stores of an architecture, where matrices are kept."""
        assert self.grams is not None
        return self.grams / architecture.hash / "-".join(gets)

    def _are_kept(
        self,
        architecture: Architecture,
        gets: tuple[KernelName, ...],
        validation: Dataset | None,
    ) -> bool:
        """Whether stores of the right shapes are there, and whole; what else is in them is looked
        at when they are used."""
        from kernas.kernels import GramStore

        n, folder = len(self.fit), self._folder(architecture, gets)
        shapes = {"train": (n, n)}
        if validation is not None:
            shapes["validation"] = (len(validation), n)
        try:
            stores = [(GramStore(folder / name), shape) for name, shape in shapes.items()]
            return all(
                store.shape == shape and not store.faults(store.grid()) for store, shape in stores
            )
        except GramStoreError:
            return False

    def _evaluated(
        self,
        gram: Kernels,
        cross: Kernels | None,
        scores: Sequence[KernelScore],
        settings: Mapping[str, Any],
    ) -> Evaluation:
        values: dict[str, ScoreValue] = {}
        degenerate: dict[str, str] = {}
        for get in dict.fromkeys(score.get for score in scores):
            members = [score for score in scores if score.get == get]
            try:
                block = None if cross is None else getattr(cross, get)
                scored = self._score(getattr(gram, get), block, [s.metric for s in members])
            except DegenerateKernelError as error:
                degenerate.update({score.name: str(error) for score in members})
            else:
                values.update({score.name: scored[score.metric] for score in members})
        return Evaluation(values, degenerate, settings)

    def _score(
        self, gram: np.ndarray, cross: np.ndarray | None, metrics: list[str]
    ) -> dict[str, ScoreValue]:
        return score_gram(
            gram,
            self.fit.y,
            ridge=self.ridge,
            metrics=metrics,
            K_validation=cross,
            y_validation=None if cross is None else cast(Dataset, self.validation).y,
            n_classes=len(self.fit.classes),
        )

    def settings(self) -> dict[str, Any]:
        """What identifies the source in the records of a run."""
        return {
            "fit": self.fit.fingerprint,
            "n_fit": len(self.fit),
            "validation": None if self.validation is None else self.validation.fingerprint,
            "n_validation": 0 if self.validation is None else len(self.validation),
            "image_shape": list(self.fit.x.shape[1:]),
            "ridge": self.ridge,
            "n_reference": self.n_reference,
            "reference_seed": self.reference_seed,
            "tile_bytes": self.tile_bytes,
            "backend": self.backend,
            **identity_of_augment(self.augment),
        }


def _gets(scores: Sequence[KernelScore]) -> tuple[KernelName, ...]:
    """The kernels that scores are computed from."""
    asked = {score.get for score in scores}
    return tuple(get for get in KERNELS if get in asked)


def _needs_validation(scores: Sequence[KernelScore]) -> bool:
    return any(METRICS[score.metric].needs_validation for score in scores)
