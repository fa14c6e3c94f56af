"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def no_programs_are_kept() -> Iterator[None]:
    """Compiled programs would stay to a process's end, gigabytes of them; few serve two files."""
    yield
    jax.clear_caches()
