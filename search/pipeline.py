"""The main job from end to end: candidates → outcomes → ranking → files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from kernas.errors import ConfigurationError, KernasError
from kernas.execution import Executor, Local
from kernas.kernels import Architecture
from kernas.progress import progress_bar

from .evaluation import Evaluator, Item
from .ranking.estimate import RankingEstimate, estimate_candidates
from .ranking.reading import ranking_of
from .ranking.table import Ranking
from .report.files import write_report
from .runs.config import Entry, RunConfig
from .runs.environment import environment
from .runs.folder import RunFolder, check_run, open_run
from .runs.outcome import Outcome, Place
from .scores import Combined, Score
from .scores.base import check_scores
from .spaces import ArchitectureList, Candidate, repeated_name
from .truth import Truth

Candidates = Mapping[str, Architecture] | Iterable[Candidate | Architecture]
"""Architectures by name, or candidates that know theirs."""

AnyScore = Score | Combined

WAIT_SECONDS = 0.5
"""How often a process that has nothing left to do looks whether others have finished."""


def rank(
    candidates: Candidates,
    scores: AnyScore | Sequence[AnyScore],
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    truth: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: bool = True,
    options: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
) -> Ranking:
    """Score candidates without training them, and order them by the first score.

    Candidates of which a source computes the same (of equal kernels, for scores of kernels) are
    evaluated once. What a candidate raises becomes its row with status ``"error"``, and its other
    scores keep their values; a kernel that is zero, constant or not finite gives status
    ``"degenerate"``, ranked below all others.

    A run that is resumed may grow: more candidates, more scores, another truth. What was computed
    is not computed again, and ``ranking.csv`` ends with the bytes of a run that was asked for all
    of it at once. Several processes may work at one run: each begins with ``resume=True``.

    Args:
        candidates: from ``space.sample``, ``space.candidate`` or ``read_candidates``; or
            architectures by name, ``{"narrow": serial(…), "wide": serial(…)}``; one that is given
            without a name is named by its nodes and the beginning of its hash.
        scores: one score, or several; the first one ranks. Scores that share their data and ridge
            share one kernel evaluation a candidate. A :class:`Combined` ranks by others that are
            given too.
        output: run folder for ``ranking.csv``, ``timings.csv``, ``summary.json``, pictures
            (``ranking.png``, ``scores.png`` of two scores or more, ``agreement.png`` of three;
            ``truth.png`` and ``fidelity.png`` where there is a truth, with ``comparison.csv``) and
            what is needed to go on after an interruption; ``None`` writes nothing.
        resume: go on with the run that ``output`` holds.
        truth: candidate's name → measured value, larger is better (see :func:`load_truth`).
        seed: of the bootstrap intervals.
        progress: whether to show a bar with rate and remaining time on stderr.
        options: further JSON values that identify the run, kept in ``config.json``; a run that is
            resumed has the same ones.
        executor: what evaluates: :class:`Processes` for several worker processes; by default one
            candidate after the other in this one.

    Returns:
        The ranking; ``print(ranking.top(5))`` shows its head. :func:`read_run` reads it back.

    Raises:
        ConfigurationError: no candidate or score, two of one name, a combination lacks a score, or
            a score does not order a space's candidates.
        DataError: a candidate is missing in ``truth``, or of another space than it measured.
        RunFolderError: the folder cannot be written, holds a run that cannot grow into this one
            (the message names the field), one and ``resume`` is false, or a result that is not
            what was written (the message names the line).
        GramStoreError: a store of matrices cannot be written or holds others; what was finished
            before is kept.
        KernasError: a file could not be written on the way.
    """
    job = _job(candidates, scores, truth, seed, options)
    how = executor or Local()
    if output is None:
        return ranking_of(job.config, _evaluated(job, how, None, progress))
    with open_run(output, job.config, resume=resume) as folder:
        try:
            _evaluated(job, how, folder, progress)
            return _written(folder)
        except OSError as error:
            raise KernasError(
                f"cannot write in {folder.path} ({error}); free some space there and resume"
            ) from error


def estimate_ranking(
    candidates: Candidates,
    scores: AnyScore | Sequence[AnyScore],
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    truth: Mapping[str, float] | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> RankingEstimate:
    """What :func:`rank` with the same arguments will take; evaluates and writes nothing.

    What the run in ``output`` has evaluated already does not count. Compilation is an upper bound,
    what is in JAX's cache is only read; pairs are predicted from their operations and a short
    measurement of the device, once, as :meth:`NeuralKernel.plan` does.

    Args:
        candidates, scores, output, resume, truth, seed, options: as for :func:`rank`.

    Returns:
        The estimate; ``print`` shows it as one line.

    Raises:
        ConfigurationError, DataError, RunFolderError: as for :func:`rank`.
    """
    job = _job(candidates, scores, truth, seed, options)
    done: Mapping[Place, Outcome] = {}
    if output is not None:
        where = str(output)
        done = check_run(
            output, resume=resume, check=lambda stored: job.config.grown_from(stored, where)
        ).outcomes()
    return estimate_candidates(job.candidates, job.evaluator, job.items, done=done)


def check_output(
    output: str | os.PathLike[str], options: Mapping[str, Any], *, resume: bool = False
) -> None:
    """Refuse a run folder that :func:`rank` would refuse, as far as that is known already.

    Before images are read or anything is compiled; writes nothing.

    Args:
        output, resume: as for :func:`rank`.
        options: those that are known of the run's.

    Raises:
        RunFolderError: as for :func:`rank`.
    """
    where = str(output)
    check_run(output, resume=resume, check=lambda stored: stored.check_options(options, where))


@dataclass(frozen=True)
class _Job:
    """The arguments of a ranking, checked."""

    candidates: list[Candidate]
    evaluator: Evaluator
    items: dict[Place, Item]
    config: RunConfig


def _job(
    candidates: Candidates,
    scores: AnyScore | Sequence[AnyScore],
    truth: Mapping[str, float] | None,
    seed: int,
    options: Mapping[str, Any] | None,
) -> _Job:
    chosen = _named(candidates)
    wanted = tuple(scores) if isinstance(scores, Sequence) else (scores,)
    _check_names(chosen)
    check_scores(wanted)
    for score in wanted:
        if isinstance(score, Combined):
            score.check(other.name for other in wanted if other is not score)
    table = truth if truth is None or isinstance(truth, Truth) else Truth(truth)
    if table is not None:
        table.require(chosen)
    evaluator = Evaluator.of(score for score in wanted if isinstance(score, Score))
    evaluator.check_spaces(dict.fromkeys(candidate.space for candidate in chosen))
    items = {candidate.name: evaluator.items(candidate) for candidate in chosen}
    config = RunConfig(
        sources={
            key: {"name": source.name, "settings": source.settings()}
            for key, (source, _) in evaluator.groups.items()
        },
        scores={score.name: _described(score) for score in wanted},
        candidates=tuple(
            Entry(c.name, c.key, tuple(item.work for item in items[c.name])) for c in chosen
        ),
        truth=table
        and {
            "source": table.source,
            "column": table.column,
            "values": {c.name: table[c.name] for c in chosen},
        },
        bootstrap_seed=seed,
        options=dict(options or {}),
        environment=environment(),
    )
    different: dict[Place, Item] = {}
    for of_candidate in items.values():
        for item in of_candidate:
            different.setdefault(item.place, item)
    return _Job(chosen, evaluator, different, config)


def _described(score: AnyScore) -> dict[str, Any]:
    """A score in the configuration of a run."""
    how = {"higher_is_better": score.higher_is_better}
    if isinstance(score, Combined):
        return {**how, "combined": score.settings()}
    return {**how, "source": score.source.key}


def _evaluated(
    job: _Job, executor: Executor, folder: RunFolder | None, progress: bool
) -> Mapping[Place, Outcome]:
    """Evaluate what is missing; of a folder also what other processes evaluate meanwhile.

    An item that failed here or elsewhere since this began is not tried again.
    """
    found: dict[Place, Outcome] = {}

    def known() -> Mapping[Place, Outcome]:
        return found if folder is None else folder.outcomes()

    before = dict(known())
    evaluator = job.evaluator.resumed(before.values())
    missing = {p: item for p, item in job.items.items() if not evaluator.is_done(item, before)}
    if not missing:
        return before

    def ended(place: Place) -> bool:
        return known().get(place) is not before.get(place)

    with (
        executor.session(),
        progress_bar(
            shown=progress,
            total=len(job.items),
            initial=len(job.items) - len(missing),
            desc=f"compiling programs for {len(missing)} evaluations …",
            unit="evaluation",
        ) as bar,
    ):
        ready = evaluator.prepared(job.candidates)
        # The first one waits for what was not compiled before: rate and remaining time begin here.
        bar.start_t = bar.last_print_t = time.time()
        bar.set_description("rank")
        left = list(missing)
        while left:
            places = left if folder is None else folder.claimed(left, ended)
            for outcome in executor.map(ready, (missing[place] for place in places)):
                if folder is None:
                    found[outcome.place] = outcome
                else:
                    folder.append(outcome)
                bar.update()
            left = [place for place in left if not ended(place)]
            bar.n = len(job.items) - len(left)
            bar.refresh()
            if left:  # another process has them, or had them and died
                time.sleep(WAIT_SECONDS)
    return known()


def _written(folder: RunFolder) -> Ranking:
    """The ranking of all that a run was asked for, by any process, with its files."""
    config, outcomes = cast(RunConfig, folder.config()), folder.outcomes()
    done = config.finished(outcomes)
    ranking = ranking_of(done, outcomes)
    if done == config:  # unless another process has made the run grow, and goes on
        write_report(folder, ranking, [outcomes[place] for place in config.places()])
    return ranking


def _named(candidates: Candidates) -> list[Candidate]:
    """Candidates of whatever :func:`rank` takes; those that are just architectures are a list."""
    if isinstance(candidates, Mapping):
        given = list(cast(Mapping[str, Candidate | Architecture], candidates).items())
        for name, _ in given:
            if not isinstance(name, str) or not name:
                raise ConfigurationError(f"name {name!r} of a candidate: expected a text")
    else:
        given = [(_own_name(candidate), candidate) for candidate in candidates]
    own = ArchitectureList({name: net for name, net in given if isinstance(net, Architecture)})
    named: list[Candidate] = []
    for name, candidate in given:
        if isinstance(candidate, Candidate):
            named.append(candidate if candidate.name == name else replace(candidate, name=name))
        elif isinstance(candidate, Architecture):
            named.append(own.candidate(name))
        else:
            raise _no_candidate(candidate)
    return named


def _own_name(candidate: Any) -> str:
    """A candidate's own name; of an architecture its nodes and the beginning of its hash."""
    if isinstance(candidate, Candidate):
        return candidate.name
    if isinstance(candidate, Architecture):
        return f"{len(candidate.nodes)} nodes, {candidate.hash[:8]}"
    raise _no_candidate(candidate)


def _no_candidate(given: Any) -> ConfigurationError:
    return ConfigurationError(
        f"candidate {given!r}: expected a Candidate or an Architecture, for example "
        "space.candidate(cell)"
    )


def _check_names(candidates: Sequence[Candidate]) -> None:
    """Refuse an empty list, two candidates of one name, and names that no file can hold.

    Raises:
        ConfigurationError: the message names the candidate.
    """
    if not candidates:
        raise ConfigurationError("no candidate given: expected at least one, e.g. space.sample(10)")
    name = repeated_name(candidates)
    if name is not None:
        raise ConfigurationError(f"candidate {name!r} is given twice; give every candidate once")
    for candidate in candidates:
        try:
            candidate.name.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"candidate {candidate.name!r}: expected a name that UTF-8 can write; rename the "
                "file"
            ) from None
