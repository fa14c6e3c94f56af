"""The Gram matrices that scores of an architecture's exact kernel are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    GramStoreError,
    KernelRangeError,
)
from kernas.kernels import Architecture, Kernels, NeuralKernel, standard_parameterization
from kernas.kernels.architecture.widths import check_count
from kernas.kernels.augmentation import Augmentation, checked_augment, identity_of_augment
from kernas.kernels.backends import BackendName, check_backend
from kernas.kernels.data import Dataset
from kernas.kernels.engine import Blocking, recorded_blocking
from kernas.kernels.finite.network import Parameterization
from kernas.kernels.kernel import SharedPrograms
from kernas.kernels.regression import (
    METRICS,
    DegenerateKernelError,
    Normalization,
    ScoreValue,
    score_each,
)

from ..spaces import Candidate, Family, Space
from .base import Cost, Evaluation, Source, joined
from .counts import DEFAULT_WIDTH
from .kernel_cost import cost_of_kernel

if TYPE_CHECKING:
    from .kernel_score import KernelScore

KernelName = Literal["nngp", "ntk"]
KERNELS: tuple[KernelName, ...] = ("nngp", "ntk")


STANDARD = "ntk_standard"
"""What names call the NTK in the standard parameterisation."""


def name_of(
    get: KernelName,
    metric: str,
    normalization: Normalization,
    parameterization: Parameterization = "ntk",
) -> str:
    """The name of a score: ``ntk:gcv``, or ``ntk:gcv@cosine`` where the kernel is normalised."""
    kernel = STANDARD if (get, parameterization) == ("ntk", "standard") else get
    return f"{kernel}:{metric}" + ("" if normalization == "raw" else f"@{normalization}")


def check_regression(ridge: float, fit: Dataset, validation: Dataset | None) -> None:
    """Refuse a ridge, and data sets that do not belong together.

    Raises:
        ConfigurationError: the ridge is no finite number > 0.
        DataError: the two data sets differ in shape or in classes.
    """
    if not 0 < ridge < float("inf"):
        raise ConfigurationError(
            f"ridge={ridge!r}: expected a finite number > 0, relative to the mean "
            "diagonal, for example 1e-2"
        )
    if validation is None:
        return
    if validation.x.shape[1:] != fit.x.shape[1:]:
        raise DataError(
            f"validation images of shape {validation.x.shape[1:]} and fit images of shape "
            f"{fit.x.shape[1:]}; take both from one data set, e.g. train.split(0.5)"
        )
    if validation.classes != fit.classes:
        raise DataError(
            f"validation classes {list(validation.classes)} differ from fit classes "
            f"{list(fit.classes)}; take both from one data set, e.g. train.split(0.5)"
        )


@dataclass(frozen=True, eq=False)
class KernelSource(Source):
    """The Gram matrices that several kernel scores share: one evaluation for all of them.

    Two sources are equal when their settings are: data sets of the same fingerprints, and all
    fields but how the work is cut and where matrices are kept.

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
        parameterization: of the tangent kernel; see :class:`KernelScore`.
        width: of the networks, which ``"standard"`` reads.
        programs: what is compiled for the candidates of each family; :meth:`prepare` makes them.

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
    parameterization: Parameterization = "ntk"
    width: int = DEFAULT_WIDTH
    programs: Mapping[Family, SharedPrograms] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "augment", checked_augment(self.augment))
        check_backend(self.backend)
        if self.parameterization not in get_args(Parameterization):
            raise ConfigurationError(
                f"parameterization={self.parameterization!r}: expected 'ntk' or 'standard'"
            )
        check_count(self.width, "width")
        if self.n_reference < 1:
            raise ConfigurationError(
                f"n_reference={self.n_reference!r}: expected at least 1 image, for example 32"
            )
        check_regression(self.ridge, self.fit, self.validation)

    @property
    def name(self) -> str:
        """``kernel``."""
        return "kernel"

    def check_space(self, space: Space) -> None:
        """Refuse a space whose candidates differ in what no kernel sees; in the standard
        parameterisation widths are seen.

        Raises:
            ConfigurationError: the message has the space's reason.
        """
        reason = space.refuses_kernels()
        if reason is not None and self.parameterization == "ntk":
            raise ConfigurationError(
                f"scores of kernels do not order candidates of {space.name}: {reason}"
            )

    def prepare(self, families: Sequence[Family], scores: Sequence[KernelScore]) -> KernelSource:
        """The source with programs that serve every candidate, those of a family compiled side by
        side on all cores, and with its blocking measured."""
        if self.backend != "kernas":
            return self
        shape = self.fit.x.shape[1:]
        covers = {
            family: [self._network_of_cover(one) for one in family.cover(shape)]
            for family in families
        }
        programs = {family: SharedPrograms.of(cover, shape) for family, cover in covers.items()}
        own: list[Mapping[str, Any]] = []
        for family, cover in covers.items():
            compiled: Future[None] | None = None
            for network in cover:
                with suppress(ArchitectureError):  # of one that does not fit, its row will say why
                    kernel = self._kernel(network, self._gets(scores), programs[family])
                    if compiled is None and kernel.shares(shape):
                        m = len(cast(Dataset, self.validation)) if _needs_validation(scores) else 0
                        compiled = kernel.compile(
                            shape, len(self.fit), m, n_reference=self.n_reference
                        )
                    own.append(kernel.settings(shape))
            if compiled is not None:
                compiled.result()
        ready = replace(self, programs={**self.programs, **programs})
        return ready if self.blocking is not None else ready.resumed(own)

    def _network_of_cover(self, one: Architecture) -> Architecture:
        """As :meth:`_network`; one that does not fit as it is, its row will say why."""
        try:
            return self._network(one)
        except ArchitectureError:
            return one

    def resumed(self, settings: Iterable[Mapping[str, Any]]) -> KernelSource:
        """The source with the blocking of the run that it goes on with.

        Only what was measured may come out differently another time: how many pairs go through a
        plane.
        """
        recorded = (recorded_blocking(one["blocking"]) for one in settings if "blocking" in one)
        measured = next((one for one in recorded if one.nanoseconds is not None), None)
        return self if measured is None else replace(self, blocking=measured)

    def cost(self, candidate: Candidate, scores: Sequence[KernelScore]) -> Cost:
        """The pairs of images, their time, and the programs that serve them.

        Of matrices that are kept nothing is computed again. With neural-tangents no time is known.
        """
        architecture, gets = self._network(candidate.architecture), self._gets(scores)
        validation = self.validation if _needs_validation(scores) else None
        if self.grams is not None and self._are_kept(architecture, gets, validation):
            return Cost()
        return cost_of_kernel(
            self._kernel(architecture, gets),
            self.fit.x.shape[1:],
            len(self.fit),
            0 if validation is None else len(validation),
            self.n_reference,
            family=candidate.family,
        )

    def begin(
        self, candidate: Candidate, scores: Sequence[KernelScore]
    ) -> Callable[[], Evaluation]:
        """The Gram matrices of a candidate; what is returned computes the scores from them.

        NNGP and NTK come from one pass over the images, unless one of them is out of range; images
        outside ``fit`` are met only when a score needs them.
        """
        return self._begin(candidate, self._gets(scores), scores)

    def _begin(
        self,
        candidate: Candidate,
        gets: tuple[KernelName, ...],
        scores: Sequence[KernelScore],
    ) -> Callable[[], Evaluation]:
        needs_validation = _needs_validation(scores)
        network = self._network(candidate.architecture)
        kernel = self._kernel(network, gets, self.programs.get(candidate.family))
        settings = self._settings(kernel)
        try:
            if kernel.needs_bind:
                kernel = kernel.bind(self.fit.x, self.n_reference, self.reference_seed)
                settings = self._settings(kernel)
            gram, cross = self._matrices(kernel, gets, needs_validation)
        except KernelRangeError as error:
            if len(gets) > 1:
                begun = [self._begin(candidate, (get,), scores) for get in gets]
                return lambda: joined(finish() for finish in begun)
            reasons = {
                self._name_of(get, metric, normalization): str(error)
                for get, normalization in product(gets, _normalizations(scores))
                for metric in _metrics(needs_validation, normalization)
            }
            return partial(Evaluation, {}, reasons, settings)
        return partial(self._evaluated, gram, cross, gets, scores, settings)

    def _settings(self, kernel: NeuralKernel) -> dict[str, Any]:
        """What the computation chose, and whether it has programs of its own where others share."""
        shape = self.fit.x.shape[1:]
        settings = kernel.settings(shape)
        shared = kernel.programs is None or kernel.shares(shape)
        way = settings.get("blocking", {}).get("way")
        return settings if shared or way != "stream" else {**settings, "outside_cover": True}

    def _name_of(self, get: KernelName, metric: str, normalization: Normalization) -> str:
        return name_of(get, metric, normalization, self.parameterization)

    def _gets(self, scores: Sequence[KernelScore]) -> tuple[KernelName, ...]:
        """The kernels that scores are computed from; the tangent kernel brings NNGP with it, which
        the source in the NTK parameterisation has."""
        asked = {score.get for score in scores}
        if "ntk" in asked and self.parameterization == "ntk":
            return KERNELS
        return tuple(get for get in KERNELS if get in asked)

    def _network(self, architecture: Architecture) -> Architecture:
        """With the learning rates of the parameterisation."""
        if self.parameterization == "ntk":
            return architecture
        return standard_parameterization(
            architecture, self.fit.input_shape, width=self.width, outputs=self.fit.n_classes
        )

    def _kernel(
        self,
        architecture: Architecture,
        gets: tuple[KernelName, ...],
        programs: SharedPrograms | None = None,
    ) -> NeuralKernel:
        """Of an architecture, not bound. A blocking that was measured takes the place of a
        measurement, and of nothing else: other candidates may be computed in another way."""
        kernel = NeuralKernel(
            architecture,
            get=gets,
            backend=self.backend,
            augment=self.augment,
            programs=programs,
        )
        cut = self.blocking
        if cut and (cut.nanoseconds is None or kernel.way(self.fit.x.shape[1:]) == cut.way):
            kernel = kernel.with_blocking(cut)
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
        gets: tuple[KernelName, ...],
        scores: Sequence[KernelScore],
        settings: Mapping[str, Any],
    ) -> Evaluation:
        """Every score that the matrices give, of each normalisation that some score asks for: one
        eigendecomposition of each serves all metrics.

        Raises:
            NotPositiveDefiniteError: one that was asked for has no regression at this ridge.
        """
        asked = {score.name for score in scores}
        values: dict[str, ScoreValue] = {}
        degenerate: dict[str, str] = {}
        for get, normalization in product(gets, _normalizations(scores)):
            scored = score_each(
                getattr(gram, get),
                self.fit.y,
                ridge=self.ridge,
                metrics=_metrics(cross is not None, normalization),
                K_validation=None if cross is None else getattr(cross, get),
                y_validation=None if cross is None else cast(Dataset, self.validation).y,
                n_classes=len(self.fit.classes),
                normalization=normalization,
            )
            for metric, found in scored.items():
                name = self._name_of(get, metric, normalization)
                if isinstance(found, ScoreValue):
                    values[name] = found
                elif isinstance(found, DegenerateKernelError):
                    degenerate[name] = str(found)
                elif name in asked:
                    raise found
        return Evaluation(values, degenerate, settings)

    def _parameterized(self) -> dict[str, Any]:
        """Nothing for the NTK parameterisation, in which no width is."""
        if self.parameterization == "ntk":
            return {}
        return {"parameterization": self.parameterization, "width": self.width}

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
            **self._parameterized(),
        }


def _needs_validation(scores: Sequence[KernelScore]) -> bool:
    return any(METRICS[score.metric].needs_validation for score in scores)


def _normalizations(scores: Sequence[KernelScore]) -> list[Normalization]:
    """Those that scores are computed from."""
    return list(dict.fromkeys(score.normalization for score in scores))


def _metrics(validation: bool, normalization: Normalization) -> list[str]:
    """Those that images of the regression give, with or without further ones."""
    return [
        name
        for name, metric in METRICS.items()
        if (validation or not metric.needs_validation) and normalization in metric.normalizations
    ]
