"""Writes ``docs/ranking.md`` from what the ranking study recorded, so that no number is copied by
hand.

python experiments/ranking_page.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ranking_confirmation import EPOCHS, OPERATIONS, SHARED, TRAINING
from results import HERE, recorded, table

from kernas.search.scores.proxies import PROXIES

TARGET = HERE.parent / "docs" / "ranking.md"

CHOSEN = {
    "shipped": "what `kernas rank` ranks by: squared error on validation images, NTK",
    "validation": "`--score validation`: accuracy on validation images, the same matrix",
    "default": "the best kernel regression judged on unseen labels: leave-one-out accuracy, NTK",
    "validation_accuracy": "the best validation accuracy",
    "kernel": "the best single kernel score: alignment with the labels, NTK, centred form",
    "kernels": "three kernel scores",
    "fast": "`--score fast`: parameters, FLOPs and three scores of one kernel",
    "best": "`--score best`: parameters, FLOPs and four scores of both",
    "counts_and_kernels": "parameters, FLOPs and three kernel scores of three settings",
    "everything": "the same and `linear_regions`",
}
COUNTED = {"params": "number of parameters", "flops": "FLOPs"}
OPERATION_NAMES = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "1×1 convolution",
    "nor_conv_3x3": "3×3 convolution",
    "avg_pool_3x3": "average pool",
}


def number(value: float, digits: int = 2) -> str:
    """With a minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def within(value: Mapping[str, float], digits: int = 2) -> str:
    """A statistic with its interval."""
    low, high = (number(value[end], digits) for end in ("low", "high"))
    return f"{number(value['value'], digits)} [{low}, {high}]"


def seconds(value: float) -> str:
    """With two digits that count."""
    return "0" if value == 0 else f"{value:.2g}" if value < 100 else f"{value:,.0f}"


class Study:
    """What was recorded."""

    def __init__(self) -> None:
        self.confirmation = recorded("ranking_confirmation")
        self.costs = recorded("ranking_costs")
        self.best_proxy: str = self.confirmation["all"]["best_proxy"]

    def row(self, name: str, subset: str = "all") -> dict[str, Any]:
        """The statistics of a score."""
        return self.confirmation[subset]["scores"][name]

    def spearman(self, name: str, subset: str = "all") -> str:
        """With its interval."""
        return within(self.row(name, subset)["spearman"])

    def lead(self, name: str, over: str) -> str:
        """With its interval, nothing over itself."""
        found = self.row(name).get(f"lead over {over}")
        return "" if found is None else within(found)

    def cost(self, name: str) -> str:
        """Seconds a candidate."""
        return seconds(self.costs["scores"][name]["seconds"])


def chosen(study: Study) -> Iterable[str]:
    """The table of what was chosen, beside counts, the best proxy and 12 epochs."""
    what = {
        **CHOSEN,
        **COUNTED,
        study.best_proxy: "the best proxy of all",
        EPOCHS: "the benchmark's own validation accuracy after 12 epochs",
    }
    best_first = sorted(what, key=lambda name: -study.row(name)["spearman"]["value"])
    yield table(
        ["score", "what it is", "all cells", "better half", "lead over `params`",
         f"lead over `{study.best_proxy}`", "s"],
        [
            [
                f"`{name}`",
                what[name],
                study.spearman(name),
                study.spearman(name, "better_half"),
                study.lead(name, "params"),
                study.lead(name, study.best_proxy),
                study.cost(name),
            ]
            for name in best_first
        ],
    )  # fmt: skip


def other_statistics(study: Study) -> str:
    """Kendall's correlation, nDCG, the best tenth and the regret."""
    names = [*CHOSEN, *COUNTED, study.best_proxy, EPOCHS]
    best_first = sorted(names, key=lambda name: -study.row(name)["spearman"]["value"])
    return table(
        ["score", "Kendall", "nDCG", "of the best tenth", "regret, points", "covered cells"],
        [
            [
                f"`{name}`",
                *(
                    within(study.row(name)[statistic], digits)
                    for statistic, digits in (
                        ("kendall", 2), ("ndcg", 3), ("precision", 2), ("regret", 1),
                    )
                ),
                study.spearman(name, "covered"),
            ]
            for name in best_first
        ],
    )  # fmt: skip


def proxies(study: Study) -> str:
    """Every proxy, the best first."""
    names = [name for name in study.confirmation["all"]["scores"] if name in PROXIES]
    return table(
        ["proxy", "all cells", "better half", "s"],
        [
            [
                f"`{name}`",
                study.spearman(name),
                study.spearman(name, "better_half"),
                study.cost(name),
            ]
            for name in names
        ],
    )


def trained(study: Study) -> str:
    """Trainings and what stands beside them, on the cells that were trained."""
    names = [TRAINING, *SHARED, EPOCHS, "params", study.best_proxy, *CHOSEN]
    best_first = sorted(
        names, key=lambda name: -study.row(name, "of_trained_cells")["spearman"]["value"]
    )
    return table(
        ["score", "100 cells", "s"],
        [
            [f"`{name}`", study.spearman(name, "of_trained_cells"), study.cost(name)]
            for name in best_first
        ],
    )


def residuals(study: Study) -> str:
    """What scores miss, by operation."""
    found = study.confirmation["residuals"]
    return table(
        ["score", *(OPERATION_NAMES[operation] for operation in OPERATIONS)],
        [
            [f"`{name}`", *(number(of[operation]) for operation in OPERATIONS)]
            for name, of in found.items()
        ],
    )
