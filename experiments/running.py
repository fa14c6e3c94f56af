"""What every experiment is told on the command line: a size, how many, on which device.

    python experiments/SCRIPT.py                        # small: minutes on two cores; recorded here
    python experiments/SCRIPT.py --size quick           # to see it work; records nothing
    python experiments/SCRIPT.py --size medium --device gpu    # one accelerator
    python experiments/SCRIPT.py --size full            # as published, or as large as makes sense
    python experiments/SCRIPT.py --n 50                 # the small setting with another number

The record of the small setting stands beside its script, and ``docs/results.md`` is written from
it. Every other goes to ``runs/SCRIPT-SIZE-N.json`` with its figure, so that none replaces it. All
say what was asked for (``run``) and what it ran on (``device``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from kernas.errors import ConfigurationError, KernasError
from kernas.quantities import duration
from kernas.search.cli.devices import configure_jax
from kernas.search.cli.options import Device

RUNS = Path("runs")
"""Keeps matrices, so that an interrupted experiment goes on, and the records of other sizes."""

Size = Literal["quick", "small", "medium", "full"]
T = TypeVar("T", bound="Options")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large a run is, and where."""

    size: Size = "small"
    """From seconds over minutes on two cores and one accelerator to a cluster."""

    n: int | None = None
    """Another number than the size's; of what, the script's first lines say."""

    device: Device = "auto"
    """Where to compute."""

    def record(self, script: str) -> Path | None:
        """The file of the record of a script, ``None`` for a run that leaves none."""
        if self.size == "quick":
            return None
        if (self.size, self.n) == ("small", None):
            return Path(script).with_suffix(".json")
        number = "" if self.n is None else f"-{self.n}"
        return RUNS / f"{Path(script).stem}-{self.size}{number}.json"

    def asked(self) -> dict[str, Any]:
        """The options, for the record."""
        return {"run": asdict(self)}


def command(options: type[T], main: Callable[[T], None]) -> None:
    """Parse the command line, set the device and run; an error is one line, and exit code 2."""
    chosen = tyro.cli(options)
    try:
        if chosen.n is not None and chosen.n < 1:
            raise ConfigurationError(f"--n {chosen.n}: expected a positive number")
        configure_jax(chosen.device, "float32", compilation_cache=True)
        main(chosen)
    except KernasError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what it kept in runs/", file=sys.stderr)
        sys.exit(130)


def divided(n: int, n_fit: int, n_validation: int) -> tuple[int, int]:
    """``n`` images to regress on and to validate with, in the proportion of a setting.

    Raises:
        ConfigurationError: a part would be empty.
    """
    validation = round(n * n_validation / (n_fit + n_validation))
    if not 0 < validation < n:
        raise ConfigurationError(
            f"--n {n}: expected images to regress on and to validate with, 10 or more"
        )
    return n - validation, validation


def foretell(seconds: float | None, basis: str) -> None:
    """Say before the work how long it takes, and from what that is known."""
    time = "no prediction" if seconds is None else f"about {duration(seconds)}"
    print(f"{time} ({basis})", file=sys.stderr, flush=True)
