"""What goes to stdout and stderr, and what becomes of it where they are not as expected."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json as json_module
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TextIO

from kernas.errors import KernasError
from kernas.progress import LOG

READABLE = "kernas.readable"
"""How characters are written that an encoding lacks: as others that a reader understands."""

WRITTEN_SO = {
    **{"±": "+-", "×": "x", "·": "*", "−": "-", "–": "-", "…": "...", "•": "*", "→": "->"},
    **{"←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "√": "sqrt", "∞": "inf", "‖": "||"},
    **{"ρ": "rho", "τ": "tau", "φ": "phi", "π": "pi", "σ": "sigma", "ε": "epsilon", "Θ": "Theta"},
    **{"Σ": "Sigma", "λ": "lambda", "θ": "theta", "│": "|", "─": "-"},
    **dict.fromkeys("╭╮╰╯├┤┬┴┼", "+"),
}

UNCHOSEN = ("strict", "surrogateescape")
"""What Python does with such characters unless ``PYTHONIOENCODING`` says otherwise."""

SHELL_BYTES = range(0xDC80, 0xDD00)
"""How Python keeps the bytes of a file's name that are no text."""


def say(text: str) -> None:
    """Print a result; it has been written when this returns.

    Raises:
        BrokenPipeError: nobody reads it.
        KernasError: it cannot be written.
    """
    with printed():
        print(text)


def say_json(value: object, indent: int | None = 1) -> None:
    """Print a result as JSON, in ASCII: it means the same whatever the encoding of who reads it."""
    say(json_module.dumps(value, indent=indent, default=str))


def table_width() -> int | None:
    """Columns that a table has on a terminal, as ``COLUMNS`` or the terminal says; ``None`` in a
    pipe or a file, where ``COLUMNS`` may be that of some other terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def tell(text: str, end: str = "\n") -> None:
    """Print a message on stderr, if there is one, on a line of its own, and tell the log."""
    LOG.info("%s", text)
    if sys.stderr is not None:
        if isinstance(sys.stderr, _Messages) and sys.stderr.within_line:
            text = f"\n{text}"
        print(text, end=end, file=sys.stderr, flush=True)


def messages_aside(json: bool) -> AbstractContextManager[Any]:
    """In JSON mode whatever a library prints goes to stderr: it must not mix with the object."""
    return contextlib.redirect_stdout(sys.stderr) if json else contextlib.nullcontext()


@contextmanager
def printed() -> Iterator[None]:
    """Around what prints a result: it has been written at its end; errors as of :func:`say`."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if sys.stdout is not None:
            _give_up(sys.stdout)
        if error.errno in (errno.EPIPE, errno.EINVAL):  # the second one on Windows
            raise BrokenPipeError from None
        raise KernasError(
            f"cannot print the result ({error.strerror}); files that were written are kept: make "
            "room, or send stdout elsewhere"
        ) from None


def open_streams() -> None:
    """Prepare stdin, stdout and stderr of this process, whatever it was started with.

    What an encoding lacks is written readably. Messages that cannot be written are dropped: work
    does not end because nobody looks on.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a file opened later must not take the number that libraries print to
    os.close(free)
    if sys.stdin is not None and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if sys.stdout is None:
        sys.stdout = _nowhere()
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in UNCHOSEN:
        sys.stdout.reconfigure(errors=READABLE)
    if sys.stderr is None:
        sys.stderr = _nowhere()
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Messages(
            sys.stderr.buffer, sys.stderr.encoding, READABLE, line_buffering=True
        )


class _Messages(io.TextIOWrapper):
    """A stream of messages: those that cannot be written are dropped, and all that follow."""

    within_line = False
    """Whether the last one is a line that has not ended, like a bar of progress."""

    def write(self, text: str, /) -> int:
        self.within_line = not text.endswith("\n")
        try:
            return super().write(text)
        except OSError:
            _give_up(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _give_up(self)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _give_up(stream: TextIO) -> None:
    """Have what is still to be written, and what follows, go nowhere."""
    with contextlib.suppress(OSError):  # of a stream that is no file of the system
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """The handler of errors ``READABLE``: one character in place of which another is written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character, end = error.object[error.start], error.start + 1
    if ord(character) in SHELL_BYTES:
        return bytes([ord(character) - 0xDC00]), end
    if character in WRITTEN_SO:
        return WRITTEN_SO[character], end
    import unicodedata

    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or character.encode("ascii", "backslashreplace").decode(), end


codecs.register_error(READABLE, _readable)
