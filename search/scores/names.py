"""Scores by their names, as the command line and the records write them."""

from __future__ import annotations

from typing import Any

from kernas.errors import ConfigurationError
from kernas.kernels.data import Dataset
from kernas.kernels.regression import METRICS

from .kernel_score import KernelScore
from .kernel_source import KERNELS, KernelName


def score_names() -> list[str]:
    """Every score's name."""
    return [f"{get}:{metric}" for get in KERNELS for metric in METRICS]


def check_score_names(text: str) -> list[tuple[KernelName, str]]:
    """Comma-separated score names as pairs ``(get, metric)``.

    Raises:
        ConfigurationError: a name is unknown (the message lists all names) or given twice.
    """
    known: dict[str, tuple[KernelName, str]] = {
        f"{get}:{metric}": (get, metric) for get in KERNELS for metric in METRICS
    }
    pairs: list[tuple[KernelName, str]] = []
    for name in (part.strip() for part in text.split(",")):
        if name not in known:
            raise ConfigurationError(
                f"unknown score {name!r}: expected one or more of {', '.join(known)}, separated by "
                "commas"
            )
        if known[name] in pairs:
            raise ConfigurationError(f"score {name!r} is given twice; give every score once")
        pairs.append(known[name])
    return pairs


def parse_scores(
    text: str, fit: Dataset, validation: Dataset | None = None, **options: Any
) -> tuple[KernelScore, ...]:
    """The scores of comma-separated names, all on the same data.

    Args:
        text: for example ``"nngp:validation_accuracy,ntk:loo_error"``.
        fit: labelled images of the regression.
        validation: other labelled images, needed by the validation scores only.
        options: further arguments of :class:`KernelScore`, such as ``ridge``.

    Raises:
        ConfigurationError: a name is unknown (the message lists all names) or given twice.
    """
    return tuple(
        KernelScore(fit, validation, get=get, metric=metric, **options)
        for get, metric in check_score_names(text)
    )
