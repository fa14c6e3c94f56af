"""What may come of reading a damaged file: a result, or one line that names the file."""

from __future__ import annotations

import os
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kernas.errors import KernasError

MAX_MESSAGE = 4000
MAX_BYTES = 64 << 20
"""Of memory, for one input; those of a fuzz have a few thousand bytes."""

MAX_SECONDS = 20.0
"""For one input, on a machine that does other things as well."""


@dataclass
class Outcome:
    """What came of many inputs.

    Attributes:
        read: inputs that were read.
        refused: inputs that were refused by one line.
        reasons: how often which kind of error was raised.
        faults: a kind of fault → how often it came, the first input, and what it said.
    """

    read: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def add_fault(self, kind: str, i: int, text: str) -> None:
        count, first, said = self.faults.get(kind, (0, i, text))
        self.faults[kind] = (count + 1, first, said)


def check_reader(
    read: Callable[[Path], object],
    make_input: Callable[[np.random.Generator, Path], Path],
    folder: Path,
    n: int,
    seed: int,
    *,
    start: int = 0,
) -> Outcome:
    """Let a reader read many inputs; all must be read or refused by one line that names the file.

    Args:
        read: the reader. What it returns is not looked at: let it check what it read, its
            ``AssertionError`` is a fault.
        make_input: from a generator and the folder to the path to be read, which it has written;
            the same for equal generators. What it writes under one name replaces what was there.
        folder: an empty one.
        n: number of inputs.
        seed: of the inputs: number i is made from ``numpy.random.default_rng([seed, i])``.
        start: the first input; a fault is met again alone by its number, with ``n=1``.

    Raises:
        AssertionError: it lists the kinds of faults, each with how often it came, its first input
            and what was raised there: another exception or a warning, a message of several lines,
            too long or without the name of what was read, much memory or time.
    """
    outcome = Outcome()
    with _traced_memory():
        for i in range(start, start + n):
            path = make_input(np.random.default_rng([seed, i]), folder)
            _read_one(read, path, i, outcome)
    if outcome.faults:
        lines = [
            f"{count}× {kind}, first input {first}: {said}"
            for kind, (count, first, said) in sorted(outcome.faults.items())
        ]
        raise AssertionError(f"seed {seed}, {n} inputs:\n" + "\n".join(lines))
    return outcome


def _read_one(read: Callable[[Path], object], path: Path, i: int, outcome: Outcome) -> None:
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    began = time.perf_counter()
    try:
        read(path)
    except KernasError as error:
        outcome.refused += 1
        outcome.reasons[type(error).__name__] += 1
        wrong = fault_of_message(str(error), path)
        if wrong:
            outcome.add_fault(f"{type(error).__name__} {wrong}", i, str(error)[:500])
    except Exception as error:  # whatever it is, it is reported
        where = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        ours = [f"{Path(f.filename).name}:{f.lineno}" for f in _own(error)]
        outcome.add_fault(kind, i, f"{str(error)[:300]!r} by way of {', '.join(ours)}")
    else:
        outcome.read += 1
    _, peak = tracemalloc.get_traced_memory()
    if peak - before > MAX_BYTES:
        outcome.add_fault("much memory", i, f"{(peak - before) >> 20} MiB")
    if time.perf_counter() - began > MAX_SECONDS:
        outcome.add_fault("much time", i, f"{time.perf_counter() - began:.0f} s")


def fault_of_message(message: str, path: Path) -> str:
    """What is wrong with an error's message about a file, empty if nothing is."""
    if len(message.splitlines()) != 1:
        return "of another number of lines than one"
    if not message.isprintable():
        return "with characters that cannot be printed"
    if len(message) > MAX_MESSAGE:
        return "of great length"
    if path.stem not in message:
        return "without the file's name"
    return ""


def _own(error: Exception) -> Iterator[traceback.FrameSummary]:
    """The frames of kernas on the way to an exception."""
    folders = tuple(f"{os.sep}{name}{os.sep}" for name in ("kernas", "kernels", "search"))
    for frame in traceback.extract_tb(error.__traceback__):
        if any(folder in frame.filename for folder in folders):
            yield frame


@contextmanager
def _traced_memory() -> Iterator[None]:
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        yield
    finally:
        if not traced:
            tracemalloc.stop()
