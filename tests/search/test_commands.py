"""The table of subcommands: what it shows is what the parser takes, and all that there is."""

import re
import shlex
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest
from command_line import printed_without_jax

from kernas.search.cli.app import parse
from kernas.search.cli.commands import COMMANDS, GROUPS, command_of

ROOT = Path(__file__).resolve().parents[2]
CALLS = [(command, call) for command in COMMANDS for call in command.calls]


@pytest.mark.parametrize(("command", "call"), CALLS, ids=[call for _, call in CALLS])
def test_examples_parse(command, call):
    assert command_of(parse(shlex.split(call)[1:])) is command


def test_what_runs_a_command_is_there():
    for command in COMMANDS:
        module, _, function = command.runs.partition(":")
        assert callable(getattr(import_module(f"kernas.search.cli.{module}"), function))


def test_names_and_options_are_of_one_command_each():
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    assert len({command.options for command in COMMANDS}) == len(COMMANDS)
    assert {command.name.split()[0] for command in COMMANDS if " " in command.name} == set(GROUPS)


def test_help_shows_the_examples_and_comes_without_jax():
    commands = [[], *(command.name.split() for command in COMMANDS)]
    (_, whole), *others = printed_without_jax(*([*words, "--help"] for words in commands))
    for command, (_, text) in zip(COMMANDS, others, strict=True):
        assert command.summary in " ".join(text.split())
        assert all(f"\n  {call}\n" in text for call in command.calls)
        assert [call for call in command.calls if f"\n  {call}\n" in whole] == (
            command.calls[: command.shown]
        )


DIFFERENT = {
    "--batch-size": "of a proxy, or of a training",
    "--augment": "copies that a kernel is a mean over, or draws of a training",
    "--device": "where to compute, or what a cluster that is planned is made of",
    "--dataset": "to predict at, the model's is the default",
    "--get": "one kernel, or several",
    "--image-size": "of images that are read, or that a network is to see",
    "--n-train": "of a regression, or of a training, all by default",
    "--n": "of a training set, of a matrix that is planned, or to predict at",
    "--output": "a folder, or a file",
    "--resume": "a run that may have grown, or a training",
    "--ridge": "a number, or how to choose one",
    "--quiet": "a ranking also says what it will take",
    "--space": "of candidates, or of those that a page draws, each run's is the default",
    "--score": "several that rank, or what guides a search",
    "--store": "where a matrix goes, or what a fit leaves beside its model",
    "--width": "of networks that are counted, or trained",
    "--workers": "processes of this machine, or devices of a cluster that is planned",
    "--yes": "only a ranking and a training ask from some length on",
}
"""Options that mean different things in different commands."""


def described_options(text):
    """The options that a help lists, each with its text: without the default and spaces, since
    lines are broken anywhere."""
    for block in re.findall(r"^  (--.*(?:\n {4,}.*)*)", text.replace("│", " "), re.MULTILINE):
        name = block.split()[0].rstrip(",")
        yield name, re.sub(r"\((default:.*|required)\)$", "", "".join(block.split()))


def test_an_option_is_described_in_one_text():
    texts = defaultdict(set)
    helps = ([*command.name.split(), "--help"] for command in COMMANDS)
    for _, shown in printed_without_jax(*helps):
        for name, text in described_options(shown):
            texts[name].add(text)
    assert len(texts) > 30
    assert {name for name, found in texts.items() if len(found) > 1} == set(DIFFERENT)
