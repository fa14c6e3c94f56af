"""Do strategies beat random search on NAS-Bench-201, by which guide, and at what cost?

Every strategy is guided by a table in place of trainings: validation accuracy after 12 epochs with
its published GPU seconds (NATS-Bench's protocol: 20,000 s), after 200 epochs, the published values
of two proxies, and what kernels of 50 images of 8×8 pixels say of all 15,625 cells
(``search_guides.csv``): the evidence of the NTK, and ``fast``, counts and one kernel. Reported is
the test accuracy of the cell that the guide chose, after 200 epochs, against evaluations and
seconds, over many seeds; apart, the best that was seen; and the difference to random search of
equal seeds, with its interval.

    python experiments/search_strategies.py                # an hour of a core, in pieces; before it
                                                           # the kernels, ten minutes
    python experiments/search_strategies.py --size quick   # a few seeds; records nothing
    python experiments/search_strategies.py --n 50         # so many seeds

``search_strategies.csv`` keeps what every seed came to; the same command goes on. Beside it: what
naswot chooses among random cells (Mellor et al. 2021, table 2), ageing evolution with and without a
warm-up by queries (Abdelfattah et al. 2021, figure 4), and published costs of searches.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from ranking_settings import CONFIRMATION, RIDGES, SECONDS, KernelSetting, ranked
from results import recorded
from running import RUNS, Options, Size, command, foretell
from scipy.stats import t, wilcoxon

import kernas.search as ks
from kernas.files import write_whole
from kernas.search.report.panels import empty_figure, plain, to_png
from kernas.search.spaces import Candidate
from kernas.search.strategies import Strategy
from kernas.search.strategies.base import searched

SPACE = ks.NasBench201()
TABLE = Path(__file__).with_suffix(".csv")
CHECKED = (10, 20, 50, 100, 150, 200, 300)
"""Evaluations after which the cell that the guide chose is looked up."""

GPU_SECONDS = (2_000, 5_000, 10_000, 20_000)
"""Likewise."""

PROXY_SECONDS = 0.306
"""Of naswot for a cell: 306 s for 1,000 (Mellor et al. 2021, table 2)."""

MOST_EQUAL = 4
"""Trials for each evaluation at most: a search that has converged proposes what it knows."""

KERNEL = KernelSetting(n=50)
"""Whose kernels guide, in the parameterisation of ``fast``."""

KERNELS_TABLE = TABLE.with_name("search_guides.csv")
"""Cells by their number in the enumeration of the space."""

EVIDENCE = "ntk:evidence"

AMONG = (10, 100, 1000)
RUNS_OF_NASWOT = 500

PUBLISHED_COSTS = {
    "Zoph and Le 2016": "800 GPUs for 28 days (section 4.1)",
    "NASNet, Zoph et al. 2018": "500 P100 GPUs for 4 days (section 4)",
    "AmoebaNet, Real et al. 2019": "3,150 GPU days (Liu et al. 2019, DARTS, table 1)",
    "PNAS, Liu et al. 2018": "225 GPU days (Liu et al. 2019, DARTS, table 1)",
    "ENAS, Pham et al. 2018": "16 hours of a GTX 1080Ti (abstract)",
    "EcoNAS, Zhou et al. 2020": "8 GPU days (abstract)",
}
PUBLISHED_NASWOT = {"test_accuracy": 92.96, "seconds": 306, "among": 1000,
                    "source": "Mellor et al. 2021, table 2"}  # fmt: skip
PUBLISHED_WARM_UP = {
    "random": {"50": 70.9, "100": 71.45, "300": 72.55},
    "ageing evolution": {"50": 70.85, "100": 72.5, "300": 73.45},
    "warm-up": {"50": 73.05, "100": 73.3, "300": 73.5},
    "source": "Abdelfattah et al. 2021, figure 4, CIFAR-100, read off the plot to 0.1",
}


@dataclass(frozen=True)
class Setting:
    """Seeds and evaluations of strategies that are cheap, and of those that fit a model."""

    seeds: int
    few: int
    evaluations: int
    fitted: int


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(2, 2, 20, 20),
    "small": Setting(200, 30, 300, 150),
    "medium": Setting(500, 100, 300, 300),
    "full": Setting(500, 500, 300, 300),
}


@dataclass(frozen=True)
class Guide:
    """What a search sees of a cell.

    Attributes:
        values: name → the larger the better.
        seconds: name → what a value takes, or one number for all.
    """

    name: str
    values: Mapping[str, float]
    seconds: Mapping[str, float] | float

    def cost(self, name: str) -> float:
        """Seconds of a value."""
        return self.seconds[name] if isinstance(self.seconds, Mapping) else self.seconds


@cache
def guides() -> tuple[Guide, ...]:
    """All, by their names."""

    def column(name: str) -> dict[str, float]:
        return dict(ks.load_truth("nasbench201", name))

    seconds = column("seconds12_cifar10")
    hours = {name: 200 / 12 * value for name, value in seconds.items()}
    proxies = published_proxies()
    return (
        Guide("12 epochs", column("val12_cifar10"), seconds),
        Guide("200 epochs", column("val_cifar10"), hours),
        Guide("naswot", proxies["nwot"], PROXY_SECONDS),
        Guide("synflow", proxies["synflow"], PROXY_SECONDS),
        *guides_of_kernels(),
    )


def guides_of_kernels() -> tuple[Guide, Guide]:
    """The evidence of the NTK, and counts and one kernel; of all cells."""
    fit, _ = KERNEL.images(CONFIRMATION)
    together, *rest = ks.parse_scores("fast", fit, ridge=RIDGES[0])
    assert isinstance(together, ks.Combined)
    scores = [score for score in rest if isinstance(score, ks.Score)]
    cells = [KERNEL.space.candidate(cell.name) for cell in SPACE.enumerate()]
    pieces = Pieces(KERNELS_TABLE, [str(number) for number in range(len(cells))])
    columns = pieces.get("fast", KERNEL.key(CONFIRMATION), partial(kernels_of, cells, scores))
    seconds = recorded("ranking_costs")["scores"]["fast"]["seconds"]
    directions = {score.name: score.higher_is_better for score in scores}
    names = [cell.name for cell in cells]
    return (
        Guide("kernel", known(names, columns[EVIDENCE]), seconds),
        Guide(
            "counts and kernel",
            known(names, together.values(columns, directions).tolist()),
            seconds,
        ),
    )


def kernels_of(cells: Sequence[Candidate], scores: Sequence[ks.Score]) -> Columns:
    """Scores of cells, by name."""
    first = {cell.key: cell for cell in cells}.values()
    kernels = [score for score in scores if isinstance(score, ks.KernelScore)]
    costs = [kernels[0].source.cost(cell, kernels).seconds or 0.0 for cell in first]
    foretell(sum(costs), f"kernels of {len(first)} networks")
    found = ranked(cells, scores, RUNS / "search_guides")
    del found[SECONDS]  # of an idle machine they are in the record of the costs
    return found


def known(names: Sequence[str], values: Sequence[float | None]) -> dict[str, float]:
    """Those of the cells that have one."""
    return {
        name: float(value)
        for name, value in zip(names, values, strict=True)
        if value is not None and np.isfinite(value)
    }


def published_proxies() -> dict[str, dict[str, float]]:
    """Proxy → cell → value, of the cells that have one."""
    from proxies_published import published_table

    table = published_table()
    names = [name.decode() for name in table["arch_str"]]
    found: dict[str, dict[str, float]] = {}
    for proxy, values in zip(table["proxy_names"], table["proxies_cifar10"].T, strict=True):
        known = np.isfinite(values)
        found[str(proxy)] = {
            SPACE.candidate(name).name: float(value)
            for name, value, is_known in zip(names, values, known, strict=True)
            if is_known
        }
    return found


def by(guide: str, candidate: Candidate) -> float | None:
    """What a guide says, as the cheap score of a strategy that chooses by one."""
    return next(of for of in guides() if of.name == guide).values.get(candidate.name)


prefer = partial(by, "naswot")


EVOLUTION = ks.RegularizedEvolution(10, tournament=3)
"""NATS-Bench's (Dong et al. 2021, section 4.2)."""

STRATEGIES: dict[str, Strategy] = {
    "random": ks.RandomSearch(),
    "regularized-evolution": EVOLUTION,
    "regularized-evolution, mutants by naswot": ks.RegularizedEvolution(
        10, tournament=3, mutants=10, prefer=prefer
    ),
    "regularized-evolution, mutants by kernel": ks.RegularizedEvolution(
        10, tournament=3, mutants=10, prefer=partial(by, "kernel")
    ),
    "ageing evolution of 64": ks.RegularizedEvolution(64, tournament=10),
    "warm-up by naswot": ks.WarmUp(prefer, pool=3000, first=64),
    "local-search": ks.LocalSearch(),
    "reinforce": ks.Reinforce(),
    "q-learning": ks.QLearning(),
    "bandit": ks.Bandit(),
    "warm-up by counts and kernel": ks.WarmUp(
        partial(by, "counts and kernel"), pool=3000, first=64
    ),
    "explore-then-exploit by naswot": ks.ExploreThenExploit(prefer, pool=1000, kept=0.02),
    "reinforce, lstm": ks.Reinforce("lstm", learning_rate=0.0035),
    "progressive": ks.Progressive(),
    "predictor": ks.Predictor(),
}
FITTED = ("reinforce, lstm", "progressive", "predictor")
"""Those that fit a model at every trial."""


def main(options: Options) -> None:
    """Search, report and draw."""
    setting = SETTINGS[options.size]
    seeds = options.n or setting.seeds
    few = min(setting.few, seeds)
    path = None if options.size == "quick" or options.n else TABLE
    pieces = Pieces(path, [str(seed) for seed in range(seeds)])
    test = ks.load_truth("nasbench201", "test_cifar10")
    found: dict[str, dict[str, Columns]] = {guide.name: {} for guide in guides()}
    for name, strategy in STRATEGIES.items():
        for guide in guides():
            of, evaluations = range(seeds), setting.evaluations
            if name in FITTED:
                of, evaluations = range(few), setting.fitted
            compute = partial(results, strategy, guide, test, of, seeds, evaluations)
            key = f"{evaluations} evaluations, {len(of)} seeds"
            found[guide.name][name] = pieces.get(f"{guide.name}, {name}", key, compute)
            print(f"{guide.name}: {name}", file=sys.stderr, flush=True)
    record = {
        **options.asked(),
        "guides": {name: judged(of) for name, of in found.items()},
        "naswot among": naswot_among(test),
        "published": {
            "costs": PUBLISHED_COSTS,
            "naswot": PUBLISHED_NASWOT,
            "warm-up": PUBLISHED_WARM_UP,
        },
        **environment(),
    }
    place = options.record(__file__)
    report(record, place)
    if place is not None:
        write_whole(place.with_suffix(".png"), drawing(record))


def results(
    strategy: Strategy,
    guide: Guide,
    test: Mapping[str, float],
    seeds: Sequence[int],
    rows: int,
    evaluations: int,
) -> Columns:
    """By seed: the test accuracy of the chosen cell after some evaluations and some seconds, the
    best that was seen in the end, and what all evaluations took."""
    checks = [number for number in CHECKED if number <= evaluations]
    timed = GPU_SECONDS if guide.name == "12 epochs" else ()
    names = [*(f"chosen {n}" for n in checks), *(f"chosen {n} s" for n in timed), "seen", "seconds"]
    columns: Columns = {name: [None] * rows for name in names}
    for seed in seeds:
        best: tuple[float, str] | None = None
        seen, spent, different = -np.inf, 0.0, set[str]()
        trials = searched(strategy, SPACE, lambda one: guide.values.get(one.name), seed)
        for trial in islice(trials, MOST_EQUAL * evaluations):
            name = trial.candidate.name
            if name in different:  # which costs nothing
                continue
            different.add(name)
            spent += guide.cost(name)
            for limit in timed:
                if best is not None and spent > limit:
                    columns[f"chosen {limit} s"][seed] = (
                        columns[f"chosen {limit} s"][seed] or (test[best[1]])
                    )
            if trial.value is not None:
                best = max(best or (trial.value, name), (trial.value, name), key=lambda b: b[0])
                seen = max(seen, test[name])
            if len(different) in checks and best is not None:
                columns[f"chosen {len(different)}"][seed] = test[best[1]]
            if len(different) == evaluations:
                break
        assert best is not None
        for name in names[:-2]:
            if columns[name][seed] is None:  # it came to nothing new before
                columns[name][seed] = test[best[1]]
        columns["seen"][seed], columns["seconds"][seed] = float(seen), spent
    return columns


def judged(of: Mapping[str, Columns]) -> dict[str, Any]:
    """Means with intervals, and differences to random search of the same seeds."""
    found: dict[str, Any] = {}
    for name, columns in of.items():
        rows: dict[str, Any] = {}
        for column, values in columns.items():
            known = np.array([value for value in values if value is not None], np.float64)
            rows[column] = interval(known)
            if name != "random" and column.startswith("chosen"):
                others = np.array(of["random"][column][: len(known)], np.float64)
                rows[column]["less random"] = compared(known - others)
        found[name] = {"seeds": sum(value is not None for value in columns["seen"]), **rows}
    return found


def interval(values: np.ndarray) -> dict[str, Any]:
    """The mean with its 95% interval by Student."""
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    mean = float(values.mean())
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def compared(differences: np.ndarray) -> dict[str, Any]:
    """The mean of paired differences, with Wilcoxon's signed-rank test."""
    tested: Any = wilcoxon(differences) if np.any(differences) else None
    p = 1.0 if tested is None else float(tested.pvalue)
    return {**interval(differences), "p": float(f"{p:.2g}")}


def naswot_among(test: Mapping[str, float]) -> dict[str, Any]:
    """The test accuracy of the cell that published naswot prefers among some random ones."""
    values = next(guide for guide in guides() if guide.name == "naswot").values
    names = list(values)
    said = np.array([values[name] for name in names])
    accuracy = np.array([test[name] for name in names])
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for among in AMONG:
        drawn = [rng.choice(len(names), among, replace=False) for _ in range(RUNS_OF_NASWOT)]
        chosen = np.array([accuracy[places[np.argmax(said[places])]] for places in drawn])
        found[str(among)] = {**interval(chosen), "seconds": round(among * PROXY_SECONDS, 1)}
    return found


def drawing(record: Mapping[str, Any]) -> bytes:
    """The test accuracy of the chosen cell against evaluations, a panel for each guide."""
    figure = empty_figure(13, 8.4)
    panels = figure.subplots(2, -(-len(record["guides"]) // 2), sharey=True).ravel()
    for axes, (guide, of) in zip(panels, record["guides"].items(), strict=True):
        plain(axes)
        for place, (name, rows) in enumerate(of.items()):
            checks = [n for n in CHECKED if f"chosen {n}" in rows]
            means = [rows[f"chosen {n}"]["mean"] for n in checks]
            style: dict[str, Any] = {"color": "black", "lw": 2} if name == "random" else {
                "color": COLORS[place % len(COLORS)], "lw": 1}  # fmt: skip
            axes.plot(checks, means, label=name, **style)
        axes.set(xscale="log", xlabel="evaluations", title=f"guided by {guide}", ylim=(90.5, 94.5))
    for first in panels[:: len(panels) // 2]:
        first.set_ylabel("test accuracy of the chosen cell")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncol=5, fontsize=7
    )
    return to_png(figure)


COLORS = ("#2a6f97", "#c8553d", "#588157", "#9d4edd", "#e09f3e", "#0081a7", "#6d597a", "#bc4749",
          "#386641", "#8338ec", "#ffb703", "#3a86ff", "#fb5607", "#7f4f24", "#2ec4b6")  # fmt: skip


if __name__ == "__main__":
    command(Options, main)
