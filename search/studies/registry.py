"""Strategies by their names: one text for each, on the command line and in records."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError
from kernas.fields import nearest, parse_fields

from ..strategies import (
    Bandit,
    Darts,
    EcoNas,
    Enas,
    ExploreThenExploit,
    LocalSearch,
    Predictor,
    Progressive,
    QLearning,
    RandomSearch,
    RegularizedEvolution,
    Reinforce,
    Strategy,
    SuccessiveHalving,
    WarmUp,
)
from ..strategies.evolution import Preference
from ..strategies.shared_weights import SharedWeights
from .samplers import Nsga2, Tpe

if TYPE_CHECKING:
    from kernas.kernels import Dataset

STRATEGIES: Mapping[str, type[Strategy]] = {
    "random": RandomSearch,
    "regularized-evolution": RegularizedEvolution,
    "local-search": LocalSearch,
    "warm-up": WarmUp,
    "explore-then-exploit": ExploreThenExploit,
    "progressive": Progressive,
    "successive-halving": SuccessiveHalving,
    "econas": EcoNas,
    "reinforce": Reinforce,
    "q-learning": QLearning,
    "bandit": Bandit,
    "predictor": Predictor,
    "enas": Enas,
    "darts": Darts,
    "tpe": Tpe,
    "nsga2": Nsga2,
}
"""The strategies that have a name."""

NEEDY = (WarmUp, ExploreThenExploit)
"""Those that are nothing without a cheap score."""


def strategy_from_text(
    text: str,
    prefer: Preference | None = None,
    images: Callable[[], tuple[Dataset, Dataset]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Strategy:
    """The strategy of ``name`` or ``name:field=value,field=value``.

    Args:
        text: a name with those of its fields that are not to be as by default.
        prefer: the cheap score of the strategies that choose by one, from :func:`preference`.
        images: what strategies train on that share weights, and what they judge by.
        folder: where they keep that training.
        progress: whether they show a bar on stderr.

    Raises:
        ConfigurationError: the strategy, a field or a value is unknown; it needs ``prefer`` or
            ``images``, or has no use for ``prefer``.

    >>> strategy_from_text("regularized-evolution:population=10,tournament=3").population
    10
    """
    name, _, rest = (part.strip() for part in str(text).partition(":"))
    if name not in STRATEGIES:
        raise ConfigurationError(
            f"unknown strategy {name!r}{nearest(name, STRATEGIES)}, expected one of "
            f"{', '.join(STRATEGIES)}"
        )
    kind = STRATEGIES[name]
    values = parse_fields(kind, rest, text)
    takes = "prefer" in {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if prefer is None and kind in NEEDY:
        raise ConfigurationError(f"{name} chooses its first candidates by a cheap score: give one")
    if prefer is not None:
        if not takes or (kind is RegularizedEvolution and values.get("mutants", 1) == 1):
            raise ConfigurationError(
                f"{text} chooses by no other score: leave it out, or give warm-up, "
                "explore-then-exploit or regularized-evolution:mutants=10"
            )
        values["prefer"] = prefer
    if issubclass(kind, SharedWeights):
        if images is None:
            raise ConfigurationError(
                f"{name} trains weights that candidates share: give images to train on and others "
                "to judge by"
            )
        train_set, validation = images()
        values |= {"train_set": train_set, "validation": validation, "folder": folder}
        values["progress"] = progress
    return kind(**values)
