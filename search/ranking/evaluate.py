"""The loop of a ranking: every different architecture once, each result kept as it comes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from kernas.errors import ConfigurationError, GramStoreError
from kernas.kernels import Architecture
from kernas.kernels.engine import compilations
from kernas.kernels.regression import ScoreValue
from kernas.progress import progress_bar

from ..scores import Evaluation, Score
from ..scores.base import begin_scores
from ..spaces import Candidate, repeated_name
from .records import Record
from .table import DEGENERATE, ERROR, OK, Row


def evaluate_candidates(
    candidates: Sequence[Candidate],
    scores: Sequence[Score],
    *,
    done: Iterable[Record] = (),
    keep: Callable[[Record], None] = lambda record: None,
    progress: bool = True,
) -> list[Record]:
    """Evaluate what is missing; candidates of one hash are evaluated once.

    Args:
        candidates: with unique names.
        scores: all of them are computed for every architecture.
        done: records of an earlier session; failed ones are computed again.
        keep: called with each new record as soon as it is there.
        progress: whether to show a bar with rate and remaining time on stderr.

    Returns:
        One record for each different architecture, in the order of the candidates.
    """
    first = different(candidates)
    for source in dict.fromkeys(score.source for score in scores):
        # Of all, done or not, so that a run that is resumed computes in the same programs.
        source.expect(_built(first.values()))
    records = usable(done, first)
    missing = [candidate for hash_, candidate in first.items() if hash_ not in records]
    compiling = f"compiling programs for {len(missing)} networks …"
    with progress_bar(
        shown=progress,
        total=len(first),
        initial=len(records),
        desc=compiling if missing else "rank",
        unit="architecture",
    ) as bar:

        def begun() -> None:
            # The first candidate waits for compilation: rate and remaining time begin after it.
            bar.start_t = bar.last_print_t = time.time()
            bar.set_description("rank")

        def take(record: Record) -> None:
            keep(record)
            records[record["hash"]] = record
            bar.update()

        _evaluate(missing, scores, take, begun if progress else None)
    return [records[hash_] for hash_ in first]


def different(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """Of every hash the first candidate, in their order; what cannot be built has a key."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.key, candidate)
    return first


def _built(candidates: Iterable[Candidate]) -> list[Architecture]:
    """The networks of those that have one."""
    return [each.architecture for each in candidates if each.failure is None]


def usable(done: Iterable[Record], wanted: Collection[str]) -> dict[str, Record]:
    """Records of an earlier session by their hash; what failed is computed again."""
    return {
        record["hash"]: record
        for record in done
        if record["hash"] in wanted and record["status"] != ERROR
    }


def _evaluate(
    candidates: Sequence[Candidate],
    scores: Sequence[Score],
    take: Callable[[Record], None],
    begun: Callable[[], None] | None,
) -> None:
    """Records in order; the host's part of each while the device's of the next is computed.

    ``begun`` is called once the first candidate's part on the device, which compiles, has ended.

    When it ends before its end, what only the host has to finish is still taken: one candidate is
    lost.
    """
    finishing: deque[Future[Record]] = deque()
    with ThreadPoolExecutor(1) as host:
        try:
            for number, candidate in enumerate(candidates):
                finishing.append(host.submit(_begin(candidate, scores)))
                if number == 0 and begun is not None:
                    begun()
                if len(finishing) > 1:
                    take(finishing.popleft().result())
        finally:
            while finishing:
                take(finishing.popleft().result())


def _begin(candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Record]:
    """The device's part of a candidate; what is returned makes its record.

    Whatever the candidate raises becomes its record; a store that cannot be used would fail for the
    next one too.

    Raises:
        GramStoreError: a store cannot be written, or holds something else.
    """
    compiled, start = compilations().count, time.perf_counter()
    finish: Callable[[], Evaluation] | None = None
    failure = ""
    try:
        finish = begin_scores(candidate.architecture, scores)
    except GramStoreError:
        raise
    except Exception as error:  # one candidate's failure is its row, not the end of the run
        failure = _message(error)
    begun = time.perf_counter() - start
    compiled = compilations().count - compiled

    def record() -> Record:
        start = time.perf_counter()
        result = {"status": ERROR, "values": {}, "message": failure}
        settings: dict[str, Any] = {}
        if finish is not None:
            try:
                evaluation = finish()
            except Exception as error:  # as above
                result["message"] = _message(error)
            else:
                result = _result(evaluation)
                settings = dict(evaluation.settings)
        return {
            "hash": candidate.key,
            "name": candidate.name,
            **result,
            "seconds": round(begun + time.perf_counter() - start, 4),
            "compilations": compiled,
            "settings": settings,
        }

    return record


def _message(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _result(evaluation: Evaluation) -> dict[str, Any]:
    """Status, values and message of what was evaluated, as JSON values."""
    reasons = [f"{name}: {reason}" for name, reason in evaluation.degenerate.items()]
    return {
        "status": DEGENERATE if reasons else OK,
        "values": {
            name: [
                float(value.value),
                None if value.standard_error is None else float(value.standard_error),
            ]
            for name, value in evaluation.values.items()
        },
        "message": "; ".join(reasons),
    }


def rows_of(
    candidates: Sequence[Candidate], records: Sequence[Record], truth: dict[str, float]
) -> list[Row]:
    """One unranked row for every candidate from the records of its architectures."""
    by_hash = {record["hash"]: record for record in records}
    rows: list[Row] = []
    for candidate in candidates:
        record = by_hash[candidate.key]
        rows.append(
            Row(
                rank=None,
                name=candidate.name,
                hash=record["hash"],
                status=record["status"],
                values={name: ScoreValue(*pair) for name, pair in record["values"].items()},
                message=record["message"],
                truth=truth.get(candidate.name),
                seconds=record["seconds"],
            )
        )
    return rows


def check_names(candidates: Sequence[Candidate]) -> None:
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
