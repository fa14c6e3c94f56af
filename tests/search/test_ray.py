"""Execution on a Ray cluster: the suite, what it refuses, and nodes that are lost."""

import subprocess
import sys
import time
from pathlib import Path

import clusters
import numpy as np
import pytest
from clusters import Elsewhere, Losing, Slow, cluster_of

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, MissingDependencyError
from kernas.execution import Local, WorkerRate
from kernas.execution import ray as module
from kernas.kernels.regression import conjugate_gradients
from kernas.places import place_of
from kernas.search.cli.app import run
from kernas.search.cli.executors import tell_rates
from kernas.search.testing import IsolatedExecutorTests
from kernas.search.testing.executors import Squares

pytestmark = pytest.mark.filterwarnings("ignore:os.fork")


@pytest.fixture(scope="module", autouse=True)
def tasks_travel():
    """Workers have no folder of tests: what they need of it comes with the task."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(clusters)


@pytest.fixture(scope="class")
def alone():
    """An executor whose cluster is this machine."""
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

    def test_short_items_of_a_list_are_run_many_at_a_time(self, executor, tmp_path, monkeypatch):
        batches, run = [], module._Crew.run
        monkeypatch.setattr(
            module._Crew, "run", lambda *given: (batches.append(len(given[-1])), run(*given))
        )
        assert len(list(executor.map(Squares(tmp_path), list(range(600))))) == 600
        assert (sum(batches), batches[0]) == (600, 1)
        assert len(batches) < 150
        batches.clear()
        assert len(list(executor.map(Squares(tmp_path), iter(range(50))))) == 50
        assert batches == [1] * 50

    def test_a_worker_has_items_ahead_only_if_they_are_short(self, executor, tmp_path, monkeypatch):
        held, run = [], module._Crew.run

        def watched(crew, worker, batch):
            run(crew, worker, batch)
            held.append(len(worker.calls))

        monkeypatch.setattr(module._Crew, "run", watched)
        for short, most in ((1.0, 2), (0.05, 1)):  # a tenth of a second each
            monkeypatch.setattr(module, "BATCH_SECONDS", short)
            assert len(list(executor.map(Slow(tmp_path), iter(range(12))))) == 12
            assert max(held) == most
            held.clear()

    def test_a_product_with_a_stored_matrix(self, executor, tmp_path):
        train, _ = kk.load("digits", n_train=200, n_test=1)
        store = kk.compute_gram(kk.NeuralKernel(network()), train, store=tmp_path, tile_side=20)
        Y = np.random.default_rng(0).standard_normal((200, 2))
        alone, together = (
            conjugate_gradients(store.gram("ntk", executor=who), Y, 1e-2, rank=20)
            for who in (None, executor)
        )
        assert together.steps == alone.steps
        np.testing.assert_allclose(together.value, alone.value, rtol=1e-9)

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

    def test_a_url_that_means_something_else_to_workers_is_refused(self, executor, tmp_path):
        here = "memory://only-in-this-process/store"
        with pytest.raises(ConfigurationError, match=f"does not see {here}: give the node what"):
            list(executor.map(Elsewhere(tmp_path, here), [1]))
        assert place_of(here).names() == []
        assert list(tmp_path.iterdir()) == []

    def test_workers_verify_a_store(self, executor, tmp_path):
        train, _ = kk.load("digits", n_train=40, n_test=1)
        store = kk.compute_gram(kk.NeuralKernel(network()), train, store=tmp_path, tile_side=8)
        assert store.verify(executor) == []
        (store.path / "ntk" / "c" / "2" / "1").write_bytes(b"no tile")
        (store.path / "ntk" / "c" / "4" / "0").unlink()
        assert len(store.verify()) == 2
        assert store.verify(executor) == store.verify()

    def test_a_stranger_without_the_token_is_refused(self, executor, tmp_path):
        import ray

        address = ray.get_runtime_context().gcs_address
        code = f"import ray; ray.init(address={address!r}, logging_level='error'); print('in')"
        unknown = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "RAY_AUTH_MODE": "disabled"}
        told = subprocess.run(
            [sys.executable, "-c", code], env=unknown, capture_output=True, text=True
        )
        assert told.returncode != 0
        assert "in" not in told.stdout.split()
        assert "Failed to connect" in told.stderr


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


class Counted(Local):
    """One that says what others have done."""

    def __init__(self, *rates):
        self._rates = rates

    @property
    def rates(self):
        return self._rates


def test_what_workers_did_is_said_by_node_and_kept_for_each(tmp_path, capsys):
    first = Counted(WorkerRate("10.0.0.1", 3, 1.5), WorkerRate("10.0.0.1", 1, 2.5), WorkerRate("b"))
    tell_rates(first, tmp_path)
    tell_rates(Counted(WorkerRate("10.0.0.2", 2, 8.0)), tmp_path)
    tell_rates(Local(), tmp_path)
    assert capsys.readouterr().err.splitlines() == [
        "10.0.0.1: workers: 2, items: 4, seconds each: 1",
        "10.0.0.2: workers: 1, items: 2, seconds each: 4",
    ]
    assert (tmp_path / "workers.csv").read_text().splitlines() == [
        "node,items,seconds",
        "10.0.0.1,3,1.5",
        "10.0.0.1,1,2.5",
        "10.0.0.2,2,8.0",
    ]


def network():
    return kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())


@pytest.mark.usefixtures("x64_kept")
def test_commands_fit_predict_and_train_as_one_process_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("network.json").write_text(network().to_json())
    images = ["--dataset", "digits", "--image-size", "4"]
    fit = ["fit", "--architecture", "network.json", *images, "--n", "60", "--get", "ntk"]
    recipe = ["--width", "4", "--batch-size", "20", "--steps", "10", "--seeds", "1"]
    training = ["train", "network.json", *images, "--n-train", "40", "--n-test", "40", *recipe]
    for who in ("local", "ray"):
        quietly = ["--executor", who, "--quiet"]
        solver = ["--solver", "cg", "--ridge", "0.01", "--yes"]
        assert run([*fit, *solver, "--model", f"model-{who}", *quietly]) == 0
        predicted = [f"model-{who}", "--output", f"{who}.csv", *quietly]
        assert run(["predict", *predicted]) == 0
        assert run([*training, "--output", f"train-{who}", "--yes", *quietly]) == 0
    assert Path("ray.csv").read_text() == Path("local.csv").read_text()
    assert Path("train-ray/curve.csv").read_text() == Path("train-local/curve.csv").read_text()


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


# --- twenty nodes are lost ------------------------------------------------------------------------


@pytest.fixture
def cluster():
    """Four nodes."""
    with cluster_of(4) as found:
        yield found


def check_counts(executor, items, at_once=1):
    """Every item has one result, and only what a lost worker was at was begun twice."""
    assert sum(rate.items for rate in executor.rates) == items
    assert executor.repeated <= executor.lost * at_once


@pytest.mark.slow
def test_patience_begins_when_the_last_worker_is_lost(tmp_path, monkeypatch):
    with cluster_of(1) as one:
        executor, begun = Losing(one, every=1, most=1), time.monotonic()
        results = executor.map(Slow(tmp_path), range(6))
        found = [next(results)]
        time.sleep(20)
        monkeypatch.setattr(module, "PATIENCE_SECONDS", time.monotonic() - begun)
        found += results
    assert executor.lost == 1
    assert sorted(found) == list(range(6))


@pytest.mark.slow
def test_two_thousand_tiles_while_nodes_are_lost(cluster, tmp_path):
    train, _ = kk.load("digits", n_train=504, n_test=1)
    kernel = kk.NeuralKernel(network())
    alone = kk.compute_gram(kernel, train, store=tmp_path / "alone", tile_side=8)
    executor = Losing(cluster, every=200, most=7)
    store = tmp_path / "store"
    found = kk.compute_gram(kernel, train, store=store, tile_side=8, executor=executor)
    assert executor.lost == 7
    assert tiles_of(found) == tiles_of(alone)
    assert len(tiles_of(found)) == 63 * 64 // 2
    check_counts(executor, 63 * 64 // 2, at_once=63 * 64 // 2 // 8)  # half of a share of four


def small_score():
    """A kernel's score on a few small images."""
    images, _ = kk.load("digits", n_train=20, n_test=1, image_size=4)
    return ks.KernelScore(images, get="ntk", metric="loo_error")


@pytest.mark.slow
def test_two_hundred_candidates_while_nodes_are_lost(cluster, tmp_path):
    cells = ks.NasBench201(cells_per_stage=1).sample(200)
    ks.rank(cells, small_score(), output=tmp_path / "alone", progress=False)
    executor = Losing(cluster, every=10, most=7)
    ks.rank(cells, small_score(), output=tmp_path / "run", progress=False, executor=executor)
    assert executor.lost == 7
    found, expected = (tmp_path / name / "ranking.csv" for name in ("run", "alone"))
    assert found.read_bytes() == expected.read_bytes()
    check_counts(executor, 200)


@pytest.mark.slow
def test_two_hundred_trials_while_nodes_are_lost(cluster, tmp_path):
    space = ks.NasBench201(cells_per_stage=1)

    def searched(executor):
        study = ks.optimize(
            *(space, small_score()),
            strategy=ks.RandomSearch(),
            n_trials=200,
            seed=0,
            executor=executor,
        )
        return {
            trial.number: (trial.user_attrs["candidate"], trial.value) for trial in study.trials
        }

    executor = Losing(cluster, every=10, most=6)
    assert searched(executor) == searched(None)
    assert executor.lost == 6
