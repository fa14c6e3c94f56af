"""`ProxyScore`: a number of a candidate's network before any training."""

from __future__ import annotations

from dataclasses import dataclass

from kernas.errors import ConfigurationError
from kernas.fields import nearest
from kernas.kernels import Dataset
from kernas.kernels.architecture.widths import check_count

from ..base import Score, check_seed
from ..counts import DEFAULT_WIDTH
from .source import ProxySource
from .table import PROXIES

BATCH = 32
REPEATS = 3


@dataclass(frozen=True)
class ProxyScore(Score):
    """A training-free proxy: the mean of a formula over networks that are drawn and not trained.

    ``s̄ = (1/N) Σ_i s_i`` over N initialisations, with the standard error
    ``sqrt(Σ_i (s_i − s̄)² / (N − 1) / N)``. ``kernas scores`` lists the formulas' directions and
    references; their docstrings in :mod:`kernas.search.scores.proxies` have them. Networks are in
    training: normalisations use the statistics of the batch.

    Args:
        fit: labelled images; the first ``batch_size`` are the batch, and the next as many the
            second one, which ``zico`` needs.
        proxy: a name of ``PROXIES``.
        width: channels of a weight layer of relative width 1.
        batch_size: images of a batch, >= 2.
        repeats: initialisations, >= 1; a single one has no standard error.
        seed: of the first of them, >= 0; each of the others has the next one.
        W_std: the gain of all weight layers; ``None`` for those of the candidate. PyTorch draws
            with 1/√3.

    Raises:
        ConfigurationError: there is no such proxy, an argument is out of its range, or the images
            are too few for it.

    Proxies that agree in everything but ``proxy`` share their passes.
    """

    fit: Dataset
    proxy: str = "naswot"
    width: int = DEFAULT_WIDTH
    batch_size: int = BATCH
    repeats: int = REPEATS
    seed: int = 0
    W_std: float | None = None

    def __post_init__(self) -> None:
        if self.proxy not in PROXIES:
            raise ConfigurationError(
                f"proxy={self.proxy!r}{nearest(self.proxy, PROXIES)}: expected one of "
                f"{', '.join(PROXIES)}"
            )
        for name in ("width", "batch_size", "repeats"):
            check_count(getattr(self, name), name)
        check_seed(self.seed)
        is_number = isinstance(self.W_std, int | float)
        if self.W_std is not None and not (is_number and 0 < self.W_std < float("inf")):
            raise ConfigurationError(f"W_std={self.W_std!r}: expected a number > 0, or None")
        self._check_images()

    def _check_images(self) -> None:
        """Refuse images of which the batches cannot be made, or say nothing.

        Raises:
            ConfigurationError: the message says how many there are and what to give.
        """
        batches = 2 if "second_batch" in PROXIES[self.proxy].needs else 1
        least, n = max(2, self.batch_size) * batches, len(self.fit)
        if self.batch_size < 2 or n < least:
            of = "two batches" if batches == 2 else "a batch"
            raise ConfigurationError(
                f"batch_size={self.batch_size} of {n} images: {self.proxy} needs {of} of two or "
                f"more; give batch_size={max(2, n // batches)} or more images"
            )
        classes = len(set(self.fit.y[: self.batch_size].tolist()))
        of_pairs = ("epe_nas", "label_gradient_alignment")
        if self.proxy in of_pairs and classes == self.batch_size:
            raise ConfigurationError(
                f"{self.proxy} needs a class with two images, and the {self.batch_size} of the "
                "batch are of different classes; give a larger batch_size"
            )
        if self.proxy == "label_gradient_alignment" and classes == 1:
            raise ConfigurationError(
                f"{self.proxy} needs two classes, and the {self.batch_size} images of the batch "
                "are of one; give a larger batch_size"
            )

    @property
    def name(self) -> str:
        """That of the proxy."""
        return self.proxy

    @property
    def higher_is_better(self) -> bool:
        """The direction of its authors."""
        return PROXIES[self.proxy].higher_is_better

    @property
    def source(self) -> ProxySource:
        """What probes the networks."""
        return ProxySource(
            self.fit, self.width, self.batch_size, self.repeats, self.seed, self.W_std
        )
