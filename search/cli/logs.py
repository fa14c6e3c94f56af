"""What ``--log-file`` keeps: the command, what it says, warnings, how far it is, and its end.

All of it goes through the logger ``kernas`` of the standard library, which a program of the user's
may listen to as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernas.errors import ConfigurationError, KernasError
from kernas.progress import LOG
from kernas.quantities import duration

WARNINGS = logging.getLogger("py.warnings")

LINE = "%(asctime)s %(levelname)s %(process)d %(message)s"


@contextmanager
def logged(path: Path | None, words: str) -> Iterator[None]:
    """Keep a log in a file meanwhile; what is there stays, and more is added.

    Args:
        path: the file, ``None`` for no log.
        words: the command.

    Raises:
        ConfigurationError: it cannot be written.
    """
    if path is None:
        yield
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--log-file {path} cannot be written ({error.strerror}); choose another file"
        ) from None
    handler.setFormatter(logging.Formatter(LINE))
    level = LOG.level
    LOG.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for logger in (LOG, WARNINGS):
        logger.addHandler(handler)
    begun = time.monotonic()
    try:
        LOG.info("%s", words)
        yield
        LOG.info("done after %s", duration(time.monotonic() - begun))
    except KeyboardInterrupt:
        LOG.error("interrupted after %s", duration(time.monotonic() - begun))
        raise
    except (KernasError, OSError, MemoryError) as error:
        LOG.error("%s: %s", type(error).__name__, error)
        raise
    except Exception:
        LOG.exception("a defect of kernas")
        raise
    finally:
        for logger in (LOG, WARNINGS):
            logger.removeHandler(handler)
        logging.captureWarnings(False)
        LOG.setLevel(level)
        handler.close()
