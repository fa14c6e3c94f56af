"""What commands take unless they are told otherwise; helps read it, so it imports nothing."""

SPACE = "nasbench201:cells=1"
"""The search space: cells of NAS-Bench-201, one in each stage."""

TRUTH = "nasbench201"
"""The published table of measured accuracies."""

SHIPPED_TRUTH = "digits_hard"
"""The table of measured accuracies that is in the package, named as the images of its trainings."""

SHIPPED_SPACE = "nasbench201:cells=1,reduction=pool"
"""The space of its candidates."""

RANKING_SCORE = "ntk:evidence"
"""The one with the best mean rank of Spearman's ρ over the recorded studies of
``experiments/rank_cifar10.py``: both forms of ``Normalize``, images of 8×8 and 16×16 pixels.

Of 100 cells (``experiments/rank_cifar10_forms.json``, centred and root mean squares) it has 0.70
and 0.70. Less ``ntk:loo_error``, the second, that is 0.04 [−0.04, 0.13] and 0.02 [−0.02, 0.05]: no
difference that these cells show. The number of weights has 0.80: less that, it is
−0.10 [−0.24, 0.03] and −0.10 [−0.24, 0.02].
"""

DEFAULT_SCORES = f"{RANKING_SCORE},ntk:validation_accuracy"
"""Beside it stands the accuracy on validation images, which people ask for by name."""

STRATEGY = "regularized-evolution:population=20,tournament=5"
"""What proposes in a search: of 100 trials, the number by default, 80 are children."""
