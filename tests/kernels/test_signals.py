"""Signals, ``(n, length, channels)``: kernels, finite networks, estimators and data of one axis."""

import ast
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.numpy_kernel import oracle

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels._compat import import_neural_tangents
from kernas.kernels.data.known import read_source

ROOT = Path(__file__).parents[2]
BOTH = ("nngp", "ntk")
HE = 2**0.5
X = np.random.default_rng(0).standard_normal((5, 9, 3))


def along(axes: int) -> dict[str, kk.Architecture]:
    """Networks of signals, or the same of images of one row."""

    def of(pixels):
        return (pixels,) if axes == 1 else (1, pixels)

    def edges(*pixels):
        return (pixels,) if axes == 1 else ((0, 0), pixels)

    local = [kk.LocalAvgPool((2,))]
    if axes == 2:
        local = [kk.AvgPool((1, 5), padding=edges(2, 2), divisor="window"), kk.Flatten()]
    return {
        "pools": kk.serial(
            kk.Conv(of(3), W_std=1.3, b_std=0.2),
            kk.Relu(),
            kk.parallel(kk.Identity(), kk.AvgPool(of(3), padding="SAME")),
            kk.AvgPool(of(2), stride=of(2)),
            kk.Conv(of(3), dilation=of(2), padding="CIRCULAR"),
            kk.Relu(),
            kk.GlobalAvgPool(),
            kk.Dense(),
        ),
        "normalised": kk.serial(
            kk.Conv(of(3), W_std=1.3, b_std=0.2, padding=edges(1, 2)),
            kk.Normalize(),
            kk.Relu(),
            kk.Conv(of(4), stride=of(2), padding="VALID"),
            kk.LayerNorm("channels and pixels"),
            kk.Erf(),
            kk.Flatten(),
            kk.Dense(),
        ),
        "local": kk.serial(
            kk.Conv(of(3), W_std=HE),
            kk.Relu(),
            kk.DepthwiseConv(of(3)),
            kk.Conv(of(1)),
            kk.Relu(),
            *local,
            kk.Dense(b_std=0.1),
        ),
    }


@pytest.mark.parametrize("name", along(1))
def test_kernels_of_signals_are_those_of_the_loops_and_of_images_of_one_row(name):
    signals, row = along(1)[name], along(2)[name]
    assert signals.takes_signals
    assert not row.takes_signals
    with jax.enable_x64(True):
        kernel, of_row = (kk.NeuralKernel(one, get=BOTH) for one in (signals, row))
        if kernel.needs_bind:
            kernel, of_row = kernel.bind(X), of_row.bind(X[:, None])
        ours, theirs = kernel(X[:3], X), of_row(X[:3, None], X[:, None])
    loops = oracle(signals, X[:3], X, reference=X)
    for value, same, slow in zip(ours, theirs, loops, strict=True):
        np.testing.assert_array_equal(value, same)
        np.testing.assert_allclose(value, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", ["kernas", "neural-tangents"])
def test_kernels_are_those_of_one_dimensional_stax(backend):
    stax = import_neural_tangents().stax
    _, _, kernel_fn = stax.serial(
        stax.Conv(8, (3,), padding="SAME", W_std=1.4, b_std=0.3),
        stax.Relu(),
        stax.AvgPool((2,), (2,), "VALID"),
        stax.Conv(8, (2,), padding="CIRCULAR", W_std=1.4, b_std=0.3),
        stax.Relu(),
        stax.GlobalAvgPool(),
        stax.Dense(1, 1.4, 0.3),
    )
    std: dict[str, Any] = {"W_std": 1.4, "b_std": 0.3}
    network = kk.serial(
        *(kk.Conv((3,), **std), kk.Relu(), kk.AvgPool((2,), stride=2)),
        *(kk.Conv((2,), padding="CIRCULAR", **std), kk.Relu(), kk.GlobalAvgPool(), kk.Dense(**std)),
    )
    with jax.enable_x64(True):
        raw = kernel_fn(X[:2], X, get=BOTH)
        ours = kk.NeuralKernel(network, get=BOTH, backend=backend)(X[:2], X)
        for value, theirs in zip(ours, raw, strict=True):
            np.testing.assert_allclose(value, theirs, rtol=1e-10)


def test_finite_networks_of_signals_are_those_of_images_of_one_row():
    for name, network in along(1).items():
        if name == "local":  # whose nodes are others
            continue
        finite, of_row = (kk.finite_network(one[name], 6) for one in (along(1), along(2)))
        variables = finite.init(jax.random.key(0), X)
        assert jax.tree.leaves(variables["params"])[0].shape
        np.testing.assert_array_equal(
            finite.apply(variables, X), of_row.apply(variables, X[:, None])
        )
        assert network.summary((9, 3), width=6, outputs=1).layers[1].shape[-1] == 6


def test_a_network_that_keeps_pixels_keeps_the_axis():
    finite = kk.finite_network(kk.serial(kk.Conv((3,), stride=2), kk.Relu()), 4, outputs=None)
    variables = finite.init(jax.random.key(0), X)
    assert jnp.asarray(finite.apply(variables, X)).shape == (5, 5, 4)


def test_shapes_and_texts():
    network = along(1)["pools"]
    assert network.shapes((9, 3))[1:6] == ((9,), (9,), (9,), (9,), (9,))
    assert network.shapes((9, 3))[-4:] == ((4,), (4,), (), ())
    assert "Conv((3,), padding='CIRCULAR', dilation=2)" in str(network)
    assert "AvgPool((2,), stride=2)" in str(network)
    assert kk.Architecture.from_json(network.to_json()) == network
    assert network.hash != along(2)["pools"].hash


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kk.Conv((3,), stride=(1, 2)), r"stride=\(1, 2\): expected .* or \(length,\)"),
        (lambda: kk.Conv((3,), padding=((1, 1), (1, 1))), r"pixels \(\(before, after\),\)"),
        (lambda: kk.Conv(3, padding=((1, 1),)), r"rows and columns"),
        (lambda: kk.Conv(cast(Any, (1, 2, 3))), r"a pair .* or \(length,\) for signals"),
        (lambda: kk.LocalAvgPool(cast(Any, (1, 2))), r"c=\(1, 2\): expected an integer"),
        (lambda: kk.Conv((3,), padding=((3, 0),)), "lie entirely in the padding"),
    ],
)
def test_windows_that_do_not_fit_one_axis_are_refused(make, message):
    with pytest.raises(ArchitectureError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (kk.Conv(3), (9, 3), r"a window of two axes, \(3, 3\).*one axis, \(3,\), or grey images"),
        (kk.Conv((3,)), (9, 9, 3), r"a window of one axis, \(3,\).*an image of \(9, 9\) pixels"),
        (kk.AvgPool(2), (9, 3), "a window of two axes"),
        (kk.LocalAvgPool(1), (9, 3), r"a window of two axes, \(3, 3\)"),
        (kk.LocalAvgPool((1,)), (9, 9, 3), "a window of one axis"),
        (kk.LocalAvgPool((5,), "circular"), (9, 3), r"averages 11 pixels around.*c <= 4"),
        (kk.Conv((10,), padding="VALID"), (9, 3), "a window of 10 pixels on an axis of 9"),
    ],
)
def test_inputs_of_other_axes_are_refused_by_layer(layer, shape, message):
    network = kk.serial(layer, kk.Flatten(), kk.Dense())
    with pytest.raises(ArchitectureError, match=message):
        network.shapes(shape)
    x = np.ones((2, *shape))
    with pytest.raises(ArchitectureError, match=message):
        kk.NeuralKernel(network)(x)
    with pytest.raises(ArchitectureError, match=message):
        kk.finite_network(network, 4).init(jax.random.key(0), x)


def test_augmentations_are_of_images():
    network = along(1)["pools"]
    with pytest.raises(DataError, match="signals of 9 pixels and 3 channels: expected images"):
        kk.NeuralKernel(network, augment=kk.Flip())(X)


def test_an_estimator_of_signals_is_saved_and_loaded(tmp_path):
    train, test = kk.load("rows:of=digits", n_train=100, n_test=60)
    network = along(1)["normalised"]
    model = kk.KernelClassifier(kk.NeuralKernel(network), ridge=1e-2).fit(train.x, train.y)
    assert model.score(test.x, test.y) > 0.5
    kk.save_model(model, tmp_path / "model")
    again = kk.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(test.x), model.predict(test.x))
    grey = kk.KernelClassifier(kk.NeuralKernel(kk.serial(kk.Conv(3), kk.Flatten(), kk.Dense())))
    assert grey.fit(train.x, train.y).kernel_  # of two axes: these are images of one channel


# --- data ----------------------------------------------------------------------------------------


def test_rows_of_images_are_read_from_the_top():
    images, signals = read_source("digits"), read_source("rows:of=digits")
    assert signals.x.shape == (1797, 8, 8)
    np.testing.assert_array_equal(signals.x[7, 3], images.x[7, 3, :, 0])
    train, _ = kk.load("rows: of = digits", n_train=50)
    assert train.input_shape == (8, 8)
    assert "50 signals of 8×8" in repr(train)
    assert train.subset(20).x.shape == (20, 8, 8)


def test_files_hold_signals_if_they_say_so(tmp_path):
    x, y = X.astype(np.float32), np.array([0, 1, 0, 1, 1])
    np.savez(tmp_path / "grey.npz", x=x, y=y)
    np.savez(tmp_path / "signals.npz", x=x, y=y, signals=True)
    np.save(tmp_path / "x.npy", x)
    assert read_source(tmp_path / "grey.npz").x.shape == (5, 9, 3, 1)
    assert read_source(tmp_path / "signals.npz").x.shape == (5, 9, 3)
    assert kk.data.read_images(tmp_path / "x.npy", signals=True).shape == (5, 9, 3)
    with pytest.raises(ConfigurationError, match="for signals of 9 pixels and 3 channels"):
        kk.load(tmp_path / "signals.npz", image_size=4)


TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps. " * 40


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_windows_of_a_text_and_what_follows_them(text):
    source = read_source(f"text:path={text},length=8,n=100")
    assert source.class_names is not None
    assert source.x_test is not None
    assert source.y_test is not None
    names = [ast.literal_eval(name) for name in source.class_names]
    cut = len(TEXT) * 9 // 10
    for x, y, part in (
        (source.x, source.y, TEXT[:cut]),
        (source.x_test, source.y_test, TEXT[cut:]),
    ):
        assert x.shape[1:] == (8, len(set(TEXT)))
        assert (x.sum(-1) == 1).all()
        for window, label in zip(x, y, strict=True):
            read = "".join(names[number] for number in window.argmax(-1)) + names[label]
            assert read in part
    assert (len(source.x), len(source.x_test)) == (100, 10)


def test_rare_characters_share_a_token(text):
    source = read_source(f"text:path={text},length=4,tokens=5,n=200")
    assert source.x.shape == (200, 4, 5)
    assert source.x[..., -1].any()
    assert list(source.class_names or [])[-1] == repr("�")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("{text}", ConfigurationError, "is a text: windows of it are the data set 'text:path="),
        ("text:path=nowhere.txt", DataError, "no file nowhere.txt"),
        ("text:path={text},length=0", ConfigurationError, "length=0: expected an integer >= 1"),
        ("text:path={text},tokens=1", ConfigurationError, "tokens=1: expected an integer >= 2"),
        ("text:path={text},length=400", DataError, "expected more than 4000"),
        ("text:path={text},n=1000000000", ConfigurationError, "expected at most 1,073,741,824"),
        ("text:path={binary}", DataError, r"is no UTF-8 text \(byte 2\)"),
        ("rows:of=circle", DataError, "expected images"),
        ("rows:of=digit", ConfigurationError, "did you mean 'digits'"),
    ],
)
def test_what_is_no_such_data_is_refused_in_a_line(name, error, message, text, tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"ab\xff" * 100)
    with pytest.raises(error, match=message) as found:
        kk.load(name.format(text=text, binary=binary))
    assert "\n" not in str(found.value)
