"""The parts of a network that proxies look at: what its readout reads, and its blocks."""

from __future__ import annotations

from kernas.errors import ArchitectureError
from kernas.kernels import Architecture
from kernas.kernels.architecture import Dense, Flatten, GlobalAvgPool, LocalAvgPool
from kernas.kernels.architecture.activations import Activation

READOUT = (Dense, Flatten, GlobalAvgPool, LocalAvgPool)

SMALLEST = 3
"""The least side of small images: a 3×3 window has a middle."""


def body_of(architecture: Architecture) -> Architecture | None:
    """What the pools, flattenings and dense layers at the end of a network read; ``None`` where
    they read the images."""
    place = architecture.output
    while isinstance(architecture.nodes[place].layer, READOUT):
        (place,) = architecture.nodes[place].inputs
    return Architecture(architecture.nodes[: place + 1]) if place else None


def blocks_of(architecture: Architecture) -> tuple[int, ...]:
    """The nodes at which a network falls into blocks one after another, such as cells.

    They are the nodes on every way from the images to the output, readout apart, at which ways part
    or join; of a network with a single way its activations.
    """
    nodes = architecture.nodes
    readers = [0] * len(nodes)
    before = [1] + [0] * (len(nodes) - 1)
    for place, node in enumerate(nodes[1:], start=1):
        before[place] = sum(before[i] for i in node.inputs)
        for i in node.inputs:
            readers[i] += 1
    after = [0] * (len(nodes) - 1) + [1]
    for place in range(len(nodes) - 1, 0, -1):
        for i in nodes[place].inputs:
            after[i] += after[place]
    body = body_of(architecture)
    last = body.output if body else 0
    passed = [i for i in range(1, last + 1) if before[i] * after[i] == after[0]]
    joints = [i for i in passed if readers[i] > 1 or len(nodes[i].inputs) > 1]
    return tuple(joints or [i for i in passed if isinstance(nodes[i].layer, Activation)])


def smallest_images(
    architecture: Architecture, image_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The shape of the smallest square images, or shortest signals, that a network takes, at most
    ``image_shape``; that itself of vectors, and ``None`` where it takes none."""
    *sides, channels = image_shape
    if not sides:
        return image_shape
    for side in range(SMALLEST, min(sides) + 1):
        shape = (*[side] * len(sides), channels)
        try:
            architecture.shapes(shape)
        except ArchitectureError:
            continue
        return shape
    return None
