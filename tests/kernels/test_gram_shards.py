"""Gram stores whose tiles are in shards, and stores that workers verify."""

import pickle

import numpy as np
import pytest
import zarr
from gram_stores import NETWORK, SIDE, contents, images, recorded

import kernas.kernels as kk
from kernas.errors import ConfigurationError, GramStoreError
from kernas.execution import Processes
from kernas.kernels.gram.layout import Layout
from kernas.kernels.gram.request import GramRequest
from kernas.kernels.gram.store import VerifyTask
from kernas.kernels.regression import conjugate_gradients
from kernas.places import Folder


@pytest.fixture
def kernel():
    return kk.NeuralKernel(NETWORK, get=("nngp", "ntk"))


@pytest.fixture
def computed(monkeypatch):
    """The places of the tiles that are computed, in order."""
    return recorded(monkeypatch)


def files(path):
    return [file for file in path.glob("*/c/*/*") if file.is_file()]


@pytest.mark.parametrize(("n", "shard"), [(20, 2), (20, 3), (24, 2), (7, 5)])
def test_a_store_in_shards_is_the_store_of_its_tiles(kernel, tmp_path, computed, n, shard):
    x, blocks = images(n), -(-n // SIDE)
    alone = kk.compute_gram(kernel, x, store=tmp_path / "alone", tile_side=SIDE)
    computed.clear()
    estimate = kk.estimate_gram(kernel, x, store=tmp_path / "a", tile_side=SIDE, shard=shard)
    store = kk.compute_gram(kernel, x, store=tmp_path / "a", tile_side=SIDE, shard=shard)
    assert sorted(computed) == [(i, j) for i in range(blocks) for j in range(i + 1)]
    assert store.verify() == []
    across = -(-blocks // shard)
    assert len(files(store.path)) == 2 * across * (across + 1) // 2
    assert estimate.disk_bytes == sum(file.stat().st_size for file in files(store.path))
    for name in store.names:
        np.testing.assert_array_equal(store[name], alone[name])
        read = zarr.open_group(store.path, mode="r")[f"{name}"]
        assert isinstance(read, zarr.Array)
        lower = np.tril(np.ones((n, n), bool))
        np.testing.assert_array_equal(np.asarray(read[:])[lower], store[name][lower])
        for tile in store.grid():
            np.testing.assert_array_equal(store.block(name, tile), alone.block(name, tile))
    assert sorted((t.row, t.column) for t in store.grid()) == sorted(
        (t.row, t.column) for t in alone.grid()
    )
    computed.clear()
    kk.compute_gram(kernel, x, store=tmp_path / "a")
    assert computed == []


def test_rectangles_and_growth(kernel, tmp_path, computed):
    x1, x2 = images(26), images(15, seed=1)
    for rows, columns in ((8, 6), (14, 15), (26, 15)):
        computed.clear()
        grown = kk.compute_gram(
            kernel, x1[:rows], x2[:columns], store=tmp_path / "a", tile_side=SIDE, shard=2
        )
    assert {row for row, _ in computed} == {2, 3, 4}  # those of the first two rows were full
    fresh = kk.compute_gram(kernel, x1, x2, store=tmp_path / "b", tile_side=SIDE, shard=2)
    assert contents(grown.path) == contents(fresh.path)
    square = tmp_path / "square"
    for n in (8, 20, 26):
        grown = kk.compute_gram(kernel, x1[:n], store=square, tile_side=SIDE, shard=2)
    fresh = kk.compute_gram(kernel, x1, store=tmp_path / "c", tile_side=SIDE, shard=2)
    assert contents(grown.path) == contents(fresh.path)
    whole = kernel(x1)
    np.testing.assert_allclose(grown["ntk"], whole.ntk, rtol=1e-5)


def test_what_is_lost_is_what_was_computed_of_one_shard(kernel, tmp_path, computed, monkeypatch):
    x = images(36)
    fresh = kk.compute_gram(kernel, x, store=tmp_path / "fresh", tile_side=SIDE, shard=3)
    recorded = GramRequest.computed

    def interrupted(request, tile):
        if (tile.row, tile.column) == (4, 1):
            raise KeyboardInterrupt
        return recorded(request, tile)

    with monkeypatch.context() as patch:
        patch.setattr(GramRequest, "computed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kk.compute_gram(kernel, x, store=tmp_path / "cut", tile_side=SIDE, shard=3)
    cut = kk.GramStore(tmp_path / "cut")
    missing = {(fault.row, fault.column) for fault in cut.verify()}
    kept = {(i, j) for i in range(6) for j in range(i + 1)} - missing
    assert kept >= {(i, j) for i in range(3) for j in range(i + 1)}
    computed.clear()
    kk.compute_gram(kernel, x, store=tmp_path / "cut")
    assert set(computed) == missing
    assert contents(cut.path) == contents(fresh.path)


def test_a_damaged_tile_of_a_shard_is_computed_alone(kernel, tmp_path, computed):
    store = kk.compute_gram(kernel, images(24), store=tmp_path, tile_side=SIDE, shard=2)
    before = contents(tmp_path)
    file = tmp_path / "ntk" / "c" / "1" / "0"
    data = bytearray(file.read_bytes())
    data[Layout.of(store.identity).tile_bytes + 3] ^= 1  # in the second of four tiles
    file.write_bytes(data)
    (fault,) = store.verify()
    assert str(fault) == f"tile (2, 1) of ntk is corrupted: {file}"
    with pytest.raises(GramStoreError, match=r"tile \(2, 1\) of ntk is corrupted"):
        store.block("ntk", next(t for t in store.grid() if (t.row, t.column) == (2, 1)))
    computed.clear()
    kk.compute_gram(kernel, images(24), store=tmp_path)
    assert computed == [(2, 1)]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (lambda data: data[:-1], "corrupted"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "corrupted"),
        (lambda data: data[:20], "corrupted"),
        (lambda data: b"", "corrupted"),
        (None, "missing"),
    ],
)
def test_a_shard_whose_index_is_damaged_has_none_of_its_tiles(
    kernel, tmp_path, computed, damage, state
):
    store = kk.compute_gram(kernel, images(24), store=tmp_path, tile_side=SIDE, shard=2)
    before = contents(tmp_path)
    file = tmp_path / "nngp" / "c" / "1" / "1"
    data = file.read_bytes()
    file.unlink() if damage is None else file.write_bytes(damage(data))
    faults = store.verify()
    assert [(fault.row, fault.column) for fault in faults] == [(2, 2), (3, 2), (3, 3)]
    assert {(fault.kernel, fault.state, fault.file) for fault in faults} == {("nngp", state, file)}
    with pytest.raises(GramStoreError, match=rf"\(3, 2\) of nngp is {state}"):
        store.block("nngp", next(t for t in store.grid() if (t.row, t.column) == (3, 2)))
    computed.clear()
    kk.compute_gram(kernel, images(24), store=tmp_path)
    assert sorted(computed) == [(2, 2), (3, 2), (3, 3)]
    assert contents(tmp_path) == before


def test_shards_that_zarr_wrote_are_read(kernel, tmp_path):
    """Its tiles are in another order."""
    x = images(24)
    store = kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE, shard=4)
    before, size = store["ntk"], (tmp_path / "ntk" / "c" / "0" / "0").read_bytes()
    array = zarr.open_group(tmp_path, mode="r+")["ntk"]
    assert isinstance(array, zarr.Array)
    array[:] = before
    assert (tmp_path / "ntk" / "c" / "0" / "0").read_bytes() != size
    assert store.verify() == []
    np.testing.assert_array_equal(store["ntk"], before)
    for tile in store.grid():
        np.testing.assert_array_equal(store.block("ntk", tile), before[tile.rows, tile.columns])


def test_a_shard_that_is_written_anew_while_it_is_read(kernel, tmp_path, monkeypatch):
    """Its tiles may then be elsewhere, each with a checksum that is right."""
    x = images(24)
    small = kk.compute_gram(kernel, x[:12], store=tmp_path / "a", tile_side=SIDE, shard=4)
    whole = kk.compute_gram(kernel, x, store=tmp_path / "b", tile_side=SIDE, shard=4)
    expected = whole["ntk"]
    array = zarr.open_group(tmp_path / "b", mode="r+")["ntk"]
    assert isinstance(array, zarr.Array)
    read, reads = Folder.read, []

    def disturbed(place, name, start=0, length=None):
        found = read(place, name, start, length)
        reads.append(start)
        if len(reads) == 1:
            array[:] = expected  # by zarr, in its own order
        return found

    monkeypatch.setattr(Folder, "read", disturbed)
    tile = next(t for t in whole.grid() if (t.row, t.column) == (3, 1))
    np.testing.assert_array_equal(whole.block("ntk", tile), expected[tile.rows, tile.columns])
    assert len(reads) == 5
    assert small.verify() == []


def test_a_matrix_in_shards_is_solved(kernel, tmp_path):
    x = images(20)
    alone = kk.compute_gram(kernel, x, store=tmp_path / "alone", tile_side=SIDE).gram("ntk")
    gram = kk.compute_gram(kernel, x, store=tmp_path / "a", tile_side=SIDE, shard=2).gram("ntk")
    np.testing.assert_array_equal(gram.diagonal(), alone.diagonal())
    for index in (0, 7, 19):
        np.testing.assert_array_equal(gram.column(index), alone.column(index))
    Y = np.random.default_rng(0).standard_normal((20, 2))
    found, expected = (conjugate_gradients(g, Y, 1e-2, rank=5) for g in (gram, alone))
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-6, atol=1e-9)


def test_another_shard_is_refused(kernel, tmp_path):
    x = images(12)
    kk.compute_gram(kernel, x, store=tmp_path / "a", tile_side=SIDE, shard=2)
    kk.compute_gram(kernel, x, store=tmp_path / "b", tile_side=SIDE, shard=1)
    assert "shard" not in kk.GramStore(tmp_path / "b").identity
    before = contents(tmp_path)
    for name, shard, words in (("a", 3, "2 there and 3"), ("a", 1, "2 there and 1"), ("b", 2, "1")):
        for call in (kk.compute_gram, kk.estimate_gram):
            with pytest.raises(GramStoreError, match=f"another matrix: shard is {words}"):
                call(kernel, x, store=tmp_path / name, tile_side=SIDE, shard=shard)
    for shard in (0, 65, -1):
        with pytest.raises(ConfigurationError, match="expected a number from 1 to 64"):
            kk.compute_gram(kernel, x, store=tmp_path / "c", shard=shard)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("shard", [1, 2])
def test_workers_find_what_is_wrong(kernel, tmp_path, monkeypatch, shard):
    """The same as alone, whoever reads which tiles: missing, corrupted and not finite ones."""
    store = kk.compute_gram(kernel, images(30), store=tmp_path, tile_side=SIDE, shard=shard)
    monkeypatch.setattr("kernas.kernels.gram.store.VERIFIED_BYTES", 1)  # an item for each shard
    rows = {name: tmp_path / name / "c" / "2" for name in ("nngp", "ntk")}
    (rows["nngp"] / "0").unlink()
    (rows["ntk"] / "0").unlink()
    (rows["ntk"] / "1").write_bytes((rows["ntk"] / "1").read_bytes()[1:])
    first = store.shards()[0]
    kernels = store.found(first)
    kernels["nngp"][:] = np.inf
    store.write(first, kernels)
    alone = store.verify()
    assert {fault.state for fault in alone} == {"missing", "corrupted", "not finite"}
    assert [(f.row, f.column) for f in alone] == sorted((f.row, f.column) for f in alone)
    workers = Processes(2)
    assert store.verify(workers) == alone
    assert pickle.loads(pickle.dumps(store)).verify() == alone


def test_workers_that_see_another_store_are_refused(kernel, tmp_path):
    store = kk.compute_gram(kernel, images(8), store=tmp_path / "a", tile_side=SIDE)
    other = kk.compute_gram(kernel, images(8, 1), store=tmp_path / "b", tile_side=SIDE)
    with pytest.raises(GramStoreError, match="is another store for a worker"):
        VerifyTask(store.location, other.identity).begin((0, 1))
    with pytest.raises(GramStoreError, match="no Gram store in"):
        VerifyTask(tmp_path / "c", other.identity).begin((0, 1))
