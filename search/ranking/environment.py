"""What a run is computed with: versions, device, dtype, and how often XLA compiled."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from typing import Any

import jax

from kernas import __version__

PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "scikit-learn")
_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


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


class CompilationCounter:
    """Counts XLA compilations of this process from its making on."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        self.count += event == _COMPILE_EVENT


@cache
def compilations() -> CompilationCounter:
    """The one counter of this process."""
    return CompilationCounter()
