"""What commands take unless they are told otherwise; helps read it, so it imports nothing heavy."""

from __future__ import annotations

from typing import NamedTuple

SPACE = "nasbench201:cells=1"
"""The search space: cells of NAS-Bench-201, one in each stage."""

TRUTH = "nasbench201"
"""The published table of measured accuracies."""

SHIPPED_TRUTH = "digits_hard"
"""The table of measured accuracies that is in the package, named as the images of its trainings."""

SHIPPED_SPACE = "nasbench201:cells=1,reduction=pool"
"""The space of its candidates."""

RANKING_SCORE = "ntk_standard:validation_error@centred"
"""``shipped`` in ``experiments/ranking_study/choice.json``: kernel regression judged on labels that
it has not seen."""

VALIDATION_SCORE = "ntk_standard:validation_accuracy@centred"
"""The accuracy on validation images, which people ask for by name: ``validation`` there."""

DEFAULT_SCORES = f"{RANKING_SCORE},{VALIDATION_SCORE}"
"""What ranks, and what stands beside it."""


class Preset(NamedTuple):
    """A score that has a name of its own.

    Attributes:
        score: what the name stands for.
        spearman: rank correlation with the accuracy on CIFAR-10 after 200 epochs, of 1,000 cells.
        seconds: a candidate's, on two cores after compilation.
    """

    score: str
    spearman: float
    seconds: float


PRESETS = {
    "fast": Preset(
        "log_rank(params, flops, ntk:evidence, ntk:evidence@centred, nngp:condition@centred)",
        0.89,
        0.13,
    ),
    "validation": Preset(VALIDATION_SCORE, 0.71, 0.53),
    "best": Preset(
        "log_rank(params, flops, ntk:evidence, ntk_standard:evidence@centred, "
        "nngp:condition@centred, ntk_standard:loo_accuracy@centred)",
        0.92,
        0.25,
    ),
}
"""What the ranking study has chosen: counts and one kernel, the accuracy on validation images, and
counts and two kernels. The correlations are those of ``experiments/ranking_confirmation.json``, on
cells that chose none of them; the seconds those of 50 images on two cores."""

N_VALIDATION = 200
"""Validation images: those of the study's setting, 50 images beside them."""

STRATEGY = "regularized-evolution:population=20,tournament=5"
"""What proposes in a search: of 100 trials, the number by default, 80 are children."""
