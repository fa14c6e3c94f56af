"""Gram stores in an object store: S3 as moto has it on this machine, over HTTP."""

import json
import subprocess
import sys
import uuid
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import requests
import zarr
from boto3.session import Session
from fsspec.asyn import sync
from gram_stores import NETWORK, SIDE, contents, images, recorded
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem
from zarr.core.sync import sync as zarr_sync
from zarr.storage import FsspecStore

import kernas.kernels as kk
from kernas.errors import ConfigurationError, GramStoreError, MissingDependencyError
from kernas.execution import Processes
from kernas.kernels.engine import Blocking
from kernas.kernels.gram.request import GramRequest
from kernas.kernels.regression import conjugate_gradients
from kernas.places import Objects, place_of
from kernas.search.cli.app import run

SURROUNDINGS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "of-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
}


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def changed():
    """The environment has: connections that were made before are closed, and not used again."""
    for system in list(S3FileSystem._cache.values()):
        if system._s3 is not None:
            sync(system.loop, system._s3.close)
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def s3(endpoint, monkeypatch, tmp_path):
    """A client; and the environment by which others find the same."""
    for name, value in {**SURROUNDINGS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    changed()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    yield Session().client("s3")
    changed()


@pytest.fixture
def bucket(s3):
    name = f"grams-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def url(bucket):
    return f"s3://{bucket}/some where/matrix"


@pytest.fixture
def kernel():
    return kk.NeuralKernel(NETWORK, get=("nngp", "ntk"))


@pytest.fixture
def computed(monkeypatch):
    """The places of the tiles that are computed, in order."""
    return recorded(monkeypatch)


def keys(s3, bucket):
    listed = s3.list_objects_v2(Bucket=bucket)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def objects(s3, url):
    """All objects of a store by their names in it."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return {
        key.removeprefix(f"{prefix}/"): s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys(s3, bucket)
    }


def put(s3, url, name, data):
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=data)


def read_by_zarr(url, name):
    """A whole array, by zarr's own way to S3, with 0 in place of NaN."""
    store = FsspecStore.from_url(url, read_only=True, storage_options={"skip_instance_cache": True})

    array = zarr.open_group(store, mode="r")[name]
    assert isinstance(array, zarr.Array)
    whole = np.nan_to_num(array[:])
    client = cast(S3FileSystem, store.fs)._s3
    assert client is not None
    zarr_sync(client.close())
    return whole


@pytest.mark.parametrize("shard", [1, 2])
def test_objects_are_the_files_of_a_folder(kernel, tmp_path, s3, url, computed, shard):
    x, cut = images(20), {"tile_side": SIDE, "shard": shard}
    estimate = kk.estimate_gram(kernel, x, store=url, **cut)
    assert estimate.free_bytes is None
    assert objects(s3, url) == {}
    store = kk.compute_gram(kernel, x, store=url, **cut)
    folder = kk.compute_gram(kernel, x, store=tmp_path, **cut)
    assert objects(s3, url) == contents(tmp_path)
    assert (store.verify(), str(store.location)) == ([], url)
    opened = kk.GramStore(url)
    for name in store.names:
        np.testing.assert_array_equal(opened[name], folder[name])
        for tile in folder.grid():
            np.testing.assert_array_equal(opened.block(name, tile), folder.block(name, tile))
    np.testing.assert_array_equal(np.tril(read_by_zarr(url, "ntk")), np.tril(folder["ntk"]))
    computed.clear()
    kk.compute_gram(kernel, x, store=url)
    assert computed == []
    block = opened["ntk"]
    block[0, 0] = 0  # what is read may be changed
    with pytest.raises(GramStoreError, match="no folder"):
        _ = opened.path


def test_more_images_grow_it(kernel, tmp_path, s3, url, computed):
    x = images(20)
    kk.compute_gram(kernel, x[:14], store=url, tile_side=SIDE)
    computed.clear()
    kk.compute_gram(kernel, x, store=url, tile_side=SIDE)
    assert sorted(computed) == [(i, j) for i in (2, 3) for j in range(i + 1)]
    kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    assert objects(s3, url) == contents(tmp_path)
    with pytest.raises(GramStoreError, match=r"another matrix: x1\.n is 20 there and 8 here"):
        kk.compute_gram(kernel, x[:8], store=url, tile_side=SIDE)


def test_a_row_of_more_tiles_than_are_read_at_a_time(kernel, url, monkeypatch):
    monkeypatch.setattr("kernas.places.IN_FLIGHT", 4)
    monkeypatch.setattr("kernas.places.WORTH_A_LIST", 3)
    ntk = replace(kernel, get="ntk")
    store = kk.compute_gram(ntk, images(2), images(9, 1), store=url, tile_side=1)
    assert store.verify() == []
    np.testing.assert_allclose(store["ntk"], ntk(images(2), images(9, 1)), rtol=1e-5, atol=1e-6)


def test_damaged_and_missing_objects_are_found_and_computed_again(kernel, s3, url, computed):
    store = kk.compute_gram(kernel, images(20), store=url, tile_side=SIDE)
    before = objects(s3, url)
    data = bytearray(before["ntk/c/2/1"])
    data[37] ^= 4
    put(s3, url, "ntk/c/2/1", bytes(data))
    put(s3, url, "ntk/c/3/0", b"")
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3.delete_object(Bucket=bucket, Key=f"{prefix}/nngp/c/3/3")
    assert [str(fault) for fault in store.verify()] == [
        f"tile (2, 1) of ntk is corrupted: {url}/ntk/c/2/1",
        f"tile (3, 0) of ntk is corrupted: {url}/ntk/c/3/0",
        f"tile (3, 3) of nngp is missing: {url}/nngp/c/3/3",
    ]
    with pytest.raises(GramStoreError, match=r"tile \(2, 1\) of ntk is corrupted"):
        store["ntk"]
    with pytest.raises(GramStoreError, match=r"tile \(3, 3\) of nngp is missing"):
        store["nngp"]
    computed.clear()
    kk.compute_gram(kernel, images(20), store=url, tile_side=SIDE)
    assert sorted(computed) == [(2, 1), (3, 0), (3, 3)]
    assert objects(s3, url) == before


FILLING = """
import sys, time
import numpy as np
import kernas.kernels as kk
from kernas.kernels.gram.request import GramRequest

computed = GramRequest.computed
done = []

def slow(request, tile):
    done.append(tile)
    if len(done) > 4:
        print("four", flush=True)
        time.sleep(1000)
    return computed(request, tile)

GramRequest.computed = slow
network = kk.Architecture.from_json(sys.argv[1])
kernel = kk.NeuralKernel(network, get=("nngp", "ntk"))
kk.compute_gram(kernel, np.load(sys.argv[2]), store=sys.argv[3], tile_side=6)
"""


def test_who_is_killed_leaves_whole_tiles(kernel, tmp_path, s3, url, computed):
    x = images(20)
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", FILLING, NETWORK.to_json(), str(tmp_path / "x.npy"), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"four\n"
        process.kill()
    there = kk.GramStore(url)
    faults = there.verify()
    assert len(faults) == 2 * (10 - 4)
    assert {fault.state for fault in faults} == {"missing"}
    kk.compute_gram(kernel, x, store=url)
    assert sorted(computed) == sorted({(fault.row, fault.column) for fault in faults})
    kk.compute_gram(kernel, x, store=tmp_path / "folder", tile_side=SIDE)
    assert objects(s3, url) == contents(tmp_path / "folder")


def test_workers_fill_and_verify_it(kernel, tmp_path, s3, url, computed):
    x, workers = images(20), Processes(2)
    store = kk.compute_gram(kernel, x, store=url, tile_side=SIDE, executor=workers)
    assert computed == []
    kk.compute_gram(kernel, x, store=tmp_path, tile_side=SIDE)
    assert objects(s3, url) == contents(tmp_path)
    put(s3, url, "ntk/c/2/1", b"no tile")
    assert len(store.verify()) == 1
    assert store.verify(workers) == store.verify()
    kk.compute_gram(kernel, x, store=url)
    V = np.random.default_rng(0).standard_normal((20, 2))
    shared = store.gram("ntk", executor=workers)
    np.testing.assert_array_equal(shared.times(V), store.gram("ntk").times(V))


def test_who_fills_it_beside_others_begins_elsewhere(kernel, url, computed, monkeypatch):
    """There are no locks: a tile that is there already is not computed, wherever one begins."""
    x, beside = images(20), [False]
    original = GramRequest.computed

    def joined(request, tile):
        if not beside[0]:
            beside[0] = True
            monkeypatch.setattr("random.randrange", lambda number: number // 2)
            kk.compute_gram(kernel, x, store=url, tile_side=SIDE)
        return original(request, tile)

    monkeypatch.setattr(GramRequest, "computed", joined)
    monkeypatch.setattr("random.randrange", lambda number: 3)
    store = kk.compute_gram(kernel, x, store=url, tile_side=SIDE)
    assert store.verify() == []
    assert len(computed) == 11  # the one that both were at
    assert len(set(computed)) == 10
    assert (computed[0], computed[-1]) == ((2, 2), (2, 0))


def test_of_two_who_begin_it_the_second_takes_over_what_the_first_has_measured(url, monkeypatch):
    x = np.random.default_rng(0).normal(size=(4, 4, 4, 1))
    network = kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())
    create = Objects.create

    def late(place, name, data):
        monkeypatch.setattr(Objects, "create", create)
        quicker = kk.NeuralKernel(network, blocking=Blocking("planes", 3, 17.0))
        kk.compute_gram(quicker, x, store=url, tile_side=2)
        return create(place, name, data)

    monkeypatch.setattr(Objects, "create", late)
    store = kk.compute_gram(kk.NeuralKernel(network), x, store=url, tile_side=2)
    assert store.identity["settings"]["blocking"]["nanoseconds"] == 17.0
    assert store.verify() == []


def test_regression_from_objects_is_that_from_files(tmp_path, url):
    x = images(20).astype(np.float32)
    kernel = kk.NeuralKernel(NETWORK, get="ntk")
    stores = [kk.compute_gram(kernel, x, store=path, tile_side=10) for path in (url, tmp_path)]
    grams = [store.gram("ntk") for store in stores]
    Y = np.random.default_rng(0).standard_normal((20, 2))
    there, here = (conjugate_gradients(gram, Y, 1e-2, rank=5) for gram in grams)
    np.testing.assert_array_equal(there.value, here.value)
    assert (there.steps, there.residual) == (here.steps, here.residual)
    labels = (x[:, 0] > 0).astype(int)
    fitted = kk.KernelClassifier(kernel, store=url, solver="cg", ridge=1e-2).fit(x, labels)
    other = kk.KernelClassifier(kernel, solver="cg", ridge=1e-2).fit(x, labels)
    np.testing.assert_allclose(fitted.dual_coef_, other.dual_coef_, rtol=1e-3, atol=1e-5)


def test_another_matrix_and_other_objects_are_refused(kernel, s3, url, bucket):
    kk.compute_gram(kernel, images(8), store=url, tile_side=SIDE)
    before = objects(s3, url)
    with pytest.raises(GramStoreError, match=r"another matrix: x1\.sha256 is"):
        kk.compute_gram(kernel, images(8, 1), store=url, tile_side=SIDE)
    with pytest.raises(GramStoreError, match="another matrix: kernels is"):
        kk.compute_gram(replace(kernel, get="ntk"), images(8), store=url, tile_side=SIDE)
    with pytest.raises(GramStoreError, match="is not a Gram store"):
        kk.compute_gram(kernel, images(8), store=f"s3://{bucket}/some where")
    with pytest.raises(GramStoreError, match="no Gram store in s3://"):
        kk.GramStore(f"s3://{bucket}/elsewhere")
    assert objects(s3, url) == before
    put(s3, url, "zarr.json", before["zarr.json"][:-1])
    with pytest.raises(GramStoreError, match=r"matrix/zarr\.json cannot be read \(not JSON"):
        kk.GramStore(url)


def without_credentials(monkeypatch, s3, url):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    return url


def without_bucket(monkeypatch, s3, url):
    return "s3://nobody-made-this/matrix"


def without_endpoint(monkeypatch, s3, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    return url


REFUSALS = {
    "credentials": (without_credentials, "Unable to locate credentials"),
    "bucket": (without_bucket, "bucket does not exist"),
    "endpoint": (without_endpoint, "Could not connect to the endpoint"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_store_that_refuses_is_one_line_before_any_work(
    kernel, s3, bucket, url, computed, monkeypatch, refusal
):
    prepare, words = REFUSALS[refusal]
    refusing = prepare(monkeypatch, s3, url)
    changed()
    for call in (kk.compute_gram, kk.estimate_gram):
        with pytest.raises(GramStoreError, match=f"cannot be used .*{words}.*: check its bucket"):
            call(kernel, images(8), store=refusing, tile_side=SIDE)
    with pytest.raises(GramStoreError, match=words):
        kk.GramStore(refusing)
    assert computed == []


@pytest.fixture
def checking(endpoint):
    """Has the store ask from now on who one is, and what one may."""
    yield lambda: requests.post(f"{endpoint}/moto-api/reset-auth", data="0", timeout=60)
    requests.post(f"{endpoint}/moto-api/reset-auth", data="inf", timeout=60)


@pytest.fixture
def permitted(s3, checking, monkeypatch):
    """Makes the environment that of a user who may do what is named, and nothing else."""

    def permit(*actions):
        iam = Session().client("iam")
        user = f"user-{uuid.uuid4().hex}"
        iam.create_user(UserName=user)
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=user, PolicyName="some", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        changed()
        checking()

    return permit


def test_who_has_no_right_at_all_is_refused(kernel, url, permitted, computed):
    permitted("s3:ListAllMyBuckets")
    with pytest.raises(GramStoreError, match=r"cannot be used \(.*Access Denied"):
        kk.compute_gram(kernel, images(8), store=url, tile_side=SIDE)
    assert computed == []


def test_who_may_only_read_reads_and_begins_nothing(kernel, s3, bucket, url, permitted, computed):
    whole = kk.compute_gram(kernel, images(8), store=url, tile_side=SIDE)
    before, ntk = objects(s3, url), whole["ntk"]
    computed.clear()
    permitted("s3:GetObject", "s3:ListBucket")
    read = kk.compute_gram(kernel, images(8), store=url)
    np.testing.assert_array_equal(read["ntk"], ntk)
    for path in (url, f"s3://{bucket}/new"):
        with pytest.raises(GramStoreError, match=r"cannot be used \(.*Access Denied"):
            kk.compute_gram(kernel, images(14), store=path, tile_side=SIDE)
    assert computed == []
    assert objects(Session().client("s3"), url) == before


def test_a_right_that_ends_keeps_finished_tiles(
    kernel, endpoint, url, checking, computed, monkeypatch
):
    original = GramRequest.computed

    def revoked(request, tile):
        if len(computed) == 3:
            checking()
        return original(request, tile)

    monkeypatch.setattr(GramRequest, "computed", revoked)
    with pytest.raises(GramStoreError, match=r"Access Key Id.*finished tiles are kept"):
        kk.compute_gram(kernel, images(20), store=url, tile_side=SIDE)
    requests.post(f"{endpoint}/moto-api/reset-auth", data="inf", timeout=60)
    assert len(kk.GramStore(url).verify()) == 2 * (10 - 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo://bucket/matrix", "Protocol not known"),
        ("s3://", "expected s3://BUCKET/PREFIX"),
        ("s3:/bucket/matrix", "was a URL before it was made a path"),
    ],
)
def test_urls_that_are_none_are_refused(kernel, tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    for call in (kk.compute_gram, kk.estimate_gram):
        with pytest.raises(ConfigurationError, match=words):
            call(kernel, images(8), store=text)
    assert list(tmp_path.iterdir()) == []


def test_without_its_library_the_message_says_how_to_install_it(kernel, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'kernas\[s3\]'"):
        kk.compute_gram(kernel, images(8), store="s3://bucket/matrix")


def test_a_url_of_a_file_is_a_folder(kernel, tmp_path):
    store = kk.compute_gram(kernel, images(8), store=f"file://{tmp_path}/a", tile_side=SIDE)
    assert store.path == tmp_path / "a"
    assert store.verify() == []


def test_other_stores_that_fsspec_knows(kernel, tmp_path, computed):
    place = f"memory://{uuid.uuid4().hex}/matrix"
    store = kk.compute_gram(kernel, images(20), store=place, tile_side=SIDE, shard=2)
    folder = kk.compute_gram(kernel, images(20), store=tmp_path, tile_side=SIDE, shard=2)
    np.testing.assert_array_equal(store["ntk"], folder["ntk"])
    assert place_of(place).names() == ["nngp", "ntk", "zarr.json"]
    for tile in store.grid():
        np.testing.assert_array_equal(store.block("ntk", tile), folder.block("ntk", tile))


def test_the_command_line_fills_it_and_refuses_in_a_line(url, tmp_path, capsys, monkeypatch):
    network = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())
    (tmp_path / "network.json").write_text(network.to_json())
    options = ["--architecture", str(tmp_path / "network.json"), "--n", "20", "--image-size", "4"]
    command = ["gram", *options, "--tile", "6", "--quiet", "--yes", "--no-compilation-cache"]
    assert run([*command, "--store", url, "--shard", "2"]) == 0
    printed = capsys.readouterr()
    assert f"in {url}: 10 tiles, 10 of them computed" in printed.out
    assert kk.GramStore(url).identity["shard"] == 2
    fit = ["--model", str(tmp_path / "model"), "--solver", "cg", "--ridge", "1e-2", "--get", "ntk"]
    assert run(["fit", *options, *fit, "--store", f"{url}-2", "--yes", "--quiet"]) == 0
    assert f"the training matrix stays in {url}-2" in capsys.readouterr().out
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    changed()
    assert run([*command, "--store", url]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Could not connect" in printed.err
