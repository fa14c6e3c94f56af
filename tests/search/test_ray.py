"""Execution on a Ray cluster: the suite, what it refuses, and nodes that are lost."""

import sys
from pathlib import Path

import clusters
import numpy as np
import pytest
from clusters import Losing, Slow, cluster_of

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, MissingDependencyError
from kernas.execution import ray as module
from kernas.search.cli.app import run
from kernas.search.testing import IsolatedExecutorTests

pytestmark = pytest.mark.filterwarnings("ignore:os.fork")


@pytest.fixture(scope="class")
def alone():
    """An executor whose cluster is this machine."""
    import ray

    ray.cloudpickle.register_pickle_by_value(clusters)  # workers have no folder of tests
    executor = ks.RayExecutor()
    with executor.session():
        yield executor


class TestRay(IsolatedExecutorTests):
    @pytest.fixture
    def executor(self, alone):
        return alone

    def test_rates_say_what_workers_have_done(self, executor, tmp_path):
        before = sum(rate.items for rate in executor.rates)
        list(executor.map(Slow(tmp_path), range(3)))
        assert sum(rate.items for rate in executor.rates) == before + 3
        assert all(rate.node and rate.seconds >= 0 for rate in executor.rates)

    def test_workers_of_other_versions_are_refused(self, executor, tmp_path, monkeypatch):
        own = {**module.versions(), "numpy": "0.9"}
        monkeypatch.setattr(module, "versions", lambda: own)
        with pytest.raises(ConfigurationError, match=r"has numpy .* and this process 0\.9"):
            list(executor.map(Slow(tmp_path), [1]))

    def test_a_folder_that_workers_do_not_see_is_refused(self, executor, tmp_path, monkeypatch):
        hidden = tmp_path / "only-here"
        monkeypatch.setattr(Path, "touch", lambda self: None)
        with pytest.raises(ConfigurationError, match=f"does not see {hidden}"):
            list(executor.map(Slow(hidden), [1]))
        assert not any((tmp_path / str(item)).exists() for item in [1])


@pytest.mark.parametrize("cpus", [0, -1, True, 1.5])
def test_a_number_of_cores_that_is_none_is_refused(cpus):
    with pytest.raises(ConfigurationError, match="expected an integer >= 1"):
        ks.RayExecutor(cpus=cpus)


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no Ray cluster answers at '127\.0\.0\.1:1'"):
        list(ks.RayExecutor("127.0.0.1:1").map(Slow(tmp_path), [1]))


def test_without_ray_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'kernas\[ray\]'"):
        ks.RayExecutor()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--executor", "cloud"], "--executor cloud: expected local, ray or ray:HOST:PORT"),
        (["--executor", "ray", "--workers", "2"], "leave --workers out"),
        (["--executor", "ray:127.0.0.1:1"], "no Ray cluster answers"),
    ],
)
def test_the_command_line_refuses_in_a_line(options, said, x64_kept, capsys, tmp_path):
    (tmp_path / "network.json").write_text(network().to_json())
    small = ["--image-size", "4", "--n-train", "10", "--n-validation", "10", "--quiet"]
    architectures = ["--architectures", str(tmp_path / "network.json")]
    output = ["--output", str(tmp_path / "run")]
    code = run(["rank", *architectures, *small, *output, *options])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def network():
    return kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())


def tiles_of(store: kk.GramStore) -> dict[str, bytes]:
    """The bytes of what a store keeps."""
    found = sorted(path for path in store.path.glob("*/c/**/*") if path.is_file())
    return {str(path.relative_to(store.path)): path.read_bytes() for path in found}


def test_a_node_is_lost_and_one_joins_and_the_store_has_the_bytes_of_one_process(tmp_path):
    train, _ = kk.load("digits", n_train=200, n_test=1)
    kernel = kk.NeuralKernel(network())
    alone = kk.compute_gram(kernel, train, store=tmp_path / "alone", tile_side=20)
    with cluster_of(2) as cluster:
        executor = Losing(cluster, every=10, most=1)
        store = tmp_path / "store"
        found = kk.compute_gram(kernel, train, store=store, tile_side=20, executor=executor)
    assert executor.lost == 1
    assert tiles_of(found) == tiles_of(alone)
    assert len(tiles_of(found)) == 55
    np.testing.assert_array_equal(found["ntk"], alone["ntk"])
