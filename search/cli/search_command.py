"""The subcommand ``kernas search``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernas.csv_text import csv_table
from kernas.errors import ConfigurationError, RunFolderError
from kernas.quantities import duration

from ..defaults import TRUTH
from .agreement import told
from .devices import configure_jax
from .executors import executor_of, tell_rates
from .exit_codes import DONE, FAILED
from .folders import numbered_folder, write_in_run
from .images import check_images, halves, image_seeds, read_images, say_resized, scores_on
from .interruption import way_on
from .options import SearchOptions
from .printing import messages_aside, say, say_json, table_width, tell
from .space import space_of
from .truth import space_text, truth_of

if TYPE_CHECKING:
    from kernas.execution import Executor

    from ..scores import Combined, Score
    from ..spaces import Space
    from ..strategies import Strategy
    from ..studies.dependency import Study
    from ..truth import Truth

SHOWN = 10
"""Candidates in the table on stdout; all are in the file."""

KEPT = 20
"""Of the best candidates, in the summary."""

TRIALS = 100
"""By default."""

REFERENCE = 50
"""Candidates among which a combination of ranks ranks another."""

ESTIMATED = 10
"""Candidates that stand for all where it is said what a search takes."""

LOOKED_UP = "truth:"
WEIGHTS = "shared"
"""The folder of weights that a strategy trains."""

DATABASE, FILES = "study.db", ("trials.csv", "search.png", "summary.json")


def run_search(options: SearchOptions) -> int:
    """Search as the options say, print what was found, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        asked = _asked(options)
        if not _begin(options, asked):
            return DONE
        study = _search(options, asked)
        summary = _written(options, asked, study)
    if options.json:
        say_json(summary)
    else:
        say(_text(options, asked, summary))
    if not summary["rows"]:
        tell("kernas: no trial has a value")
        return FAILED
    return DONE


@dataclass(frozen=True)
class _Asked:
    """What the options ask for, all of it checked; ``whole`` is the space that ``space`` is a part
    of, where values are looked up."""

    space: Space
    whole: Space
    scores: tuple[Score, ...]
    strategy: Strategy
    truth: Truth | None
    executor: Executor | None
    output: Path
    storage: str
    n_trials: int | None


def _asked(options: SearchOptions) -> _Asked:
    from ..evaluation import preference
    from ..scores import Score
    from ..spaces import RestrictedSpace
    from ..studies import strategy_from_text
    from ..studies.optimize import check_budget

    n_trials = options.n_trials
    if n_trials is None and options.time_budget is None:
        n_trials = TRIALS
    check_budget(n_trials, options.time_budget)
    output = options.output or numbered_folder("search", options.dataset, options.resume)
    if (output / DATABASE).exists() and not options.resume:
        raise RunFolderError(
            f"{output} already holds a search; give --resume to go on with it, or choose another "
            "output folder"
        )
    whole = space_of(options, space_text(options))
    if options.image_size is not None:
        whole.check_shape((options.image_size, options.image_size, 1))
    truth = truth_of(options, whole)
    tables, names = _looked_up(options, truth)
    space: Space = whole
    if tables and not all(one.truth.is_whole for one in tables):
        measured = [name for name in tables[0].truth if all(name in one.truth for one in tables)]
        space = RestrictedSpace(whole, measured)
    draws = [] if not names and not options.prefer else [
        read_images(options, seed) for seed in image_seeds(options)
    ]  # fmt: skip
    if draws:
        if not options.quiet:
            say_resized(draws[0].fit)
        check_images(whole.sample(1), draws[0].fit, options.augment)
    found = scores_on(options, ",".join(names), draws) if names else ()
    prefer = None
    if options.prefer is not None:
        cheap = scores_on(options, options.prefer, draws)
        if len(cheap) != 1 or not isinstance(cheap[0], Score):
            raise ConfigurationError(f"--prefer {options.prefer}: expected one score")
        prefer = preference(cheap[0])
    strategy = strategy_from_text(
        options.strategy,
        prefer,
        lambda: halves(options, options.seed),
        folder=output / WEIGHTS,
        progress=not options.quiet,
    )
    output.mkdir(parents=True, exist_ok=True)
    scores = (*tables, *_alone(options, found, space, output))
    executor = executor_of(options.executor, options.device, options.workers)
    storage = options.storage or f"sqlite:///{output / DATABASE}"
    return _Asked(space, whole, scores, strategy, truth, executor, output, storage, n_trials)


def _looked_up(options: SearchOptions, truth: Truth | None) -> tuple[list[Any], list[str]]:
    """The scores that are looked up, and the names of the others."""
    from ..scores import TruthScore
    from ..scores.registry import comma_separated
    from ..truth import load_truth

    names = comma_separated(options.score)
    own = [name for name in names if name.startswith(LOOKED_UP)]
    if not own:
        if options.truth_seconds is not None:
            raise ConfigurationError("--truth-seconds is of --score truth:COLUMN")
        return [], [options.score]
    if truth is None:
        raise ConfigurationError(
            f"--score {own[0]} without a table: give --truth, for example {TRUTH}"
        )
    source = options.truth or truth.source
    seconds = options.truth_seconds and load_truth(source, options.truth_seconds)
    tables = [load_truth(source, name.removeprefix(LOOKED_UP)) for name in own]
    rest = ",".join(name for name in names if name not in own)
    return [TruthScore(table, seconds or None) for table in tables], [rest] if rest else []


def _alone(
    options: SearchOptions, found: Sequence[Score | Combined], space: Space, output: Path
) -> list[Score]:
    """Scores of one candidate at a time: those of ranks within a sample, which is ranked here."""
    from ..pipeline import rank
    from ..scores import Combined, Score
    from ..scores.registry import comma_separated

    combined = [one for one in found if isinstance(one, Combined)]
    single = [one for one in found if isinstance(one, Score)]
    if not combined:
        return single
    taken = {name for one in combined for name in one.weights}
    if not options.quiet:
        tell(f"ranking {REFERENCE} candidates, among which {combined[0].name} ranks the others")
    reference = rank(
        space.sample(REFERENCE, seed=options.seed),
        single,
        output=output / "reference",
        resume=True,
        progress=not options.quiet,
    ).columns()
    asked = comma_separated(options.score)
    kept = [one for one in single if one.name not in taken or one.name in asked]
    return [*(one.within(reference, single) for one in combined), *kept]


def _begin(options: SearchOptions, asked: _Asked) -> bool:
    """Whether to begin, once it was said what it takes."""
    from ..pipeline import estimate_ranking

    if asked.n_trials is None:
        said = f"{asked.strategy.name}: evaluations of {options.time_budget:g} s in all"
        return told(said, 0.0, yes=options.yes, quiet=options.quiet)
    few = min(ESTIMATED, asked.n_trials)
    estimate = estimate_ranking(asked.space.sample(few, seed=options.seed), asked.scores)
    head = f"{asked.strategy.name}: up to {asked.n_trials:,} evaluations"
    if estimate.seconds is None:
        return told(f"{head}: how long they take is not known", 0.0, yes=True, quiet=options.quiet)
    seconds = estimate.seconds / few * asked.n_trials
    said = (
        f"{head}: about {duration(seconds)} on this machine, and up to "
        f"{duration(estimate.compile_seconds)} of compilation"
    )
    return told(said, seconds, yes=options.yes, quiet=options.quiet)


def _search(options: SearchOptions, asked: _Asked) -> Study:
    from ..studies import optimize

    again = "the same command" if options.resume else f"--output {asked.output} --resume"
    with way_on(f"{asked.storage} keeps every trial that has ended; give {again} to go on"):
        study = optimize(
            asked.space,
            asked.scores,
            strategy=asked.strategy,
            n_trials=asked.n_trials,
            time_budget=options.time_budget,
            storage=asked.storage,
            study_name=options.study_name,
            seed=options.seed,
            executor=asked.executor,
            progress=not options.quiet,
        )
    tell_rates(asked.executor, asked.output)
    return study


def _written(options: SearchOptions, asked: _Asked, study: Study) -> dict[str, Any]:
    """The files of the run folder; returns the summary."""
    from ..report.panels import to_png
    from ..runs.environment import environment
    from ..studies import study_figure
    from ..studies.results import best_of, trials_of

    trials, best = trials_of(study), best_of(study)
    names = [score.name for score in asked.scores]

    def measured(candidate: str | None) -> float | None:
        return None if asked.truth is None or candidate is None else asked.truth.get(candidate)

    title = f"{options.strategy} on {space_text(options)}, guided by {', '.join(names)}"
    figure = study_figure(study, asked.truth, title)
    summary = {
        "config": {
            "options": {
                "strategy": options.strategy,
                "n_trials": asked.n_trials,
                "time_budget": options.time_budget,
                "dataset": options.dataset,
                "image_size": options.image_size,
                "seed": options.seed,
                "study": options.study_name,
                "space": asked.whole.settings(),
            },
            "scores": {s.name: {"higher_is_better": s.higher_is_better} for s in asked.scores},
        },
        "trials": len(trials),
        "failed": sum(not one.values for one in trials),
        "evaluated": sum(one.same_as is None for one in trials),
        "seconds": round(sum(one.seconds for one in trials), 3),
        "rows": [
            {
                "rank": rank,
                "name": one.candidate,
                "trial": one.number,
                "scores": {
                    name: {"value": value, "standard_error": one.errors.get(name)}
                    for name, value in zip(names, one.values, strict=True)
                },
                "truth": measured(one.candidate),
            }
            for rank, one in enumerate(best[:KEPT], start=1)
        ],
        "output": str(asked.output),
        **environment(),
    }
    head = ["trial", "candidate", "status", *names, "truth", "seconds", "same_as", "message"]
    nothing = [""] * len(names)
    lines = [
        [one.number, one.candidate, one.status, *(one.values or nothing), measured(one.candidate),
         one.seconds, one.same_as, one.message]
        for one in trials
    ]  # fmt: skip
    contents = (csv_table([head, *lines]).encode(), to_png(figure), _as_json(summary))
    for file, content in zip(FILES, contents, strict=True):
        write_in_run(asked.output / file, content)
    return summary


def _as_json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n").encode()


def _text(options: SearchOptions, asked: _Asked, summary: Mapping[str, Any]) -> str:
    """What a person reads on stdout."""
    from ..ranking.layout import fitted

    names, best = list(summary["config"]["scores"]), summary["rows"]
    has_truth = any(one["truth"] is not None for one in best)
    lines = [["rank", *names, *(["truth"] if has_truth else []), "trial", "name"]]
    for one in best[:SHOWN]:
        truth = ["" if one["truth"] is None else f"{one['truth']:.4g}"] if has_truth else []
        values = [f"{one['scores'][name]['value']:.4g}" for name in names]
        lines.append([str(one["rank"]), *values, *truth, str(one["trial"]), one["name"]])
    better = ", ".join(
        f"{s.name}, {'higher' if s.higher_is_better else 'lower'} is better" for s in asked.scores
    )
    parts = [fitted(lines, table_width(), spare=()), "", f"Guided by {better}."]
    if has_truth:
        parts.append("truth is what was measured of them; an empty one was not measured.")
    if len(names) > 1:
        parts.append("No trial is as good by every score as one of these, and better by one.")
    parts.append(
        f"{summary['trials']} trials of {options.strategy} on {space_text(options)}: "
        f"{summary['evaluated']} evaluations, {summary['failed']} failed, "
        f"{duration(summary['seconds'])} of evaluation; written in {asked.output}: "
        + ", ".join(FILES)
    )
    parts.append(f"kernas report {asked.output} --open shows it as a page.")
    return "\n".join(parts)
