"""The exceptions of kernas: every one derives from :class:`KernasError`.

A message says in one line what was given, what was expected, and the call that mends it.
"""

from typing import ClassVar

MAX_LENGTH = 3000
"""Characters of a message; a longer one, for instance of a list of names, is cut in its middle."""


def printable(text: str) -> str:
    """The text in one line that a terminal shows as it is: what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class KernasError(Exception):
    """Base of every exception that kernas raises on purpose.

    Its text is one line that a terminal shows as it is, whatever names and contents of files are
    quoted in it: what cannot be printed is escaped.

    Attributes:
        exit_code: what the command line ends with, 1 for what failed at run time and 2 for bad
            input; a class that says nothing has its base's.
    """

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > MAX_LENGTH:
            text = f"{text[: MAX_LENGTH // 2]} … {text[-MAX_LENGTH // 3 :]}"
        return printable(text)


class ArchitectureError(KernasError, ValueError):
    """An architecture is malformed, does not fit its input, or has no exact kernel here."""

    exit_code = 2


class DataError(KernasError, ValueError):
    """A data set, a file or an array is not what the computation needs."""

    exit_code = 2


class DocumentError(DataError):
    """A JSON document is malformed, or a value in it is not what it has to be."""


class ConfigurationError(KernasError, ValueError):
    """An option has a value that cannot be used."""

    exit_code = 2


class DegenerateKernelError(KernasError, ArithmeticError):
    """The kernel is zero, constant or not finite: it says nothing about the images."""


class KernelRangeError(DegenerateKernelError, ValueError):
    """A kernel overflows its floating-point numbers, or underflows to zero where it is not zero."""


class DivergenceError(KernasError, ArithmeticError):
    """What is trained leaves the finite numbers, and would do so another time."""


class DownloadError(KernasError, RuntimeError):
    """No mirror gave a published file."""


class UnboundKernelError(KernasError, RuntimeError):
    """A kernel needs the statistics of reference images before it can be evaluated."""


class RunFolderError(KernasError, RuntimeError):
    """A run folder cannot be written, or belongs to another configuration."""

    exit_code = 2


class GramStoreError(KernasError, RuntimeError):
    """A Gram store cannot be read or written, or holds another kernel or other images."""

    exit_code = 2


class ModelFolderError(KernasError, RuntimeError):
    """A folder of a fitted model cannot be written or read, or is damaged."""

    exit_code = 2


class MissingDependencyError(KernasError, ImportError):
    """An optional package is not installed, or does not work with the ones that are."""
