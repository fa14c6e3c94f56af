"""Compiled programs: how many were compiled, and how many are kept.

Each maps some regions of memory (14 on average, measured over random networks), of which Linux
gives a process 65,530: one that computed thousands of different networks and kept all of their
programs would crash in the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import jax
import numpy as np

MOST = 2048
"""After so many compilations the engine drops the programs it has."""

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


class CompilationCounter:
    """Counts XLA compilations of this process from its making on."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        self.count += event == _COMPILE_EVENT


@cache
def compilations() -> CompilationCounter:
    """The one counter of this process."""
    return CompilationCounter()


class _Kept:
    """The engine's jitted functions, and the count of compilations when they were last emptied."""

    def __init__(self) -> None:
        self.functions: list[Any] = []
        self.since = compilations().count


_kept = _Kept()


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """``jax.jit`` of a function whose programs ``make_room`` may drop.

    Constants that overflow make no warnings of NumPy's: what they do is seen in results.
    """

    @wraps(function)
    def quiet(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(over="ignore"):
            return function(*args, **kwargs)

    jitted = jax.jit(quiet, **options)
    _kept.functions.append(jitted)
    return jitted


def make_room() -> None:
    """Drop the engine's programs if the process compiled more than ``MOST`` since the last time.

    What runs meanwhile runs to its end; what is called again is compiled again.
    """
    if compilations().count - _kept.since > MOST:
        for function in _kept.functions:
            function.clear_cache()
        _kept.since = compilations().count
