"""What the process ends with, in one place.

====  ============================================================================================
   0  done, or the user declined
   1  failed at run time: all candidates failed, a data set is damaged, no room, no memory
   2  bad input: an option, a file, a folder or a variable of the environment
 129  ended by SIGHUP, 130 by SIGINT (Ctrl-C), 143 by SIGTERM: 128 and the signal's number
 141  nobody reads what is printed: the reader has closed the pipe, as SIGPIPE would end it
====  ============================================================================================

1 and 2 are the ``exit_code`` of the classes in :mod:`kernas.errors`.
"""

from __future__ import annotations

from kernas.errors import KernasError

DONE, FAILED, INTERRUPTED, UNREAD = 0, 1, 130, 141


def code_of_error(error: BaseException) -> int:
    """The exit code of a command that raised an error."""
    if isinstance(error, BrokenPipeError):
        return UNREAD
    return error.exit_code if isinstance(error, KernasError) else FAILED


def code_of_signal(number: int) -> int:
    """The exit code of a process that a signal ended."""
    return 128 + number
