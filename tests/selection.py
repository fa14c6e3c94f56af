"""Which of a test's cases run every time; the others run with ``pytest -m slow``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def ordinary(chosen: Iterable[object], *, of: Iterable[object]) -> list[Any]:
    """Values of a parameter, of which those that are not chosen are marked ``slow``.

    Args:
        chosen: what the ordinary run takes.
        of: all of them, in order.

    Raises:
        ValueError: a chosen one is not among them: it was renamed, and would no longer run.
    """
    chosen, every = list(chosen), list(of)
    if missing := [value for value in chosen if value not in every]:
        raise ValueError(f"chosen={missing}: not among the cases")
    return [
        pytest.param(value, marks=() if value in chosen else pytest.mark.slow) for value in every
    ]
