"""Damage to files as bytes: what disks, transfers and attackers do, without knowing the format."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Mutation = Callable[[np.random.Generator, bytes], bytes]

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Values that lengths and counts are replaced by."""


def mutate_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """One to three kinds of damage, one after the other."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        content = MUTATIONS[int(rng.integers(len(MUTATIONS)))](rng, content)
    return content


def flip_bits(rng: np.random.Generator, content: bytes) -> bytes:
    """A few bits are inverted."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if content else 0):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def set_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """A few bytes have other values."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if content else 0):
        changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def truncate(rng: np.random.Generator, content: bytes) -> bytes:
    """The end is missing, now and then all of it."""
    return content[: int(rng.integers(len(content) + 1))]


def behead(rng: np.random.Generator, content: bytes) -> bytes:
    """The beginning is missing."""
    return content[int(rng.integers(min(64, len(content)) + 1)) :]


def cut_out(rng: np.random.Generator, content: bytes) -> bytes:
    """A range is missing."""
    start, stop = span(rng, content)
    return content[:start] + content[stop:]


def insert(rng: np.random.Generator, content: bytes) -> bytes:
    """Random bytes stand in between."""
    start = int(rng.integers(len(content) + 1))
    return content[:start] + rng.bytes(int(rng.integers(1, 65))) + content[start:]


def append(rng: np.random.Generator, content: bytes) -> bytes:
    """Something follows: random bytes, zeros, or the whole again."""
    tails = (rng.bytes(int(rng.integers(1, 65))), bytes(int(rng.integers(1, 1025))), content)
    return content + tails[int(rng.integers(len(tails)))]


def repeat(rng: np.random.Generator, content: bytes) -> bytes:
    """A range stands there several times."""
    start, stop = span(rng, content)
    return content[:stop] + content[start:stop] * int(rng.integers(1, 9)) + content[stop:]


def zero(rng: np.random.Generator, content: bytes) -> bytes:
    """A range is zeros, as a file that was never written to the end."""
    start, stop = span(rng, content)
    return content[:start] + bytes(stop - start) + content[stop:]


def randomize(rng: np.random.Generator, content: bytes) -> bytes:
    """A range is random."""
    start, stop = span(rng, content)
    return content[:start] + rng.bytes(stop - start) + content[stop:]


def swap(rng: np.random.Generator, content: bytes) -> bytes:
    """Two neighbouring ranges have changed places."""
    start, middle, stop = sorted(rng.integers(len(content) + 1, size=3).tolist())
    return content[:start] + content[middle:stop] + content[start:middle] + content[stop:]


def copy_over(rng: np.random.Generator, content: bytes) -> bytes:
    """A range stands also where another one was."""
    start, stop = span(rng, content)
    to = int(rng.integers(len(content) - (stop - start) + 1))
    return content[:to] + content[start:stop] + content[to + stop - start :]


def set_number(rng: np.random.Generator, content: bytes) -> bytes:
    """A number of one to eight bytes, such as a length, is an extreme one or a little off."""
    width = int(rng.choice([1, 2, 4, 8]))
    if len(content) < width:
        return content
    start = int(rng.integers(len(content) - width + 1))
    order = "little" if rng.integers(2) else "big"
    number = int.from_bytes(content[start : start + width], order)
    choices = (*EXTREMES, number + 1, number - 1, number * 2, number // 2)
    changed = choices[int(rng.integers(len(choices)))] % 256**width
    return content[:start] + changed.to_bytes(width, order) + content[start + width :]


def replace_all(rng: np.random.Generator, content: bytes) -> bytes:
    """Nothing is left: random bytes, a short text, or nothing."""
    others = (rng.bytes(int(rng.integers(1, 257))), b"<html>not found</html>\n", b"", b"\n")
    return others[int(rng.integers(len(others)))]


def span(rng: np.random.Generator, content: bytes) -> tuple[int, int]:
    """A range: mostly short, at times long."""
    start = int(rng.integers(len(content) + 1))
    longest = len(content) - start
    length = int(rng.integers(longest + 1)) if rng.random() < 0.2 else int(rng.integers(1, 33))
    return start, start + min(length, longest)


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, set_bytes, truncate, behead, cut_out, insert, append, repeat),
    *(zero, randomize, swap, copy_over, set_number, set_number, replace_all),
)
