"""Bars of progress, on stderr in a terminal and as a widget in a notebook."""

from __future__ import annotations

import sys
import threading
import warnings
from typing import Any

_LOCK = threading.RLock()
"""Of the bars of this process, which are drawn by several threads."""


def progress_bar(*, shown: bool, **options: Any) -> Any:
    """A bar of ``tqdm``, with rate and remaining time.

    Args:
        shown: whether anybody is to see it.
        options: further arguments of ``tqdm``, such as ``total`` and ``desc``.
    """
    # A notebook without ipywidgets has a bar of text, and needs no warning that it has.
    with warnings.catch_warnings(action="ignore"):
        from tqdm.auto import tqdm
    # By default a lock of all processes, whose semaphore a worker that is ended leaves behind.
    tqdm.set_lock(_LOCK)
    return tqdm(file=sys.stderr, disable=not shown, dynamic_ncols=True, **options)
