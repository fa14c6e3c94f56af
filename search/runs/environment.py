"""What a run is computed with: versions, device and dtype."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any

import jax

from kernas import __version__

_COMMAND: ContextVar[tuple[str, ...] | None] = ContextVar("command", default=None)

PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of kernas, of Python and of the libraries that compute."""
    libraries = {name: version(name) for name in PACKAGES}
    return {"kernas": __version__, "python": platform.python_version(), **libraries}


def device() -> dict[str, Any]:
    """The device that JAX computes on."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}


def dtype() -> str:
    """The floating-point type of kernels: float64 where x64 is on."""
    return "float64" if jax.config.read("jax_enable_x64") else "float32"


@contextmanager
def called(words: Sequence[str]) -> Iterator[None]:
    """What is recorded meanwhile was made by a command of these words."""
    token = _COMMAND.set(tuple(words))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def command() -> list[str] | None:
    """The words of the command that runs; ``None`` where Python called."""
    words = _COMMAND.get()
    return None if words is None else list(words)


def environment() -> dict[str, Any]:
    """All of it, as a run records it, and the command if it was one."""
    return {"dtype": dtype(), "device": device(), "versions": versions(), "command": command()}
