"""Sums and concatenations of what is known to be second moments."""

from __future__ import annotations

from collections.abc import Sequence

from .moments import Moment


def weighted_sum(terms: Sequence[Moment], times: Sequence[float]) -> Moment:
    """``Σ_i times_i · K_i``, and ``Θ`` alike.

    Of a sum one side of a moment is taken apart: ``C(a + b, c) = C(a, c) + C(b, c)``, a term that
    stands in it twice counting twice. Of a concatenation, where a layer mixes its channels, each
    part's moment with itself is taken by its share of the channels: ``Σ_i w_i K_i / Σ_i w_i``.
    """
    scaled = [term if t == 1 else t * term for term, t in zip(terms, times, strict=True)]
    return sum(scaled[1:], scaled[0])
