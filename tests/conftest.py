"""What every test shares: how programs are compiled, and where they are kept.

Compiling is most of what the tests take, and most programs run once. So the ordinary run compiles
without the optimisations that make a program fast; the slow tests compile as users do, and so does
any run with ``XLA_FLAGS`` set, even to nothing. Programs stay in the user's cache folder, where
other processes and later runs find them: JAX knows them by their content, its version and flags.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jax
import platformdirs
import pytest
from collecting import COLLECTED
from compiling import QUICKLY, flags
from jaxtyping import install_import_hook
from shape_checks import CHECKED, CHECKER

install_import_hook(CHECKED, CHECKER)  # before anything of kernas is imported

from oracles import recorded  # noqa: E402

KEEP_DAYS = 7

collect_ignore = ["record_torch.py", "torch_models.py"]
"""No tests, and they import torch, which the ordinary environment has not."""


def pytest_addoption(parser: pytest.Parser) -> None:
    modes = get_args(recorded.Mode)
    parser.addoption("--references", choices=modes, default=modes[0], help=recorded.__doc__)


def pytest_configure(config: pytest.Config) -> None:
    if "not slow" in config.option.markexpr:
        os.environ.setdefault("XLA_FLAGS", flags(QUICKLY))
    folder = platformdirs.user_cache_path("kernas") / "tests"
    settings = {
        "jax_compilation_cache_dir": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(folder)),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)  # for the processes that tests start
    if not hasattr(config, "workerinput"):
        _drop_old_programs(folder)
    recorded.REFERENCES.mode = config.option.references


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[COLLECTED] = list(items)  # before any are deselected


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the references that were computed: every process hands them to the one that writes."""
    if session.config.option.references == "written":
        kept, output = recorded.REFERENCES.kept, getattr(session.config, "workeroutput", None)
        if output is None:
            recorded.write(kept)
        else:
            output["references"] = kept


def pytest_testnodedown(node: Any) -> None:
    recorded.REFERENCES.kept |= node.workeroutput.get("references", {})


def _drop_old_programs(folder: Path) -> None:
    """Those that were compiled long ago: they are compiled anew if anyone needs them."""
    oldest = time.time() - KEEP_DAYS * 24 * 3600
    for path in folder.glob("*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


@pytest.fixture(scope="module", autouse=True)
def no_programs_are_kept() -> Iterator[None]:
    """Compiled programs would stay to a process's end, gigabytes of them; few serve two files."""
    yield
    jax.clear_caches()
