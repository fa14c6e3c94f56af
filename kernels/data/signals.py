"""Signals that are made of other data: images row by row, and windows of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernas.errors import ConfigurationError, DataError
from kernas.files import user_path

from .checks import check_integer
from .source import Source

OTHER = "�"
"""Stands for every character that is no token."""

LARGEST_TEXT = 2**28
"""Bytes of a text that is read."""

LARGEST_SIGNALS = 2**30
"""Bytes of all windows of a text."""


@dataclass(frozen=True)
class Rows:
    """Images as signals, read row by row from the top.

    A signal has as many pixels as the image has rows, and the row's pixels, each with its channels,
    are its channels: ``(height, width · channels)``.

    Args:
        of: the data set of the images, by name or path.
    """

    of: str = "digits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", _absolute(self.of))

    def source(self, whole: str, read: Callable[[str], Source]) -> Source:
        """The signals, with the labels of the images.

        Raises:
            DataError: the data set has no images of one size.
        """
        images = read(self.of)

        def signals(x: np.ndarray | None) -> np.ndarray | None:
            return None if x is None else x.reshape(*x.shape[:2], -1)

        if images.x.ndim != 4:
            raise DataError(
                f"{whole!r}: {images.name} has inputs of shape {images.x.shape[1:]}, expected "
                "images (height, width, channels)"
            )
        x, x_test = signals(images.x), signals(images.x_test)
        assert x is not None
        return Source(whole, images.origin, x, images.y, x_test, images.y_test, images.class_names)


@dataclass(frozen=True)
class Text:
    """Windows of a plain text, labelled by the character that follows.

    Tokens are characters, one channel each: the most frequent ones of the first nine tenths of the
    text, and one token for all others. A window is ``(length, tokens)``, at every pixel 1 at its
    token and 0 elsewhere. Windows of training lie in the first nine tenths, those of the test in
    the last one, at equal distances each; none of them reaches into the other part. Test windows
    before a token that follows no training window are left out.

    Args:
        path: of a UTF-8 text file.
        length: of a window in characters, >= 1.
        tokens: most tokens, >= 2, that of all other characters included.
        n: most windows of training, >= 2; of the test there are up to a tenth as many.
    """

    path: str = ""
    length: int = 16
    tokens: int = 64
    n: int = 10_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _absolute(self.path))

    def source(self, whole: str, read: Callable[[str], Source]) -> Source:
        """The windows, and the characters that follow them.

        Raises:
            ConfigurationError: a field is out of its range, or the windows would be too large.
            DataError: no file, one that is no text, or one too short.
        """
        for name, low in (("length", 1), ("tokens", 2), ("n", 2)):
            check_integer(getattr(self, name), name, low)
        text = self._read()
        cut = len(text) * 9 // 10
        training, test = text[:cut], text[cut:]
        if len(test) <= self.length or len(set(training)) < 2:
            raise DataError(
                f"{self.path} has {len(text)} characters: expected more than {10 * self.length} "
                f"for windows of length={self.length}, two different ones at least"
            )
        common = [character for character, _ in Counter(training).most_common()]
        rare = len(common) > self.tokens
        tokens = sorted(common[: self.tokens - rare]) + [OTHER] * rare
        self._check_size(len(tokens))
        numbers = {token: number for number, token in enumerate(tokens)}
        other = numbers.get(OTHER, -1)  # a character that training lacks has no channel then
        x, y = self._windows([numbers.get(c, other) for c in training], self.n, len(tokens))
        x_test, y_test = self._windows(
            [numbers.get(c, other) for c in test], max(1, self.n // 10), len(tokens)
        )
        known = np.isin(y_test, y)
        if not known.any():
            raise DataError(
                f"{self.path}: no window of its last tenth is followed by a character that follows "
                "one of training; give a longer text, or more windows with n"
            )
        classes = tuple(repr(token) for token in tokens)
        return Source(whole, "text", x, y, x_test[known], y_test[known], class_names=classes)

    def _read(self) -> str:
        path = user_path(self.path)
        try:
            if not path.is_file():
                raise DataError(f"no file {path}: expected a text, text:path=FILE")
            if path.stat().st_size > LARGEST_TEXT:
                raise DataError(
                    f"{path} has {path.stat().st_size:,} bytes: expected at most {LARGEST_TEXT:,}; "
                    "cut it, windows are taken from all of it"
                )
            return path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} is no UTF-8 text (byte {error.start}): expected plain text; convert it"
            ) from None
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error.strerror or error}); check it and its permissions"
            ) from None

    def _check_size(self, tokens: int) -> None:
        needed = 4 * self.n * self.length * tokens
        if needed > LARGEST_SIGNALS:
            raise ConfigurationError(
                f"n={self.n} windows of length={self.length} and {tokens} tokens take {needed:,} "
                f"bytes: expected at most {LARGEST_SIGNALS:,}; lower n, length or tokens"
            )

    def _windows(self, text: list[int], most: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows at equal distances, and the token after each."""
        numbers = np.array(text)
        starts = len(numbers) - self.length
        n = min(most, starts)
        first = np.arange(n) * starts // n
        taken = numbers[first[:, None] + np.arange(self.length)]
        x = (taken[..., None] == np.arange(tokens)).astype(np.float32)
        y = numbers[first + self.length]
        return x[y >= 0], y[y >= 0]


def _absolute(path: str) -> str:
    """A path as it is known everywhere; a name, of which there is no file, as it is."""
    return str(user_path(path).resolve()) if path and user_path(path).exists() else path
