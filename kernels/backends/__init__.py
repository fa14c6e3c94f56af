"""What computes a kernel: the engine of this package, or another library with equal results."""

from typing import Any, Literal, cast

from kernas.errors import ConfigurationError

from .base import Backend as Backend
from .base import Work as Work
from .neural_tangents import NeuralTangents
from .own_engine import OwnEngine

BackendName = Literal["kernas", "neural-tangents"]

BACKENDS: dict[BackendName, Backend] = {"kernas": OwnEngine(), "neural-tangents": NeuralTangents()}


def check_backend(name: Any) -> None:
    """Refuse what is no backend, and one that is not there.

    Raises:
        ConfigurationError: it is none.
        MissingDependencyError: it is not installed; the message has the line that installs it.
    """
    if name not in BACKENDS:
        known = " or ".join(map(repr, BACKENDS))
        raise ConfigurationError(f"backend={name!r}: expected {known}")
    BACKENDS[cast(BackendName, name)].require()
