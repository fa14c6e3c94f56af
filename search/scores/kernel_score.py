"""Scores of an architecture's exact kernel: regression quality on a small labelled sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kernas.errors import ConfigurationError
from kernas.kernels.augmentation import Augmentation
from kernas.kernels.backends import BackendName
from kernas.kernels.data import Dataset
from kernas.kernels.engine import Blocking
from kernas.kernels.finite.network import Parameterization
from kernas.kernels.regression import METRICS, Normalization

from .base import Score
from .counts import DEFAULT_WIDTH
from .kernel_source import KERNELS, KernelName, KernelSource, name_of


@dataclass(frozen=True)
class KernelScore(Score):
    """Score of the infinitely wide network's kernel in ridge regression on labelled images.

    The network's kernel K is evaluated on ``fit`` (its statistics of ``Normalize`` bound there)
    and normalised, A = K + ρI with ρ = ridge · mean(diag K), and ``metric`` is computed from A and
    the labels: on ``validation`` for ``validation_accuracy`` (the default) and
    ``validation_error``, on ``fit`` alone for all others. ``trace``, ``logdet``,
    ``effective_rank`` and ``condition`` read no label.

    Args:
        fit: labelled images of the regression.
        validation: other labelled images, needed by the validation scores only.
        get: ``"nngp"`` or ``"ntk"``.
        metric: a name of ``kernas.kernels.regression.METRICS``.
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
        normalization: ``"raw"``, ``"cosine"``, K_ij / √(K_ii K_jj), or ``"centred"``, HKH with
            H = I − 11ᵀ/n: the kernel that the metric is computed from.
        parameterization: ``"ntk"``, or ``"standard"``: each layer adds to the tangent kernel by its
            fan-in at ``width``, so that the numbers of parameters are in it
            (:func:`kernas.kernels.standard_parameterization`).
        width: channels of a weight layer of relative width 1, which ``"standard"`` alone reads.

    Raises:
        ConfigurationError: an argument is out of its range, the metric needs ``validation``, or it
            is ``validation_error`` of cosines: those of validation images are not computed.
        MissingDependencyError: the backend is not installed; the message says how it is.
        DataError: the two data sets do not belong together.

    Scores that agree in everything but ``get``, ``metric`` and ``normalization`` share one
    evaluation a candidate.
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
    normalization: Normalization = "raw"
    parameterization: Parameterization = "ntk"
    width: int = DEFAULT_WIDTH

    def __post_init__(self) -> None:
        if self.get not in KERNELS:
            raise ConfigurationError(f"get={self.get!r}: expected one of {', '.join(KERNELS)}")
        if self.metric not in METRICS:
            raise ConfigurationError(
                f"metric={self.metric!r}: expected one of {', '.join(METRICS)}"
            )
        METRICS[self.metric].check(self.normalization)
        if METRICS[self.metric].needs_validation and self.validation is None:
            raise ConfigurationError(
                f"metric={self.metric!r} needs validation images: give validation=…, for example "
                "fit, validation = train.split(0.5), or use loo_accuracy, loo_error or evidence"
            )
        _ = self.source

    @property
    def name(self) -> str:
        """The name on the command line and in records, for example ``nngp:loo_error@cosine``."""
        return name_of(self.get, self.metric, self.normalization, self.parameterization)

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
            self.parameterization,
            self.width,
        )
