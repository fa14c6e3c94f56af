"""Proxies beside published ones: the same cells, protocol by protocol, and two initialisations.

Cells of NAS-Bench-201 whose proxies NAS-Bench-Suite-Zero published (Krishnakumar et al. 2022):
those without branches that nothing reads. Two protocols: ``published``, five cells a stage on 32×32
pixels of CIFAR-10 in a batch of 64, as there; ``cheap``, one cell a stage, 16×16 pixels, a batch of
32. Both have 16 channels, weights with PyTorch's variance, 1/(3 fan-in), and two initialisations.

    python experiments/proxies_published.py                # hours on two cores, in pieces
    python experiments/proxies_published.py --size quick   # 4 cells, few pixels; records nothing

``--n``: cells. The same command goes on: ``proxies_published.csv`` has every value of the pieces
(protocol and initialisation) that are finished, ``runs/proxies_published-SIZE`` what is not. The
record has of each proxy and protocol Spearman's
correlations: with the published values; of the two initialisations with each other, which says how
far any two runs can agree; the difference of both with its 95% interval from the same resamples;
and with the test accuracy after 200 epochs. Published values near -1e8 stand for failures, and
their cells are left out of that proxy. ``variants`` says of NASWOT and what stands beside it how
much they vary: ``spread``, the deviation over cells by the mean; ``noise``, the deviation between
the two initialisations by that over cells; ``ties``, the share of pairs of cells with equal values;
and how they agree with the other initialisation and with accuracy.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from running import RUNS, Options, Size, command, foretell

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import DataError
from kernas.files import write_whole
from kernas.kernels.data import data_folders
from kernas.search.ranking.statistics import agreements
from kernas.search.report.panels import DEGENERATE_POINT, POINT, empty_figure, plain, to_png

PUBLISHED = {
    "snip": "snip",
    "grasp": "grasp",
    "synflow": "synflow",
    "fisher@code": "fisher",
    "grad_norm": "grad_norm",
    "l2_norm": "l2_norm",
    "plain": "plain",
    "jacob_cov": "jacov",
    "epe_nas": "epe_nas",
    "naswot": "nwot",
    "zen@code": "zen",
}
"""Our names of the published columns."""

ALIKE = ("naswot", "naswot_euclidean", "naswot@printed", "swap", "fisher", "fisher@code")
"""Of which variation, ties and agreement are recorded."""

COMPUTED = (*PUBLISHED, *(name for name in ALIKE if name not in PUBLISHED), "zen")
"""What the passes that these need give."""

TABLE = "nasbench201.npz"
SENTINEL = -1e7
CELL_SEED = 5
WIDTH, W_STD = 16, 3**-0.5


@dataclass(frozen=True)
class Protocol:
    """A skeleton and its batch."""

    cells_a_stage: int
    side: int
    batch: int


@dataclass(frozen=True)
class Setting:
    """How large a run is."""

    cells: int
    protocols: dict[str, Protocol]
    initialisations: int = 2


CHEAP, AS_PUBLISHED = Protocol(1, 16, 32), Protocol(5, 32, 64)
SETTINGS: dict[Size, Setting] = {
    "quick": Setting(4, {"cheap": Protocol(1, 8, 16)}),
    "small": Setting(200, {"cheap": CHEAP, "published": AS_PUBLISHED}),
    "medium": Setting(1000, {"cheap": CHEAP, "published": AS_PUBLISHED}),
    "full": Setting(9445, {"published": AS_PUBLISHED}, 5),
}


def main(options: Options) -> None:
    """Compute, compare, report and draw."""
    setting = SETTINGS[options.size]
    table = published_table()
    columns = [str(name) for name in table["proxy_names"]]
    published = dict(zip(columns, table["proxies_cifar10"].T, strict=True))
    chosen, names = covered_cells(table, options.n or setting.cells)
    accuracy = table["test_cifar10"][chosen]
    folder = RUNS / f"proxies_published-{options.size}"
    path = options.record(__file__)
    pieces = Pieces(path and path.with_suffix(".csv"), names)
    found: dict[str, list[Columns]] = {}
    seconds: dict[str, float] = {}
    for kind, protocol in setting.protocols.items():
        space = ks.NasBench201(protocol.cells_a_stage)
        cells = list(map(space.candidate, names))
        each = [
            computed(cells, protocol, seed, pieces, folder, kind)
            for seed in range(setting.initialisations)
        ]
        taken = [value for one in each for value in one.pop("seconds") if value is not None]
        seconds[kind] = float(np.median(taken))
        found[kind] = each
    of_cells = {name: published[column][chosen] for name, column in PUBLISHED.items()}
    record = {
        **options.asked(),
        "cells": len(chosen),
        "width": WIDTH,
        "W_std": W_STD,
        "protocols": {
            kind: {
                **asdict(protocol),
                "seconds_a_network": seconds[kind],
                "proxies": {
                    name: compared([one[name] for one in found[kind]], of_cells[name], accuracy)
                    for name in PUBLISHED
                },
                "variants": {
                    name: varied([one[name] for one in found[kind]], accuracy) for name in ALIKE
                },
            }
            for kind, protocol in setting.protocols.items()
        },
        "published_with_accuracy": {
            name: correlation(values, accuracy) for name, values in of_cells.items()
        },
        **environment(),
    }
    if {"cheap", "published"} <= found.keys():
        record["cheap_with_published_protocol"] = {
            name: correlation(found["cheap"][0][name], found["published"][0][name])
            for name in PUBLISHED
        }
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(record))


def published_table() -> Any:
    """The table of NAS-Bench-201.

    Raises:
        DataError: it is in no folder of data.
    """
    for folder in data_folders():
        if (folder / TABLE).exists():
            return np.load(folder / TABLE)
    raise DataError(f"{TABLE} is in no folder of data; set KERNAS_DATA to the one that has it")


def covered_cells(table: Any, n: int) -> tuple[np.ndarray, list[str]]:
    """Places in the table of ``n`` cells of which proxies are published, and the cells' names."""
    covered = np.flatnonzero(np.isfinite(table["proxies_cifar10"]).all(axis=1))
    chosen = np.random.default_rng(CELL_SEED).permutation(covered)[:n]
    return chosen, [name.decode() for name in table["arch_str"][chosen]]


def computed(
    cells: list[ks.Candidate],
    protocol: Protocol,
    seed: int,
    pieces: Pieces,
    folder: Path,
    kind: str,
) -> Columns:
    """All proxies of the cells with the weights of a seed, and the seconds of each network."""
    fit, _ = kk.load(
        "cifar10", n_train=2 * protocol.batch, n_test=1, image_size=protocol.side, seed=0
    )
    scores = [
        ks.ProxyScore(fit, name, WIDTH, protocol.batch, repeats=1, seed=seed, W_std=W_STD)
        for name in COMPUTED
    ]

    def ranked() -> Columns:
        output = folder / kind / str(seed)
        if not output.exists():
            begun = time.perf_counter()
            ks.evaluate_scores(cells[0], scores)  # compiles
            middle = time.perf_counter()
            ks.evaluate_scores(cells[1], scores)
            one = time.perf_counter() - middle
            basis = f"{kind}, initialisation {seed}: {one:.1f} s a network"
            foretell(len(cells) * one, f"{basis}, compiled in {middle - begun:.0f} s")
        rows = {row.name: row for row in ks.rank(cells, scores, output=output, resume=True)}
        of_cells = [rows[cell.name] for cell in cells]
        columns: Columns = {
            name: [row.values[name].value if name in row.values else None for row in of_cells]
            for name in COMPUTED
        }
        columns["seconds"] = [row.seconds for row in of_cells]
        return columns

    return pieces.get(f"{kind}:{seed}", scores[0].source.key, ranked)


def compared(
    ours: list[list[float | None]], published: np.ndarray, accuracy: np.ndarray
) -> dict[str, Any]:
    """One proxy: how far it agrees with the published one and with itself."""
    first, second = ours[0], ours[1]
    kept = [
        place
        for place, value in enumerate(published)
        if value > SENTINEL and first[place] is not None
    ]
    agreed = agreements(
        [float(first[place] or 0.0) for place in kept],
        {
            "published": [float(published[place]) for place in kept],
            "again": [second[place] for place in kept],
        },
    )
    shortfall = agreed.difference("published", "again")
    return {
        "cells": len(kept),
        "with_published": agreed["published"].spearman.value,
        "between_initialisations": agreed["again"].spearman.value,
        "difference": asdict(shortfall),
        "with_accuracy": [correlation(one, accuracy) for one in ours],
    }


def varied(ours: list[list[float | None]], accuracy: np.ndarray) -> dict[str, Any]:
    """How much one proxy varies, over cells and between initialisations."""
    known = [
        (one, other, truth)
        for one, other, truth in zip(ours[0], ours[1], accuracy, strict=True)
        if one is not None and other is not None
    ]
    first, second, truth = np.array(known, np.float64).T
    over_cells = float(first.std(ddof=1))
    equal = np.sum(first[:, None] == first[None]) - len(first)
    return {
        "cells": len(first),
        "spread": over_cells / abs(float(first.mean())),
        "noise": float((first - second).std(ddof=1)) / 2**0.5 / over_cells,
        "ties": float(equal) / (len(first) * (len(first) - 1)),
        "between_initialisations": correlation(first, second),
        "with_accuracy": correlation(first, truth),
    }


def correlation(first: Any, second: Any) -> float:
    """Spearman's, of the cells that both have."""
    pairs = [
        (float(a), float(b))
        for a, b in zip(first, second, strict=True)
        if a is not None and b is not None and a > SENTINEL
    ]
    one, other = zip(*pairs, strict=True)
    return agreements(list(other), {"": list(one)}, n_resamples=1)[""].spearman.value


def drawing(record: dict[str, Any]) -> bytes:
    """Each proxy's agreement with the published one, beside that of two initialisations."""
    kinds = record["protocols"]
    figure = empty_figure(5.0 * len(kinds), 4.5)
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    for axes, (kind, protocol) in zip(panels, kinds.items(), strict=True):
        plain(axes)
        places = np.arange(len(protocol["proxies"]))
        for key, color, label in (
            ("with_published", POINT, "with the published values"),
            ("between_initialisations", DEGENERATE_POINT, "two initialisations"),
        ):
            values = [row[key] for row in protocol["proxies"].values()]
            axes.plot(values, places, "o", color=color, label=label)
        axes.set_yticks(places, list(protocol["proxies"]))
        axes.invert_yaxis()
        axes.set(xlabel="Spearman", title=kind)
    panels[0].legend(frameon=False)
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
