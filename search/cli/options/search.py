"""Options of ``kernas search``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...defaults import RANKING_SCORE, STRATEGY
from .arguments import Flag
from .parts import ComputingOptions, EvaluatingOptions, KernelOptions, PrintingOptions
from .rank import DrawnImageOptions, ScoreSettingOptions, SearchedSpaceOptions, TruthOptions


@dataclass(frozen=True, kw_only=True)
class StrategyOptions(SearchedSpaceOptions):
    """What is searched, and how."""

    strategy: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME[:FIELD=VALUE,...]",
            help="What proposes candidates: `kernas strategies` lists them with their fields, such "
            "as regularized-evolution:population=10,tournament=3.",
        ),
    ] = STRATEGY

    n_trials: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="INT",
            help="Trials that the study is to have; one that has fewer is gone on with.",
            help_behavior_hint="(default: 100, or as many as --time-budget allows)",
        ),
    ] = None

    time_budget: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SECONDS",
            help="What all evaluations together may take; of values that are looked up, what "
            "measuring them took.",
            help_behavior_hint="(default: no bound)",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class GuideOptions(TruthOptions, ScoreSettingOptions):
    """What is to be as good as possible."""

    score: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME,...",
            help="The score that guides the search: `kernas scores` lists them. Combinations of "
            "ranks, such as log_rank(ntk:loo_error, params), rank a candidate within a sample that "
            "is ranked first. truth:COLUMN looks it up in the table of --truth. Several, for "
            "strategies of several objectives such as nsga2.",
        ),
    ] = RANKING_SCORE

    prefer: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help="A cheap score of strategies that choose by one before they propose: warm-up, or "
            "regularized-evolution:mutants=10.",
            help_behavior_hint="(default: none)",
        ),
    ] = None

    truth_seconds: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help="The column of the seconds that a value of truth:COLUMN took, which are counted "
            "as spent.",
            help_behavior_hint="(default: none, a value costs nothing)",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StudyOptions(EvaluatingOptions, PrintingOptions):
    """Where a search is kept, and how it begins."""

    output: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="Run folder for trials.csv, summary.json, search.png and, without --storage, "
            "study.db, which optuna-dashboard opens.",
            help_behavior_hint="(default: next runs/search-DATASET-N)",
        ),
    ] = None

    storage: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="URL|PATH",
            help="Where optuna keeps the study: sqlite:///PATH, another database's URL, or "
            "PATH.journal. Several processes may work at one study.",
            help_behavior_hint="(default: study.db in the run folder)",
        ),
    ] = None

    study_name: str = "search"
    """Of the study in its storage."""

    resume: Annotated[
        Flag,
        tyro.conf.arg(
            help="Go on with the run folder (without --output: the last numbered one), perhaps "
            "with more trials; another process may be at it."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class SearchOptions(
    ComputingOptions, StudyOptions, KernelOptions, DrawnImageOptions, GuideOptions, StrategyOptions
):
    """Search a space for its best candidates by a score, trial after trial.

    A study is kept at every moment: killed, the same command with --resume goes on, and no trial
    that has ended is lost or repeated.
    """
