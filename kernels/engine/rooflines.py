"""What a pair of images takes at best on devices that are not here, by their rooflines.

XLA compiles for a device from a description of it; the operations and bytes of the program and the
published peaks of the device give the least time it can take, which nobody has measured
(``experiments/benchmarks/accelerators.py``, whose record has more of it).
"""

from __future__ import annotations

from dataclasses import dataclass

from kernas.errors import ConfigurationError

from .costs import KernelPlan


@dataclass(frozen=True)
class Roofline:
    """The least time of a plan on a device.

    Attributes:
        device: its whole name.
        operations: of a plan, a second at best. Of the fused chain that was compiled; other
            programs are taken to keep the device as busy.
    """

    device: str
    operations: float

    def pair_seconds(self, plan: KernelPlan) -> float:
        """Seconds of a pair of images, an optimistic bound: ``operations of the plan / rate``."""
        return plan.operations / self.operations


ROOFLINES = {
    "h100": Roofline("NVIDIA H100 SXM", 4.85e12),  # its memory's bandwidth binds
    "v5e": Roofline("TPU v5e", 3.00e12),  # its arithmetic does
}
"""By the names that commands take."""


def roofline_of(device: str) -> Roofline:
    """The roofline of a device by its name, in any case.

    Raises:
        ConfigurationError: none is known; the message lists those that are.
    """
    found = ROOFLINES.get(device.lower())
    if found is None:
        known = ", ".join(f"{name} ({one.device})" for name, one in ROOFLINES.items())
        raise ConfigurationError(
            f"--device {device}: no roofline of it is known, only of {known}; leave --device out "
            "for workers like this machine"
        )
    return found
