"""The main job from end to end: candidates → scores → ranking → files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from kernas.errors import ConfigurationError, KernasError
from kernas.kernels import Architecture

from .ranking.environment import device, dtype, versions
from .ranking.estimate import RankingEstimate, estimate_candidates
from .ranking.evaluate import check_names, evaluate_candidates, rows_of
from .ranking.records import Record, check_record
from .ranking.run_folder import RunFolder, check_run, open_run
from .ranking.table import Ranking, rank_rows
from .report.files import write_report
from .scores import Score
from .scores.base import check_scores
from .scores.recorded import with_recorded_blocking
from .spaces import ArchitectureList, Candidate
from .truth import Truth

FORMAT, VERSION = "kernas.ranking", 2

Candidates = Mapping[str, Architecture] | Iterable[Candidate | Architecture]
"""Architectures by name, or candidates that know theirs."""


def rank(
    candidates: Candidates,
    scores: Score | Sequence[Score],
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    truth: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Ranking:
    """Score candidates without training them, and order them by the first score.

    Candidates of equal architectures (by hash) are evaluated once. What a candidate raises becomes
    its row with status ``"error"``; a kernel that is zero, constant or not finite gives status
    ``"degenerate"``, ranked below all others.

    Args:
        candidates: from ``space.sample``, ``space.candidate`` or ``read_candidates``; or
            architectures by name, ``{"narrow": serial(…), "wide": serial(…)}``; one that is given
            without a name is named by its nodes and the beginning of its hash.
        scores: one score, or several; the first one ranks. Scores that share their data and ridge
            share one kernel evaluation a candidate.
        output: run folder for ``ranking.csv``, ``timings.csv``, ``summary.json``, pictures
            (``ranking.png``, ``scores.png`` of two scores or more, ``truth.png`` where there is
            one) and what is needed to go on after an interruption; ``None`` writes nothing.
        resume: go on with the run that ``output`` holds: only what is missing is computed, and
            ``ranking.csv`` ends with the bytes of an uninterrupted run.
        truth: candidate's name → measured value, larger is better (see :func:`load_truth`).
        seed: of the bootstrap intervals.
        progress: whether to show a bar with rate and remaining time on stderr.
        options: further JSON values that identify the run, kept in ``config.json``.

    Returns:
        The ranking; ``print(ranking.top(5))`` shows its head.

    Raises:
        ConfigurationError: no candidate or score, or two of one name.
        DataError: a candidate is missing in ``truth``.
        RunFolderError: the folder cannot be written, is in use, holds another configuration (the
            message names the field), this one and ``resume`` is false, or a result that is not
            what was written (the message names the line).
        GramStoreError: a store of matrices cannot be written or holds others; what was finished
            before is kept.
        KernasError: a file could not be written on the way.
    """
    job = _job(candidates, scores, truth, seed, options)
    if output is None:
        return job.ranking(evaluate_candidates(job.candidates, job.scores, progress=progress))
    with open_run(output, job.config, resume=resume) as folder:
        done = job.records(folder)
        try:
            resumed = with_recorded_blocking(job.scores, (record["settings"] for record in done))
            records = evaluate_candidates(
                job.candidates, resumed, done=done, keep=folder.append, progress=progress
            )
            ranking = job.ranking(records)
            write_report(folder, ranking, records)
        except OSError as error:
            raise KernasError(
                f"cannot write in {folder.path} ({error}); free some space there and resume"
            ) from error
    return ranking


def estimate_ranking(
    candidates: Candidates,
    scores: Score | Sequence[Score],
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    truth: Mapping[str, float] | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> RankingEstimate:
    """What :func:`rank` with the same arguments will take; evaluates and writes nothing.

    Networks that the run in ``output`` has evaluated already do not count. Compilation is an upper
    bound, what is in JAX's cache is only read; pairs are predicted from their operations and a
    short measurement of the device, once, as :meth:`NeuralKernel.plan` does.

    Args:
        candidates, scores, output, resume, truth, seed, options: as for :func:`rank`.

    Returns:
        The estimate; ``print`` shows it as one line.

    Raises:
        ConfigurationError, DataError, RunFolderError: as for :func:`rank`.
    """
    job = _job(candidates, scores, truth, seed, options)
    done: list[Record] = []
    if output is not None:
        done = job.records(check_run(output, job.config, resume=resume))
    return estimate_candidates(job.candidates, job.scores, done=done)


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
    known = {"format": FORMAT, "version": VERSION, "options": dict(options)}
    check_run(output, known, resume=resume, whole=False)


@dataclass(frozen=True)
class _Job:
    """The arguments of a ranking, checked, and what identifies its run."""

    candidates: list[Candidate]
    scores: tuple[Score, ...]
    truth: Truth | None
    seed: int
    config: dict[str, Any]

    def records(self, folder: RunFolder) -> list[Record]:
        """What an earlier session has finished."""
        names = [score.name for score in self.scores]
        return folder.records(partial(check_record, scores=names))

    def ranking(self, records: Sequence[Record]) -> Ranking:
        return _ranking(self.candidates, self.scores, records, self.truth, self.seed, self.config)


def _job(
    candidates: Candidates,
    scores: Score | Sequence[Score],
    truth: Mapping[str, float] | None,
    seed: int,
    options: Mapping[str, Any] | None,
) -> _Job:
    chosen = _named(candidates)
    wanted = tuple(scores) if isinstance(scores, Sequence) else (scores,)
    check_names(chosen)
    check_scores(wanted)
    table = truth if truth is None or isinstance(truth, Truth) else Truth(truth)
    if table is not None:
        table.require(candidate.name for candidate in chosen)
    config = _config(chosen, wanted, table, seed, options or {})
    return _Job(chosen, wanted, table, seed, config)


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


def _config(
    candidates: Sequence[Candidate],
    scores: Sequence[Score],
    truth: Truth | None,
    seed: int,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What identifies a run: two runs of equal configurations give equal ``ranking.csv``."""
    digest = hashlib.sha256()
    for candidate in candidates:
        digest.update(f"{candidate.name}\t{candidate.key}\n".encode())
    current = versions()
    return {
        "format": FORMAT,
        "version": VERSION,
        "options": dict(options),
        "candidates": {"count": len(candidates), "sha256": digest.hexdigest()},
        "scores": {score.name: score.settings() for score in scores},
        "score_order": [score.name for score in scores],
        "truth": truth
        and {
            "source": truth.source,
            "column": truth.column,
            "sha256": truth.fingerprint(candidate.name for candidate in candidates),
        },
        "bootstrap_seed": seed,
        "dtype": dtype(),
        "device": {key: value for key, value in device().items() if key != "count"},
        "versions": {name: current[name] for name in ("kernas", "jax")},
    }


def _ranking(
    candidates: Sequence[Candidate],
    scores: Sequence[Score],
    records: Sequence[Record],
    truth: Truth | None,
    seed: int,
    config: dict[str, Any],
) -> Ranking:
    directions = {score.name: score.higher_is_better for score in scores}
    measured = {} if truth is None else {c.name: truth[c.name] for c in candidates}
    rows = rank_rows(rows_of(candidates, records, measured), directions)
    ranking = Ranking(rows, directions)
    statistics = {} if truth is None else ranking.correlation(truth, seed=seed)
    settings: list[Any] = []
    for record in records:
        if record["settings"] and record["settings"] not in settings:
            settings.append(record["settings"])
    summary = {
        "config": config,
        "rows": [row.to_dict() for row in rows],
        "statistics": {name: value.to_dict() for name, value in statistics.items()},
        "seconds": round(sum(record["seconds"] for record in records), 4),
        "compilations": sum(record["compilations"] for record in records),
        "architectures": len(records),
        "kernel_settings": settings,
        "dtype": dtype(),
        "device": device(),
        "versions": versions(),
    }
    return Ranking(rows, directions, dict(statistics), summary)
