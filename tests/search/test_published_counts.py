"""Counts of parameters and operations against the published columns of NAS-Bench-201."""

import numpy as np
import pytest

import kernas.search as ks
from kernas.kernels.architecture.counts import count


@pytest.mark.parametrize("n", [200, pytest.param(None, marks=pytest.mark.slow)])
def test_the_published_columns_of_nasbench201(n, data_folder):
    """``flops`` and ``params`` of NAS-Bench-Suite-Zero, in millions, on the cells that it has."""
    with np.load(data_folder / "nasbench201.npz") as table:
        names = table["proxy_names"].tolist()
        columns = table["proxies_cifar10"][:, [names.index("params"), names.index("flops")]]
        cells = table["arch_str"]
    covered = np.flatnonzero(~np.isnan(columns).any(1))
    assert len(covered) == 9445
    chosen = covered if n is None else np.random.default_rng(0).choice(covered, n, replace=False)
    space = ks.NasBench201()
    for index in chosen:
        network = space.candidate(cells[index].decode()).architecture
        found = count(network, (32, 32, 3), width=16, outputs=10)
        expected = 1e6 * columns[index]
        np.testing.assert_allclose([found.params, found.flops], expected, rtol=1e-9)
