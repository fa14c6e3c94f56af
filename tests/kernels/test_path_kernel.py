"""Path kernels: a loop in NumPy beside them, orders of integration, resuming, what is refused."""

import subprocess
import sys
from math import erf
from typing import Any

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    DegenerateKernelError,
    DivergenceError,
    RunFolderError,
)
from kernas.kernels import PathKernel, gradient_path
from kernas.kernels.theory import trajectory
from kernas.kernels.theory.integrators import INTEGRATORS

W_STD, B_STD = 1.5, 0.2
NETWORK = kk.serial(kk.Dense(W_std=W_STD, b_std=B_STD), kk.Erf(), kk.Dense())
WIDTH, N, M = 12, 6, 4
LONG = {"time": 6.0, "steps": 24}
ORDERS = {"euler": 1, "heun": 2, "rk4": 4}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N + M, 3))
    return x[:N], np.sin(2 * x[:N, 0]), x[N:]


def long_path(data, **options):
    x, y, _ = data
    return gradient_path(NETWORK, WIDTH, x, y, **(LONG | options))


# --- a loop in NumPy -----------------------------------------------------------------------------


def forward(vector, x):
    """Outputs and Jacobian of the network, from its formula: biases, first and second weights."""
    d = x.shape[1]
    b, W, v = np.split(vector, [WIDTH, WIDTH + d * WIDTH])
    W = W.reshape(d, WIDTH)
    z = W_STD / np.sqrt(d) * x @ W + B_STD * b
    hidden = np.vectorize(erf)(z)
    slope = 2 / np.sqrt(np.pi) * np.exp(-(z**2)) * v / np.sqrt(WIDTH)
    of_W = W_STD / np.sqrt(d) * x[:, :, None] * slope[:, None, :]
    J = np.hstack([B_STD * slope, of_W.reshape(len(x), -1), hidden / np.sqrt(WIDTH)])
    return hidden @ v / np.sqrt(WIDTH), J


def slopes_of(loss, f, y):
    of_each = f - y if loss == "squared" else -y / (1 + np.exp(y * f))
    return of_each / len(y)


def loop(vector, x, y, queries, loss, steps=LONG["steps"], time=LONG["time"]):
    """Heun's method and the trapezoidal rule, state by state."""
    h = time / steps
    kernel = contributions = mean = 0

    def velocity(theta):
        f, J = forward(theta, x)
        return -slopes_of(loss, f, y) @ J

    for step in range(steps + 1):
        w = h / 2 if step in (0, steps) else h
        f, J = forward(vector, x)
        K = forward(vector, queries)[1] @ J.T
        kernel = kernel + w * K
        contributions = contributions - w * K * slopes_of(loss, f, y)
        mean = mean - w * slopes_of(loss, f, y) / time
        if step < steps:
            first = velocity(vector)
            vector = vector + h / 2 * (first + velocity(vector + h * first))
    return kernel, contributions / kernel, mean, forward(vector, queries)[0]


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_it_is_the_loop(data, loss):
    x, y, queries = data
    y = np.sign(y) if loss == "logistic" else y
    path = gradient_path(NETWORK, WIDTH, x, y, **LONG, loss=loss, integrator="heun")
    found = PathKernel.along(path, queries)
    kernel, weights, mean, trained = loop(path.start, x, y, queries, loss)
    # Both in float64: what differs is the order of a few thousand additions.
    close: Any = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(found.kernel, kernel, **close)
    np.testing.assert_allclose(found.weights, weights, **close)
    np.testing.assert_allclose(found.mean_weights, mean, **close)
    np.testing.assert_allclose(found.trained, trained, **close)
    np.testing.assert_allclose(found.offset, forward(path.start, queries)[0], **close)
    end = forward(path.trained, queries)[1] @ forward(path.trained, x)[1].T
    np.testing.assert_allclose(found.last, end, **close)
    start = forward(path.start, queries)[1] @ forward(path.start, x)[1].T
    expected = np.linalg.norm(end - start) / np.linalg.norm(start)
    np.testing.assert_allclose(found.movement, expected, rtol=1e-9)


# --- the theorem ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_the_sum_is_the_trained_network_up_to_an_error_of_the_integrators_order(
    data, integrator, loss
):
    x, y, queries = data
    y = np.sign(y) if loss == "logistic" else y
    errors = []
    for steps in (32, 64, 128, 256):
        options: Any = {"loss": loss, "integrator": integrator}
        path = gradient_path(NETWORK, WIDTH, x, y, time=6.0, steps=steps, **options)
        kernel = PathKernel.along(path, queries)
        errors.append(np.linalg.norm(kernel.predictions - kernel.trained))
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    # An error c hᵖ (1 + d h) halves with the power p + O(h): the last rate is the nearest.
    order = INTEGRATORS[integrator].order
    assert order == ORDERS[integrator]
    assert abs(rates[-1] - order) < 0.15
    assert (np.abs(rates - order) < 0.6).all()


@pytest.mark.parametrize(("integrator", "order"), ORDERS.items())
def test_a_method_and_its_rule_have_their_order(integrator, order):
    method = INTEGRATORS[integrator]

    def errors(steps):
        state, h = 1.0, 1.0 / steps
        for _ in range(steps):
            state = method.stepped(lambda v: -v * v, state, h)  # 1 / (1 + t)
        ends = np.exp(np.linspace(0, 1, steps + 1))
        return abs(state - 0.5), abs(method.weights(steps, h) @ ends - (np.e - 1))

    for coarse, fine in zip(errors(64), errors(128), strict=True):
        assert abs(np.log2(coarse / fine) - order) < 0.05


def test_weights_depend_on_the_query_unless_the_tangent_kernel_stays(data):
    _, _, queries = data
    path = long_path(data)
    kernel = PathKernel.along(path, queries)
    spread = np.ptp(kernel.weights, axis=0)
    assert (spread > 1e-4).all()
    # Those of a network that is linear in its parameters do not.
    linear = kk.serial(kk.Dense(W_std=W_STD))
    x, y, _ = data
    path = gradient_path(linear, 1, x, y, time=6.0, steps=192)
    flat = PathKernel.along(path, queries)
    np.testing.assert_allclose(flat.weights, np.tile(flat.mean_weights, (M, 1)), rtol=1e-9)
    assert flat.movement < 1e-12
    limit = kk.NeuralKernel(linear, "ntk")(queries, x)
    # The kernel is in float32; integrated in so many steps the rest is nearer.
    np.testing.assert_allclose(flat.of_constant(limit), flat.trained, atol=1e-5)
    expected = kk.gradient_descent_mse(
        kk.NeuralKernel(linear, "ntk")(x),
        y[:, None],
        path.time,
        K_cross=limit,
        f_train=path.outputs[0][:, None],
        f_test=flat.offset[:, None],
    )
    assert expected.test is not None
    np.testing.assert_allclose(flat.trained, expected.test[0, :, 0], atol=1e-5)


def test_the_limit_is_nearer_the_wider_the_network(data):
    x, y, queries = data
    limit = kk.NeuralKernel(NETWORK, "ntk")(queries, x)
    errors, movements = [], []
    for width in (16, 256):
        found = []
        for seed in range(6):
            path = gradient_path(NETWORK, width, x, y, time=6.0, steps=24, seed=seed)
            kernel = PathKernel.along(path, queries)
            error = np.mean((kernel.of_constant(limit) - kernel.trained) ** 2)
            found.append((error, kernel.movement))
        error, movement = np.mean(found, axis=0)
        errors.append(error)
        movements.append(movement)
    # In the limit the squared error falls as 1/width, by 16, and the movement by 4 or more. Of six
    # draws a mean square has a relative deviation of sqrt(2/6), so a factor of 4 is 2 of them away.
    assert errors[0] > 4 * errors[1]
    assert movements[0] > 2 * movements[1]


# --- what is kept --------------------------------------------------------------------------------


def same(one, two):
    for name in ("kernel", "contributions", "offset", "trained", "first", "last"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(trajectory, "BLOCK_BYTES", 8 * 60 * 5)  # five states of 60 parameters


def test_what_was_interrupted_goes_on_to_the_same_bytes(data, tmp_path, monkeypatch, small_blocks):
    _, _, queries = data
    expected = PathKernel.along(long_path(data), queries)
    put = trajectory.Blocks.put

    def interrupted(self, number, arrays):
        put(self, number, arrays)
        if self.folder is not None and number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trajectory.Blocks, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            long_path(data, store=tmp_path / "path")
    assert len(list((tmp_path / "path").glob("block-*"))) == 3
    path = long_path(data, store=tmp_path / "path")
    assert len(list((tmp_path / "path").glob("block-*"))) == 5
    with monkeypatch.context() as patched:
        patched.setattr(trajectory.Blocks, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            PathKernel.along(path, queries, store=tmp_path / "kernel")
    assert len(list((tmp_path / "kernel").glob("block-*"))) == 3
    same(PathKernel.along(path, queries, store=tmp_path / "kernel"), expected)
    # What is there is read: nothing is trained or integrated again.
    monkeypatch.setattr(trajectory.Blocks, "put", None)
    again = long_path(data, store=tmp_path / "path")
    np.testing.assert_array_equal(again.outputs, path.outputs)
    same(PathKernel.along(again, queries, store=tmp_path / "kernel"), expected)


SCRIPT = """
import sys, numpy as np, kernas.kernels as kk
from kernas.kernels.theory import trajectory
trajectory.BLOCK_BYTES = 8 * 60 * 5
x = np.load(sys.argv[2])
print("begun", flush=True)
network = kk.serial(kk.Dense(W_std=1.5, b_std=0.2), kk.Erf(), kk.Dense())
kk.gradient_path(network, 12, x, np.sin(2 * x[:, 0]), time=6.0, steps=4000, store=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_blocks(data, tmp_path, small_blocks):
    x, y, _ = data
    np.save(tmp_path / "x.npy", x)
    folder = tmp_path / "path"
    command = [sys.executable, "-c", SCRIPT, str(folder), str(tmp_path / "x.npy")]
    process = subprocess.Popen(command)
    while len(list(folder.glob("block-*"))) < 20:
        assert process.poll() is None
    process.kill()
    process.wait()
    kept = len(list(folder.glob("block-*")))
    assert kept < 800
    options: Any = {"time": 6.0, "steps": 4000}
    found = gradient_path(NETWORK, WIDTH, x, y, **options, store=folder)
    expected = gradient_path(NETWORK, WIDTH, x, y, **options)
    np.testing.assert_array_equal(found.outputs, expected.outputs)


def test_a_store_of_something_else_is_refused(data, tmp_path, small_blocks):
    x, y, queries = data
    path = long_path(data, store=tmp_path / "path")
    PathKernel.along(path, queries, store=tmp_path / "kernel")
    other = kk.serial(kk.Dense(W_std=1.0), kk.Erf(), kk.Dense())
    with pytest.raises(RunFolderError, match=r"of another computation: architecture is .* folder"):
        gradient_path(other, WIDTH, x, y, **LONG, store=tmp_path / "path")
    with pytest.raises(RunFolderError, match=r"of another computation: y is"):
        gradient_path(NETWORK, WIDTH, x, -y, **LONG, store=tmp_path / "path")
    with pytest.raises(RunFolderError, match=r"x\.sha256 is"):
        gradient_path(NETWORK, WIDTH, x + 1, y, **LONG, store=tmp_path / "path")
    with pytest.raises(RunFolderError, match=r"path\.seed is 0 there and 1 here"):
        PathKernel.along(long_path(data, seed=1), queries, store=tmp_path / "kernel")
    with pytest.raises(RunFolderError, match=r"x\.sha256 is"):
        PathKernel.along(path, queries + 1, store=tmp_path / "kernel")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(RunFolderError, match="is not empty and no store"):
        long_path(data, store=tmp_path / "other")


def test_a_damaged_store_is_named(data, tmp_path, small_blocks):
    folder = tmp_path / "path"
    long_path(data, store=folder)
    block = folder / "block-000001.npz"
    content = bytearray(block.read_bytes())
    content[len(content) // 2] ^= 1
    block.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"block-000001\.npz.*remove it, and the same call"):
        long_path(data, store=folder)
    np.savez(block, parameters=np.zeros((2, 2)), outputs=np.zeros((5, N)))
    with pytest.raises(RunFolderError, match=r"has arrays .*: expected .*remove it"):
        long_path(data, store=folder)
    (folder / "identity.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"identity\.json cannot be read or written \(not JSO"):
        long_path(data, store=folder)


def test_a_block_that_was_removed_is_named(data, tmp_path, small_blocks):
    _, _, queries = data
    path = long_path(data, store=tmp_path / "path")
    (tmp_path / "path" / "block-000001.npz").unlink()
    with pytest.raises(RunFolderError, match="block 1 of the path is no longer in its store"):
        PathKernel.along(path, queries)
    assert long_path(data, store=tmp_path / "path").trained.shape == path.start.shape
    assert PathKernel.along(path, queries).kernel.shape == (len(queries), N)


def test_a_path_without_its_steps_has_outputs_and_an_end(data):
    _, _, queries = data
    whole, ends = long_path(data), long_path(data, keep=False)
    np.testing.assert_array_equal(ends.outputs, whole.outputs)
    np.testing.assert_array_equal(ends.trained, whole.trained)
    with pytest.raises(ConfigurationError, match="train with gradient_path"):
        PathKernel.along(ends, queries)


# --- what is refused -----------------------------------------------------------------------------


def test_too_large_a_step_is_refused(data):
    for steps, time in ((2, 100.0), (200, 1e4)):
        with pytest.raises(DivergenceError, match=rf"give steps={2 * steps} or more"):
            long_path(data, integrator="euler", steps=steps, time=time)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": 0}, "time=0: expected a finite number > 0"),
        ({"time": float("inf")}, "time=inf"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 7}, "expected an even number.*give steps=8"),
        ({"loss": "hinge"}, "loss='hinge': expected 'squared' or 'logistic'"),
        ({"integrator": "leapfrog"}, "expected one of 'euler', 'heun', 'rk4'"),
        ({"seed": -1}, "seed=-1: expected an integer >= 0"),
        ({"width": 20_001}, r"100,005 parameters: expected 1 to 100,000; give a smaller width"),
        ({"width": 20_000, "steps": 4000}, r"4,001 states of 100,000 .* give a folder, store=…"),
    ],
)
def test_options_out_of_range_are_refused(data, options, message):
    x, y, _ = data
    arguments: Any = {"width": WIDTH, **LONG} | options
    with pytest.raises(ConfigurationError, match=message):
        gradient_path(NETWORK, arguments.pop("width"), x, y, **arguments)


def test_data_and_networks_that_do_not_serve_are_refused(data):
    x, y, queries = data
    with pytest.raises(DataError, match="201 images: expected at most 200"):
        gradient_path(NETWORK, WIDTH, np.ones((201, 3)), np.ones(201), **LONG)
    with pytest.raises(DataError, match=r"y has shape \(6, 1\)"):
        gradient_path(NETWORK, WIDTH, x, y[:, None], **LONG)
    with pytest.raises(DataError, match="NaN or infinite targets"):
        gradient_path(NETWORK, WIDTH, x, y * np.nan, **LONG)
    with pytest.raises(DataError, match="other targets than −1 and 1"):
        gradient_path(NETWORK, WIDTH, x, y, **LONG, loss="logistic")
    with pytest.raises(ArchitectureError, match="append it"):
        gradient_path(kk.serial(kk.Dense(), kk.Erf()), WIDTH, x, y, **LONG)
    normalized = kk.serial(kk.Dense(), kk.Normalize(), kk.Erf(), kk.Dense())
    with pytest.raises(ConfigurationError, match="depend on the batch"):
        gradient_path(normalized, WIDTH, x, y, **LONG)
    with pytest.raises(ConfigurationError, match="expected a GradientPath"):
        PathKernel.along("path", queries)  # pyright: ignore[reportArgumentType]
    path = long_path(data)
    with pytest.raises(DataError, match="3"):
        PathKernel.along(path, np.ones((2, 5)))
    with pytest.raises(DataError, match=r"K has shape \(6, 6\): expected \(4, 6\)"):
        PathKernel.along(path, queries).of_constant(np.ones((N, N)))


def test_weights_where_the_path_kernel_vanishes():
    one = np.ones((1, 2))
    zeros: Any = {"offset": np.zeros(1), "trained": np.zeros(1), "mean_weights": np.zeros(2)}
    parts: Any = {**zeros, "first": one, "last": one, "time": 1.0}
    none = PathKernel(np.array([[0.0, 2.0]]), np.array([[0.0, 1.0]]), **parts)
    np.testing.assert_array_equal(none.weights, [[0.0, 0.5]])
    some = PathKernel(np.array([[0.0, 2.0]]), np.array([[1.0, 1.0]]), **parts)
    with pytest.raises(DegenerateKernelError, match="of query 0 and image 0 is 0"):
        _ = some.weights
