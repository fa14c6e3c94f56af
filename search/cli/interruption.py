"""Signals that end the process: one line, and it is gone, with 128 and the signal's number.

Nothing is lost by it, because every file is there whole or not at all at any moment. Python's own
way, an exception in the main thread, is none: it waits while XLA compiles or a solver runs, some
code swallows or prints it, and extensions crash when it meets them while they are loaded. The
interpreter is not taken down either, because threads of XLA that still run would crash in it.
"""

from __future__ import annotations

import os
import signal
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

SAYING_SECONDS = 3.0
"""What writing the line may take: who reads it may have stopped."""

_advice = [""]
"""How to go on with what is being done, the innermost last."""


@contextmanager
def way_on(advice: str) -> Iterator[None]:
    """What to tell who interrupts the work inside: how to go on with it."""
    _advice.append(advice)
    try:
        yield
    except KeyboardInterrupt:  # of a program that calls the command line
        raise KeyboardInterrupt(advice) from None
    finally:
        _advice.pop()


def say_interrupted(advice: str) -> None:
    """Tell the user on stderr."""
    from .printing import tell  # which :func:`watch_signals` has loaded

    tell(f"kernas: interrupted; {advice}".rstrip("; "))


def take_signals() -> None:
    """Have signals end this process, from its main thread until there is another for that.

    Those that it was started to ignore, by ``nohup`` or in a shell's background, stay ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave_early)


def watch_signals() -> None:
    """Have a thread end the process, whatever its main thread does when a signal comes."""
    import socket
    import threading

    from . import printing as printing

    reading, writing = socket.socketpair()
    writing.setblocking(False)
    # What signals are written to lives as long as the thread that has it.
    threading.Thread(target=_watch, args=(reading, writing), daemon=True).start()
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) == _leave_early:
            signal.signal(number, _left_to_the_thread)


def ignore_signals() -> None:
    """From here on the process ends by itself: its work is done."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave_early(number: int, frame: object) -> NoReturn:
    """While modules are loaded, whose locks the main thread may hold: nothing is imported."""
    with suppress(OSError):
        os.write(2, b"kernas: interrupted\n")
    os._exit(code_of_signal(number))


def _leave_by(number: int) -> NoReturn:
    import threading

    told = threading.Thread(target=say_interrupted, args=(_advice[-1],), daemon=True)
    told.start()
    told.join(SAYING_SECONDS)
    os._exit(code_of_signal(number))


def _left_to_the_thread(number: int, frame: object) -> None:
    pass


def _watch(reading: socket, writing: socket) -> None:
    while (number := reading.recv(1)[0]) not in SIGNALS:
        pass  # a library may have handlers for others
    _leave_by(number)
