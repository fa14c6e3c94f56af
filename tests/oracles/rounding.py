"""How far rounding may move the tangent kernel of networks with nearly equal pixels."""

import numpy as np


def with_rounding(tolerance: float, epsilon: float, closest: float) -> float:
    """The stated tolerance, or what rounding does to arccos at ``1 − |ρ| = closest``.

    The correlation carries an error of some ε, which arccos multiplies by
    ``1 / sqrt(2 closest)``, and by no more than ``sqrt(2 / ε)``.
    """
    rounding = 32 * epsilon
    return max(tolerance, rounding / np.sqrt(2 * max(closest, rounding)))
