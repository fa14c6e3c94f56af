"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str,
    names: Mapping[str, object],
    rooms: Mapping[str, tuple[str, ...]],
    answer: Callable[[str, Iterable[str]], str | None] = lambda name, known: None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package some of whose names are loaded late.

    Args:
        package: its ``__name__``.
        names: its ``globals()``, those that are there at once.
        rooms: module of the package → the names that come from it.
        answer: what to write for a name that is not there, given those that are; ``None`` if
            nothing comes near it.
    """
    home = {name: room for room, known in rooms.items() for name in known}

    def loaded(name: str) -> Any:
        if name not in home:
            said = answer(name, listed())
            hint = "" if said is None else f": {said}"
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        return getattr(import_module(f".{home[name]}", package), name)

    def listed() -> list[str]:
        return sorted({*names, *home})

    return loaded, listed
