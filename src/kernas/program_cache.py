"""Where JAX keeps compiled programs, for other processes and later ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OF_ANY_SIZE = {
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
"""JAX would keep only what takes a second to compile: few of the engine's programs."""

SETTINGS = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", *_OF_ANY_SIZE)
"""All that decides what is kept where."""


def keep_programs(folder: str | os.PathLike[str]) -> None:
    """Keep compiled programs in a folder from now on, small ones too."""
    import jax

    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    for name, value in _OF_ANY_SIZE.items():
        jax.config.update(name, value)


def programs_are_kept() -> bool:
    """Whether there is a folder of compiled programs."""
    import jax

    config: Any = jax.config
    return config.jax_enable_compilation_cache and config.jax_compilation_cache_dir is not None


@contextmanager
def programs_kept(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keep compiled programs in a folder for a while."""
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    before = {name: getattr(jax.config, name) for name in SETTINGS}
    try:
        jax.config.update("jax_enable_compilation_cache", True)
        keep_programs(folder)
        reset_cache()  # JAX looks once in a process whether there is one
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        reset_cache()
