"""Entry point: parses the command line, runs a subcommand, turns errors into exit codes.

0 success, 1 failure at run time, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from kernas import __version__
from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    GramStoreError,
    KernasError,
    ModelFolderError,
    RunFolderError,
)

from .options import (
    DataOptions,
    ExplainOptions,
    FitOptions,
    GramOptions,
    PlanOptions,
    PredictOptions,
    RankOptions,
)

Options = RankOptions | GramOptions | FitOptions | PredictOptions | DataOptions | ExplainOptions

BAD_INPUT = (
    ArchitectureError,
    ConfigurationError,
    DataError,
    GramStoreError,
    ModelFolderError,
    RunFolderError,
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
  kernas rank --help
  kernas --version"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: without the program's name; those of the process if ``None``.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; usage errors raise ``SystemExit(2)``."""
    if arguments[:1] == ["--version"]:
        print(f"kernas {__version__}")
        return 0
    try:
        options = parse(arguments)
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
        from .rank_command import run_rank

        return run_rank(options)
    except KernasError as error:
        print(f"kernas: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, BAD_INPUT) else 1
    except KeyboardInterrupt as error:
        print(f"kernas: interrupted; {error}".rstrip("; "), file=sys.stderr)
        return 130


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
    }
    return subcommand_cli_from_dict(
        commands, prog="kernas", description=DESCRIPTION, args=arguments or ["--help"]
    )
