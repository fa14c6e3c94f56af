"""The subcommands, in one table: an entry, its options and its module are all that one needs.

Modules are imported when their command runs, so that help comes at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Union

from tyro.conf import subcommand

from ..defaults import TRUTH
from .options import (
    DoctorOptions,
    ExplainOptions,
    FetchOptions,
    FitOptions,
    GramOptions,
    PlanOptions,
    PredictOptions,
    RankOptions,
    ReportOptions,
    ScoresOptions,
    SearchOptions,
    SpacesOptions,
    StrategiesOptions,
    TrainOptions,
    VerifyOptions,
)

PROGRAM = "kernas"


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: one word, or two, of which the first is in ``GROUPS``.
        options: the dataclass of its options; its docstring is the help's.
        runs: what takes the options and returns the exit code, ``MODULE:FUNCTION`` in this room.
        examples: argument lines, as a shell takes them.
        shown: how many of them, the first ones, the help of all commands shows.
    """

    name: str
    options: type
    runs: str
    examples: tuple[str, ...]
    shown: int = 1

    @property
    def calls(self) -> list[str]:
        """The examples, each as the whole line that a user types."""
        return [f"{PROGRAM} {self.name} {example}".rstrip() for example in self.examples]

    @property
    def summary(self) -> str:
        """What it does, in a line: the first of its options' docstring."""
        return self._text.partition("\n")[0]

    @property
    def description(self) -> str:
        """What its own help says before its options."""
        return "\n  ".join([f"{self._text}\n\nTypical calls:", *self.calls])

    @property
    def _text(self) -> str:
        return inspect.cleandoc(self.options.__doc__ or "")

    def run(self, options: Any) -> int:
        """Import what runs it, and run it; returns the exit code."""
        module, _, function = self.runs.partition(":")
        run: Callable[[Any], int] = getattr(import_module(f".{module}", __package__), function)
        return run(options)


COMMANDS = (
    Command(
        "rank",
        RankOptions,
        "rank_command:run_rank",
        (
            "",
            "--sample 50 --score nngp:loo_error,ntk:loo_error --output runs/digits",
            f"--dataset cifar10 --truth {TRUTH} --sample 100 --output runs/cifar --resume",
            '--score "log_rank(ntk:loo_error, params)" --workers 2',
            "--dataset photos --image-seeds 5",
            "--dataset images.npz --image-size 16 --architectures cells.txt network.json --json",
            "--dataset hypersphere:d=4,degree=2,n=400 --space macro:network=dense --sample 10",
            "--dataset cifar10 --image-size 32 --n-train 200 --dry-run",
        ),
        shown=3,
    ),
    Command(
        "search",
        SearchOptions,
        "search_command:run_search",
        (
            "--n-trials 200 --output runs/search",
            "--strategy local-search --score nngp:loo_error --workers 2",
            "--strategy regularized-evolution:population=20,tournament=5,mutants=10 --prefer "
            "synflow --n-trials 100",
            f"--dataset cifar10 --truth {TRUTH} --score truth:val12_cifar10 --truth-seconds "
            "seconds12_cifar10 --time-budget 20000",
            "--strategy nsga2:population=20 --score ntk:loo_error,flops --space macro",
            "--storage sqlite:///runs/search.db --study-name cells --n-trials 500",
        ),
    ),
    Command(
        "train",
        TrainOptions,
        "train_command:run_train",
        (
            '"|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"',
            '"|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|" '
            "--dataset cifar10 --image-size 16 --width 16 --epochs 12 --augment --export cell",
            "--best runs/search --top 3 --epochs 20 --export winner",
            "network.json --optimizer adam --learning-rate 1e-3 --output runs/network --resume",
        ),
    ),
    Command(
        "report",
        ReportOptions,
        "report_command:run_report",
        (
            "runs/digits --open",
            "runs/digits runs/cifar --output compared.html",
            "models/digits models/digits.csv --pictures pictures",
        ),
    ),
    Command(
        "gram",
        GramOptions,
        "gram_command:run_gram",
        (
            "--architecture network.json --n 1000 --store grams/digits",
            "--architecture network.json --dataset cifar10 --image-size 16 --n 4000 --get ntk "
            "--store grams/cifar --yes",
        ),
    ),
    Command(
        "fit",
        FitOptions,
        "fit_command:run_fit",
        (
            "--model models/digits --n 1000 --yes",
            "--model models/clothes --dataset fashion_mnist --n 4000 --ridge 1e-3 --yes",
            "--model models/cell --architecture network.json --dataset cifar10 --image-size 8 "
            "--n 500 --get nngp",
        ),
    ),
    Command(
        "predict",
        PredictOptions,
        "predict_command:run_predict",
        (
            "models/digits",
            "models/clothes --n 2000 --output clothes.csv",
            "models/clothes --images photos.npy",
        ),
    ),
    Command(
        "data fetch",
        FetchOptions,
        "data_command:run_fetch",
        ("cifar10", "mnist --folder data"),
    ),
    Command(
        "data verify",
        VerifyOptions,
        "data_command:run_verify",
        ("", "cifar10 mnist --json"),
    ),
    Command(
        "explain",
        ExplainOptions,
        "explain_command:run_explain",
        (
            "network.json --image-size 32 --channels 3",
            '"|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|none~1|none~2|"',
        ),
    ),
    Command(
        "plan",
        PlanOptions,
        "plan_command:run_plan",
        (
            "network.json --image-size 32",
            "network.json --image-size 32 --get nngp --augment flip",
            "network.json --image-size 0 --channels 64 --n 1000",
            "network.json --image-size 32 --n 60000 --workers 64 --device h100",
        ),
    ),
    Command("doctor", DoctorOptions, "doctor_command:run_doctor", ("", "--json")),
    Command("scores", ScoresOptions, "scores_command:run_scores", ("", "--json")),
    Command("spaces", SpacesOptions, "spaces_command:run_spaces", ("", "--json")),
    Command("strategies", StrategiesOptions, "spaces_command:run_strategies", ("", "--json")),
)

GROUPS = {"data": "Fetch and verify the data sets that are known by name."}
"""What the commands of two words have in common, by their first word."""


def description() -> str:
    """What the help of all commands says before it lists them."""
    calls = [call for command in COMMANDS for call in command.calls[: command.shown]]
    examples = "\n  ".join([*calls, f"{PROGRAM} rank --help", f"{PROGRAM} --version"])
    return f"""Rank neural architectures by the exact kernels of their infinitely wide networks.

Examples:
  {examples}

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted (as for other signals, 128 and its
number), 141 nobody reads the output."""


def command_of(options: Any) -> Command:
    """The command that options belong to."""
    return next(command for command in COMMANDS if command.options is type(options))


def parsed_type(arguments: Sequence[str]) -> Any:
    """The union of all commands' options, as tyro parses it.

    Args:
        arguments: those to be parsed: the command that they begin with is described at length, the
            others, which help lists, in a line.
    """
    alone: list[Any] = []
    grouped: dict[str, list[Any]] = {group: [] for group in GROUPS}
    for command in COMMANDS:
        *group, name = words = command.name.split()
        text = command.description if list(arguments[: len(words)]) == words else command.summary
        members = grouped[group[0]] if group else alone
        members.append(_named(command.options, name, text))
    groups = [_named(_union(members), name, GROUPS[name]) for name, members in grouped.items()]
    return _union([*alone, *groups])


def _named(options: Any, name: str, text: str) -> Any:
    return Annotated[options, subcommand(name, description=text, prefix_name=False)]


def _union(members: Sequence[Any]) -> Any:
    return Union[tuple(members)]  # noqa: UP007
