"""Which images a subset takes: class-balanced, by seed, nested in the number of images.

Each class is shuffled once by the seed, then images are taken from the classes in turn. So the
first n images of an order have counts that differ by at most one between classes that are not used
up; where a class has too few, the others fill in evenly. Of two sizes with one seed, the smaller
subset is the beginning of the larger.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def balanced_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """All indices, the classes taking turns, shape ``(n,)``; a subset is its beginning.

    Args:
        labels: class indices, shape ``(n,)``.
        seed: of the shuffle within classes, and of the order in which classes take turns.
    """
    return _take_turns(_shuffled_classes(labels, seed))


def proportional_split(
    labels: np.ndarray, share: Fraction, seed: int, *, leave_one: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint parts that cover all images, each with the classes in the same proportion.

    The first part takes this share of each class, rounded by largest remainder; so where the
    counts of the classes differ by at most one, those of both parts do too. Each part begins at
    its own end of a shuffled class: the first images of either part do not depend on the share as
    long as no class is used up.

    Args:
        labels: class indices, shape ``(n,)``.
        share: of the first part, 0 … 1; its size is ``share · n`` to the nearest integer.
        seed: as for :func:`balanced_order`.
        leave_one: the first part takes no class whole while another one can give more, so that
            the second part, if it is large enough, has an image of each class.

    Returns:
        Indices of the first part and of the second, the classes taking turns in each.
    """
    classes = _shuffled_classes(labels, seed)
    counts = np.array([len(members) for members in classes])
    # Integers throughout: shares are compared exactly.
    taken, remainder = np.divmod(counts * share.numerator, share.denominator)
    missing = round(share * len(labels)) - int(taken.sum())
    # By largest remainder; of equal ones, the larger class first, then the order of turns.
    taken[np.lexsort((-counts, -remainder))[:missing]] += 1
    for used_up in np.flatnonzero(taken == counts) if leave_one else ():
        most = np.argmax(counts - taken)
        if counts[most] - taken[most] > 1:
            taken[used_up] -= 1
            taken[most] += 1
    first = [members[:k] for members, k in zip(classes, taken, strict=True)]
    second = [members[k:][::-1] for members, k in zip(classes, taken, strict=True)]
    return _take_turns(first), _take_turns(second)


def _shuffled_classes(labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Members of each class in random order, the classes in random order too."""
    rng = np.random.default_rng(seed)
    present = rng.permutation(np.unique(labels))
    return [rng.permutation(np.flatnonzero(labels == label)) for label in present]


def _take_turns(classes: list[np.ndarray]) -> np.ndarray:
    turn = np.concatenate([np.arange(len(members)) for members in classes])
    position = np.concatenate([np.full(len(members), i) for i, members in enumerate(classes)])
    return np.concatenate(classes)[np.lexsort((position, turn))]
