"""How the ordinary tests compile, and how users do: see ``conftest.py``."""

from __future__ import annotations

QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Options of XLA of which programs that run once are compiled in half the time."""

AS_USERS = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
"""XLA's own, for tests of what it makes: ``lowered.compile(AS_USERS)``."""


def flags(options: dict[str, int | bool]) -> str:
    """Options as ``XLA_FLAGS`` has them."""
    return " ".join(f"--{name}={str(value).lower()}" for name, value in options.items())
