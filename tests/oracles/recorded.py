"""Results of slow references, kept with what made them.

A reference is a function of networks, arrays and numbers that returns arrays. Its result is kept in
``tests/recorded/references.json`` under a SHA-256 of its arguments and of all files of
``tests/oracles``. Where any of them changed it is computed again, as it is where nothing was kept;
what is tested is always computed.

    pytest --references=written             # computes all, and keeps what took long
    pytest -m "" --references=computed      # computes all, and fails where the record differs
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec

import numpy as np

from kernas.files import write_whole
from kernas.kernels.architecture.graph import Architecture

RECORD = Path(__file__).parents[1] / "recorded" / "references.json"

LONG = 0.2
"""Seconds above which a result is kept."""

MOST = 256
"""Numbers that a result has at most, to be kept."""

Mode = Literal["recorded", "computed", "written"]
Arrays = tuple[np.ndarray, ...]
Kept = list[tuple[list[int], list[float]]]
"""Shapes and entries."""

P = ParamSpec("P")


class References:
    """How this process takes its references.

    Attributes:
        mode: from the record, computed anew and compared with it, or computed anew and kept.
        kept: what a run that writes has computed so far, by key.
    """

    def __init__(self) -> None:
        self.mode: Mode = "recorded"
        self.kept: dict[str, Kept] = {}

    @property
    def known(self) -> dict[str, Kept]:
        """The record, if it is one of these sources."""
        return _read()["results"] if is_of_these_sources() else {}

    def take(self, key: str, compute: Callable[[], Arrays], rtol: float) -> Arrays:
        """A result: what is kept, or what is computed."""
        known = self.known.get(key)
        if known is not None and self.mode == "recorded":
            return tuple(np.reshape(entries, shape) for shape, entries in known)
        start = time.perf_counter()
        result = compute()
        arrays = [np.asarray(array, float) for array in result]
        long, small = time.perf_counter() - start > LONG, sum(a.size for a in arrays) <= MOST
        if self.mode == "written" and long and small:
            self.kept[key] = [(list(array.shape), array.ravel().tolist()) for array in arrays]
        if known is not None and self.mode == "computed":
            for ours, (shape, entries) in zip(result, known, strict=True):
                atol = rtol * float(np.max(np.abs(entries), initial=0))
                np.testing.assert_allclose(ours, np.reshape(entries, shape), rtol=0, atol=atol)
        return result


REFERENCES = References()


def recorded(rtol: float) -> Callable[[Callable[P, Arrays]], Callable[P, Arrays]]:
    """A reference whose results are kept.

    Args:
        rtol: what another processor may make of a result, relative to its largest entry.
    """

    def decorated(reference: Callable[P, Arrays]) -> Callable[P, Arrays]:
        signature = inspect.signature(reference)

        @wraps(reference)
        def taken(*args: P.args, **kwargs: P.kwargs) -> Arrays:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            told = (_told(value) for value in bound.arguments.values())
            key = _digest(reference.__name__, *told)
            return REFERENCES.take(key, lambda: reference(*args, **kwargs), rtol)

        return taken

    return decorated


@cache
def sources() -> str:
    """A digest of all files of references."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return _digest(*(path.read_text("utf-8") for path in files))


def is_of_these_sources() -> bool:
    """Whether the record was made by the references as they are."""
    return _read()["sources"] == sources()


def write(results: dict[str, Kept]) -> None:
    """Put results into the record, beside those that the same sources made before."""
    kept = (_read()["results"] if is_of_these_sources() else {}) | results
    lines = [f"{json.dumps(key)}: {json.dumps(kept[key])}" for key in sorted(kept)]
    content = f'{{"sources": "{sources()}", "results": {{\n' + ",\n".join(lines) + "\n}}\n"
    write_whole(RECORD, content.encode())


@cache
def _read() -> dict[str, Any]:
    if not RECORD.exists():
        return {"sources": "", "results": {}}
    return json.loads(RECORD.read_text("utf-8"))


def _told(argument: object) -> str:
    """An argument as text, the same in every process."""
    match argument:
        case Architecture():
            return argument.to_json()
        case np.ndarray():
            content = hashlib.sha256(np.ascontiguousarray(argument).tobytes()).hexdigest()
            return f"{argument.dtype} {argument.shape} {content}"
        case None | str() | int() | float():
            return repr(argument)
    raise TypeError(f"not an argument of a reference that is recorded: {argument!r}")


def _digest(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:24]
