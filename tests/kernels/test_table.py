"""Tables of kernels: every number of the one pass is that of a kernel by itself."""

from typing import Any, cast

import jax
import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError, GramStoreError
from kernas.kernels.engine import Blocking
from kernas.kernels.gram.identity import StorableKernel
from kernas.kernels.gram.request import GramRequest
from kernas.kernels.interface import KernelFunction

BOTH = ("nngp", "ntk")
SIDE = 5
BODY = (kk.Conv(3, W_std=2**0.5, b_std=0.1), kk.Relu())
NETWORKS = {
    (depth, c): kk.serial(*BODY * depth, kk.LocalAvgPool(c), kk.Dense())
    for depth in (1, 2, 3)
    for c in (0, 1, 4)
}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def table():
    return kk.KernelTable(NETWORKS)


def images(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, SIDE, SIDE, 2))


@pytest.mark.parametrize(
    ("augment", "blocking"),
    [
        ((), Blocking("whole")),
        (kk.Flip(), Blocking("whole")),
        pytest.param(kk.Flip(), Blocking("planes", lanes=2), marks=pytest.mark.slow),
    ],
    ids=["plain", "flip", "flip by plane"],
)
def test_each_kernel_is_that_of_a_separate_run(augment, blocking):
    x, z = images(2), images(2, seed=1)
    table = kk.KernelTable(NETWORKS, augment=augment, blocking=blocking)
    gram, cross = table(x), table(z, x)
    assert list(gram) == list(NETWORKS)
    for key, network in NETWORKS.items():
        alone = kk.NeuralKernel(network, get=BOTH, augment=augment, blocking=blocking)
        for found, expected in ((gram[key], alone(x)), (cross[key], alone(z, x))):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_neural_tangents_computes_a_table_too():
    networks = {depth: kk.serial(*BODY * depth, kk.Flatten(), kk.Dense()) for depth in (1, 2)}
    x, z = images(3), images(2, seed=1)
    ours, theirs = (
        kk.KernelTable(networks, backend=name, augment=kk.Flip())
        for name in ("kernas", "neural-tangents")
    )
    prepared = theirs.prepare(x)
    for first, second in ((ours(x), theirs(prepared)), (ours(z, x), theirs(z, prepared))):
        for key in networks:
            for of_ours, of_theirs in zip(first[key], second[key], strict=True):
                np.testing.assert_allclose(of_theirs, of_ours, rtol=1e-6)
    assert theirs.settings(x.shape[1:])["backend"] == "neural-tangents"
    assert theirs.packages == ("neural-tangents",)
    with pytest.raises(DataError, match="prepared by another kernel"):
        ours(prepared)
    correlated = kk.parallel(kk.Identity(), kk.AvgPool(3, padding="SAME"))
    table = kk.KernelTable(
        {"skip": kk.serial(kk.Conv(3), correlated, kk.Flatten(), kk.Dense())},
        backend="neural-tangents",
    )
    with pytest.raises(ArchitectureError, match="neural-tangents cannot express"):
        table(x)
    with pytest.raises(ConfigurationError, match="backend='torch'"):
        kk.KernelTable(networks, backend=cast(Any, "torch"))


def test_a_table_is_stored_and_is_no_kernel_of_one_network(table):
    assert isinstance(table, StorableKernel)
    assert isinstance(kk.NeuralKernel(NETWORKS[1, 0]), StorableKernel)
    assert not isinstance(table, KernelFunction)
    assert not isinstance(kk.as_kernel(lambda x1, x2, get: x1), StorableKernel)


def test_windows_run_from_flattened_pixels_to_the_global_pool(table):
    """Zero edges: no window is the mean trace, and one that covers the image the mean of all pairs
    times ``(side / (2c + 1))⁴``, since it divides by its pixels beyond the edges too."""
    x = images(2)
    found = table(x)
    for depth in (1, 3):
        for c, readout, factor in (
            (0, kk.Flatten(), 1.0),
            (4, kk.GlobalAvgPool(), (SIDE / 9) ** 4),
        ):
            alone = kk.NeuralKernel(kk.serial(*BODY * depth, readout, kk.Dense()), get=BOTH)(x)
            for name in BOTH:
                np.testing.assert_allclose(
                    getattr(found[depth, c], name), factor * getattr(alone, name), rtol=1e-12
                )


def test_circular_windows_run_from_flattened_pixels_to_the_global_pool():
    body = (kk.Conv(3, W_std=2**0.5, padding="CIRCULAR"), kk.Relu())
    ends = {
        "none": kk.LocalAvgPool(0, "circular"),
        "some": kk.LocalAvgPool(1, "circular"),
        "all": kk.LocalAvgPool(2, "circular"),
        "flat": kk.Flatten(),
        "pooled": kk.GlobalAvgPool(),
    }
    found = kk.KernelTable({name: kk.serial(*body, end) for name, end in ends.items()})(images(3))
    for name in BOTH:
        none, some, whole, flat, pooled = (getattr(found[key], name) for key in ends)
        np.testing.assert_allclose(none, flat, rtol=1e-12)
        np.testing.assert_allclose(whole, pooled, rtol=1e-12)
        assert not np.allclose(some, flat)
        assert not np.allclose(some, pooled)


def test_one_kernel_only_and_prepared_images():
    x = images(2)
    table = kk.KernelTable({key: NETWORKS[key] for key in ((1, 0), (2, 1))}, get=("nngp",))
    found = table(table.prepare(x))
    assert found[1, 0].ntk is None
    np.testing.assert_array_equal(found[1, 0].nngp, table(x)[1, 0].nngp)
    with pytest.raises(DataError, match="prepared by another kernel"):
        table(kk.NeuralKernel(NETWORKS[1, 0], get="nngp").prepare(x))
    with pytest.raises(DataError, match="without the tangent kernel"):
        kk.KernelTable(table.networks)(table.prepare(x))


def test_images_prepared_without_mirror_images_are_refused(table):
    x = images(2)
    mirrored = kk.KernelTable(NETWORKS, augment=kk.Flip())
    for one, other in ((table, mirrored), (mirrored, table)):
        prepared = other.prepare(x)
        for sides in ((prepared,), (x, prepared)):
            with pytest.raises(DataError, match="prepared by another kernel"):
                one(*sides)


def test_the_plan_is_that_of_all_networks(table):
    shape = (SIDE, SIDE, 2)
    deepest = kk.NeuralKernel(NETWORKS[3, 4]).plan(shape)
    plan, flipped = table.plan(shape), kk.KernelTable(NETWORKS, augment=kk.Flip()).plan(shape)
    assert deepest.operations < plan.operations < 2 * deepest.operations
    assert flipped.operations == 2 * plan.operations


def test_a_store_holds_the_table_and_goes_on(table, tmp_path, monkeypatch):
    x = images(6)
    whole = table(x)
    computed = GramRequest.computed
    tiles = []

    def interrupted(request, tile):
        if len(tiles) == 2:
            raise KeyboardInterrupt
        tiles.append(tile)
        return computed(request, tile)

    monkeypatch.setattr(GramRequest, "computed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kk.compute_gram(table, x, store=tmp_path, tile_side=2)
    monkeypatch.setattr(GramRequest, "computed", computed)
    estimate = kk.estimate_gram(table, x, store=tmp_path, tile_side=2)
    assert (estimate.tiles, estimate.missing) == (6, 4)
    store = kk.compute_gram(table, x, store=tmp_path, tile_side=2)
    assert store.verify() == []
    assert store.names == tuple(f"{d}-{c}/{name}" for d, c in NETWORKS for name in BOTH)
    for (depth, c), kernels in whole.items():
        for name in BOTH:
            found = kk.GramStore(tmp_path)[f"{depth}-{c}/{name}"]
            np.testing.assert_allclose(found, getattr(kernels, name), rtol=1e-10, atol=1e-12)
    with pytest.raises(GramStoreError, match="several networks"):
        store.kernels()
    with pytest.raises(GramStoreError, match="another matrix"):
        kk.compute_gram(kk.KernelTable(NETWORKS, augment=kk.Flip()), x, store=tmp_path)


@pytest.mark.parametrize("keys", [("a/b",), ("",), ((1, 2), "1-2"), ("..",)])
def test_labels_that_files_cannot_have(keys, tmp_path):
    table = kk.KernelTable(dict.fromkeys(keys, NETWORKS[1, 0]))
    with pytest.raises(ConfigurationError, match="label"):
        kk.compute_gram(table, images(2), store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_tables_that_cannot_be():
    with pytest.raises(ConfigurationError, match="at least one"):
        kk.KernelTable({})
    with pytest.raises(ConfigurationError, match="expected an Architecture"):
        kk.KernelTable({"a": kk.Relu()})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="tile_bytes=0: expected a positive"):
        kk.KernelTable(NETWORKS, tile_bytes=0)
    with pytest.raises(ConfigurationError, match="get='both': expected 'nngp'"):
        kk.KernelTable(NETWORKS, get="both")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArchitectureError, match="normalises over a batch"):
        kk.KernelTable({"a": kk.serial(kk.Conv(3), kk.Normalize(), kk.Flatten())})
    with pytest.raises(DataError, match="x1 has images"):
        kk.KernelTable(NETWORKS)(images(2), np.ones((2, 4, 4, 2)))
