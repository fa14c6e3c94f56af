"""Cells that were published, as the code of their authors spells them."""

from typing import NamedTuple


class Genotype(NamedTuple):
    """As in the published code."""

    normal: list[tuple[str, int]]
    normal_concat: list[int] | range
    reduce: list[tuple[str, int]]
    reduce_concat: list[int] | range


# genotypes.py of the code of DARTS (Liu, Simonyan and Yang 2019)
DARTS_V2 = Genotype(
    normal=[
        *[("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1)],
        *[("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)],
    ],
    normal_concat=[2, 3, 4, 5],
    reduce=[
        *[("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)],
        *[("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)],
    ],
    reduce_concat=[2, 3, 4, 5],
)
NASNET_A = Genotype(
    normal=[
        *[("sep_conv_5x5", 1), ("sep_conv_3x3", 0), ("sep_conv_5x5", 0), ("sep_conv_3x3", 0)],
        *[("avg_pool_3x3", 1), ("skip_connect", 0), ("avg_pool_3x3", 0), ("avg_pool_3x3", 0)],
        *[("sep_conv_3x3", 1), ("skip_connect", 1)],
    ],
    normal_concat=[2, 3, 4, 5, 6],
    reduce=[
        *[("sep_conv_5x5", 1), ("sep_conv_7x7", 0), ("max_pool_3x3", 1), ("sep_conv_7x7", 0)],
        *[("avg_pool_3x3", 1), ("sep_conv_5x5", 0), ("skip_connect", 3), ("avg_pool_3x3", 2)],
        *[("sep_conv_3x3", 2), ("max_pool_3x3", 1)],
    ],
    reduce_concat=[4, 5, 6],
)
AMOEBANET_A = Genotype(
    normal=[
        *[("avg_pool_3x3", 0), ("max_pool_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_5x5", 2)],
        *[("sep_conv_3x3", 0), ("avg_pool_3x3", 3), ("sep_conv_3x3", 1), ("skip_connect", 1)],
        *[("skip_connect", 0), ("avg_pool_3x3", 1)],
    ],
    normal_concat=[4, 5, 6],
    reduce=[
        *[("avg_pool_3x3", 0), ("sep_conv_3x3", 1), ("max_pool_3x3", 0), ("sep_conv_7x7", 2)],
        *[("sep_conv_7x7", 0), ("avg_pool_3x3", 1), ("max_pool_3x3", 0), ("max_pool_3x3", 1)],
        *[("conv_7x1_1x7", 0), ("sep_conv_3x3", 5)],
    ],
    reduce_concat=[3, 4, 6],
)
# genotypes.py of pycls, and its only cell twice, as Liu et al. 2018 use it (figure 1)
PNASNET_5 = Genotype(
    *[
        [
            *[("sep_conv_5x5", 0), ("max_pool_3x3", 0), ("sep_conv_7x7", 1), ("max_pool_3x3", 1)],
            *[("sep_conv_5x5", 1), ("sep_conv_3x3", 1), ("sep_conv_3x3", 4), ("max_pool_3x3", 1)],
            *[("sep_conv_3x3", 0), ("skip_connect", 1)],
        ],
        range(2, 7),
    ]
    * 2
)


def of_arc(text: str) -> list[tuple[str, int]]:
    """The edges of a cell as ENAS numbers them: a node and an operation, twice for each node."""
    operations = "sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect"
    numbers = [int(number) for number in text.split()]
    return [(operations[o], node) for node, o in zip(numbers[::2], numbers[1::2], strict=True)]


# scripts/cifar10_micro_final.sh of the code of ENAS (Pham et al. 2018)
ENAS_MICRO = Genotype(
    normal=of_arc("0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"),
    normal_concat=[2, 3, 4, 5, 6],
    reduce=of_arc("1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"),
    reduce_concat=[2, 4, 5, 6],
)
