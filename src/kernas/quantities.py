"""Times and sizes in the units that a person would choose."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in seconds, minutes, hours or days."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def size(number: float) -> str:
    """Bytes in a decimal unit."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"
