"""Bars of progress, on stderr in a terminal and as a widget in a notebook; and lines in the log.

The logger ``kernas`` of the standard library is told at the level INFO how far long work is, every
half minute, whether or not anybody sees a bar.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import warnings
from functools import cache
from typing import Any

from .quantities import duration

LOG = logging.getLogger("kernas")

NOTED = 30.0
"""Seconds between two lines in the log."""

_LOCK = threading.RLock()
"""Of the bars of this process, which are drawn by several threads."""


def progress_bar(*, shown: bool, **options: Any) -> Any:
    """A bar of ``tqdm``, with rate and remaining time.

    Args:
        shown: whether anybody is to see it.
        options: further arguments of ``tqdm``, such as ``total`` and ``desc``.
    """
    return _bars()(file=sys.stderr, disable=not shown, dynamic_ncols=True, **options)


@cache
def _bars() -> Any:
    """The class of bars, once tqdm is loaded, which takes a while."""
    # A notebook without ipywidgets has a bar of text, and needs no warning that it has.
    with warnings.catch_warnings(action="ignore"):
        from tqdm.auto import tqdm
    # By default a lock of all processes, whose semaphore a worker that is ended leaves behind.
    tqdm.set_lock(_LOCK)

    class Bar(tqdm):
        """A bar that the log hears of; what is hidden counts as well."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self._what = options.get("desc") or "progress"
            self._begun = self._noted = time.monotonic()
            super().__init__(*args, **options)

        def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
            self._what = desc or "progress"
            super().set_description(desc, refresh)

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self.disable:
                self.n += n or 0
            now = time.monotonic()
            if now - self._noted >= NOTED:
                self._noted = now
                of = "" if self.total is None else f" of {self.total:,}"
                after = duration(now - self._begun)
                LOG.info("%s: %s%s after %s", self._what, f"{self.n:,}", of, after)
            return shown

    return Bar
