"""Scores of an architecture's exact kernel: regression quality on a small labelled sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from kernas.errors import ConfigurationError, DataError, KernelRangeError
from kernas.kernels import Architecture, Kernels, NeuralKernel
from kernas.kernels.augmentation import Augmentation, checked_augment, identity_of_augment
from kernas.kernels.backends import BackendName, check_backend
from kernas.kernels.data import Dataset
from kernas.kernels.engine import Blocking, recorded_blocking
from kernas.kernels.kernel import share_compilation
from kernas.kernels.regression import METRICS, DegenerateKernelError, ScoreValue, score_gram

from .base import Evaluation, Score, joined

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
            share_compilation(architectures, self.fit.x.shape[1:])

    def begin(
        self, architecture: Architecture, scores: Sequence[KernelScore]
    ) -> Callable[[], Evaluation]:
        """The Gram matrices of an architecture; what is returned computes the scores from them.

        NNGP and NTK come from one pass over the images, unless one of them is out of range; images
        outside ``fit`` are met only when a score needs them.
        """
        asked = {score.get for score in scores}
        gets: tuple[KernelName, ...] = tuple(get for get in KERNELS if get in asked)
        kernel = NeuralKernel(
            architecture,
            get=gets,
            backend=self.backend,
            blocking=self.blocking,
            augment=self.augment,
        )
        if self.tile_bytes is not None:
            kernel = replace(kernel, tile_bytes=self.tile_bytes)
        settings = kernel.settings(self.fit.x.shape[1:])
        needs_validation = any(METRICS[score.metric].needs_validation for score in scores)
        try:
            if kernel.needs_bind:
                kernel = kernel.bind(self.fit.x, self.n_reference, self.reference_seed)
                settings = kernel.settings(self.fit.x.shape[1:])
            gram, cross = self._matrices(kernel, gets, needs_validation)
        except KernelRangeError as error:
            if len(gets) > 1:
                apart = [[score for score in scores if score.get == get] for get in gets]
                begun = [self.begin(architecture, some) for some in apart]
                return lambda: joined(finish() for finish in begun)
            reasons = dict.fromkeys((score.name for score in scores), str(error))
            return partial(Evaluation, {}, reasons, settings)
        return partial(self._evaluated, gram, cross, scores, settings)

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

        folder = self.grams / kernel.architecture.hash / "-".join(gets)
        gram = compute_gram(kernel, self.fit, store=folder / "train").kernels()
        if validation is None:
            return gram, None
        return gram, compute_gram(
            kernel, validation, self.fit, store=folder / "validation"
        ).kernels()

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


@dataclass(frozen=True)
class KernelScore:
    """Score of the infinitely wide network's kernel in ridge regression on labelled images.

    The network's kernel K is evaluated on ``fit`` (its statistics of ``Normalize`` bound there),
    A = K + ρI with ρ = ridge · mean(diag K), and ``metric`` is computed from A and the labels: on
    ``validation`` for ``validation_accuracy`` (the default) and ``validation_error``, on ``fit``
    alone for the leave-one-out scores, the evidence, the alignment and the condition number.

    Args:
        fit: labelled images of the regression.
        validation: other labelled images, needed by the validation scores only.
        get: ``"nngp"`` or ``"ntk"``.
        metric: a name of ``kernas.kernels.METRICS``.
        ridge: relative to the mean diagonal, > 0. Fix it before looking at the ranking: a ridge
            chosen by a score biases that score.
        n_reference: images of ``fit`` that the statistics of ``Normalize`` come from.
        reference_seed: chooses them.
        tile_bytes: bound of a tile's memory; ``None`` leaves it to ``NeuralKernel``.
        blocking: how the engine cuts its work; ``None`` leaves it to ``NeuralKernel``.
        grams: a folder that keeps the matrices; see :class:`KernelSource`.
        backend: ``"kernas"``, or ``"neural-tangents"``: a candidate that it cannot express fails
            with the reason.
        augment: :class:`Flip`, :class:`Translate` or both: the kernel's mean over transformed
            copies of the images; see :class:`NeuralKernel`.

    Raises:
        ConfigurationError: an argument is out of its range, or the metric needs ``validation``.
        MissingDependencyError: the backend is not installed; the message says how it is.
        DataError: the two data sets do not belong together.

    Scores that agree in everything but ``get`` and ``metric`` share one evaluation a candidate.
    """

    fit: Dataset
    validation: Dataset | None = None
    get: KernelName = "nngp"
    metric: str = "validation_accuracy"
    ridge: float = 1e-2
    n_reference: int = 32
    reference_seed: int = 0
    tile_bytes: int | None = None
    blocking: Blocking | None = None
    grams: Path | None = None
    backend: BackendName = "kernas"
    augment: Augmentation | tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        if self.get not in KERNELS:
            raise ConfigurationError(f"get={self.get!r}: expected one of {', '.join(KERNELS)}")
        if self.metric not in METRICS:
            raise ConfigurationError(
                f"metric={self.metric!r}: expected one of {', '.join(METRICS)}"
            )
        if METRICS[self.metric].needs_validation and self.validation is None:
            raise ConfigurationError(
                f"metric={self.metric!r} needs validation images: give validation=…, for example "
                "fit, validation = train.split(0.5), or use loo_accuracy, loo_error or evidence"
            )
        _ = self.source

    @property
    def name(self) -> str:
        """The name on the command line and in records, for example ``nngp:loo_error``."""
        return f"{self.get}:{self.metric}"

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value promises a better architecture."""
        return METRICS[self.metric].higher_is_better

    @property
    def source(self) -> KernelSource:
        """The Gram matrices that the score is computed from."""
        return KernelSource(
            self.fit,
            self.validation,
            self.ridge,
            self.n_reference,
            self.reference_seed,
            self.tile_bytes,
            self.blocking,
            self.grams,
            self.backend,
            self.augment,
        )

    def settings(self) -> dict[str, Any]:
        """What identifies the score in the records of a run."""
        return {"higher_is_better": self.higher_is_better, **self.source.settings()}


def with_recorded_blocking(
    scores: Sequence[Score], settings: Iterable[Mapping[str, Any]]
) -> tuple[Score, ...]:
    """The scores with the blocking of the run that they go on with.

    Args:
        scores: of the run.
        settings: of the kernels that the run has recorded. Only what was measured may come out
            differently another time: how many pairs go through a plane.
    """
    recorded = (
        recorded_blocking(kernel["blocking"]) for kernel in settings if "blocking" in kernel
    )
    blocking = next((b for b in recorded if b.nanoseconds is not None), None)
    if blocking is None:
        return tuple(scores)
    return tuple(
        replace(score, blocking=blocking) if isinstance(score, KernelScore) else score
        for score in scores
    )
