"""Gram stores: what they hold, refuse and survive, and who computes which tile."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from gram_stores import NETWORK, SIDE, images, recorded

import kernas.kernels as kk
from kernas.documents import sealed
from kernas.errors import (
    ConfigurationError,
    DataError,
    GramStoreError,
    KernelRangeError,
    UnboundKernelError,
)
from kernas.execution import Processes
from kernas.kernels.engine import Blocking
from kernas.kernels.gram import products
from kernas.kernels.gram.request import GramRequest, PreparedBlocks
from kernas.kernels.regression import conjugate_gradients, factorise
from kernas.locks import exclusive

NORMALIZED = kk.serial(kk.Flatten(), kk.Dense(), kk.Normalize(), kk.Relu(), kk.Dense())


@pytest.fixture
def kernel():
    return kk.NeuralKernel(NETWORK, get=("nngp", "ntk"))


@pytest.fixture
def computed(monkeypatch):
    """The places of the tiles that are computed, in order."""
    return recorded(monkeypatch)


def contents(path):
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def chunk(path, name, row, column):
    return path / name / "c" / str(row) / str(column)


@pytest.mark.parametrize(("n", "side"), [(20, 6), (12, 6), (2, 6), (1, 1)])
def test_the_store_holds_the_kernel_of_one_triangle(kernel, tmp_path, computed, n, side):
    x = images(n)
    store = kk.compute_gram(kernel, x, store=tmp_path / "a" / "b", tile_side=side)
    whole = kernel(x)
    blocks = -(-n // side)
    expected = [(i, j) for i in range(blocks) for j in range(i + 1)]
    assert sorted(computed) == expected
    assert (store.shape, store.names, store.symmetric) == ((n, n), ("nngp", "ntk"), True)
    assert store.verify() == []
    for name in store.names:
        np.testing.assert_allclose(store[name], getattr(whole, name), rtol=1e-5)
        np.testing.assert_array_equal(store[name], store[name].T)
        places = [(r.start // side, c.start // side) for r, c, _ in store.tiles(name)]
        assert places == expected
        assert len(list((store.path / name / "c").rglob("*/*"))) == len(expected)
        for rows, columns, block in store.tiles(name):
            np.testing.assert_array_equal(block, store[name][rows, columns])
    opened = kk.GramStore(store.path)
    np.testing.assert_array_equal(opened.kernels().ntk, store["ntk"])
    assert opened.dtype == np.float32
    assert opened.identity["architecture"]["hash"] == NETWORK.hash


def test_rectangles_and_one_kernel_alone(kernel, tmp_path):
    x1, x2 = images(14), images(8, seed=1)
    ntk = replace(kernel, get="ntk")
    store = kk.compute_gram(ntk, x1, x2, store=tmp_path, tile_side=SIDE)
    assert (store.shape, store.names, store.symmetric) == ((14, 8), ("ntk",), False)
    np.testing.assert_allclose(store["ntk"], ntk(x1, x2), rtol=1e-5)
    assert store.kernels().nngp is None
    assert len(list(store.tiles("ntk"))) == 3 * 2
    with pytest.raises(GramStoreError, match="holds ntk, not 'nngp'"):
        store["nngp"]


def test_float64(kernel, tmp_path):
    x = images(8)
    with jax.enable_x64(True):
        store = kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
        np.testing.assert_allclose(store["ntk"], kernel(x).ntk, rtol=1e-13)
    assert store["ntk"].dtype == np.float64
    assert kk.GramStore(tmp_path).dtype == np.float64
    with pytest.raises(GramStoreError, match=r'settings\.dtype is "float64" there'):
        kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)


def test_a_bound_kernel_and_a_data_set(tmp_path):
    train, _ = kk.load("digits", n_train=20, n_test=10)
    kernel = kk.NeuralKernel(NORMALIZED).bind(train.x, n_reference=4)
    store = kk.compute_gram(kernel, train, store=tmp_path, tile_side=8)
    np.testing.assert_allclose(store["ntk"], kernel(train.x), rtol=1e-4, atol=1e-5)
    assert store.identity["bound"]["n_reference"] == 4
    assert store.identity["x1"]["preprocessing"]["source"] == "scikit-learn load_digits"


def test_what_is_there_is_not_computed_again(kernel, tmp_path, computed):
    kk.compute_gram(kernel, images(20), store=tmp_path, tile_side=SIDE)
    before = contents(tmp_path)
    computed.clear()
    kk.compute_gram(kernel, images(20).astype(np.float64), store=tmp_path, tile_side=SIDE)
    assert computed == []
    assert contents(tmp_path) == before


def flipped(file):
    data = bytearray(file.read_bytes())
    data[37] ^= 4
    file.write_bytes(data)


DAMAGE = {
    "flipped": flipped,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:50]),
    "empty": lambda file: file.write_bytes(b""),
    "four zeros": lambda file: file.write_bytes(bytes(4)),
    "zeros": lambda file: file.write_bytes(bytes(len(file.read_bytes()))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_tile_is_found_named_and_computed_again(kernel, tmp_path, computed, damage):
    store = kk.compute_gram(kernel, images(20), store=tmp_path, tile_side=SIDE)
    before = contents(tmp_path)
    bad, gone = chunk(tmp_path, "ntk", 2, 1), chunk(tmp_path, "nngp", 3, 3)
    DAMAGE[damage](bad)
    gone.unlink()
    faults = store.verify()
    assert [(fault.kernel, fault.row, fault.column, fault.file) for fault in faults] == [
        ("ntk", 2, 1, bad),
        ("nngp", 3, 3, gone),
    ]
    assert str(faults[0]) == f"tile (2, 1) of ntk is corrupted: {bad}"
    assert str(faults[1]) == f"tile (3, 3) of nngp is missing: {gone}"
    with pytest.raises(GramStoreError, match=r"tile \(2, 1\) of ntk is corrupted"):
        store["ntk"]
    assert kk.estimate_gram(kernel, images(20), store=tmp_path, tile_side=SIDE).corrupted == (
        faults[0],
    )
    computed.clear()
    kk.compute_gram(kernel, images(20), store=tmp_path, tile_side=SIDE)
    assert sorted(computed) == [(2, 1), (3, 3)]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("first", [12, 14])
def test_a_grown_store_is_a_fresh_one(kernel, tmp_path, computed, first):
    x = images(20)
    kk.compute_gram(kernel, x[:first], store=tmp_path / "grown", tile_side=SIDE)
    computed.clear()
    grown = kk.compute_gram(kernel, x, store=tmp_path / "grown", tile_side=SIDE)
    assert sorted(computed) == [(i, j) for i in (2, 3) for j in range(i + 1)]
    fresh = kk.compute_gram(kernel, x, store=tmp_path / "fresh", tile_side=SIDE)
    assert contents(grown.path) == contents(fresh.path)
    np.testing.assert_allclose(grown["ntk"], kernel(x).ntk, rtol=1e-5)


def test_a_rectangle_grows_on_both_sides(kernel, tmp_path, computed):
    x1, x2 = images(14), images(8, seed=1)
    kk.compute_gram(kernel, x1[:8], x2[:6], store=tmp_path / "a", tile_side=SIDE)
    computed.clear()
    kk.compute_gram(kernel, x1, x2, store=tmp_path / "a", tile_side=SIDE)
    assert (0, 0) not in computed
    kk.compute_gram(kernel, x1, x2, store=tmp_path / "b", tile_side=SIDE)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_growth_that_was_interrupted_goes_on(kernel, tmp_path):
    """The identity says more images, the arrays do not yet."""
    x = images(20)
    kk.compute_gram(kernel, x, store=tmp_path / "fresh", tile_side=SIDE)
    kk.compute_gram(kernel, x[:14], store=tmp_path / "cut", tile_side=SIDE)
    shutil.copy(tmp_path / "fresh" / "zarr.json", tmp_path / "cut" / "zarr.json")
    missing = {(fault.row, fault.column) for fault in kk.GramStore(tmp_path / "cut").verify()}
    assert missing == {(i, j) for i in (2, 3) for j in range(i + 1)}
    kk.compute_gram(kernel, x, store=tmp_path / "cut", tile_side=SIDE)
    assert contents(tmp_path / "cut") == contents(tmp_path / "fresh")


def test_who_fills_the_smaller_matrix_leaves_the_grown_one_whole(kernel, tmp_path):
    """A process that began before the store grew writes its last tiles too short."""
    x = images(20)
    small = kk.compute_gram(kernel, x[:14], store=tmp_path, tile_side=SIDE)
    tile = next(tile for tile in small.grid() if (tile.row, tile.column) == (2, 0))
    short = {name: small[name][tile.rows, tile.columns] for name in small.names}
    whole = kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    before = contents(tmp_path)
    assert small.holds(tile)
    small.write(tile, short)
    assert {(fault.row, fault.column) for fault in whole.verify()} == {(2, 0)}
    kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    assert contents(tmp_path) == before


def test_other_first_images_and_fewer_images_are_refused(kernel, tmp_path):
    x = images(14)
    kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    before = contents(tmp_path)
    other = np.concatenate([x, x])
    other[3, 1] += 1
    for given, words in ((other, "x1.sha256 is"), (x[:8], "x1.n is 14 there and 8 here")):
        with pytest.raises(GramStoreError, match=words):
            kk.compute_gram(kernel, given, store=tmp_path, tile_side=SIDE)
    assert contents(tmp_path) == before


X = images(8)
DIFFERENT = {
    "architecture.hash": lambda kernel: (replace(kernel, architecture=kk.serial(kk.Dense())), X),
    "kernels": lambda kernel: (replace(kernel, get=("ntk", "nngp")), X),
    "x1.sha256": lambda kernel: (kernel, X + 1),
    "x1.n": lambda kernel: (kernel, X[:7]),
    "x1.shape": lambda kernel: (kernel, X[:, :4]),
    "x2": lambda kernel: (kernel, X, X),
    "settings.tile_bytes": lambda kernel: (replace(kernel, tile_bytes=2**29), X),
    "settings.blocking.lanes": lambda kernel: (
        replace(kernel, blocking=Blocking("whole", 3)),
        X,
    ),
    "settings.backend": lambda kernel: (replace(kernel, backend="neural-tangents"), X),
}


@pytest.mark.parametrize("field", DIFFERENT)
def test_another_matrix_is_refused_by_field(kernel, tmp_path, field):
    kk.compute_gram(kernel, X, store=tmp_path, tile_side=SIDE)
    before = contents(tmp_path)
    for call in (kk.compute_gram, kk.estimate_gram):
        with pytest.raises(GramStoreError, match=f"another matrix: {field} is .* there"):
            call(*DIFFERENT[field](kernel), store=tmp_path, tile_side=SIDE)
    assert contents(tmp_path) == before


def test_another_side_of_tiles_is_refused(kernel, tmp_path):
    kk.compute_gram(kernel, X, store=tmp_path, tile_side=SIDE)
    with pytest.raises(GramStoreError, match="tile_side is 6 there and 5 here"):
        kk.compute_gram(kernel, X, store=tmp_path, tile_side=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store to be copied."""
    path = tmp_path_factory.mktemp("whole") / "store"
    kernel = kk.NeuralKernel(NETWORK, get=("nngp", "ntk"))
    return kk.compute_gram(kernel, X, store=path, tile_side=SIDE).path


def edited(file, change, *, seal=True):
    """The metadata of a group or of an array, changed; as kernas would have written it, or not."""
    document = json.loads(file.read_text())
    change(document)
    if seal and document["node_type"] == "group":
        document["attributes"] = sealed(document["attributes"])
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update(kernels=[]), "expected different names"),
        (lambda a: a.update(kernels=["ntk", "ntk"]), "expected different names"),
        (lambda a: a.update(kernels=["../ntk"]), "expected a list of the name of a kernel"),
        (lambda a: a.update(tile_side=True), "tile_side is true: expected an integer >= 1"),
        (lambda a: a.update(x1=None), "x1 is null: expected an object"),
        (lambda a: a.update(x2=[]), "expected an object, or null"),
        (lambda a: a["x1"].update(n="8"), 'x1.n is "8": expected an integer >= 1'),
        (lambda a: a["x1"].update(n=10**15), "too many tiles"),
        (lambda a: a.pop("x2"), "it lacks 'x2'"),
        (lambda a: a["settings"].update(dtype="float16"), 'dtype is "float16": expected one of'),
        (lambda a: a["settings"].update(blocking={"way": "up"}), "expected one of .*planes"),
        (lambda a: a.update(version=3), "not a Gram store of version 2"),
        (lambda a: a.update(version=True), "not a Gram store of version 2"),
        (lambda a: a.update(version=[]), "not a Gram store of version 2"),
    ],
)
def test_an_identity_that_is_none_is_refused(whole, tmp_path, change, words):
    shutil.copytree(whole, tmp_path / "store")
    edited(tmp_path / "store" / "zarr.json", lambda document: change(document["attributes"]))
    with pytest.raises(GramStoreError, match=f"{words}.*; choose another|{words}.*; copy it again"):
        kk.GramStore(tmp_path / "store")


def test_an_identity_that_was_altered_is_refused(kernel, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "store")

    def fewer(document):
        document["attributes"]["x1"]["n"] = SIDE

    edited(tmp_path / "store" / "zarr.json", fewer, seal=False)
    for call in (
        lambda: kk.GramStore(tmp_path / "store"),
        lambda: kk.compute_gram(kernel, X, store=tmp_path / "store", tile_side=SIDE),
    ):
        with pytest.raises(
            GramStoreError, match=r"zarr\.json cannot be read \(its content has the"
        ):
            call()


def test_a_store_without_a_checksum_is_read_and_gets_one(kernel, whole, tmp_path):
    """As kernas wrote them before there was one, in version 1 of the format."""
    path = tmp_path / "store"
    shutil.copytree(whole, path)

    def older(document):
        document["attributes"]["version"] = 1
        del document["attributes"]["checksum"]

    edited(path / "zarr.json", older, seal=False)
    np.testing.assert_array_equal(kk.GramStore(path)["ntk"], kk.GramStore(whole)["ntk"])
    kk.compute_gram(kernel, images(8), store=path, tile_side=SIDE)
    (path / "ntk" / "zarr.json").unlink()  # what is written again is of this version
    kk.compute_gram(kernel, images(8), store=path, tile_side=SIDE)
    assert contents(path) == contents(whole)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"zarr_format": 3, "node_ty', "not JSON"),
        ("[" * 100_000, "brackets are open"),
        ("[]", "expected an object"),
        ('{"zarr_format": 3, "zarr_format": 3}', "stands there twice"),
        ("\0", "not JSON"),
    ],
)
def test_damaged_metadata_are_one_line(kernel, whole, tmp_path, text, words):
    for name in ("zarr.json", "ntk/zarr.json"):
        path = tmp_path / name.replace("/", "-")
        shutil.copytree(whole, path)
        (path / name).write_text(text)
        with pytest.raises(GramStoreError, match=f"{name} cannot be read .*{words}"):
            kk.GramStore(path)
        with pytest.raises(GramStoreError, match=f"{name} cannot be read .*{words}"):
            kk.compute_gram(kernel, X, store=path, tile_side=SIDE)
    (path / "ntk" / "zarr.json").unlink()
    kk.compute_gram(kernel, X, store=path, tile_side=SIDE)
    assert contents(path) == contents(whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(data_type="float64"), 'data_type is "float64": expected "float32"'),
        (lambda d: d.update(shape=[8]), "shape is .8.: expected a list"),
        (lambda d: d.update(shape=[9, 8]), "expected at most .8, 8."),
        (lambda d: d.update(fill_value=0.0), 'fill_value is 0.0: expected "NaN"'),
        (lambda d: d.update(codecs=d["codecs"][:1]), "codecs is"),
        (lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[6, 7]), "chunk_shape is"),
        (lambda d: d.update(node_type="group"), 'node_type is "group": expected "array"'),
        (lambda d: d.update(more=1), "more is 1: expected null"),
        (lambda d: d.pop("chunk_key_encoding"), "chunk_key_encoding is null"),
        (lambda d: d.update(attributes=[]), "attributes is .*: expected an object"),
    ],
)
def test_metadata_of_another_array_are_refused_by_field(whole, tmp_path, change, words):
    shutil.copytree(whole, tmp_path / "store")
    edited(tmp_path / "store" / "nngp" / "zarr.json", change)
    with pytest.raises(GramStoreError, match=f"{words}.*; remove it, and the same compute_gram"):
        kk.GramStore(tmp_path / "store")


def test_no_memory_is_taken_for_tiles_that_are_missing(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "store")

    def huge(document):
        document["attributes"]["x1"]["n"] = SIDE * 2**16

    edited(tmp_path / "store" / "zarr.json", huge)
    with pytest.raises(GramStoreError, match=r"tile \(2, 0\) of ntk is missing"):
        kk.GramStore(tmp_path / "store")["ntk"]


@pytest.mark.parametrize(
    ("options", "field"), [({"n_reference": 5}, "n_reference"), ({"seed": 1}, "seed")]
)
def test_other_reference_images_are_refused(tmp_path, options, field):
    train, _ = kk.load("digits", n_train=12, n_test=10)
    bound = kk.NeuralKernel(NORMALIZED).bind(train.x, n_reference=4)
    kk.compute_gram(bound, train, store=tmp_path)
    other = kk.NeuralKernel(NORMALIZED).bind(train.x, **{"n_reference": 4, **options})
    with pytest.raises(GramStoreError, match=f"bound.{field} is"):
        kk.compute_gram(other, train, store=tmp_path)
    third = kk.NeuralKernel(NORMALIZED).bind(train.x[::-1], n_reference=4)
    with pytest.raises(GramStoreError, match=r"bound\.sha256 is"):
        kk.compute_gram(third, train, store=tmp_path)


def test_an_array_is_the_data_set_that_has_its_pixels(tmp_path):
    train, _ = kk.load("digits", n_train=12, n_test=10)
    kernel = kk.NeuralKernel(kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense()))
    kk.compute_gram(kernel, train, store=tmp_path)
    before = contents(tmp_path)
    store = kk.compute_gram(kernel, train.x, store=tmp_path)
    assert contents(tmp_path) == before
    assert store.identity["x1"]["preprocessing"]["source"] == "scikit-learn load_digits"
    with pytest.raises(GramStoreError, match=r"x1\.sha256 is"):
        kk.compute_gram(kernel, train.x[::-1], store=tmp_path)


@pytest.mark.parametrize(
    "field", ["device.kind", "versions.jax", "versions.kernas", "versions.zarr"]
)
def test_another_device_or_version_is_refused(kernel, tmp_path, field):
    kk.compute_gram(kernel, X, store=tmp_path, tile_side=SIDE)
    metadata = json.loads((tmp_path / "zarr.json").read_text())
    group, name = field.split(".")
    metadata["attributes"][group][name] = "another"
    metadata["attributes"] = sealed(metadata["attributes"])
    (tmp_path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(GramStoreError, match=f'{field} is "another" there'):
        kk.compute_gram(kernel, X, store=tmp_path, tile_side=SIDE)


def test_the_blocking_of_the_store_is_kept(tmp_path):
    """What another process measured decides, not what would be measured here."""
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 1))
    network = kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())
    measured = kk.NeuralKernel(network, blocking=Blocking("planes", 3, 17.0))
    kk.compute_gram(measured, x[:4], store=tmp_path, tile_side=2)
    store = kk.compute_gram(kk.NeuralKernel(network), x, store=tmp_path, tile_side=2)
    assert store.identity["settings"]["blocking"]["nanoseconds"] == 17.0
    np.testing.assert_allclose(store["ntk"], measured(x), rtol=1e-5)


def test_the_blocking_of_a_process_that_was_quicker_is_taken_over(tmp_path, monkeypatch):
    """Both found no store and measured for themselves; one began it."""
    x = np.random.default_rng(0).normal(size=(4, 4, 4, 1))
    network = kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())
    opened = GramRequest.opened

    def late(request):
        monkeypatch.setattr(GramRequest, "opened", opened)
        quicker = kk.NeuralKernel(network, blocking=Blocking("planes", 3, 17.0))
        kk.compute_gram(quicker, x, store=request.path, tile_side=2)
        return opened(request)

    monkeypatch.setattr(GramRequest, "opened", late)
    store = kk.compute_gram(kk.NeuralKernel(network), x, store=tmp_path / "same", tile_side=2)
    assert store.identity["settings"]["blocking"]["nanoseconds"] == 17.0
    monkeypatch.setattr(GramRequest, "opened", late)
    with pytest.raises(GramStoreError, match="x1"):
        kk.compute_gram(kk.NeuralKernel(network), x + 1, store=tmp_path / "other", tile_side=2)


def test_what_a_kill_may_leave_is_mended(kernel, tmp_path, computed):
    x = images(20)
    kk.compute_gram(kernel, x, store=tmp_path / "whole", tile_side=SIDE)
    before = contents(tmp_path / "whole")

    def begun(name, *kept):
        path = tmp_path / name
        path.mkdir()
        for file in before:
            if file.startswith(kept):
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(tmp_path / "whole" / file, path / file)
        return path

    partial = begun("nothing", "locks/")
    (partial / "zarr.0123.partial").write_text("{")
    group_alone = begun("group", "locks/", "zarr.json")
    one_array = begun("array", "locks/", "zarr.json", "nngp")
    (one_array / "ntk").mkdir()
    (one_array / "ntk" / "zarr.0123.partial").write_text("{")
    chunks = begun("chunks", "locks/", "zarr.json", "nngp", "ntk/zarr.json", "ntk/c/1")
    (chunks / "ntk" / "c" / "3").mkdir()
    (chunks / "ntk" / "c" / "3" / "2.0123.partial").write_text("half a tile")
    (chunks / "locks" / "3-2").touch()
    arrays = begun("arrays", "locks/", "zarr.json", "nngp/zarr.json", "ntk/zarr.json")
    (arrays / "zarr.0123.partial").touch()  # of a second writing of the same
    for path in (partial, group_alone, one_array, chunks, arrays):
        kk.estimate_gram(kernel, x, store=path, tile_side=SIDE)
        kk.compute_gram(kernel, x, store=path, tile_side=SIDE)
        assert contents(path) == before
    with pytest.raises(GramStoreError, match="no Gram store"):
        kk.GramStore(tmp_path / "elsewhere")


def test_an_unfinished_store_can_be_opened_but_not_read(kernel, tmp_path, monkeypatch):
    original = GramRequest.computed

    def interrupted(request, tile):
        if tile.row == 2:
            raise KeyboardInterrupt
        return original(request, tile)

    monkeypatch.setattr(GramRequest, "computed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kk.compute_gram(kernel, images(20), store=tmp_path, tile_side=SIDE)
    store = kk.GramStore(tmp_path)
    assert len(store.verify()) == 2 * (3 + 4)
    with pytest.raises(GramStoreError, match=r"tile \(2, 0\) of ntk is missing"):
        store["ntk"]


def test_other_folders_are_refused(kernel, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("something else")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "zarr.json").write_text("{")
    (tmp_path / "group").mkdir()
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}
    (tmp_path / "group" / "zarr.json").write_text(json.dumps(group))
    before = contents(tmp_path)
    for name in ("file", "folder", "broken", "group", "file/below"):
        with pytest.raises(GramStoreError, match="choose another folder"):
            kk.compute_gram(kernel, X, store=tmp_path / name)
    assert contents(tmp_path) == before


def test_bad_input_is_refused_before_anything_is_written(kernel, tmp_path):
    x = images(8)
    nan = np.where(x > 1, np.nan, x)
    unbound = kk.NeuralKernel(NORMALIZED)
    calls = [
        ((replace(kernel, tile_bytes=1), x), {}, ConfigurationError, "tile_bytes=1: one pair"),
        ((kernel, x), {"tile_side": 0}, ConfigurationError, "tile_side=0"),
        ((kernel, x, x[:, :4]), {}, DataError, r"x1 has images of \(5,\) and x2 of \(4,\)"),
        ((kernel, nan), {}, DataError, "NaN"),
        ((lambda x1, x2=None: x1, x), {}, ConfigurationError, "expected a NeuralKernel"),
        ((unbound, x), {}, UnboundKernelError, "kernel.bind"),
    ]
    for arguments, options, error, words in calls:
        for call in (kk.compute_gram, kk.estimate_gram):
            with pytest.raises(error, match=words):
                call(*arguments, store=tmp_path / "store", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_that_overflows_is_refused_and_named(kernel, tmp_path):
    x = images(8).astype(np.float32)
    x[7] = 1e30
    with pytest.raises(
        KernelRangeError, match=r"x1\[6:8\]: image 1: the nngp overflows .* node 0 \(Input\); stand"
    ):
        kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    assert kk.GramStore(tmp_path).verify()[0].row == 1


def test_a_full_disk_keeps_finished_tiles(kernel, tmp_path):
    x, disk = images(62), tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "kernas-test", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    try:
        with pytest.raises(GramStoreError, match=r"No space left.*finished tiles are kept"):
            kk.compute_gram(kernel, x, store=disk / "store", tile_side=SIDE)
        there = kk.GramStore(disk / "store")
        missing = len(there.verify())
        assert 0 < missing < 2 * len(there.grid())
        assert all(fault.state == "missing" for fault in there.verify())
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        kk.compute_gram(kernel, x, store=disk / "store", tile_side=SIDE)
        whole = contents(disk / "store")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    kk.compute_gram(kernel, x, store=tmp_path / "undisturbed", tile_side=SIDE)
    assert whole == contents(tmp_path / "undisturbed")


def test_whatever_stops_a_tile_leaves_the_others(kernel, tmp_path, monkeypatch):
    x, path = images(20), tmp_path / "store"
    kk.compute_gram(kernel, x, store=tmp_path / "undisturbed", tile_side=SIDE)
    write = kk.GramStore.write

    def written(store, tile, kernels):
        if (tile.row, tile.column) == (2, 0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(store, tile, kernels)

    with monkeypatch.context() as patch:
        patch.setattr(kk.GramStore, "write", written)
        with pytest.raises(GramStoreError, match="finished tiles are kept"):
            kk.compute_gram(kernel, x, store=path, tile_side=SIDE)
    states = {(fault.row, fault.column): fault.state for fault in kk.GramStore(path).verify()}
    assert states[2, 0] == "missing"
    assert set(states.values()) == {"missing"}
    kk.compute_gram(kernel, x, store=path, tile_side=SIDE)
    assert contents(path) == contents(tmp_path / "undisturbed")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds no file's size")
def test_a_tile_that_cannot_be_written_leaves_the_others(kernel, tmp_path):
    x, path = images(20), tmp_path / "store"
    kk.compute_gram(kernel, x, store=path, tile_side=SIDE)
    before = contents(path)
    chunk(path, "nngp", 2, 0).unlink()
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "network.json").write_text(NETWORK.to_json())
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path)], capture_output=True, text=True
    )
    assert "cannot write in" in done.stdout
    assert "finished tiles are kept" in done.stdout
    missing = kk.GramStore(path).verify()
    assert [(fault.row, fault.column, fault.state) for fault in missing] == [(2, 0, "missing")]
    kk.compute_gram(kernel, x, store=path, tile_side=SIDE)
    assert contents(path) == before


def test_the_estimate_writes_nothing_and_knows_the_disk(kernel, tmp_path):
    x = images(20)
    estimate = kk.estimate_gram(kernel, x, store=tmp_path / "new", tile_side=SIDE)
    assert not (tmp_path / "new").exists()
    store = kk.compute_gram(kernel, x, store=tmp_path / "new", tile_side=SIDE)
    chunks = [file for file in store.path.rglob("c/*/*") if file.is_file()]
    assert (estimate.tiles, estimate.missing, estimate.pairs) == (10, 10, 210)
    assert estimate.disk_bytes == sum(file.stat().st_size for file in chunks)
    assert estimate.seconds > 0
    assert 0 < estimate.timed_pairs <= SIDE**2
    assert "10 of 10 tiles to compute, 210 pairs" in str(estimate)
    chunk(store.path, "ntk", 2, 1).unlink()
    again = kk.estimate_gram(kernel, x, store=store.path, tile_side=SIDE)
    assert (again.missing, again.pairs) == (1, 36)
    kk.compute_gram(kernel, x, store=store.path, tile_side=SIDE)
    done = kk.estimate_gram(kernel, x, store=store.path, tile_side=SIDE)
    assert (done.missing, done.seconds, done.disk_bytes) == (0, 0.0, 0)


def test_prepared_blocks_are_kept_within_the_bound(kernel):
    x = images(24)
    alone = kernel.prepare(x[:SIDE]).nbytes
    blocks = PreparedBlocks(replace(kernel, tile_bytes=3 * alone), x, SIDE)
    first = blocks[0]
    assert len(blocks[3]) == SIDE
    assert blocks[0] is first
    assert blocks[1] is blocks[1]
    assert blocks[0] is first
    _ = blocks[2]  # the fourth: block 3 is the one not read for longest
    assert blocks[0] is first
    _ = blocks[3], blocks[2], blocks[1]
    assert blocks[0] is not first


BOUNDED = """
import pathlib, resource, sys
import numpy as np
import kernas.kernels as kk
from kernas.errors import GramStoreError

folder = pathlib.Path(sys.argv[1])
network = kk.Architecture.from_json((folder / "network.json").read_text())
kernel = kk.NeuralKernel(network, get=("nngp", "ntk"))
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))  # bytes, less than a tile has
try:
    kk.compute_gram(kernel, np.load(folder / "x.npy"), store=folder / "store", tile_side=6)
except GramStoreError as error:
    print(error)
"""

WORKER = """
import os, pathlib, sys, time
import numpy as np
import kernas.kernels as kk
from kernas.kernels.gram.request import GramRequest

folder = pathlib.Path(sys.argv[1])
computed = GramRequest.computed

def logged(request, tile):
    with (folder / "log").open("a") as file:
        file.write(f"{os.getpid()} {tile.row} {tile.column}\\n")
    while len({line.split()[0] for line in (folder / "log").open()}) < together:
        time.sleep(0.01)  # who began first waits with its first tile
    time.sleep(0.02)
    return computed(request, tile)

GramRequest.computed = logged
network = kk.Architecture.from_json((folder / "network.json").read_text())
kernel = kk.NeuralKernel(network, get=("nngp", "ntk"))
x = np.load(folder / "x.npy")
print("ready", flush=True)
together = int(sys.stdin.readline())
kk.compute_gram(kernel, x, store=folder / "store", tile_side=6)
"""


def workers(folder, x, number):
    """Processes that wait for a line before they fill one store."""
    (folder / "network.json").write_text(NETWORK.to_json())
    np.save(folder / "x.npy", x)
    command = [sys.executable, "-c", WORKER, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    found = [subprocess.Popen(command, **pipes) for _ in range(number)]
    for process in found:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return found


def begin(process, together=1):
    """Let a process fill the store, once so many have begun with a tile."""
    process.stdin.write(f"{together}\n")
    process.stdin.flush()


def tiles_by_process(folder):
    lines = [tuple(map(int, line.split())) for line in (folder / "log").read_text().splitlines()]
    return {pid: [place for p, *place in lines if p == pid] for pid, *_ in lines}


def test_two_processes_compute_no_tile_twice(kernel, tmp_path):
    x = images(50)
    processes = workers(tmp_path, x, 2)
    for process in processes:
        begin(process, together=2)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    computed = tiles_by_process(tmp_path)
    assert set(computed) == {process.pid for process in processes}
    places = [tuple(place) for places in computed.values() for place in places]
    assert sorted(places) == [(i, j) for i in range(9) for j in range(i + 1)]
    kk.compute_gram(kernel, x, store=tmp_path / "alone", tile_side=SIDE)
    assert contents(tmp_path / "store") == contents(tmp_path / "alone")


def test_a_process_waits_for_a_tile_and_takes_it_over_from_a_killed_one(kernel, tmp_path):
    x = images(50)
    first, second = workers(tmp_path, x, 2)
    kk.compute_gram(kernel, x, store=tmp_path / "alone", tile_side=SIDE)
    hold = (
        "import pathlib, sys; from kernas.locks import exclusive\n"
        "with exclusive(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    begin(first)
    while not (tmp_path / "store" / "locks" / "0-0").exists():
        assert first.poll() is None
    lock = tmp_path / "store" / "locks" / "8-8"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    begin(second)
    while len(list((tmp_path / "store" / "ntk").rglob("c/*/*"))) < 44:
        assert (first.poll(), second.poll()) == (None, None)
    first.kill()
    first.communicate()
    assert second.poll() is None
    holder.kill()
    holder.communicate()
    second.communicate()
    assert second.returncode == 0
    assert [8, 8] in tiles_by_process(tmp_path)[second.pid]
    assert contents(tmp_path / "store") == contents(tmp_path / "alone")


def test_locks_of_tiles_are_removed_but_not_those_in_use(kernel, tmp_path):
    store = kk.compute_gram(kernel, X, store=tmp_path, tile_side=SIDE)
    assert [file.name for file in (tmp_path / "locks").iterdir()] == ["store"]
    with exclusive(store.lock(store.grid()[0])) as held:
        assert held
        kk.compute_gram(kernel, X, store=tmp_path, tile_side=SIDE)
    assert [file.name for file in (tmp_path / "locks").iterdir()] == ["store"]


@pytest.mark.parametrize("tiles_a_block", [1, 2, 3, 100])
def test_a_product_with_a_stored_matrix_is_that_of_the_whole(
    tiles_a_block, kernel, tmp_path, monkeypatch
):
    monkeypatch.setattr(products, "LEAST_PARTS", 1)
    monkeypatch.setattr(products, "RESULT_BYTES", tiles_a_block * SIDE * 2 * 8 * 3)
    store = kk.compute_gram(kernel, images(20), store=tmp_path, tile_side=SIDE)
    V = np.random.default_rng(0).standard_normal((20, 3))
    expected = store["ntk"].astype(np.float64) @ V
    np.testing.assert_allclose(store.gram("ntk").times(V), expected, rtol=1e-12)


def test_a_stored_matrix_is_solved_alike_by_several_processes(kernel, tmp_path):
    x = images(40)
    store = kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    Y = np.random.default_rng(0).standard_normal((40, 2))
    processes = Processes(2)
    with processes.session():
        alone, together = (
            conjugate_gradients(store.gram("ntk", executor=executor), Y, 1e-2, rank=5)
            for executor in (None, processes)
        )
    assert together.steps == alone.steps
    np.testing.assert_array_equal(together.value, alone.value)


def test_a_stored_matrix_is_solved_in_tiles(kernel, tmp_path):
    x = images(20)
    store = kk.compute_gram(kernel, x, store=tmp_path / "own", tile_side=SIDE)
    whole, gram = store["ntk"], store.gram("ntk")
    np.testing.assert_array_equal(gram.diagonal(), np.diag(whole))
    for index in (0, 7, 19):
        np.testing.assert_array_equal(gram.column(index), whole[:, index])
    Y = np.random.default_rng(0).standard_normal((20, 2))
    found = conjugate_gradients(gram, Y, 1e-2, tolerance=1e-8, rank=5)
    np.testing.assert_allclose(found.value, factorise(whole, 1e-2).solve(Y), rtol=1e-5)
    file = chunk(tmp_path / "own", "ntk", 1, 0)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(GramStoreError, match=r"tile \(1, 0\) of ntk is corrupted"):
        conjugate_gradients(gram, Y, 1e-2, rank=5)
    between = kk.compute_gram(kernel, x[:8], x, store=tmp_path / "between", tile_side=SIDE)
    with pytest.raises(GramStoreError, match="between two sets"):
        between.gram("ntk")
