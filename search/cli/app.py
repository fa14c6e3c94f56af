"""Parses the command line, runs a subcommand, turns errors into exit codes: see ``exit_codes``."""

from __future__ import annotations

import shlex
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from kernas import __version__
from kernas.errors import KernasError
from kernas.files import user_path

from .commands import PROGRAM, command_of, description, parsed_type
from .devices import imported_jax
from .exit_codes import DONE, INTERRUPTED, code_of_error
from .interruption import say_interrupted
from .logs import logged
from .printing import printed, say, tell


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
    from ..runs.environment import called

    words = [PROGRAM, *arguments]
    with logged(getattr(options, "log_file", None), shlex.join(words)), called(words):
        return command_of(options).run(options)


def parse(arguments: list[str]) -> Any:
    """The options of the subcommand that the arguments name."""
    import tyro

    with printed():  # help is
        return tyro.cli(
            parsed_type(arguments),
            prog=PROGRAM,
            description=description(),
            args=arguments or ["--help"],
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
