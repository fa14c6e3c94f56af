"""The score that ``kernas rank`` ranks by unless it is told another."""

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
