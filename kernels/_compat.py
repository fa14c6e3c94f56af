"""The one place that imports neural-tangents, and the names of JAX that it still looks for.

neural-tangents 0.6.5 of 2023 takes names from JAX that have moved or gone since. They are put back
while it is being imported, and removed again: nothing else sees a changed JAX. Its experimental
part would load TensorFlow for several seconds; it is left out.
"""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import jax
import jax.core
import jax.extend.core
import jax.interpreters.ad

from kernas.errors import MissingDependencyError

INSTALL = "pip install --no-deps neural-tangents==0.6.5 frozendict"
"""What installs neural-tangents without TensorFlow, which it asks for and never needs here."""

CUDA = "cuda13"
"""JAX's extra for the current CUDA."""

INSTALL_GPU = f"pip install 'jax[{CUDA}]'"
"""What installs the JAX of an NVIDIA GPU."""

_EXPERIMENTAL = "neural_tangents.experimental"
_lock = threading.Lock()


def import_neural_tangents() -> Any:
    """The module ``neural_tangents``, imported once, with ``stax`` in it.

    Raises:
        MissingDependencyError: it is not installed, or does not import with this JAX.
    """
    with _lock:
        if sys.modules.get("neural_tangents") is not None:
            return sys.modules["neural_tangents"]
        try:
            quiet = warnings.catch_warnings(action="ignore")
            with quiet, _old_jax_names(), _without_tensorflow():
                return importlib.import_module("neural_tangents")
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"backend='neural-tangents' needs the package {error.name}, which is not "
                f"installed; {INSTALL}"
            ) from error
        except (ImportError, AttributeError) as error:
            raise MissingDependencyError(
                f"neural-tangents does not import with jax {jax.__version__} ({error}); {INSTALL}"
            ) from error


@contextmanager
def _old_jax_names() -> Iterator[None]:
    """Put back what neural-tangents takes from ``jax.core``, ``jax.interpreters.ad``, ``jax.util``.

    Only what is missing is put there, so a JAX that has a name keeps its own.
    """
    primitive = jax.extend.core.Primitive
    wanted: list[tuple[ModuleType, str, Callable[[], Any]]] = [
        (jax.core, name, lambda name=name: getattr(jax.extend.core, name))
        for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    ]
    wanted += [
        (jax.core, "Value", lambda: Any),
        (jax.interpreters.ad, "zeros_like_p", lambda: primitive("zeros_like")),
        (jax.interpreters.ad, "add_jaxvals_p", lambda: primitive("add_any")),
    ]
    added: list[tuple[ModuleType, str]] = []
    util = None
    try:
        for module, name, make in wanted:
            if not hasattr(module, name):
                setattr(module, name, make())
                added.append((module, name))
        if "jax.util" not in sys.modules:
            util = ModuleType("jax.util")
            util.__dict__.update(safe_map=_safe_map, safe_zip=_safe_zip)
            sys.modules["jax.util"] = util
        yield
    finally:
        for module, name in added:
            delattr(module, name)
        if util is not None:
            del sys.modules["jax.util"]


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Stand in for ``neural_tangents.experimental``, so that it is not imported."""
    sys.modules[_EXPERIMENTAL] = ModuleType(_EXPERIMENTAL)
    try:
        yield
    finally:
        del sys.modules[_EXPERIMENTAL]
        package = sys.modules.get("neural_tangents")
        if package is not None:
            package.__dict__.pop("experimental", None)


def _safe_zip(*sequences: Any) -> list[tuple[Any, ...]]:
    """``zip`` to a list; sequences of different lengths are refused."""
    return list(zip(*sequences, strict=True))


def _safe_map(function: Callable[..., Any], *sequences: Any) -> list[Any]:
    """``map`` to a list; sequences of different lengths are refused."""
    return [function(*arguments) for arguments in zip(*sequences, strict=True)]
