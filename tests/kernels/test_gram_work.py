"""A matrix as the work of a cluster, beside the tiles that a store has."""

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import ConfigurationError
from kernas.kernels.gram import matrix_work
from kernas.kernels.gram.tiles import tiles_of


@pytest.mark.parametrize(("n", "side"), [(1, 128), (128, 128), (129, 128), (1_000, 64), (50, 7)])
def test_it_has_the_tiles_and_pairs_of_a_store(n, side):
    tiles = list(tiles_of((n, n), side, symmetric=True))
    work = matrix_work(n, 0.25, tile_side=side)
    assert work.items == len(tiles)
    assert work.items * work.seconds == pytest.approx(0.25 * sum(tile.pairs for tile in tiles))


def test_its_bytes_are_those_of_the_files(tmp_path):
    x = np.random.default_rng(0).standard_normal((10, 5))
    kernel = kk.NeuralKernel(kk.serial(kk.Dense(), kk.Relu(), kk.Dense()), get="ntk")
    kk.compute_gram(kernel, x, store=tmp_path, tile_side=4)
    files = [path for path in tmp_path.glob("ntk/c/*/*") if path.is_file()]
    work = matrix_work(10, 1.0, tile_side=4, itemsize=4)
    assert len(files) == work.items == 6
    assert {file.stat().st_size for file in files} == {work.bytes}


@pytest.mark.parametrize(("n", "seconds", "side"), [(0, 1.0, 8), (8, 0.0, 8), (8, 1.0, 0)])
def test_no_matrix_is_refused(n, seconds, side):
    with pytest.raises(ConfigurationError):
        matrix_work(n, seconds, tile_side=side)
