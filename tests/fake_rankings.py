"""Rankings of no networks, and names that would do something where they are not escaped."""

import numpy as np

import kernas.search as ks
from kernas.kernels.regression import ScoreValue
from kernas.search.ranking.table import rank_rows

HOSTILE = [
    "<script>alert(1)</script>",
    "=1+1",
    "../../x",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "{{ 7 * 7 }}",
    "${7*7}",
    "ü\u2028 & 'quoted'",
]
"""Names of candidates, scores and files."""


def ranking_of(names, *, truth=False, scores=("a", "b", "c")):
    rng = np.random.default_rng(0)
    directions = {name: place % 2 == 0 for place, name in enumerate(scores)}
    rows = [
        ks.Row(
            None,
            name,
            f"{place:x}",
            "ok",
            {score: ScoreValue(float(rng.normal()), 0.1) for score in scores},
            truth=float(rng.uniform()) if truth else None,
        )
        for place, name in enumerate(names)
    ]
    ranked = ks.Ranking(rank_rows(rows, directions), directions)
    agreed = (
        ranked.correlation({r.name: r.truth or 0.0 for r in rows}, n_resamples=50)
        if truth
        else None
    )
    return ranked if agreed is None else ks.Ranking(ranked.rows, directions, agreed)
