"""`kernas fit` and `kernas predict`: from files to a model, and from a model to predictions."""

import csv
import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import kernas.kernels as kk
from kernas.errors import DocumentError
from kernas.kernels.data import load_unseen
from kernas.kernels.regression import centred_one_hot
from kernas.kernels.theory import extrapolate, predicted_curve
from kernas.search.cli.app import run
from kernas.search.cli.predict_command import check_notes

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"

pytestmark = pytest.mark.usefixtures("x64_kept")


@pytest.fixture
def fit(tmp_path):
    """Arguments that fit a model of a name."""

    def arguments(name, *more, n=100):
        return [
            *("fit", "--model", str(tmp_path / name), "--n", str(n), "--image-size", "4"),
            *("--yes", "--quiet", "--no-compilation-cache", *more),
        ]

    return arguments


@pytest.fixture
def predict(tmp_path):
    """Arguments that predict with a model of a name."""

    def arguments(name, output, *more):
        return [
            *("predict", str(tmp_path / name), "--output", str(tmp_path / output), "--quiet"),
            *("--no-compilation-cache", *more),
        ]

    return arguments


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_from_data_to_predictions(fit, predict, tmp_path, capsys):
    assert run(fit("model", "--json")) == 0
    fitted = json.loads(capsys.readouterr().out)
    assert fitted["store"] == str(tmp_path / "model-gram")
    assert kk.GramStore(fitted["store"]).shape == (100, 100)
    assert run(predict("model", "all.csv", "--json")) == 0
    found = json.loads(capsys.readouterr().out)

    train, _ = kk.load("digits", n_train=100, n_test=1, image_size=4)
    test = load_unseen("digits", n_seen=100, image_size=4)
    assert train.standardization is not None
    x = train.standardization.apply(test.x).astype(np.float32)
    expected = kk.KernelClassifier(get="ntk", ridge="loo").fit(train.x, train.y)
    assert fitted["ridge"] == expected.ridge_
    assert fitted["loo_accuracy"] == np.mean(expected.loo_labels_ == train.y)
    assert (found["n"], found["accuracy"]) == (1697, expected.score(x, test.y))
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    rows = rows_of(tmp_path / "all.csv")
    assert [row["label"] for row in rows] == [test.classes[label] for label in test.y]
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == found["accuracy"]
    probabilities = np.array([[float(row[f"p({name})"]) for name in test.classes] for row in rows])
    np.testing.assert_allclose(probabilities, expected.predict_proba(x), atol=1e-5)


def test_what_twice_the_images_would_bring(fit, tmp_path, capsys):
    assert run(fit("model", "--learning-curve", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    train, _ = kk.load("digits", n_train=100, n_test=1, image_size=4)
    K = np.asarray(kk.GramStore(tmp_path / "model-gram")["ntk"])
    Y = centred_one_hot(train.y, 10)
    twice = extrapolate(K, Y, found["ridge"], 200)
    curve = predicted_curve(K, Y, twice.ridge, [50, 100])
    assert found["predicted_curve"] == [dataclasses.asdict(point) for point in (*curve, twice)]
    assert kk.load_model(tmp_path / "model").notes_["predicted_curve"] == found["predicted_curve"]
    shutil.rmtree(tmp_path / "model")
    assert run(fit("model", "--learning-curve")) == 0
    said = (
        f"with twice the images, about {twice.error:.3f} [{twice.low:.3f}, {twice.high:.3f}] where "
        f"100 have {curve[1].error:.3f} (squared error on other images, 0.900 of no prediction; "
        f"predicted from the training matrix at ridge {twice.ridge:.2g}, 95% interval"
    )
    assert said in capsys.readouterr().out


def test_a_parity_is_learnt_from_some_corners_of_a_cube(predict, tmp_path, capsys):
    fit = ("fit", "--model", str(tmp_path / "parity"), "--dataset", "hypercube:degree=2,d=7")
    assert run([*fit, "--n", "100", "--yes", "--quiet", "--no-compilation-cache"]) == 0
    capsys.readouterr()
    assert run(predict("parity", "others.csv", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 28
    assert found["accuracy"] > 0.9
    assert {row["label"] for row in rows_of(tmp_path / "others.csv")} == {"negative", "positive"}


def test_a_model_moves_and_sees_other_data(fit, predict, tmp_path, capsys):
    assert run(fit("model")) == 0
    assert "leave-one-out accuracy 0." in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "model", tmp_path / "elsewhere" / "model")
    shutil.rmtree(tmp_path / "model-gram")
    images, _ = kk.load("digits", n_train=30, n_test=1, seed=5, standardize=False)
    labels = np.array([int(images.classes[label]) for label in images.y])
    np.savez(tmp_path / "other.npz", x=images.x, y=labels)
    np.save(tmp_path / "other.npy", images.x)
    model = "elsewhere/model"
    other = ("--dataset", str(tmp_path / "other.npz"))
    assert run(predict(model, "labelled.csv", *other)) == 0
    assert "30 images, accuracy " in capsys.readouterr().out
    assert run(predict(model, "some.csv", *other, "--n", "10")) == 0
    assert run(predict(model, "alone.csv", "--images", str(tmp_path / "other.npy"))) == 0
    labelled, alone = rows_of(tmp_path / "labelled.csv"), rows_of(tmp_path / "alone.csv")
    assert [row["predicted"] for row in labelled] == [row["predicted"] for row in alone]
    assert "label" not in alone[0]
    assert len(rows_of(tmp_path / "some.csv")) == 10


def test_predictions_are_at_images_that_the_model_has_not_seen(fit, predict, tmp_path, capsys):
    """Where the fit uses a class up, none of it is left."""
    labels = np.repeat([0, 1], [40, 6])
    x = np.random.default_rng(0).uniform(size=(46, 4, 4)) + labels[:, None, None]
    np.savez(tmp_path / "own.npz", x=x, y=labels)
    assert run(fit("model", "--dataset", str(tmp_path / "own.npz"), n=20)) == 0
    assert run(predict("model", "all.csv")) == 0
    written = os.path.relpath(tmp_path / "own.npz")
    assert run(predict("model", "again.csv", "--dataset", written)) == 0
    for name in ("all.csv", "again.csv"):
        assert [row["label"] for row in rows_of(tmp_path / name)] == ["0"] * 26


@pytest.mark.parametrize("resize", ["pad", None])
def test_images_of_different_sizes_are_made_as_the_model_s_were(
    resize, fit, predict, tmp_path, capsys
):
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 100)):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(low, low + 100, (12, 8 + i, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{i}.png")
    folder = tmp_path / "own"
    told = () if resize is None else ("--resize", resize)
    assert run(fit("model", "--dataset", str(folder), *told, n=10)) == 0
    assert run(predict("model", "unseen.csv")) == 0
    train, _ = kk.load(folder, n_train=10, n_test=1, image_size=4, resize=resize)
    unseen = load_unseen(folder, n_seen=10, image_size=4, resize=resize)
    assert train.standardization is not None
    expected = kk.KernelClassifier(get="ntk", ridge="loo").fit(train.x, train.y)
    x = train.standardization.apply(unseen.x)
    rows = rows_of(tmp_path / "unseen.csv")
    found = [[float(row[f"p({name})"]) for name in train.classes] for row in rows]
    np.testing.assert_allclose(found, expected.predict_proba(x), atol=1e-4)
    notes = kk.load_model(tmp_path / "model").notes_
    assert notes["info"]["resize"] == (resize or "crop")


def test_predictions_that_cannot_be_written(fit, predict, tmp_path, capsys):
    """What stands where they are written first is no file."""
    assert run(fit("model", n=20)) == 0
    (tmp_path / ".found.csv.partial").mkdir()
    assert run(predict("model", "found.csv", "--n", "5")) == 1
    assert f"cannot write {tmp_path / 'found.csv'} (" in capsys.readouterr().err
    assert not (tmp_path / "found.csv").exists()


def test_a_cell_by_conjugate_gradients(fit, predict, tmp_path, capsys):
    options = ("--architecture", CELL, "--image-size", "4", "--n-reference", "4")
    solver = ("--ridge", "1e-2", "--solver", "cg", "--get", "nngp")
    assert run(fit("model", *options, *solver, n=20)) == 0
    assert "residual " in capsys.readouterr().out
    assert run(predict("model", "cell.csv", "--n", "20")) == 0
    rows = rows_of(tmp_path / "cell.csv")
    assert len(rows) == 20
    assert list(rows[0]) == ["image", "label", "predicted"]


def test_a_fit_goes_on_from_its_store(fit, tmp_path, capsys):
    assert run(fit("model", "--tile", "40")) == 0
    shutil.rmtree(tmp_path / "model")
    tile = tmp_path / "model-gram" / "ntk" / "c" / "1" / "0"
    content = tile.read_bytes()
    tile.unlink()
    assert run(fit("model")) == 0
    assert "1 of 6 tiles to compute" in capsys.readouterr().err
    assert tile.read_bytes() == content


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--ridge", "small"), "expected a number >= 0, loo or evidence"),
        (("--ridge", "-1"), "ridge"),
        (("--solver", "cg"), "expected one number > 0"),
        (("--solver", "cg", "--ridge", "1", "--learning-curve"), "expected --solver cholesky"),
        (("--n", "0"), "--n 0: expected a positive number"),
        (("--dataset", "no_such_set"), "unknown data set 'no_such_set'"),
        (("--architecture", "no_such.json"), "no_such.json"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(fit, tmp_path, capsys, more, message):
    assert run(fit("model", *more)) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_bad_predictions_are_refused(fit, predict, tmp_path, capsys):
    assert run(fit("model")) == 0
    assert run(fit("model")) == 2
    assert "exists: expected a new folder" in capsys.readouterr().err
    np.save(tmp_path / "colour.npy", np.zeros((3, 8, 8, 3)))
    np.save(tmp_path / "nan.npy", np.full((3, 8, 8), np.nan))
    np.savez(tmp_path / "letters.npz", x=np.zeros((4, 8, 8)), y=np.array([0, 0, 11, 11]))
    (tmp_path / "there.csv").write_text("mine")
    for options, message in [
        (("model", "there.csv"), "exists: expected a new file"),
        (("model", "no/where.csv"), "there is no folder"),
        (("nothing", "a.csv"), "no model in"),
        (("model", "a.csv", "--images", str(tmp_path / "colour.npy")), "images of (4, 4, 3)"),
        (("model", "a.csv", "--images", str(tmp_path / "nan.npy")), "NaN"),
        (("model", "a.csv", "--images", str(tmp_path / "none.npy")), "cannot be read"),
        (("model", "a.csv", "--dataset", str(tmp_path / "letters.npz")), "the class '11', which"),
        (("model", "a.csv", "--n", "100000"), "n=100000 but digits has 1697 unseen images"),
        (
            ("model", "a.csv", "--n", "5", "--images", str(tmp_path / "nan.npy")),
            "with --dataset or --n",
        ),
    ]:
        assert run(predict(*options)) == 2, options
        assert message in capsys.readouterr().err, options
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert not (tmp_path / "a.csv").exists()
    kk.save_model(kk.load_model(tmp_path / "model"), tmp_path / "bare")
    assert run(predict("bare", "a.csv")) == 2
    assert "a model of `kernas fit`" in capsys.readouterr().err


def test_mirror_images_are_regressed_on_when_asked(fit, predict, tmp_path, capsys):
    assert run(fit("model", "--augment", "flip", n=40)) == 0
    kernel = kk.load_model(tmp_path / "model").kernel_
    assert isinstance(kernel, kk.NeuralKernel)
    assert kernel.augment == (kk.Flip(),)
    assert kk.GramStore(tmp_path / "model-gram").identity["augment"] == ["flip"]
    assert run(predict("model", "found.csv", "--n", "20")) == 0
    assert run(fit("other", "--augment", "flip", "translate", n=40)) == 2
    assert "not linear in the kernel of the flattened pixels" in capsys.readouterr().err
    assert not (tmp_path / "other-gram").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda notes: notes.pop("standardization"), "it lacks 'standardization'"),
        (lambda notes: notes["standardization"].pop("std"), "it lacks 'standardization.std'"),
        (lambda notes: notes["standardization"].update(mean=["x"]), "standardization.mean is"),
        (lambda notes: notes["standardization"].update(std=[-1.0]), "standardization.std is"),
        (lambda notes: notes.update(classes=None), "classes is null: expected a list"),
        (lambda notes: notes.update(classes=["a"]), "classes is"),
        (lambda notes: notes.update(n=True), "n is true: expected an integer >= 1"),
        (lambda notes: notes.update(dataset=3), "dataset is 3: expected a text"),
    ],
)
def test_notes_that_are_not_those_of_a_fit_are_refused(change, words):
    notes = {
        **{"dataset": "digits", "n": 8, "seed": 0, "classes": ["a", "b"], "info": {}},
        "standardization": {"mean": [0.5], "std": [0.0]},
    }
    check_notes(notes, 2)
    check_notes({**notes, "standardization": None}, 2)
    change(notes)
    with pytest.raises(DocumentError) as caught:
        check_notes(notes, 2)
    assert words in str(caught.value)


def test_a_model_whose_notes_were_altered_does_not_predict(predict, tmp_path, capsys):
    x = np.random.default_rng(0).random((8, 4, 4, 1))
    model = kk.save_model(kk.KernelClassifier().fit(x, np.arange(8) % 2), tmp_path / "m", {"n": 8})
    file = model / "model.json"
    assert run(predict("m", "p.csv")) == 2  # it is not of kernas fit
    assert "does not say how images are made (it lacks 'dataset')" in capsys.readouterr().err
    file.write_text(file.read_text().replace('"n": 8', '"n": 9'))
    assert run(predict("m", "p.csv")) == 2
    assert "model.json is damaged: its content has the checksum" in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()
