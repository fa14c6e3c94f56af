"""Parameters of AmoebaNet-A and ENAS as their authors' own networks have them, counted by hand.

Both differ from the skeleton that all spaces of two inputs share, so this says by how much. ENAS:
``src/cifar10/micro_child.py`` and ``scripts/cifar10_micro_final.sh`` of github.com/melodyguan/enas.
AmoebaNet-A: ``network_utils.py`` and ``model_specs.py`` of ``models/official/amoeba_net`` in
github.com/tensorflow/tpu, with the stem of NASNet on CIFAR-10, three times the filters. No
convolution has a bias; each has a BatchNorm with scale and shift.
"""

from typing import NamedTuple

import pytest
from published_cells import ENAS_MICRO

import kernas.search as ks
from kernas.kernels.architecture.counts import count

CLASSES, STEM_PIXELS = 10, 3 * 3 * 3


class State(NamedTuple):
    """Channels of a tensor, and how often its sides were halved."""

    channels: int
    halved: int


def convolution(before: int, after: int, pixels: int = 1) -> int:
    """With its BatchNorm; a factorised reduction has as many."""
    return pixels * before * after + 2 * after


def separable(before: int, after: int, side: int) -> int:
    """Twice depthwise and pointwise."""
    first, second = (side**2 * c + convolution(c, after) for c in (before, after))
    return first + second


def enas(filters: int) -> tuple[int, int]:
    """Of the network of the script, and those of the convolution of a cell that others lack."""
    cells, (first, second) = 17, (5, 11)
    total, extra = convolution(STEM_PIXELS, 3 * filters), 0
    before, last = State(3 * filters, 0), State(3 * filters, 0)
    for place in range(cells):
        reduces = place in (first, second)
        filters *= 1 + reduces
        edges, concatenated = (
            (ENAS_MICRO.reduce, ENAS_MICRO.reduce_concat)
            if reduces
            else (ENAS_MICRO.normal, ENAS_MICRO.normal_concat)
        )
        for given in (before, last):
            if given.channels != filters or given.halved != last.halved:
                total += convolution(given.channels, filters)
        extra += convolution(filters, filters)
        for operation, node in edges:
            if operation.startswith("sep_conv"):
                total += separable(filters, filters, int(operation[-1]))
            elif operation == "skip_connect" and reduces and node < 2:
                total += convolution(filters, filters)
        before, last = last, State(len(concatenated) * filters, last.halved + reduces)
    return total + extra + last.channels * CLASSES, extra


# Operations, what each reads (0 the last cell, 1 the one before it), and what is not concatenated.
NORMAL = (
    ("avg", "max", "sep3", "none", "none", "avg", "sep3", "sep5", "avg", "sep3"),
    (0, 0, 1, 1, 0, 1, 0, 2, 5, 0),
    (0, 2, 5),
)
REDUCTION = (
    ("sep3", "avg", "max", "sep7", "max", "max", "sep3", "1x7_7x1", "avg", "sep7"),
    (1, 0, 0, 2, 1, 0, 4, 0, 1, 0),
    (0, 1),
)


def of_operation(name: str, before: int, after: int, strides: bool) -> int:
    """Parameters of one."""
    if name.startswith("sep"):
        return separable(before, after, int(name[-1]))
    if name == "1x7_7x1":  # in a quarter of the channels
        few = after // 4
        return convolution(before, few) + 2 * convolution(few, few, 7) + convolution(few, after)
    adjusts = before != after or (name == "none" and strides)
    return convolution(before, after) if adjusts else 0


def amoebanet(filters: int, cells: int = 18) -> int:
    """AmoebaNet-A with so many normal cells."""
    stem = State(3 * filters, 0)
    total, outputs = convolution(STEM_PIXELS, stem.channels), [None, stem]

    def add(cell: tuple, filters: int) -> None:
        nonlocal total
        operations, read, used = cell
        before, last = outputs[-2], outputs[-1]
        reduces = cell is REDUCTION
        total += convolution(last.channels, filters)
        if before is None:
            before = last
        else:
            total += convolution(before.channels, filters)
            before = State(filters, last.halved)
        states = [State(filters, last.halved), before]
        made = State(filters, last.halved + reduces)
        for place in range(0, len(operations), 2):
            for edge in (place, place + 1):
                channels = states[read[edge]].channels
                strides = reduces and read[edge] < 2
                total += of_operation(operations[edge], channels, filters, strides)
            states.append(made)
        together = [state for number, state in enumerate(states) if number not in used]
        total += sum(convolution(s.channels, filters) for s in together if s != made)
        outputs.append(State(len(together) * filters, made.halved))

    for place in range(cells):
        if place in (cells // 3, 2 * cells // 3):
            filters *= 2
            add(REDUCTION, filters)
        add(NORMAL, filters)
    return total + (outputs[-1].channels + 1) * CLASSES


def test_enas_is_the_network_of_its_script_without_one_convolution_a_cell() -> None:
    """Published: 4.6M, which the script does not come to."""
    total, extra = enas(36)
    assert total == 3_894_372
    ours = ks.EnasSpace(cells=17).candidate(ENAS_MICRO).architecture
    assert count(ours, (32, 32, 3), width=36, outputs=CLASSES).params == total - extra + CLASSES


@pytest.mark.parametrize(("filters", "millions"), [(32, "2.6"), (36, "3.2")])
def test_amoebanet_has_the_published_parameters_in_its_own_network(filters, millions) -> None:
    """Real et al. 2019, table 1: N = 6, F = 32 and N = 6, F = 36."""
    assert f"{amoebanet(filters) / 1e6:.1f}" == millions
    assert amoebanet(36) == 3_218_266
