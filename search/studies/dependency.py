"""optuna, which this room alone imports."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kernas.errors import MissingDependencyError

from ..spaces.abilities import Distribution, LogRange

try:
    with warnings.catch_warnings(action="ignore"):  # its tqdm misses widgets in a notebook
        import optuna
        from optuna import Study as Study
        from optuna.distributions import (
            BaseDistribution,
            CategoricalDistribution,
            FloatDistribution,
        )
        from optuna.storages.journal import JournalFileBackend as JournalFileBackend
except ImportError as error:
    raise MissingDependencyError(
        f"searches are kept by optuna, which cannot be imported ({error}): "
        "pip install 'kernas[search]'"
    ) from error


MAXIMIZE, MINIMIZE = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE


@contextmanager
def quiet() -> Iterator[None]:
    """Without optuna's lines for every study and trial, which say nothing that is not told here."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def as_optuna(distributions: Mapping[str, Distribution]) -> dict[str, BaseDistribution]:
    """A space's distributions as optuna has them."""
    found: dict[str, BaseDistribution] = {}
    for name, of in distributions.items():
        if isinstance(of, tuple):
            found[name] = FloatDistribution(of[0], of[1], log=isinstance(of, LogRange))
        else:
            choices: Any = of
            found[name] = CategoricalDistribution(choices)
    return found
