"""What a run is asked for, ``config.json``, and how far it may grow."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kernas.comparison import first_difference, short
from kernas.documents import (
    FLAG,
    INTEGER,
    NUMBER,
    OBJECT,
    SIZE,
    TEXT,
    expect,
    list_of,
    optional,
)
from kernas.documents import field as field_of
from kernas.errors import DocumentError, RunFolderError

FORMAT, VERSION = "kernas.ranking", 3

WAY_OUT = "choose another output folder, or give the same options"


@dataclass(frozen=True)
class Entry:
    """A candidate of a run.

    Attributes:
        name: unique in the run.
        hash: of its network.
        works: of each source the key of its work.
    """

    name: str
    hash: str
    works: tuple[str, ...]


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked for. Two runs of equal ones have equal ``ranking.csv``.

    Attributes:
        sources: by their keys the name and the settings of each.
        scores: by their names, the one that ranks first: ``higher_is_better``, and the key of the
            ``source``, or what is ``combined``.
        candidates: in the order in which they are evaluated.
        truth: ``source``, ``column``, and candidate's name → measured ``values``; ``None`` without.
        bootstrap_seed: of the intervals.
        options: further JSON values that identify the run.
        environment: ``dtype``, ``device``, ``versions`` and ``command``.
    """

    sources: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Mapping[str, Any]]
    candidates: tuple[Entry, ...]
    truth: Mapping[str, Any] | None
    bootstrap_seed: int
    options: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def directions(self) -> dict[str, bool]:
        """Score name → whether higher is better."""
        return {name: score["higher_is_better"] for name, score in self.scores.items()}

    def names_of(self, source: str) -> list[str]:
        """The scores that are drawn from a source."""
        return [name for name, score in self.scores.items() if score.get("source") == source]

    def places(self) -> list[tuple[str, str]]:
        """The pieces of work of all candidates, each once, a candidate's side by side."""
        every = (
            (source, work)
            for entry in self.candidates
            for source, work in zip(self.sources, entry.works, strict=True)
        )
        return list(dict.fromkeys(every))

    def finished(self, outcomes: Collection[tuple[str, str]]) -> RunConfig:
        """The same with those of its candidates all of whose pieces of work have an outcome."""
        done = (
            entry
            for entry in self.candidates
            if all(place in outcomes for place in zip(self.sources, entry.works, strict=True))
        )
        return replace(self, candidates=tuple(done))

    def to_document(self) -> dict[str, Any]:
        """As JSON values."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "options": dict(self.options),
            "sources": {key: dict(value) for key, value in self.sources.items()},
            "scores": {key: dict(value) for key, value in self.scores.items()},
            "truth": None if self.truth is None else dict(self.truth),
            "bootstrap_seed": self.bootstrap_seed,
            "environment": dict(self.environment),
            "candidates": [
                {"name": entry.name, "hash": entry.hash, "works": list(entry.works)}
                for entry in self.candidates
            ],
        }
        return json.loads(json.dumps(document, default=str))

    @classmethod
    def from_document(cls, document: Any) -> RunConfig:
        """What :meth:`to_document` made.

        Raises:
            DocumentError: a field is missing or holds something else.
        """
        sources = _objects(document, "sources")
        for source in sources.values():
            field_of(source, "name", TEXT)
            field_of(source, "settings", OBJECT)
        scores = _objects(document, "scores")
        for name, score in scores.items():
            field_of(score, "higher_is_better", FLAG)
            if "combined" in score:
                weights = field_of(field_of(score, "combined", OBJECT), "weights", OBJECT)
                _among(weights, scores, f"{name} combines")
            else:
                _among([field_of(score, "source", TEXT)], sources, f"the source of {name} is")
        if not scores:
            raise DocumentError("scores is empty: expected one at least")
        candidates = [
            Entry(
                field_of(entry, "name", TEXT),
                field_of(entry, "hash", TEXT),
                tuple(field_of(entry, "works", list_of(TEXT, len(sources)))),
            )
            for entry in field_of(document, "candidates", list_of(OBJECT))
        ]
        truth = field_of(document, "truth", optional(OBJECT))
        if truth is not None:
            field_of(truth, "source", TEXT)
            field_of(truth, "column", TEXT)
            values = field_of(truth, "values", OBJECT)
            for entry in candidates:
                expect(values.get(entry.name), NUMBER, f"the truth of {entry.name}")
        environment = field_of(document, "environment", OBJECT)
        for name in ("device", "versions"):
            field_of(environment, name, OBJECT)
        field_of(environment, "dtype", TEXT)
        return cls(
            sources,
            scores,
            tuple(candidates),
            truth,
            field_of(document, "bootstrap_seed", INTEGER),
            field_of(document, "options", OBJECT),
            environment,
        )

    def grown_from(self, stored: RunConfig, where: str) -> RunConfig:
        """This run as one that goes on with another: what was there stays there, more may come.

        More candidates, more scores and sources, another truth or seed of the intervals; what
        decides the values of a source that is there already may not differ.

        Args:
            stored: of the run that is there.
            where: its folder, for messages.

        Raises:
            RunFolderError: a setting differs, or something of the run is left out; the message
                names it.
        """
        _refuse(where, first_difference(dict(stored.options), dict(self.options), "options"))
        there, here = (_compared(one.environment) for one in (stored, self))
        _refuse(where, first_difference(there, here, ""))
        for key, source in stored.sources.items():
            if key in self.sources:
                continue
            mine = [own for own in self.sources.values() if own["name"] == source["name"]]
            if mine:
                there, here = ({**s["settings"]} for s in (source, mine[0]))
                _refuse(where, first_difference(there, here, source["name"]))
        for name, score in stored.scores.items():
            if name not in self.scores:
                raise RunFolderError(
                    f"{where} has the score {name}, which is not among {', '.join(self.scores)}: a "
                    "run only grows; give it too, or choose another output folder"
                )
            _refuse(where, first_difference(dict(score), dict(self.scores[name]), name))
        names = {entry.name: entry.hash for entry in self.candidates}
        for entry in stored.candidates:
            if names.get(entry.name) != entry.hash:
                raise RunFolderError(
                    f"{where} has the candidate {entry.name} of the hash {short(entry.hash)}, "
                    "which is not among those given: a run only grows; give the same space and "
                    "seed and at least as many, or choose another output folder"
                )
        command = self.environment.get("command")
        last = {} if command is None else {"command": command}
        return replace(self, environment={**stored.environment, **last})

    def check_options(self, known: Mapping[str, Any], where: str) -> None:
        """Refuse options that are not those of this run.

        Args:
            known: some of the options; objects in them have some of their fields.
            where: the folder, for messages.

        Raises:
            RunFolderError: the message names the option.
        """
        here = json.loads(json.dumps(dict(known), default=str))
        _refuse(where, first_difference(_common(dict(self.options), here), here, "options"))


def _refuse(where: str, difference: tuple[str, str, str] | None) -> None:
    if difference is not None:
        name, there, here = difference
        raise RunFolderError(
            f"{where} belongs to another configuration: {name} is {there} there and {here} here; "
            f"{WAY_OUT}"
        )


def _common(stored: Any, known: Any) -> Any:
    """What is stored in the fields that are known, inside objects too."""
    if isinstance(stored, dict) and isinstance(known, dict):
        return {key: _common(stored[key], known[key]) for key in known if key in stored}
    return stored


def check_version(document: Mapping[str, Any], where: str) -> None:
    """Refuse a run that another version of kernas made.

    Raises:
        DocumentError: it has no version.
        RunFolderError: it is another one; the message says which.
    """
    form, version = field_of(document, "format", TEXT), field_of(document, "version", SIZE)
    if form != FORMAT:
        raise DocumentError(f"format {form!r:.60}: expected {FORMAT!r}")
    if version != VERSION:
        with_what = "the kernas that began it" if version < VERSION else "a newer kernas"
        raise RunFolderError(
            f"{where} is of format version {version}, not {VERSION}: its files stay as they are; "
            f"resume it with {with_what}, or choose another output folder"
        )


def _objects(document: Any, name: str) -> dict[str, dict[str, Any]]:
    found = field_of(document, name, OBJECT)
    for key, value in found.items():
        expect(value, OBJECT, f"{name}.{key}")
    return found


def _among(names: Iterable[str], known: Mapping[str, Any], what: str) -> None:
    for name in names:
        if name not in known:
            raise DocumentError(f"{what} {name!r}: expected {_list(known)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _compared(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What decides values: not how many devices there are, nor the versions of what only reads."""
    device, versions = environment["device"], environment["versions"]
    return {
        "dtype": environment["dtype"],
        "device": {key: value for key, value in device.items() if key != "count"},
        "versions": {name: versions.get(name) for name in ("kernas", "jax")},
    }
