"""What the process ends with, in one place.

====  ============================================================================================
   0  done, or the user declined
   1  failed at run time: all candidates failed, a data set is damaged, no room, no memory
   2  bad input: an option, a file, a folder or a variable of the environment
 129  ended by SIGHUP, 130 by SIGINT (Ctrl-C), 143 by SIGTERM: 128 and the signal's number
 141  nobody reads what is printed: the reader has closed the pipe, as SIGPIPE would end it
====  ============================================================================================
"""

from __future__ import annotations

from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    GramStoreError,
    ModelFolderError,
    RunFolderError,
)

DONE, FAILED, BAD_INPUT, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141

OF_BAD_INPUT = (
    ArchitectureError,
    ConfigurationError,
    DataError,
    GramStoreError,
    ModelFolderError,
    RunFolderError,
)


def code_of_error(error: BaseException) -> int:
    """The exit code of a command that raised an error."""
    if isinstance(error, BrokenPipeError):
        return UNREAD
    return BAD_INPUT if isinstance(error, OF_BAD_INPUT) else FAILED


def code_of_signal(number: int) -> int:
    """The exit code of a process that a signal ended."""
    return 128 + number
