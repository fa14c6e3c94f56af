"""Tables of measured accuracies and lists of cells that are wrong."""

from __future__ import annotations

import numpy as np

from .array_files import wrong_npz
from .choices import perhaps_damaged, pick

CELLS = (
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|nor_conv_1x1~1|none~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
)
COLUMN = "test_cifar10"


def wrong_table(rng: np.random.Generator) -> bytes:
    """An ``.npz`` of names and accuracies: other names, other values, other arrays."""
    arrays = {
        "arch_str": np.array(CELLS),
        COLUMN: np.array([90.0, 85.5, 10.0]),
        "other": np.array([1, 2, 3]),
    }
    names = (
        np.array([CELLS[0], CELLS[1], CELLS[0]]),
        np.array(CELLS).astype("S"),
        np.array(["é", "\ud7ff", ""]),
        np.array([b"\xff", b"a", b"b"]),
        np.arange(3),
        np.array([CELLS]),
        np.array(CELLS[0]),
        np.array([]),
        np.array([1.5, np.nan, 2]),
        np.array([*CELLS[:2], None], dtype=object),
    )
    values = (
        np.array([np.nan, -1e8, 10.0], np.float32),
        np.array([np.inf, 1.0, 2.0]),
        np.array([np.nan] * 3),
        np.array([1, 2]),
        np.array([[1, 2, 3]]),
        np.array(["90", "80", "70"]),
        np.array([1, 0, 1], bool),
        np.array([1, 2, 2**64 - 1], np.uint64),
        np.array([1e308, -1e308, 5e-324]),
        np.array([1, 2, 3], np.float16),
        np.array([1j, 2, 3]),
    )
    if rng.random() < 0.5:
        arrays["arch_str"] = pick(rng, names)
    if rng.random() < 0.5:
        arrays[COLUMN] = pick(rng, values)
    return wrong_npz(rng, {name: np.asarray(array) for name, array in arrays.items()})


PIECES = (
    *(
        "|",
        "~",
        "+",
        "||",
        "~~",
        "nor_conv_3x3",
        "none~0",
        "~3",
        "~-1",
        "~٢",
        "~" + "9" * 5000,
        "none~" + "9" * 5000 + "|",
        " ",
    ),
    *("\t", "\r\n", "\n\n", "\0", "#", "\ufeff", "é", "\u2028", "'", '"', "=cmd()", "x" * 10_000),
)


def wrong_list(rng: np.random.Generator) -> bytes:
    """A text of cells with pieces replaced, put in or left out."""
    lines = [pick(rng, (*CELLS, "# a comment", "")) for _ in range(int(rng.integers(5)))]
    if rng.random() < 0.5:
        lines = [*CELLS]
    text = pick(rng, ("\n", "\r\n", "\r")).join(lines)
    for _ in range(int(rng.integers(4))):
        start = int(rng.integers(len(text) + 1))
        stop = min(len(text), start + int(rng.integers(12)))
        text = text[:start] + pick(rng, ("", *PIECES)) + text[stop:]
    encoding = pick(rng, ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    return perhaps_damaged(rng, text.encode(encoding, "replace"), share=0.3)
