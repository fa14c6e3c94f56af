"""Signals that end the process: it tidies up, in bounded time, and ends at once after that.

The first signal raises ``KeyboardInterrupt`` in the main thread, which keeps what is finished. That
cannot happen while XLA compiles or a solver runs, and some code swallows it; so a thread of its own
sees the signal too, and ends the process after a while, or when a second signal comes. Nothing is
lost by it: every file is there whole or not at all at any moment.

The interpreter is not taken down then, because threads of XLA that still run would crash in it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from .exit_codes import code_of_signal

if TYPE_CHECKING:
    from socket import socket

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # of which a system has some
    if hasattr(signal, name)
)

GRACE_SECONDS = 5.0
"""What tidying up may take; schedulers that ask a process to end wait longer before they kill."""

SAYING_SECONDS = 1.0
"""What writing a line may take: who reads it may have stopped."""


class _Process:
    """What became of this process: no dataclass, whose import is one more moment without handlers.

    Attributes:
        received: the first signal that is to end it.
        advice: how to go on with what is being done.
        said: whether the user was told.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.advice = ""
        self.said = False


_process = _Process()


def received() -> int | None:
    """The signal that is to end this process, if one came."""
    return _process.received


@contextmanager
def way_on(advice: str) -> Iterator[None]:
    """What to tell who interrupts the work inside: how to go on with it."""
    before = _process.advice
    _process.advice = advice
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(advice) from None
    finally:
        _process.advice = before


def say_interrupted(advice: str) -> None:
    """Tell the user on stderr."""
    from .printing import tell  # late, as the handlers come before all that takes a while

    _process.said = True
    tell(f"kernas: interrupted; {advice}".rstrip("; "))


def take_signals() -> None:
    """Have the signals that end this process raise ``KeyboardInterrupt`` in its main thread.

    Those that it was started to ignore, by ``nohup`` or in a shell's background, stay ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _unraisable


def watch_signals() -> None:
    """See to it that the process ends soon after a signal that was taken."""
    import socket
    import threading

    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    # What signals are written to lives as long as the thread that has it.
    threading.Thread(target=_watch, args=(reading, writing), daemon=True).start()


def ignore_signals() -> None:
    """From here on the process ends by itself: its work is done."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def leave(number: int) -> NoReturn:
    """End the process now by a signal that came, whatever its threads do."""
    if not _process.said:
        import threading

        told = threading.Thread(target=say_interrupted, args=(_process.advice,), daemon=True)
        told.start()
        told.join(SAYING_SECONDS)
    os._exit(code_of_signal(number))


def _interrupt(number: int, frame: object) -> None:
    """Only once: what follows is tidying up."""
    if _process.received is None:
        _process.received = number
        raise KeyboardInterrupt


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """What is raised in a destructor or a callback goes no further; an interruption does."""
    number = received()
    if number is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
        leave(number)
    sys.__unraisablehook__(unraisable)


def _watch(reading: socket, writing: socket) -> None:
    number = _signal_from(reading)
    reading.settimeout(GRACE_SECONDS)
    with suppress(TimeoutError):
        number = _signal_from(reading)
    leave(number)


def _signal_from(reading: socket) -> int:
    """The next of the signals that comes; a library may have handlers for others."""
    while (number := reading.recv(1)[0]) not in SIGNALS:
        pass
    return number
