"""Models in folders: what comes back predicts the same bytes, and what is damaged is refused."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.documents import sealed
from kernas.errors import ConfigurationError, GramStoreError, ModelFolderError
from kernas.execution import Local
from kernas.kernels import KernelClassifier, KernelRegressor, NeuralKernel, SklearnKernel
from kernas.kernels.engine import Blocking

NORMALIZED = kk.serial(
    kk.Conv(3, W_std=2**0.5), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense()
)


@pytest.fixture(scope="module")
def digits():
    return kk.load("digits", n_train=60, n_test=20, image_size=4)


@pytest.fixture
def model(digits, tmp_path):
    train, _ = digits
    return kk.save_model(KernelClassifier().fit(train.x, train.y), tmp_path / "model")


@pytest.mark.parametrize(
    "estimator",
    [
        KernelClassifier(ridge="loo"),
        KernelClassifier(NeuralKernel(NORMALIZED), n_reference=6, reference_seed=3),
        KernelClassifier(NeuralKernel(NORMALIZED, blocking=Blocking("planes", 8)), solver="cg"),
    ],
    ids=["default", "bound", "conjugate-gradients"],
)
def test_a_classifier_comes_back(estimator, digits, tmp_path):
    train, test = digits
    names = np.array(train.classes)[train.y]
    estimator.fit(train.x, names)
    kk.save_model(estimator, tmp_path / "model", {"what": "digits"})
    loaded = kk.load_model(tmp_path / "model")
    assert isinstance(loaded, KernelClassifier)
    assert loaded.notes_ == {"what": "digits"}
    assert loaded.ridge_ == estimator.ridge_
    assert loaded.ridge_path_ == estimator.ridge_path_
    assert loaded.diagnostics_ == estimator.diagnostics_
    np.testing.assert_array_equal(loaded.predict(test.x), estimator.predict(test.x))
    values = loaded.decision_function(test.x)
    np.testing.assert_array_equal(values, estimator.decision_function(test.x))
    if estimator.solver == "cholesky":
        np.testing.assert_array_equal(loaded.predict_proba(test.x), estimator.predict_proba(test.x))
        np.testing.assert_array_equal(loaded.loo_labels_, estimator.loo_labels_)
    else:
        with pytest.raises(ConfigurationError, match="solver='cholesky'"):
            loaded.predict_proba(test.x)


@pytest.mark.parametrize("options", [{"get": "nngp"}, {"get": "ntk", "time": 3.0}])
def test_a_regressor_comes_back_with_its_deviation(options, digits, tmp_path):
    train, test = digits
    targets = np.stack([train.y, train.x.mean(axis=(1, 2, 3))], axis=1)
    estimator = KernelRegressor(**options).fit(train.x, targets)
    kk.save_model(estimator, tmp_path / "model")
    loaded = kk.load_model(tmp_path / "model")
    assert isinstance(loaded, KernelRegressor)
    found = loaded.predict(test.x, return_std=True)
    expected = estimator.predict(test.x, return_std=True)
    for here, there in zip(found, expected, strict=True):
        np.testing.assert_array_equal(here, there)


def test_it_predicts_alike_in_a_process_of_another_precision(model, digits, tmp_path):
    train, test = digits
    script = (
        "import sys, numpy as np, kernas.kernels as kk\n"
        "_, test = kk.load('digits', n_train=60, n_test=20, image_size=4)\n"
        "np.save(sys.argv[2], kk.load_model(sys.argv[1]).decision_function(test.x))\n"
    )
    values = tmp_path / "values.npy"
    subprocess.run([sys.executable, "-c", script, model, values], check=True)
    expected = KernelClassifier().fit(train.x, train.y).decision_function(test.x)
    np.testing.assert_allclose(np.load(values), expected, rtol=0, atol=1e-10)


def test_what_is_damaged_is_named(model):
    arrays = model / "arrays.npz"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"arrays\.npz is damaged: its SHA-256 is .* exp"):
        kk.load_model(model)
    arrays.unlink()
    with pytest.raises(ModelFolderError, match=r"arrays\.npz is damaged: No such file"):
        kk.load_model(model)
    record = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**record, "version": 0}))
    with pytest.raises(ModelFolderError, match="fit again with this version"):
        kk.load_model(model)
    (model / "model.json").write_text("{")
    with pytest.raises(ModelFolderError, match=r"model\.json is damaged"):
        kk.load_model(model)
    with pytest.raises(ModelFolderError, match="no model in"):
        kk.load_model(model / "nothing")


def test_a_kernel_that_was_changed_is_refused(model):
    record = json.loads((model / "model.json").read_text())
    record["kernel"]["identity"]["architecture"]["hash"] = "0" * 8
    (model / "model.json").write_text(json.dumps(sealed(record)))
    with pytest.raises(ModelFolderError, match=r"the kernel's architecture\.hash is"):
        kk.load_model(model)
    del record["fitted"]
    (model / "model.json").write_text(json.dumps(sealed(record)))
    with pytest.raises(ModelFolderError, match="it lacks 'fitted'"):
        kk.load_model(model)


def damaged(model, folder, change, *, seal=True):
    """A copy of a model whose ``model.json`` says something else."""
    shutil.copytree(model, folder)
    record = json.loads((model / "model.json").read_text())
    change(record)
    (folder / "model.json").write_text(json.dumps(sealed(record) if seal else record))
    return folder


@pytest.fixture(scope="module")
def classifier(digits, tmp_path_factory):
    """A model that tests copy."""
    train, _ = digits
    fitted = KernelClassifier().fit(train.x, train.y)
    notes = {"standardization": {"mean": [0.5]}}
    return kk.save_model(fitted, tmp_path_factory.mktemp("models") / "model", notes)


def test_what_model_json_says_is_what_was_written(classifier, tmp_path):
    def brighter(record):
        record["notes"]["standardization"]["mean"] = [30.5]

    with pytest.raises(
        ModelFolderError, match=r"model\.json is damaged: its content has the check"
    ):
        kk.load_model(damaged(classifier, tmp_path / "altered", brighter, seal=False))
    changed = kk.load_model(damaged(classifier, tmp_path / "sealed", brighter))
    assert changed.notes_ == {"standardization": {"mean": [30.5]}}


def test_models_of_version_1_without_a_checksum_are_read(classifier, digits, tmp_path):
    def older(record):
        record["version"] = 1
        del record["checksum"]

    _, test = digits
    older_model = kk.load_model(damaged(classifier, tmp_path / "older", older, seal=False))
    expected = kk.load_model(classifier).predict(test.x)
    np.testing.assert_array_equal(older_model.predict(test.x), expected)

    def altered(record):
        record["version"] = 1

    with pytest.raises(ModelFolderError, match="its content has the checksum"):
        kk.load_model(damaged(classifier, tmp_path / "altered", altered, seal=False))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.pop("notes"), "it lacks 'notes'"),
        (lambda r: r.update(estimator="Kernel"), 'estimator is "Kernel": expected one of'),
        (lambda r: r.update(estimator="KernelRegressor"), "it lacks 'fitted.flat'"),
        (lambda r: r["parameters"].update(bias=1), "has no parameter 'bias'"),
        (lambda r: r["parameters"].update(ridge="much"), "ridge='much'"),
        (lambda r: r["parameters"].update(solver="lu"), "solver is .*: expected one of"),
        (lambda r: r["fitted"]["diagnostics"].update(ridge="x"), 'ridge is "x": expected a finite'),
        (lambda r: r["fitted"]["diagnostics"].update(dtype="i4"), 'dtype is "i4": expected one of'),
        (lambda r: r["fitted"].update(ridge_path=[[1, 2, 3]]), "ridge_path is .*: expected a list"),
        (lambda r: r["fitted"].update(n_features_in=True), "n_features_in is true"),
        (lambda r: r["fitted"].update(temperature=0), "temperature is 0: expected a finite number"),
        (lambda r: r["kernel"]["identity"].update(kernels=[]), "kernels is .*: expected a list of"),
        (lambda r: r["kernel"]["identity"].update(architecture=3), "architecture is 3"),
        (lambda r: r["kernel"]["identity"].update(architecture={}), "not an architecture"),
        (lambda r: r["kernel"]["identity"].update(bound={}), "it lacks 'bound.seed'"),
        (lambda r: r["kernel"]["identity"].update(augment=["turn"]), "augmentation 'turn'"),
        (lambda r: r["kernel"].update(tile_bytes=0), "tile_bytes is 0: expected an integer >= 1"),
        (lambda r: r["kernel"].update(blocking={"way": 1}), "way is 1: expected one of"),
        (lambda r: r["kernel"].update(backend="c"), "backend='c'"),
        (lambda r: r.update(version=True), "has format and version"),
    ],
)
def test_a_record_of_no_model_is_refused_by_field(classifier, tmp_path, change, words):
    with pytest.raises(ModelFolderError, match=rf"model\.json .*{words}"):
        kk.load_model(damaged(classifier, tmp_path / "model", change))


def of_other_arrays(model, folder, change):
    """A copy of a model with other arrays, and their SHA-256."""
    with np.load(model / "arrays.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    shutil.copytree(model, folder)
    np.savez(folder / "arrays.npz", **arrays)
    record = json.loads((model / "model.json").read_text())
    record["sha256"] = hashlib.sha256((folder / "arrays.npz").read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(sealed(record)))
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("classes"), "it lacks the array 'classes'"),
        (lambda a: a.update(x=a["x"][1:]), r"dual_coef has shape .*: expected n × outputs"),
        (lambda a: a.update(x=a["x"][None]), "expected n × features × width × chann"),
        (lambda a: a.update(classes=a["classes"][:-1]), "classes has shape"),
        (lambda a: a.update(dual_coef=a["dual_coef"] * np.nan), "expected finite numbers"),
        (lambda a: a.update(dual_coef=a["dual_coef"].astype(str)), "has values of <U"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(classifier, tmp_path, change, words):
    with pytest.raises(ModelFolderError, match=words):
        kk.load_model(of_other_arrays(classifier, tmp_path / "model", change))


@pytest.mark.parametrize("content", [b"nothing", b"PK\3\4", b""])
def test_arrays_that_are_no_archive_are_refused(classifier, tmp_path, content):
    shutil.copytree(classifier, tmp_path / "model")
    (tmp_path / "model" / "arrays.npz").write_bytes(content)
    record = json.loads((classifier / "model.json").read_text())
    record["sha256"] = hashlib.sha256(content).hexdigest()
    (tmp_path / "model" / "model.json").write_text(json.dumps(sealed(record)))
    with pytest.raises(
        ModelFolderError, match=r"arrays\.npz .*; copy the model again, or fit again"
    ):
        kk.load_model(tmp_path / "model")


def test_nothing_is_written_over_and_nothing_is_left(model, monkeypatch):
    estimator = kk.load_model(model)
    before = sorted(model.parent.rglob("*"))
    with pytest.raises(ModelFolderError, match="exists"):
        kk.save_model(estimator, model)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(ModelFolderError, match="No space left on device"):
        kk.save_model(estimator, model.parent / "other")
    assert sorted(model.parent.rglob("*")) == before


def test_functions_and_objects_cannot_be_kept(digits, tmp_path):
    train, _ = digits

    class Linear:
        """A kernel that is no NeuralKernel."""

        needs_bind = False

        def bind(self, x, n_reference=32, seed=0):
            """Nothing to bind."""
            return self

        def __call__(self, x1, x2=None, get=None):
            """Inner products."""
            right = x1 if x2 is None else x2
            return x1.reshape(len(x1), -1) @ right.reshape(len(right), -1).T

    linear = KernelClassifier(Linear()).fit(train.x, train.y)
    with pytest.raises(ConfigurationError, match="expected a NeuralKernel"):
        kk.save_model(linear, tmp_path / "model")
    with pytest.raises(ConfigurationError, match="expected one of KernelClassifier"):
        kk.save_model(SklearnKernel(linear.kernel_), tmp_path / "model")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="whose identity a store can keep"):
        KernelClassifier(Linear(), store=tmp_path / "store").fit(train.x, train.y)


@pytest.mark.parametrize("get", ["nngp", "ntk"])
def test_a_store_serves_the_fit(get, digits, tmp_path):
    train, test = digits
    alone = KernelClassifier(get=get).fit(train.x, train.y)
    stored = KernelClassifier(get=get, store=tmp_path / "store").fit(train.x, train.y)
    expected = alone.decision_function(test.x)
    np.testing.assert_allclose(stored.decision_function(test.x), expected, rtol=0, atol=1e-10)
    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "store").rglob("c/*/*")}
    solved = KernelClassifier(get=get, store=tmp_path / "store", solver="cg").fit(train.x, train.y)
    assert files == {f: f.stat().st_mtime_ns for f in (tmp_path / "store").rglob("c/*/*")}
    assert solved.diagnostics_["residual"] <= 1e-6
    size = np.abs(expected).max()
    np.testing.assert_allclose(solved.decision_function(test.x), expected, rtol=0, atol=1e-3 * size)
    with pytest.raises(GramStoreError, match=r"x1\.sha256"):
        KernelClassifier(get=get, store=tmp_path / "store").fit(train.x[::-1], train.y[::-1])


def test_what_conjugate_gradients_cannot_do_is_said_first(digits):
    train, _ = digits
    for ridge in ("loo", [1e-3, 1e-2], 0.0):
        with pytest.raises(ConfigurationError, match="expected one number > 0"):
            KernelClassifier(ridge=ridge, solver="cg").fit(train.x, train.y)
    with pytest.raises(ConfigurationError, match="expected 'cholesky' or 'cg'"):
        KernelClassifier(solver="lu").fit(train.x, train.y)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="needs all eigenvalues"):
        KernelRegressor(get="ntk", time=1.0, solver="cg").fit(train.x, train.y)
    regressor = KernelRegressor(get="ntk", solver="cg").fit(train.x, train.y)
    with pytest.raises(ConfigurationError, match="no inverse"):
        regressor.predict(train.x, return_std=True)


class Counting(Local):
    """One that says which tasks it was given."""

    def __init__(self):
        self.tasks = []

    def map(self, task, items):
        self.tasks.append(type(task).__name__)
        return super().map(task, items)


@pytest.mark.parametrize("kind", [KernelClassifier, KernelRegressor])
def test_an_executor_fills_the_store_and_multiplies_with_it(kind, tmp_path):
    train, _ = kk.load("digits", n_train=40, n_test=10, image_size=4)
    options = {"get": "nngp", "ridge": 1e-2, "solver": "cg"}
    executor = Counting()
    found = kind(**options, store=tmp_path / "store", executor=executor).fit(train.x, train.y)
    assert executor.tasks[0] == "TileTask"
    assert set(executor.tasks[1:]) == {"ProductTask"}
    expected = kind(**options).fit(train.x, train.y)
    np.testing.assert_allclose(found.dual_coef_, expected.dual_coef_, rtol=1e-4, atol=1e-6)
    kk.save_model(found, tmp_path / "model")
    loaded = kk.load_model(tmp_path / "model")
    assert isinstance(loaded, KernelClassifier | KernelRegressor)
    assert loaded.executor is None
    with pytest.raises(ConfigurationError, match="without a store"):
        kind(**options, executor=executor).fit(train.x, train.y)
