"""Trainings that are interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kernas.search.training import checkpoints


@contextmanager
def after_a_piece(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Interrupt every training when it has written its next checkpoint."""
    write = checkpoints.write

    def interrupted(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write", interrupted)
        yield
