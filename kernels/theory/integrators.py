"""Explicit Runge-Kutta methods, each with the rule that integrates along its steps as precisely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kernas.errors import ConfigurationError

IntegratorName = Literal["euler", "heun", "rk4"]


@dataclass(frozen=True)
class Integrator:
    """A method of order p, and a quadrature of order p whose nodes are the ends of its steps.

    Attributes:
        order: p: both errors over a fixed time fall as ``step ** p``.
        stages: for every slope after the first, by how much of the step the state has moved along
            the earlier ones (the rows of Butcher's table).
        slopes: the weights of all slopes in the step.
        rule: weights of the quadrature over one panel, in steps.
    """

    order: int
    stages: tuple[tuple[float, ...], ...]
    slopes: tuple[float, ...]
    rule: tuple[float, ...]

    def stepped(self, velocity: Callable[[Any], Any], state: Any, step: float) -> Any:
        """The state of ``d state / dt = velocity(state)`` one step later."""
        found = [velocity(state)]
        for row in self.stages:
            moved = sum(part * slope for part, slope in zip(row, found, strict=True))
            found.append(velocity(state + step * moved))
        return state + step * sum(b * slope for b, slope in zip(self.slopes, found, strict=True))

    def weights(self, steps: int, step: float) -> np.ndarray:
        """Those of the values at both ends of all steps, shape ``(steps + 1,)``.

        Raises:
            ConfigurationError: the rule needs another number of steps.
        """
        panel = len(self.rule) - 1
        if steps % panel:
            raise ConfigurationError(
                f"steps={steps} with integrator='rk4': expected an even number, since Simpson's "
                f"rule takes two at a time; give steps={steps + 1}"
            )
        found = np.zeros(steps + 1)
        for first in range(0, steps, panel):
            found[first : first + panel + 1] += self.rule
        return step * found


INTEGRATORS: dict[IntegratorName, Integrator] = {
    "euler": Integrator(1, (), (1.0,), (1.0, 0.0)),
    "heun": Integrator(2, ((1.0,),), (1 / 2, 1 / 2), (1 / 2, 1 / 2)),
    "rk4": Integrator(
        4,
        ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
        (1 / 3, 4 / 3, 1 / 3),
    ),
}
"""Gradient descent and the left rule; Heun's method and the trapezoidal rule; the classical method
of order 4 and Simpson's rule."""
