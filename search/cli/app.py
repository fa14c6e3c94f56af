"""Parses the command line, runs a subcommand, turns errors into exit codes: see ``exit_codes``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from kernas import __version__
from kernas.errors import KernasError
from kernas.files import user_path

from .devices import imported_jax
from .exit_codes import DONE, INTERRUPTED, code_of_error
from .interruption import say_interrupted
from .options import (
    DataOptions,
    ExplainOptions,
    FitOptions,
    GramOptions,
    PlanOptions,
    PredictOptions,
    RankOptions,
    SpacesOptions,
)
from .printing import printed, say, tell

Options = (
    RankOptions
    | GramOptions
    | FitOptions
    | PredictOptions
    | DataOptions
    | ExplainOptions
    | SpacesOptions
)

DESCRIPTION = """Rank neural architectures by the exact kernels of their infinitely wide networks.

Examples:
  kernas rank
  kernas rank --sample 50 --score nngp:loo_error,ntk:loo_error --output runs/digits
  kernas rank --dataset cifar10 --truth nasbench201 --sample 100 --output runs/cifar
  kernas rank --dataset cifar10 --truth nasbench201 --sample 100 --output runs/cifar --resume
  kernas rank --architectures cells.txt network.json --json
  kernas gram --architecture network.json --n 1000 --store grams/digits
  kernas fit --model models/digits --n 1000 --yes
  kernas predict models/digits
  kernas data fetch cifar10
  kernas data verify
  kernas explain network.json --image-size 32
  kernas plan network.json --image-size 32
  kernas spaces
  kernas rank --help
  kernas --version

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted (as for other signals, 128 and its
number), 141 nobody reads the output."""


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; usage errors raise ``SystemExit(2)``."""
    try:
        return _run(arguments)
    except BrokenPipeError as error:  # nobody is there to be told
        return code_of_error(error)
    except KernasError as error:
        tell(f"kernas: {error}")
        return code_of_error(error)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        tell(f"kernas: {where}{error.strerror or error}")
        return code_of_error(error)
    except MemoryError as error:
        tell(f"kernas: not enough memory ({error}); give fewer or smaller images, or --tile-bytes")
        return code_of_error(error)
    except KeyboardInterrupt as error:
        say_interrupted(str(error))
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["--version"]:
        say(f"kernas {__version__}")
        return DONE
    options = with_homes(parse(arguments))
    imported_jax()  # which every command needs
    if isinstance(options, PlanOptions):
        from .plan_command import run_plan

        return run_plan(options)
    if isinstance(options, ExplainOptions):
        from .explain_command import run_explain

        return run_explain(options)
    if isinstance(options, GramOptions):
        from .gram_command import run_gram

        return run_gram(options)
    if isinstance(options, FitOptions):
        from .fit_command import run_fit

        return run_fit(options)
    if isinstance(options, PredictOptions):
        from .predict_command import run_predict

        return run_predict(options)
    if isinstance(options, DataOptions):
        from .data_command import run_data

        return run_data(options)
    if isinstance(options, SpacesOptions):
        from .spaces_command import run_spaces

        return run_spaces(options)
    from .rank_command import run_rank

    return run_rank(options)


def parse(arguments: list[str]) -> Options:
    """The options of the subcommand that the arguments name."""
    from tyro.extras import subcommand_cli_from_dict

    commands: dict[str, Callable[..., Options]] = {
        "rank": RankOptions,
        "gram": GramOptions,
        "fit": FitOptions,
        "predict": PredictOptions,
        "data": DataOptions,
        "explain": ExplainOptions,
        "plan": PlanOptions,
        "spaces": SpacesOptions,
    }
    with printed():  # help is
        return subcommand_cli_from_dict(
            commands, prog="kernas", description=DESCRIPTION, args=arguments or ["--help"]
        )


AnyOptions = TypeVar("AnyOptions", bound=Any)


def with_homes(options: AnyOptions) -> AnyOptions:
    """Options whose paths begin at the home folders that ``~`` and ``~name`` stand for.

    Raises:
        ConfigurationError: there is no such home.
    """
    changed: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Path):
            changed[field.name] = user_path(value)
        elif is_dataclass(value):
            changed[field.name] = with_homes(value)
    return replace(options, **changed)
