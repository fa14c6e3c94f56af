"""Pictures of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..report.searched import front_figure, search_figure
from .dependency import optuna
from .history import IDENTITY
from .results import best_of, best_so_far, trials_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def study_figure(
    study: optuna.Study, truth: Mapping[str, float] | None = None, title: str | None = None
) -> Figure:
    """How a search went: values and the best so far against trials and against seconds, and with a
    truth what was measured of whoever was the best; of several scores the first two, with the
    front.

    Args:
        study: of :func:`optimize`.
        truth: candidate's name → measured value.
        title: by default what was searched.
    """
    identity = study.user_attrs[IDENTITY]
    names, found = list(identity["scores"]), trials_of(study)
    said = title or f"{study.study_name}: {identity['space']['name']} by {', '.join(names)}"
    if len(names) > 1:
        known = [one for one in found if one.values]
        front = {one.number for one in best_of(study)}
        places = [place for place, one in enumerate(known) if one.number in front]
        return front_figure(said, names, [one.values for one in known], places)
    so_far = best_so_far(study, found)
    return search_figure(
        said,
        names[0],
        [one.values[0] if one.values else None for one in found],
        [one and one.values[0] for one in so_far],
        [one.seconds for one in found],
        None if truth is None else [one and truth.get(one.candidate) for one in so_far],
    )
