"""Writes ``docs/ranking.md`` from what the ranking study recorded, so that no number is copied by
hand.

python experiments/ranking_page.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ranking_confirmation import EPOCHS, OPERATIONS, SHARED, TRAINING
from results import HERE, paragraph, recorded, table

TARGET = HERE.parent / "docs" / "ranking.md"

CHOSEN = {
    "counts_and_kernels": "parameters, FLOPs and three kernel scores, each of a setting of its own",
    "everything": "the same and `linear_regions`, a proxy",
    "best": "`--score best`: parameters, FLOPs and four scores of two kernels",
    "fast": "`--score fast`: parameters, FLOPs and three scores of one kernel",
    "kernel": "the single kernel score that was best: the NTK's alignment with the labels",
    "default": "the best kernel regression on unseen labels: leave-one-out accuracy, centred NTK",
    "shipped": "`kernas rank`: squared error on validation images, NTK",
    "validation": "`--score validation`: accuracy on validation images, the same matrix",
    "kernels": "three kernel scores, one of them the raw NNGP's leave-one-out accuracy",
}
COUNTED = {"params": "number of parameters", "flops": "FLOPs"}
METRICS = (
    *("loo_error@centred", "loo_error", "loo_accuracy@centred", "loo_accuracy"),
    *("evidence@centred", "gcv@centred", "alignment", "descent@centred", "logdet"),
    *("effective_rank@centred", "condition@centred", "trace"),
)
PLACES = {
    "fashion_mnist": "images of Fashion-MNIST",
    "digits": "shipped digits",
    "darts": "DARTS",
}
KERNELS = {"nngp": "NNGP", "ntk": "NTK", "ntk_standard": "NTK, standard"}
FORMS = ("rms", "centred")
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
        self.transfer = recorded("ranking_transfer")["elsewhere"]
        self.best_proxy: str = self.confirmation["all"]["best_proxy"]

    def row(self, name: str, subset: str = "all") -> dict[str, Any]:
        """The statistics of a score."""
        return self.confirmation[subset]["scores"][name]

    def spearman(self, name: str, subset: str = "all") -> str:
        """With its interval."""
        return within(self.row(name, subset)["spearman"])

    def value(self, name: str, subset: str = "all") -> str:
        """Without it."""
        return number(self.row(name, subset)["spearman"]["value"])

    def lead(self, name: str, over: str) -> str:
        """With its interval, nothing over itself."""
        found = self.row(name).get(f"lead over {over}")
        return "" if found is None else within(found)

    def best_first(self, names: Iterable[str], subset: str = "all") -> list[str]:
        """Scores by their correlation."""
        return sorted(names, key=lambda name: -self.row(name, subset)["spearman"]["value"])

    def cost(self, name: str) -> str:
        """Seconds a candidate, where they were measured."""
        if name == EPOCHS:
            return ""
        return seconds(self.costs["scores"][name]["seconds"])


def answer(study: Study) -> str:
    """The question and what came of it, in a sentence that the README has too."""
    proxy = study.best_proxy
    return paragraph(
        f"""On {study.confirmation["cells"]:,} cells of NAS-Bench-201 that nothing was chosen on,
        exact kernels alone rank as faithfully as the number of parameters and more so than 12
        epochs of training (Spearman {study.spearman("default")}, {study.lead("default", "params")}
        and {study.lead("default", EPOCHS)} more); the best of the proxies ranks better than they do
        (`{proxy}`, {study.spearman(proxy)}), and kernels together with counts rank better than any
        of these: {within(study.row("counts_and_kernels")["spearman"], 3)},
        {study.lead("counts_and_kernels", proxy)} more than that proxy."""
    )


def chosen(study: Study) -> str:
    """The table of what was chosen, beside counts, the best proxy and 12 epochs."""
    what = {
        **CHOSEN,
        **COUNTED,
        study.best_proxy: "the best of all proxies, known from these cells",
        EPOCHS: "the benchmark's own validation accuracy",
    }
    return table(
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
            for name in study.best_first(what)
        ],
    )  # fmt: skip


def found(study: Study) -> str:
    """Of the same scores how much of the best they find."""
    names = [*CHOSEN, *COUNTED, study.best_proxy, EPOCHS]
    return table(
        ["score", "Kendall", "nDCG", "of the best tenth", "regret of the first, points"],
        [
            [f"`{name}`"]
            + [
                within(study.row(name)[statistic], digits)
                for statistic, digits in (
                    ("kendall", 2), ("ndcg", 3), ("precision", 2), ("regret", 1),
                )
            ]
            for name in study.best_first(names)
        ],
    )  # fmt: skip


def trained(study: Study) -> str:
    """Trainings and what stands beside them, on the cells that were trained."""
    names = [TRAINING, *SHARED, EPOCHS, "params", study.best_proxy, "best", "fast", "default"]
    subset = "of_trained_cells"
    return table(
        ["score", "100 cells", "s"],
        [
            [
                f"`{name}`",
                study.spearman(name, subset),
                study.cost(name),
            ]
            for name in study.best_first(names, subset)
        ],
    )


def metrics(study: Study) -> str:
    """By both forms of normalisation and three kernels Spearman's of a metric."""
    shown = study.confirmation["metrics"]
    heads = [f"{form}: {head}" for form in FORMS for head in KERNELS.values()]
    return table(
        ["metric", *heads],
        [
            [
                f"`{metric}`",
                *(
                    number(shown[form][f"{kernel}:{metric} 0.01"])
                    for form in FORMS
                    for kernel in KERNELS
                ),
            ]
            for metric in METRICS
        ],
    )


def residuals(study: Study) -> str:
    """What scores miss, by operation."""
    return table(
        ["score", *(OPERATION_NAMES[operation] for operation in OPERATIONS)],
        [
            [f"`{name}`", *(number(of[operation]) for operation in OPERATIONS)]
            for name, of in study.confirmation["residuals"].items()
        ],
    )


def images(study: Study) -> str:
    """Seconds of one kernel by the number of images, and of trainings."""
    of_images = {n: row for n, row in study.costs["images"].items() if n.isdigit()}
    rows = [
        [f"kernel of {int(n):,} images", seconds(row["seconds"]), *curves(row)]
        for n, row in of_images.items()
    ]
    rows += [
        [f"training, {name}", seconds(row["seconds"]), of_training(row), ""]
        for name, row in study.costs["trainings"].items()
    ]
    heads = [f"`{name.split()[0]}`" for name in next(iter(of_images.values()))["spearman"]]
    return table(["of one cell", "s", *heads], rows)


def curves(row: Mapping[str, Any]) -> list[str]:
    """What a number of images buys, and on how many cells that is known."""
    known = [f"{within(value)}, {row['cells']} cells" for value in row["spearman"].values()]
    return known or ["", ""]


def of_training(row: Mapping[str, Any]) -> str:
    """What a training buys."""
    if row["spearman"] is None:
        return "the truth"
    return f"{within(row['spearman'])}, {row['cells']:,} cells"


def text() -> str:
    """The whole page."""
    study = Study()
    sections = (
        ["# Do kernels rank?", QUESTION, answer(study), METHOD],
        what_ranks(study),
        what_does_not(study),
        why(study),
        elsewhere(study),
        beside_training(study),
        ["## When to use what", *advice(study)],
    )
    return "\n\n".join(block for section in sections for block in section) + "\n"


QUESTION = paragraph(
    """Do kernels of infinitely wide networks keep the order of candidates well enough to estimate
    performance cheaply, more faithfully than proxies do?"""
)

METHOD = paragraph(
    """The truth is the test accuracy on CIFAR-10 after 200 epochs, mean over seeds. Settings were
    chosen on 150 other cells and on images of another half of the data, and what is reported stands
    in the protocol, `experiments/ranking_study/protocol.md`, which was committed before anything
    was run. Intervals are of 95%, from paired resamples of the cells.
    `python experiments/ranking_confirmation.py` computes everything and leaves
    [its record](../experiments/ranking_confirmation.json); every value of every cell is in the CSV
    files beside the protocol, and `python experiments/ranking_page.py` writes this page from
    them."""
)


def what_ranks(study: Study) -> list[str]:
    """The chosen scores, and what became of them."""
    record = study.confirmation
    cells, covered = record["cells"], record["covered"]["cells"]
    best = next(name for name in record["all"]["scores"] if " | " in name)
    setting, _, score = best.partition(" | ")
    return [
        "## What ranks",
        chosen(study),
        paragraph(
            f"""Kernels are those of 8×8 pixels and 50 to 200 images; seconds are of two idle cores,
            compilation apart. Without the {cells - covered} cells that have branches which nothing
            reads no correlation changes by 0.01. The better half by the truth is close together,
            and correlations are lower there, of 12 epochs of training
            ({study.value(EPOCHS, "better_half")}) as of everything."""
        ),
        found(study),
        "![Every score on all cells and on the better half]"
        "(../experiments/ranking_confirmation.png)",
        paragraph(
            f"""What was chosen came out as it went in, with one exception. Combinations that were
            chosen by their least correlation over ten settings, `fast` and `best`, are as good here
            as there, and with `everything` they order the better half best. The three scores of
            `kernels`, chosen in settings of their own, had
            {number(record["choice"]["kernels"]["spearman"])} on the cells that chose them and have
            {study.value("kernels")} here: one of them is an accuracy that turned its sign. In
            hindsight `{score}` at `{setting}` is the best single kernel score,
            {study.spearman(best)}."""
        ),
    ]


def what_does_not(study: Study) -> list[str]:
    """Scores that order by chance or the wrong way."""
    shown = study.confirmation["metrics"]
    metric, judged = shown["rms"], shown["rms n=50 n_validation=200"]
    centred = [
        value
        for form in FORMS
        for name, value in shown[form].items()
        if name.startswith("ntk") and name.endswith("@centred 0.01") and ":trace" not in name
    ]
    accuracies, errors = (
        [value for name, value in judged.items() if f":validation_{what}" in name]
        for what in ("accuracy", "error")
    )
    return [
        "## What does not",
        metrics(study),
        paragraph(
            """Two forms of batch normalisation, `rms` (by the root mean square) and `centred` (the
            mean subtracted over a batch), 200 images, ridge 0.01; *standard* weighs every layer's
            part of the NTK by its fan-in at width 16, and so has the numbers of parameters in
            it."""
        ),
        paragraph(
            f"""- **Accuracies of few images.** Leave-one-out accuracy of a raw kernel orders at
            random or the wrong way ({number(metric["nngp:loo_accuracy 0.01"])},
            {number(metric["ntk:loo_accuracy 0.01"])},
            {number(metric["ntk_standard:loo_accuracy 0.01"])} in the `rms` form). Accuracy on 200
            validation images comes to {number(min(accuracies))} to {number(max(accuracies))} by the
            kernel and its normalisation, the squared error on them to {number(min(errors))} to
            {number(max(errors))}. Take errors, and centre: with `@centred`, an intercept that no
            ridge holds back, every metric of both NTKs but the trace is, at this ridge, between
            {number(min(centred))} and {number(max(centred))}."""
        ),
        paragraph(
            f"""- **Scales.** The trace orders well in one form ({number(metric["ntk:trace 0.01"])})
            and the wrong way in the other ({number(shown["centred"]["ntk:trace 0.01"])}); effective
            rank, `descent` and alignment of the raw NNGP likewise. What has no scale (`logdet`,
            `evidence@cosine`, `gcv@cosine` of the NTK) is steady."""
        ),
        paragraph(
            f"""- **Saliencies of one batch**, in networks of one cell a stage: `snip`
            {study.value("snip")}, `grad_norm` {study.value("grad_norm")}, `fisher`
            {study.value("fisher")}, `grasp` {study.value("grasp")}. In the published skeleton they
            do better ([proxies](proxies.md))."""
        ),
        paragraph(
            f"""- **The best cells by a kernel alone.** The default finds
            {number(study.row("default")["precision"]["value"])} of the best tenth where the number
            of parameters finds {number(study.row("params")["precision"]["value"])}, and its first
            is {number(study.row("default")["regret"]["value"], 1)} points behind the best cell.
            Kernels tell the bad from the good; among the good they need a count beside them."""
        ),
    ]


def why(study: Study) -> list[str]:
    """What scores miss, and what was tried against it."""
    metric = study.confirmation["metrics"]["rms"]
    control = recorded("ranking_study/development")["settings"]["control"]["spearman"]
    return [
        "## Why",
        paragraph(
            """What a score misses is the rank by the accuracy less the rank by the score. Its
            correlation with the number of edges of an operation; above 0, cells with more of them
            are better than the score says:"""
        ),
        residuals(study),
        paragraph(
            """Kernels call cells with 3×3 convolutions too bad and cells with dead edges too good:
            capacity, which a limit of infinite width does not see, comes with the ones and goes
            with the others. Counts err the other way: they pay too much for 3×3 convolutions, too
            little for 1×1 ones and skips, and see no harm in pools. So the errors cancel, and a sum
            of log-ranks is far better than either."""
        ),
        paragraph(
            f"""Against the missing capacity these were tried, 200 images, `rms`. The NTK in the
            standard parameterisation: its alignment with the labels has
            {number(metric["ntk_standard:alignment 0.01"])} where that of the NTK has
            {number(metric["ntk:alignment 0.01"])}, most other metrics gain 0.01 or nothing. How far
            gradient descent gets in its first steps:
            {number(metric["ntk_standard:descent@centred 0.01"])}. The number of functions: `logdet`
            {number(metric["ntk_standard:logdet 0.01"])}, effective rank
            {number(metric["ntk_standard:effective_rank@centred 0.01"])}. Mean kernels of finite
            networks of width 16, as a control on 50 development cells:
            {number(max(control.values()))} at best. None does what one count beside a kernel does.
            With proxies 0.94 was hoped for: `everything` has {study.value("everything")}, and
            orders the better half better ({study.value("everything", "better_half")} against
            {study.value("counts_and_kernels", "better_half")})."""
        ),
    ]


def elsewhere(study: Study) -> list[str]:
    """The same scores on other images and cells."""
    names = [*CHOSEN, *COUNTED, "depth", study.best_proxy]
    places = study.transfer
    scores = {place: found["scores"] for place, found in places.items()}
    cells = {place: found["cells"] for place, found in places.items()}

    def there(place: str, name: str) -> str:
        found = scores[place].get(name)
        return "" if found is None else within(found["spearman"])

    def value(name: str) -> str:
        return number(scores["darts"][name]["spearman"]["value"])

    def lead(place: str) -> str:
        return within(scores[place]["best"]["lead over params"])

    def part(place: str, score: str) -> str:
        parts = places[place]["parts"]
        return number(next(value for name, value in parts.items() if name.endswith(score)))

    evidence = part("fashion_mnist", "evidence@centred 0.001")
    condition = part("darts", "condition@centred 0.01")
    return [
        "## Elsewhere",
        paragraph(
            f"""The same scores, chosen on NAS-Bench-201 and CIFAR-10 and untouched
            (`python experiments/ranking_transfer.py`): of {cells["fashion_mnist"]} confirmation
            cells with images of Fashion-MNIST and the accuracies on CIFAR-10 as before; of
            {cells["digits"]} cells of the truth of digits that ships, with its own images and
            skeleton; of {cells["darts"]} cells of DARTS with published accuracies after a short
            training on CIFAR-10, in networks of five cells, averages in place of max-pools."""
        ),
        table(
            ["score", "confirmation", *PLACES.values()],
            [
                [f"`{name}`", study.value(name), *(there(place, name) for place in PLACES)]
                for name in study.best_first(names)
            ],
        ),
        paragraph(
            f"""- **Other images change little.** With those of Fashion-MNIST `fast` and `best` are
            as good as with CIFAR-10's; `counts_and_kernels` loses one of its parts, the evidence of
            the centred kernel ({evidence}). On the digits combinations and counts are closer,
            `best` has {lead("digits")} more than `params`; `{places["digits"]["best_proxy"]}` is
            the best proxy again."""
        ),
        paragraph(
            f"""- **Another space does.** In DARTS kernels order, by {value("kernel")} to
            {value("default")}, but less than counts do, and both together are worse than `params`
            alone ({lead("darts")}). How deep the cells are is best, {value("depth")}. Accuracy on
            validation images orders the wrong way ({value("validation")}), and so does the
            condition of the NNGP ({condition}), which `fast` and `best` have in them for
            NAS-Bench-201, where it is right. A combination is of the space that chose it."""
        ),
        "![The chosen scores elsewhere](../experiments/ranking_transfer.png)",
    ]


def beside_training(study: Study) -> list[str]:
    """What trainings order and take."""
    return [
        "## Beside training",
        trained(study),
        paragraph(
            """The first hundred cells: trained by the recipe of the shipped truth (200 steps on
            1,000 images of 16×16 pixels), and judged with what they inherit from supernets (4,000
            steps), whose seconds are divided by the cells."""
        ),
        images(study),
        paragraph(
            """The cell in the middle by operations, on two idle cores: its NTK on ever more images,
            with what that buys on development cells, and its trainings, predicted from timed steps:
            those 200, and 12 and 200 epochs of the benchmark's own network on 25,000 images of
            32×32 pixels."""
        ),
        "![Fidelity against seconds](../experiments/ranking_costs.png)",
    ]


def advice(study: Study) -> list[str]:
    """When to use what."""
    return [
        paragraph(
            f"""- To rank or to search cheaply: `--score fast`, {study.cost("fast")} s a candidate,
            or `--score best`, {study.cost("best")} s."""
        ),
        paragraph(
            """- For a number that means something by itself, the error on labels that were not
            seen: the default of `kernas rank`. It keeps bad candidates out as well as 12 epochs of
            training do, and does not choose among the best."""
        ),
        paragraph(
            """- Where all candidates have the same counts: a kernel alone, `@centred` or `@cosine`,
            by a squared error, the evidence or the log-determinant."""
        ),
        paragraph(
            """- Where candidates differ in width alone no kernel tells them apart; counts and
            proxies do ([spaces](spaces.md))."""
        ),
        paragraph(
            """- In a space that has no trained candidates: train a few tens, and look at what ranks
            them (`kernas rank --truth FILE` says it of each score). Counts, `default`, `shipped`
            and `kernel` have the right sign in all that was measured here."""
        ),
        paragraph(
            """- For the order of the best tenth: train. No score, nor 12 epochs, finds much more
            than half of it."""
        ),
    ]


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
