"""Reading data sets by name and by path, and the errors of bad ones."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from real_data import needs_data

from kernas.errors import ConfigurationError, DataError, KernasError
from kernas.kernels.data import Dataset, area_resize, load, load_unseen
from kernas.kernels.data.known import known_name, read_source


def save(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def toy(n: int = 40, shape: tuple[int, ...] = (6, 5, 2), n_classes: int = 4) -> dict:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(n, *shape)), "y": np.arange(n) % n_classes}


def rows(dataset: Dataset) -> set[bytes]:
    return {image.tobytes() for image in dataset.x}


def balanced(dataset: Dataset) -> bool:
    return bool(np.ptp(np.bincount(dataset.y, minlength=dataset.n_classes)) <= 1)


# --- digits ---------------------------------------------------------------------------------


def test_digits_come_standardised_balanced_and_disjoint():
    train, test = load("digits", n_train=203, n_test=101)
    assert (train.x.shape, train.x.dtype) == ((203, 8, 8, 1), np.float32)
    assert (test.x.shape, test.y.dtype) == ((101, 8, 8, 1), np.int64)
    assert train.classes == tuple("0123456789")
    assert balanced(train)
    assert balanced(test)
    assert not rows(train) & rows(test)
    assert abs(train.x.mean()) < 1e-6
    assert abs(train.x.std() - 1) < 1e-6
    assert 0 < abs(test.x.mean()) < 0.1
    with pytest.raises(ValueError, match="read-only"):
        train.x[0] = 0


def test_digits_are_the_published_ones():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    known = {image.tobytes(): y for image, y in zip(images / 16, labels, strict=True)}
    train, test = load("digits", standardize=False)
    assert len(train) + len(test) == 1797
    for part in (train, test):
        for image, y in zip(part.x, part.y, strict=True):
            assert known[image.astype(np.float64).tobytes()] == y


@pytest.mark.parametrize(
    ("part", "n", "sha256"),
    [
        ("train", 5000, "ff7a27bc6dab41b56a3cdc696e214d515f28edac4880f8ff1e529b49d4e78855"),
        ("test", 1594, "4d6f5b5da74c13be115b52dab70d30cb4178f915fc028d26f3ee0782bed741dc"),
    ],
)
def test_hard_digits_are_the_same_everywhere(part, n, sha256):
    source = read_source("digits_hard")
    x = source.x if part == "train" else source.x_test
    assert x is not None
    assert (x.shape, x.dtype) == ((n, 8, 8, 1), np.uint8)
    assert hashlib.sha256(x.tobytes()).hexdigest() == sha256


def test_hard_digits_are_made_of_the_digits_moved_by_a_pixel():
    """Less the digit at the place that fits best, nothing but the noise is left."""
    source, digits = read_source("digits_hard"), read_source("digits")
    assert source.y_test is not None
    np.testing.assert_array_equal(source.y, np.tile(digits.y[:1000], 5))
    np.testing.assert_array_equal(source.y_test, np.tile(digits.y[1000:], 2))
    paper, pen, noise = 80, 160, 0.3 * 80
    around = np.pad(paper + (pen - paper) * digits.x[0, ..., 0], 1, constant_values=paper)
    places = np.lib.stride_tricks.sliding_window_view(around, (8, 8)).reshape(9, 8, 8)
    found = set()
    for copy in range(5):
        rests = source.x[1000 * copy, ..., 0].astype(float) - places
        best = np.argmin(rests.std(axis=(1, 2)))
        found.add(int(best))
        # 64 pixels of noise: its standard deviation is known to 1 / √(2 · 63), five times here.
        assert abs(rests[best].std() / noise - 1) < 5 / np.sqrt(2 * 63)
        assert abs(rests[best].mean()) < 5 * noise / 8
    assert len(found) > 1


def test_sets_are_nested_and_the_same_again():
    small, test = load("digits", n_train=50, n_test=100, standardize=False)
    large, same_test = load("digits", n_train=300, n_test=100, standardize=False)
    np.testing.assert_array_equal(large.x[:50], small.x)
    np.testing.assert_array_equal(test.x, same_test.x)
    again, _ = load("digits", n_train=50, n_test=100, standardize=False)
    other, _ = load("digits", n_train=50, n_test=100, standardize=False, seed=1)
    assert again.fingerprint == small.fingerprint != other.fingerprint
    assert len(rows(small) & rows(other)) < 50


def test_sizes_left_out_take_what_is_left():
    for n_train, n_test, expected in (
        (None, None, (1198, 599)),
        (1000, None, (1000, 797)),
        (None, 1000, (797, 1000)),
        (1000, 797, (1000, 797)),
    ):
        train, test = load("digits", n_train=n_train, n_test=n_test)
        assert (len(train), len(test)) == expected
        assert not rows(train) & rows(test)


def test_datasets_survive_pickling():
    train, _ = load("digits", n_train=20, n_test=10)
    copy = pickle.loads(pickle.dumps(train))
    assert copy.fingerprint == train.fingerprint
    assert copy.info == train.info


# --- named files ----------------------------------------------------------------------------


@needs_data
def test_cifar10_is_resized_by_area_and_standardised_on_training():
    train, test = load("cifar10", n_train=105, n_test=50, image_size=8, seed=3)
    raw, raw_test = load("cifar10", n_train=105, n_test=50, seed=3, standardize=False)
    assert train.classes[:2] == ("airplane", "automobile")
    assert raw.x.shape == (105, 32, 32, 3)
    assert 0 <= raw.x.min() < 0.05 < 0.95 < raw.x.max() <= 1
    small = area_resize(raw.x.astype(np.float64), (8, 8))
    mean, std = small.mean(axis=(0, 1, 2)), small.std(axis=(0, 1, 2))
    np.testing.assert_allclose(train.x, (small - mean) / std, atol=1e-5)
    small_test = area_resize(raw_test.x.astype(np.float64), (8, 8))
    np.testing.assert_allclose(test.x, (small_test - mean) / std, atol=1e-5)
    assert balanced(train)
    assert balanced(test)


@needs_data
def test_cifar10_images_have_their_labels_and_come_from_their_own_part():
    with np.load(Path(os.environ["KERNAS_DATA"]) / "cifar10_10k_2k.npz") as stored:
        first = {key: stored[key] for key in stored.files}
    train, test = load("cifar10", n_train=20, n_test=20, standardize=False)
    for part, suffix in ((train, "train"), (test, "test")):
        known = {
            (image / np.float32(255)).astype(np.float32).tobytes(): y
            for image, y in zip(first[f"x_{suffix}"], first[f"y_{suffix}"], strict=True)
        }
        for image, y in zip(part.x, part.y, strict=True):
            assert known[image.tobytes()] == y
            assert part.classes[y] == first["class_names"][y]


@needs_data
def test_fashion_mnist_gets_a_channel_and_a_size_that_does_not_divide():
    train, test = load("fashion_mnist", n_train=30, n_test=20, image_size=10)
    assert train.x.shape == (30, 10, 10, 1)
    assert test.classes[-1] == "Ankle boot"


@needs_data
def test_more_images_than_a_named_file_has():
    with pytest.raises(ConfigurationError, match=r"n_train=10001 .* 10000 training images"):
        load("cifar10", n_train=10001)
    with pytest.raises(ConfigurationError, match=r"n_test=2001 .* 2000 test images"):
        load("cifar10", n_train=10, n_test=2001)


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_a_missing_file_says_where_it_looked_and_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError) as caught:
        load(name)
    message = str(caught.value)
    for part in (tmp_path / "data", tmp_path / "cache" / "kernas", "set KERNAS_DATA", ".npz"):
        assert str(part) in message
    monkeypatch.delenv("KERNAS_DATA")
    with pytest.raises(DataError, match="KERNAS_DATA is not set"):
        load(name)


def test_a_named_file_is_found_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KERNAS_DATA", raising=False)
    (tmp_path / "kernas").mkdir()
    data = toy()
    save(
        tmp_path / "kernas" / "cifar10_10k_2k.npz",
        **{f"{key}_{part}": value for key, value in data.items() for part in ("train", "test")},
    )
    train, _ = load("cifar10")
    assert train.name == "cifar10"
    assert train.info["source"] == "cifar10_10k_2k.npz"


def test_the_cache_folder_is_in_the_home_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("KERNAS_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load("cifar10")
    assert str(tmp_path / ".cache" / "kernas") in str(caught.value)


# --- the user's own files -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"), [((5,), (5,)), ((6, 5), (6, 5, 1)), ((6, 5, 2), (6, 5, 2))]
)
def test_own_file_of_two_three_or_four_axes(shape, expected, tmp_path):
    path = save(tmp_path / "own.npz", **toy(shape=shape))
    train, test = load(path, n_train=20, n_test=12)
    assert train.x.shape == (20, *expected)
    assert train.name == "own"
    assert balanced(train)
    assert balanced(test)
    assert not rows(train) & rows(test)


def test_own_file_with_parts_and_labels_that_do_not_start_at_zero(tmp_path):
    train, test = toy(), toy(n=12)
    path = save(
        tmp_path / "own.npz",
        x_train=train["x"],
        y_train=train["y"] * 10 - 10,
        x_test=test["x"],
        y_test=test["y"] * 10 - 10,
    )
    loaded, loaded_test = load(path, image_size=(3, 5))
    assert loaded.classes == ("-10", "0", "10", "20")
    assert loaded.x.shape[1:] == (3, 5, 2)
    assert (len(loaded), len(loaded_test)) == (40, 12)
    assert set(loaded_test.y) == {0, 1, 2, 3}


def test_own_file_with_class_names_of_which_some_do_not_occur(tmp_path):
    data = toy(n_classes=2)
    path = save(
        tmp_path / "own.npz", x=data["x"], y=data["y"] * 2, class_names=np.array(list("abc"))
    )
    train, _ = load(path)
    assert train.classes == ("a", "c")
    assert set(train.y) == {0, 1}


def test_a_class_too_small_for_balance_is_divided_in_proportion(tmp_path):
    y = np.repeat([0, 1], [100, 10])
    path = save(tmp_path / "own.npz", x=np.arange(110.0)[:, None], y=y)
    train, test = load(path, n_train=55, n_test=55)
    assert list(np.bincount(train.y)) == [50, 5]
    assert list(np.bincount(test.y)) == [50, 5]
    train, test = load(path, n_train=8, n_test=8)
    assert list(np.bincount(train.y)) == list(np.bincount(test.y)) == [4, 4]


def test_a_small_class_is_in_training_however_small_it_is(tmp_path):
    labels = np.repeat([0, 1], [1000, 10])
    path = save(tmp_path / "rare.npz", x=np.arange(1010.0)[:, None], y=labels)
    train, test = load(path, n_train=20, standardize=False)
    assert np.bincount(train.y).tolist() == [19, 1]
    assert len(test) == 990
    assert not rows(train) & rows(test)


@pytest.mark.parametrize("n", [2, 15, 60, 109])
def test_what_was_seen_is_left_out(n, tmp_path):
    """Also where a class is used up, so that other numbers of images divide it otherwise."""
    path = save(tmp_path / "own.npz", x=np.arange(110.0)[:, None], y=np.repeat([0, 1], [100, 10]))
    train, _ = load(path, n_train=n, n_test=1, seed=3, standardize=False)
    unseen = load_unseen(path, n_seen=n, seed=3)
    assert len(unseen) == 110 - n
    assert not rows(train) & rows(unseen)
    assert rows(load_unseen(path, n=1, n_seen=n, seed=3)) <= rows(unseen)
    with pytest.raises(ConfigurationError, match=f"has {110 - n} unseen images"):
        load_unseen(path, n=111 - n, n_seen=n, seed=3)


def test_a_test_part_was_never_seen(tmp_path):
    parts = {f"{key}_{part}": value for part in ("train", "test") for key, value in toy().items()}
    path = save(tmp_path / "parts.npz", **parts)
    assert len(load_unseen(path, n_seen=30)) == len(load_unseen(path)) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.linspace(0, 1, 40)}, "dtype float64: expected integers"),
        ({"y": (np.arange(40) % 4).astype(float)}, "dtype float64: expected integers"),
        ({"y": np.array(["cat", "dog"] * 20)}, "expected integers"),
        ({"y": np.arange(40) % 2 == 0}, "dtype bool: expected integers"),
        ({"y": np.arange(40)[:, None]}, r"shape \(40, 1\): expected a vector"),
        ({"y": np.full(40, 7)}, "all 40 labels of own are 7: expected at least two classes"),
        ({"y": np.arange(39) % 4}, "40 images but 39 labels"),
        ({"x": np.zeros(40)}, r"shape \(40,\): expected \(n, features\)"),
        ({"x": np.zeros((40, 2, 2, 1, 1))}, "expected"),
        ({"x": np.zeros((40, 0))}, "no axis empty"),
        ({"x": np.full((40, 3), "a")}, "expected real numbers"),
        ({"x": np.zeros((40, 3), complex)}, "expected real numbers"),
        ({"class_names": np.array(["a", "b"])}, "2 class names"),
        ({"class_names": np.arange(4)}, "vector of strings"),
    ],
)
def test_own_file_with_arrays_that_are_no_data_set(change, message, tmp_path):
    path = save(tmp_path / "own.npz", **(toy() | change))
    with pytest.raises(DataError, match=message):
        load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_name_the_image(value, tmp_path):
    data = toy()
    data["x"][17, 2, 3, 1] = value
    data["x"][30] = value
    with pytest.raises(DataError, match=r"2 images with NaN or infinite .* first is image 17"):
        load(save(tmp_path / "own.npz", **data))


def test_pixels_that_overflow_float32_are_refused(tmp_path):
    data = toy()
    data["x"][3] = 1e300
    with pytest.raises(DataError, match=r"1 images .* beyond float32; the first is image 3;"):
        load(save(tmp_path / "own.npz", **data))


def test_test_part_must_fit_the_training_part(tmp_path):
    data = toy()
    arrays = {"x_train": data["x"], "y_train": data["y"], "x_test": data["x"][:, :3]}
    with pytest.raises(DataError, match=r"test images of shape \(3, 5, 2\)"):
        load(save(tmp_path / "shape.npz", **arrays, y_test=data["y"]))
    arrays["x_test"] = data["x"]
    with pytest.raises(DataError, match=r"test label 4 .* no training label"):
        load(save(tmp_path / "label.npz", **arrays, y_test=data["y"] + 1))


@pytest.mark.parametrize("dtypes", [(np.uint8, np.int64), (np.float32, np.uint8)])
def test_bytes_in_one_part_only_are_refused(dtypes, tmp_path):
    """Bytes are divided by 255, other numbers are not."""
    x, y = np.arange(80).reshape(20, 4), np.arange(20) % 2
    arrays = {"x_train": x.astype(dtypes[0]), "y_train": y, "x_test": x.astype(dtypes[1])}
    with pytest.raises(DataError, match="save both in one dtype"):
        load(save(tmp_path / "mixed.npz", **arrays, y_test=y))


def test_missing_arrays_are_listed(tmp_path):
    path = save(tmp_path / "own.npz", images=np.zeros((4, 2)), y=np.arange(4))
    with pytest.raises(DataError, match="holds the arrays images, y: expected x and y"):
        load(path)
    path = save(tmp_path / "half.npz", x_train=np.zeros((4, 2)), y_train=np.arange(4))
    with pytest.raises(DataError, match="expected x and y, or x_train"):
        load(path)


class Mark:
    """Unpickling this would leave a trace."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_python_objects_are_never_unpickled(tmp_path):
    trace = tmp_path / "unpickled"
    objects = np.empty(4, dtype=object)
    objects[:] = [Mark(str(trace))] * 4
    path = save(tmp_path / "own.npz", x=np.zeros((4, 2)), y=objects)
    with pytest.raises(DataError, match=r"'y' .* Python objects, which are never unpickled"):
        load(path)
    disguised = tmp_path / "pickle.npz"
    disguised.write_bytes(pickle.dumps(Mark(str(trace))))
    with pytest.raises(DataError, match=r"not an \.npz file"):
        load(disguised)
    assert not trace.exists()


def test_files_that_are_cut_off_damaged_or_of_another_kind(tmp_path):
    whole = save(tmp_path / "own.npz", **toy()).read_bytes()
    damaged = bytearray(whole)
    damaged[400:500] = bytes(100)
    cases = {
        "cut.npz": whole[: len(whole) // 2],
        "empty.npz": b"",
        "text.npz": b"x,y\n1,2\n",
        "damaged.npz": bytes(damaged),
        "prefixed.npz": b"junk" + whole,
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            load(tmp_path / name)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"not an \.npz"):
        load(tmp_path / "array.npy")
    with pytest.raises(DataError, match="no file"):
        load(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="holds no folders"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CIFAR-10", "cifar10"),
        ("Fashion MNIST", "fashion_mnist"),
        ("fashion-mnist", "fashion_mnist"),
        ("CIFAR100-coarse", "cifar100_coarse"),
        ("ImageNet16_120", "imagenet16-120"),
        ("cifar", None),
        ("./mnist", None),
        ("MNIST.npz", None),
    ],
)
def test_names_are_understood_however_they_are_spelt(text, name):
    assert known_name(text) == name


def test_a_folder_comes_before_another_spelling_of_a_known_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MNIST").mkdir()
    assert known_name("MNIST") is None
    assert known_name("mnist") == "mnist"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ConfigurationError,
        match=r"unknown data set 'cifar11'.*digits, digits_hard, cifar10, cifar100",
    ):
        load("cifar11")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 1798}, "n_train=1798 .* 1797 images"),
        ({"n_train": 1797}, "n_test=0"),
        ({"n_train": 1000, "n_test": 798}, "sum is at most 1797"),
        ({"n_train": 9}, "n_train=9 for the 10 classes of digits"),
        ({"n_train": 0}, "n_train=0: expected an integer >= 1"),
        ({"n_train": 10.0}, "n_train=10.0: expected an integer"),
        ({"n_test": -1}, "n_test=-1: expected an integer >= 1"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"image_size": 9}, "image_size=9 for images of 8×8"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_size": -8}, "image_size=-8"),
        ({"image_size": 4.0}, "image_size=4.0"),
        ({"image_size": (4, 4, 1)}, "expected one side"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigurationError, match=message):
        load("digits", **options)


def test_image_size_is_refused_for_vectors(tmp_path):
    path = save(tmp_path / "own.npz", **toy(shape=(5,)))
    with pytest.raises(ConfigurationError, match="image_size=4 for vectors of 5 features"):
        load(path, image_size=4)


def test_every_message_is_one_line():
    for n_train, image_size in ((9, None), (20, 9), (9999, None)):
        with pytest.raises(KernasError) as caught:
            load("digits", n_train=n_train, image_size=image_size)
        assert "\n" not in str(caught.value)


# --- Dataset --------------------------------------------------------------------------------


def test_fingerprint_changes_with_images_labels_and_classes():
    x, y = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
    base = Dataset(x, y, ("a", "b"), "toy").fingerprint
    other_x = x.copy()
    other_x[1, 1] = 1
    assert base == Dataset(x.astype(np.float64), y.astype(np.uint8), ("a", "b"), "n").fingerprint
    for changed in (
        Dataset(other_x, y, ("a", "b"), "toy"),
        Dataset(x, y[::-1], ("a", "b"), "toy"),
        Dataset(x, y, ("a", "c"), "toy"),
        Dataset(x.reshape(4, 2, 1), y, ("a", "b"), "toy"),
    ):
        assert changed.fingerprint != base


def test_dataset_leaves_the_given_arrays_writable():
    x, y = np.zeros((2, 3), np.float32), np.array([0, 1])
    dataset = Dataset(x, y, ("a", "b"), "toy")
    x[0], y[0] = 1, 1
    assert dataset.x[0, 0] == 0
    assert dataset.y[0] == 0
    assert dataset.input_shape == (3,)


def test_dataset_refuses_labels_without_a_class():
    with pytest.raises(DataError, match=r"lie in 0 … 2: expected class indices 0 … 1"):
        Dataset(np.zeros((3, 2)), np.arange(3), ("a", "b"), "toy")


def test_labels_beyond_int64_are_refused(tmp_path):
    labels = np.array([0, 2**64 - 1] * 20, np.uint64)
    with pytest.raises(DataError, match="go up to 18446744073709551615: expected integers that"):
        load(save(tmp_path / "own.npz", **(toy() | {"y": labels})))


def test_a_largest_side_makes_only_larger_images_smaller(tmp_path):
    own = toy()
    n, rng = len(own["y"]), np.random.default_rng(0)

    def loaded(*shape, **options):
        np.savez(tmp_path / "own.npz", x=rng.random((n, *shape)), y=own["y"])
        train, _ = load(tmp_path / "own.npz", n_train=4, n_test=1, largest_side=8, **options)
        return train.input_shape, train.info.get("resized_from", "kept")

    assert loaded(40, 40, 3) == ((8, 8, 3), [40, 40])
    assert loaded(12, 8) == ((8, 8, 1), [12, 8])
    assert loaded(40, 5) == ((5, 5, 1), [40, 5])
    assert loaded(8, 6) == ((8, 6, 1), "kept")
    assert loaded(100) == ((100,), "kept")
    with pytest.raises(ConfigurationError, match="image_size=4 and largest_side=8"):
        loaded(40, 40, image_size=4)
    smaller, _ = load(tmp_path / "own.npz", n_train=4, n_test=1, image_size=8)
    same, _ = load(tmp_path / "own.npz", n_train=4, n_test=1, largest_side=8)
    np.testing.assert_array_equal(smaller.x, same.x)
