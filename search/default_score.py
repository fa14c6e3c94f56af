"""The score that ``kernas rank`` ranks by unless it is told another."""

RANKING_SCORE = "ntk:evidence"
"""The one with the best mean rank of Spearman's ρ over the recorded studies of
``experiments/rank_cifar10.py``: both forms of ``Normalize``, images of 8×8 and 16×16 pixels."""

DEFAULT_SCORES = f"{RANKING_SCORE},ntk:validation_accuracy"
"""Beside it stands the accuracy on validation images, which people ask for by name."""
