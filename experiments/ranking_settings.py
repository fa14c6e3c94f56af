"""The kernels of the ranking study: settings, and every score of cells at one."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path

from pieces import Columns
from proxies_published import CHEAP, W_STD
from running import foretell

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.finite.network import Parameterization
from kernas.kernels.regression import METRICS, NORMALIZATIONS
from kernas.search.scores.kernel_source import KernelName
from kernas.search.scores.proxies import PROXIES
from kernas.search.scores.registry import known_score
from kernas.search.scores.sampled_kernels import SampledName
from kernas.search.spaces.parts import PYTORCH_GAIN

DEVELOPMENT, CONFIRMATION = 0, 1
"""Halves of the images."""

RIDGES = (1e-2, 1e-3)
SAMPLED: tuple[SampledName, ...] = ("nngp_mc", "ntk_mc")
"""Kernels of networks of finite width."""

WITHOUT_RIDGE = ("alignment", "descent", "trace", "effective_rank")
KERNELS: dict[Parameterization, tuple[KernelName, ...]] = {
    "ntk": ("nngp", "ntk"),
    "standard": ("ntk",),
}
"""Parameterisation → what is got; the matrices of one come together."""

DRAWS = (0, 1, 2)
COUNTS = ("params", "flops", "depth", "n_conv")
SECONDS = "seconds"
"""The column that says what all scores of a cell took; of kernels there is one by parameterisation,
this name and a space before it."""


WIDE = 2**32
"""Bytes of a tile of one pair of images of 32×32, and of nothing smaller."""


@dataclass(frozen=True)
class KernelSetting:
    """Networks and images.

    Attributes:
        center: whether normalisations subtract the mean.
        side: of the images.
        n: images of the regression.
        n_validation: beside them; with 0 there are no scores of validation.
        cells_a_stage: of the skeleton.
        gain: of the shortcut in a reduction.
        readout: of the skeleton.
        flip: whether mirror images are in the kernel.
        draw: of the images.
        cells: the first so many are ranked.
        dataset: of the images.
        benchmark: whose networks; a gain is that of NAS-Bench-201's own skeleton alone, and of
            ``darts`` the readout and the cells of a stage are what they are.
    """

    center: bool = False
    side: int = 8
    n: int = 200
    n_validation: int = 0
    cells_a_stage: int = 1
    gain: float = PYTORCH_GAIN
    readout: str = "gap"
    flip: bool = False
    draw: int = 0
    cells: int = 1000
    dataset: str = "cifar10"
    benchmark: str = "nasbench201"

    def __str__(self) -> str:
        plain = KernelSetting()
        changed = [
            f"{field.name}={value:.4g}" if isinstance(value, float) else f"{field.name}={value}"
            for field in fields(self)[1:]
            if (value := getattr(self, field.name)) != getattr(plain, field.name)
        ]
        return " ".join(["centred" if self.center else "rms", *changed])

    @property
    def space(self) -> ks.Space:
        """The networks."""
        return BENCHMARKS[self.benchmark](self)

    def images(self, half: int) -> tuple[kk.Dataset, kk.Dataset | None]:
        """Those of the regression and of the validation, from one half of the data."""
        every, _ = kk.load(self.dataset, n_test=1, image_size=self.side, seed=0)
        fit, validation = every.split(0.5, seed=0)[half].split(0.5, seed=0)
        fit = fit.subset(self.n, seed=self.draw)
        if self.n_validation == 0:
            return fit, None
        return fit, validation.subset(self.n_validation, seed=self.draw)

    def key(self, half: int) -> str:
        """What identifies the images."""
        return " ".join(part.fingerprint[:16] for part in self.images(half) if part is not None)

    def scores(
        self,
        images: tuple[kk.Dataset, kk.Dataset | None],
        parameterization: Parameterization,
        ridge: float,
        grams: Path,
    ) -> list[ks.KernelScore]:
        """Every metric of the kernels of a parameterisation at a ridge; those that read none at the
        first alone."""
        return [
            ks.KernelScore(
                *images,
                get=get,
                metric=name,
                ridge=ridge,
                grams=grams,
                tile_bytes=WIDE if self.side > 16 else None,
                augment=(kk.Flip(),) if self.flip else (),
                normalization=normalization,
                parameterization=parameterization,
            )
            for get, normalization in product(KERNELS[parameterization], NORMALIZATIONS)
            for name, metric in METRICS.items()
            if normalization in metric.normalizations
            and (self.n_validation or not metric.needs_validation)
            and (ridge == RIDGES[0] or name not in WITHOUT_RIDGE)
        ]


def own_skeleton(setting: KernelSetting) -> ks.Space:
    """Cells of NAS-Bench-201 in the published skeleton."""
    return ks.NasBench201(
        setting.cells_a_stage,
        center=setting.center,
        shortcut_W_std=setting.gain,
        readout=setting.readout,
    )


def plain_skeleton(setting: KernelSetting) -> ks.Space:
    """The same cells with plain reductions, as the shipped truth has them."""
    return ks.NasBench201(
        setting.cells_a_stage,
        center=setting.center,
        reduction="pool",
        readout=setting.readout,
    )


def cells_of_darts(setting: KernelSetting) -> ks.Space:
    """The fewest cells of DARTS in which both kinds follow each other in either order."""
    return ks.DartsSpace(5, max_pool="average", center=setting.center)


BENCHMARKS = {
    "nasbench201": own_skeleton,
    "digits": plain_skeleton,
    "darts": cells_of_darts,
}

BASES = (KernelSetting(), KernelSetting(center=True))

FEW, FEWER = 50, 30
"""Cells of a setting that takes long."""


def one_at_a_time() -> Iterator[KernelSetting]:
    """Both base settings, and of each every other value of one factor; the cheap ones first."""
    for base in BASES:
        yield from (replace(base, draw=draw) for draw in DRAWS)
        yield from (replace(base, n=n) for n in (50, 100))
        yield from (replace(base, gain=gain) for gain in (1.0, 2**0.5))
        yield from (replace(base, readout=readout) for readout in ("flatten", "lap:1"))
    for base in BASES:
        for n, n_validation in ((100, 100), (50, 200)):
            judged = replace(base, n=n, n_validation=n_validation)
            yield from (replace(judged, draw=draw) for draw in DRAWS)
    for base in BASES:
        yield replace(base, cells_a_stage=3)
        yield replace(base, flip=True, cells=FEW)
        yield replace(base, n=400, cells=FEW)
        yield replace(base, side=16, n=100, cells=FEW)
    yield replace(BASES[0], n_validation=200, cells=FEW)
    for base in BASES:
        yield replace(base, cells_a_stage=5, cells=FEW)
    yield replace(BASES[0], side=32, n=50, cells=FEWER)
    yield replace(BASES[0], n=800, cells=FEWER)


def crossed(best: Sequence[KernelSetting]) -> list[KernelSetting]:
    """Every combination of the values that some settings have, of the first draw and without
    validation images."""
    plain = KernelSetting()
    fixed = ("draw", "cells", "n_validation")
    names = [field.name for field in fields(plain) if field.name not in fixed]
    values = [list(dict.fromkeys(getattr(one, name) for one in best)) for name in names]
    return [replace(plain, **dict(zip(names, of, strict=True))) for of in product(*values)]


def metric_of(column: str) -> str:
    """The metric of a kernel's column."""
    return column.split()[0].partition("@")[0].partition(":")[2]


def source_of(column: str) -> Parameterization:
    """The parameterisation of a kernel's column."""
    return "standard" if column.startswith("ntk_standard") else "ntk"


def direction_of(column: str) -> bool:
    """Whether higher values of a column are better: of a score, and its ridge after a space."""
    metric = METRICS.get(metric_of(column))
    return (metric or known_score(column.split()[0])).higher_is_better


def values_of(
    setting: KernelSetting,
    names: Sequence[str],
    half: int,
    folder: Path,
    only: Collection[str] | None = None,
) -> Columns:
    """By score and ridge the values of cells, and by parameterisation what all took.

    Args:
        setting: the networks and images.
        names: of the cells; those beyond ``setting.cells`` have none.
        half: of the images.
        folder: keeps what is finished until all of it is.
        only: the columns that are wanted, ``None`` for all.
    """
    images = setting.images(half)
    cells = [setting.space.candidate(name) for name in names[: setting.cells]]
    rest: list[float | None] = [None] * (len(names) - len(cells))
    columns: Columns = {}
    foretold = set[Parameterization]()
    for parameterization, ridge in product(KERNELS, RIDGES):
        scores = [
            score
            for score in setting.scores(images, parameterization, ridge, folder / "grams")
            if only is None or f"{score.name} {ridge:g}" in only
        ]
        if not scores:
            continue
        if parameterization not in foretold:
            foretold.add(parameterization)
            costs = [scores[0].source.cost(cell, scores) for cell in cells]
            seconds = sum(cost.seconds or 0.0 for cost in costs)
            foretell(seconds, f"{setting}, {parameterization}, {len(cells)} cells")
        place = folder / f"{parameterization}-{ridge:g}"
        for name, values in ranked(cells, scores, place).items():
            column = f"{name} {parameterization}" if name == SECONDS else f"{name} {ridge:g}"
            columns.setdefault(column, values + rest)
    shutil.rmtree(folder)
    return columns


def sampled_on(
    setting: KernelSetting, names: Sequence[str], half: int, folder: Path | None
) -> Columns:
    """The control: every metric of the mean kernels of networks of finite width."""
    fit, _ = setting.images(half)
    cells = [setting.space.candidate(name) for name in names]
    return ranked(cells, sampled_scores(fit), folder)


def sampled_scores(fit: kk.Dataset) -> list[ks.SampledKernelScore]:
    """Those of the control, at the width that the standard parameterisation counts by."""
    return [
        ks.SampledKernelScore(fit, None, get, name)
        for get in SAMPLED
        for name, metric in METRICS.items()
        if not metric.needs_validation
    ]


def counts_of(names: Sequence[str], space: ks.Space | None = None) -> Columns:
    """Of the benchmark's own networks, or of another space's."""
    scores = [ks.CountScore(name, (32, 32, 3), 10) for name in COUNTS]
    space = space or ks.NasBench201()
    found = ranked([space.candidate(name) for name in names], scores, None)
    del found[SECONDS]
    return found


def proxies_on(
    fit: kk.Dataset, names: Sequence[str], folder: Path | None, space: ks.Space | None = None
) -> Columns:
    """Every proxy at the cheap protocol, and what all took."""
    space = space or ks.NasBench201(CHEAP.cells_a_stage)
    return ranked([space.candidate(name) for name in names], proxies_of(fit), folder)


def proxies_of(fit: kk.Dataset) -> list[ks.ProxyScore]:
    """Every proxy at the cheap protocol."""
    return [ks.ProxyScore(fit, name, batch_size=CHEAP.batch, W_std=W_STD) for name in PROXIES]


def images_of_proxies(half: int, side: int = CHEAP.side, dataset: str = "cifar10") -> kk.Dataset:
    """Two batches from one half of the data."""
    every, _ = kk.load(dataset, n_test=1, image_size=side, seed=0)
    return every.split(0.5, seed=0)[half].subset(2 * CHEAP.batch, seed=0)


def ranked(
    cells: Sequence[ks.Candidate], scores: Sequence[ks.Score], folder: Path | None
) -> Columns:
    """Values of cells by some scores, and the seconds of a cell."""
    rows = {row.name: row for row in ks.rank(cells, scores, output=folder, resume=bool(folder))}
    of_cells = [rows[cell.name] for cell in cells]
    columns: Columns = {}
    for score in scores:
        found = [row.values.get(score.name) for row in of_cells]
        columns[score.name] = [None if value is None else value.value for value in found]
    columns[SECONDS] = [row.seconds for row in of_cells]
    return columns
