"""neural-tangents as backend and as oracle: the engine agrees with all that both express."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import AS_USERS
from oracles.agreement import BOTH, check_kernels, expected_kernels
from oracles.numpy_kernel import oracle
from oracles.random_networks import random_architecture
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    KernasError,
    KernelRangeError,
    MissingDependencyError,
)
from kernas.kernels import NeuralKernel
from kernas.kernels._compat import INSTALL, import_neural_tangents
from kernas.kernels.backends import stax_network as backend
from kernas.kernels.regression import score_gram

# --- the import ----------------------------------------------------------------------------------

IMPORT = """
import sys
import warnings
import jax, jax.core, jax.interpreters.ad
from kernas.kernels._compat import import_neural_tangents

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tf2jax"):
            raise AssertionError(f"{name} is being imported")

def state():
    return dict(vars(jax.core)), dict(vars(jax.interpreters.ad)), list(warnings.filters)

sys.meta_path.insert(0, Refuse())
known = set(vars(jax))
before = state()
stax = import_neural_tangents().stax
assert state() == before
assert "jax.util" not in sys.modules
assert all(f"jax.{name}" in sys.modules for name in set(vars(jax)) - known)
assert stax is import_neural_tangents().stax
assert "neural_tangents.experimental" not in sys.modules
assert not hasattr(import_neural_tangents(), "experimental")
assert not {"tensorflow", "tf2jax"} & set(sys.modules)
"""


def test_the_import_leaves_jax_as_it_was_and_loads_no_tensorflow(tmp_path):
    """With every warning an error, and bytecode compiled afresh, which is when syntax warns."""
    fresh = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)},
    )
    assert fresh.returncode == 0, fresh.stderr
    assert not fresh.stderr


@pytest.mark.parametrize("package", ["neural_tangents", "frozendict"])
def test_a_missing_package_says_how_to_install_it(package, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] in ("neural_tangents", "frozendict")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        NeuralKernel(kk.serial(kk.Dense()), backend="neural-tangents")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, KernasError)
    assert package in str(caught.value)
    assert str(caught.value).endswith(INSTALL)
    NeuralKernel(kk.serial(kk.Dense()))(np.eye(3))  # the own engine does without


# --- random networks -----------------------------------------------------------------------------


def expressible(architecture, shape):
    try:
        backend.check_expressible(architecture, shape)
    except ArchitectureError:
        return False
    return True


def random_case(seed, sides, blocks=None):
    """The first network of a seed's that neural-tangents expresses, and its images."""
    rng = np.random.default_rng(seed)
    flat = seed % 8 == 7
    shape = (5,) if flat else (int(rng.choice(sides)), int(rng.choice(sides)), 2)
    image = (4, 4, 2) if flat else cast(tuple[int, int, int], shape)
    while True:
        layers = "all" if seed % 2 else "basic"
        architecture = random_architecture(
            rng, image=image, flat=flat, blocks=blocks, layers=layers
        )
        if expressible(architecture, shape):
            break
    # float32 values, so that both precisions see the same images.
    x1, x2 = (rng.standard_normal((2, *shape)).astype(np.float32) for _ in range(2))
    return architecture, x1, x2


def check_agreement(architecture, x1, x2, *, precisions=(np.float64, np.float32)):
    """Engine and backend differ by the stated share of ``sqrt(K(x, x) K(x', x'))`` at most."""
    expected = expected_kernels(architecture, x1, x2)
    for precision in precisions:
        with jax.enable_x64(precision is np.float64):
            ours = NeuralKernel(architecture, get=BOTH)(x1, x2)
            theirs = NeuralKernel(architecture, get=BOTH, backend="neural-tangents")(x1, x2)
        assert theirs.nngp.dtype == ours.nngp.dtype == precision
        check_kernels(theirs, replace(expected, kernels=ours))


@pytest.mark.oracle(
    "neural-tangents", networks=lambda seed: random_case(seed, sides=[4], blocks=1)[0]
)
@pytest.mark.parametrize("seed", ordinary(range(10), of=range(30)))
def test_random_networks_agree_with_neural_tangents(seed):
    """One block each, and float32 for every fifth: compiling is what takes long."""
    architecture, x1, x2 = random_case(seed, sides=[4], blocks=1)
    precisions = (np.float64, np.float32) if seed % 5 == 0 else (np.float64,)
    check_agreement(architecture, x1, x2, precisions=precisions)


def two_layers_of(activation):
    hidden = [kk.Dense(W_std=0.8, b_std=0.2), activation, kk.Dense(W_std=0.7), activation]
    return kk.serial(*hidden, kk.Dense())


@pytest.mark.oracle("neural-tangents", networks=two_layers_of)
@pytest.mark.parametrize(
    "activation",
    [
        kk.LeakyRelu(0.2),
        kk.Abs(),
        kk.Erf(),
        kk.Gelu(),
        kk.Sin(),
        kk.Cos(),
        kk.Sinusoid(1.3, 0.4),
        kk.Exp(0.5),
        kk.Gaussian(1.7),
        kk.Monomial(3),
    ],
    ids=lambda activation: type(activation).__name__,
)
def test_activations_agree_with_neural_tangents(activation):
    architecture = two_layers_of(activation)
    x1, x2 = np.random.default_rng(0).standard_normal((2, 3, 7)).astype(np.float32)
    check_agreement(architecture, x1, x2)


@pytest.mark.parametrize("activation", [kk.Sign(), kk.Hermite(3), kk.Elementwise("tanh")])
def test_activations_that_neural_tangents_lacks_or_errs_in_are_refused(activation):
    architecture = kk.serial(kk.Dense(), activation, kk.Dense())
    with pytest.raises(ArchitectureError, match="has no counterpart there"):
        NeuralKernel(architecture, backend="neural-tangents")(np.eye(3))


@pytest.mark.slow
@pytest.mark.oracle("neural-tangents", networks=lambda seed: random_case(seed, [3, 4, 5])[0])
@pytest.mark.parametrize("seed", range(1000, 1120))
def test_many_random_networks_agree_with_neural_tangents(seed):
    check_agreement(*random_case(seed, sides=[3, 4, 5]))


def test_refused_are_exactly_the_networks_that_adding_kernels_gets_wrong():
    """The NumPy oracle, once exact and once with covariances between terms of sums dropped."""
    verdicts = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        flat = seed % 7 == 6
        architecture = random_architecture(rng, image=(4, 4, 2), flat=flat)
        shape = (5,) if flat else (4, 4, 2)
        x = rng.standard_normal((2, *shape))
        exact = oracle(architecture, x)
        added = oracle(architecture, x, branches="independent")
        same = all(np.allclose(a, b, rtol=1e-9, atol=0) for a, b in zip(exact, added, strict=True))
        verdicts.append(expressible(architecture, shape))
        assert verdicts[-1] == same, seed
    assert {True, False} == set(verdicts)


# --- conventions ---------------------------------------------------------------------------------


def head(*layers, readout=None):
    """A network of these layers, a nonlinearity and a readout."""
    first = kk.Conv(3, W_std=1.3, b_std=0.2)
    return kk.serial(first, *layers, kk.Relu(), readout or kk.GlobalAvgPool(), kk.Dense())


EXPLICIT = ((1, 0), (2, 1))


@pytest.mark.oracle("neural-tangents", networks=lambda architecture: architecture)
@pytest.mark.parametrize(
    "architecture",
    [
        head(kk.AvgPool((2, 3), stride=(2, 1), padding=EXPLICIT)),
        head(kk.AvgPool((2, 3), stride=(1, 2), padding=EXPLICIT, divisor="window")),
        head(kk.AvgPool(3, stride=2, padding="SAME")),
        head(kk.AvgPool(3, stride=1, padding="SAME", divisor="window")),
        head(kk.Relu(), kk.Conv((2, 3), stride=(2, 1), padding=EXPLICIT), readout=kk.Flatten()),
        head(
            kk.Relu(), kk.Conv((2, 3), stride=(1, 2), padding=EXPLICIT, b_std=0.4, trainable=False)
        ),
        head(kk.Relu(), kk.Conv(3, stride=2, padding="VALID", trainable=False)),
        kk.serial(kk.Conv(3, b_std=0.3), kk.Flatten(), kk.Relu(), kk.Dense(b_std=0.1)),
        kk.serial(kk.Conv(3, trainable=False), kk.Relu(), kk.Flatten()),
        kk.serial(kk.Conv(3), kk.Zero(), kk.Flatten(), kk.Dense(b_std=0.5)),
        kk.serial(kk.Conv(3), kk.residual(kk.Zero(), kk.Zero()), kk.Relu(), kk.GlobalAvgPool()),
        kk.serial(kk.Flatten(), kk.Dense(trainable=False), kk.GlobalAvgPool(), kk.Relu()),
        # A term with a mean beside fresh weights, which FanInSum refuses and is exact.
        head(kk.Relu(), kk.residual(kk.Conv(1)), kk.Conv(1)),
    ],
)
def test_layers_that_stax_lacks_are_expressed_exactly(architecture):
    x1, x2 = np.random.default_rng(3).standard_normal((2, 2, 4, 5, 2))
    with jax.enable_x64(True):
        theirs = NeuralKernel(architecture, get=BOTH, backend="neural-tangents")(x1, x2)
    for ours, value in zip(oracle(architecture, x1, x2), theirs, strict=True):
        np.testing.assert_allclose(value, ours, rtol=1e-10, atol=1e-13)


def stax_relu_net(stax, W_std, b_std):
    """Written as a user of neural-tangents writes it."""
    conv = stax.Conv(8, (3, 3), padding="SAME", W_std=W_std, b_std=b_std)
    readout = (stax.Flatten(), stax.Dense(1, W_std, b_std))
    _, _, kernel_fn = stax.serial(conv, stax.Relu(), conv, stax.Relu(), *readout)
    return jax.jit(kernel_fn, static_argnames="get")


@pytest.mark.parametrize("b_std", [0.0, 0.6])
def test_parameterisation_is_that_of_stax(b_std):
    """``W_std`` and ``b_std`` mean the same in both, and so does an untouched ``stax.serial``."""
    std = {"W_std": 1.4, "b_std": b_std}
    conv, dense = kk.Conv(3, **std), kk.Dense(**std)
    architecture = kk.serial(conv, kk.Relu(), conv, kk.Relu(), kk.Flatten(), dense)
    x1, x2 = np.random.default_rng(0).standard_normal((2, 3, 4, 4, 2))
    with jax.enable_x64(True):
        raw = stax_relu_net(import_neural_tangents().stax, 1.4, b_std)(x1, x2, get=BOTH)
        for name in ("kernas", "neural-tangents"):
            kernel = NeuralKernel(architecture, get=BOTH, backend=cast(Any, name))
            for ours, theirs in zip(kernel(x1, x2), raw, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_concatenation_is_that_of_stax():
    """``FanInConcat`` weighs by channels."""
    stax = import_neural_tangents().stax
    wide, narrow = stax.Conv(24, (3, 3), padding="SAME"), stax.Conv(8, (3, 3), padding="SAME")
    channels = (stax.FanOut(2), stax.parallel(wide, narrow), stax.FanInConcat(-1))
    end = (stax.GlobalAvgPool(), stax.Dense(1))
    _, _, kernel_fn = stax.serial(narrow, stax.Relu(), *channels, narrow, stax.Relu(), *end)
    branches = kk.parallel(kk.Conv(3, width=3), kk.Conv(3), join=kk.Concat())
    network = kk.serial(kk.Conv(3), kk.Relu(), branches, kk.Conv(3), kk.Relu(), kk.GlobalAvgPool())
    x1, x2 = np.random.default_rng(0).standard_normal((2, 3, 4, 3, 2))
    with jax.enable_x64(True):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`FanIn` layers")
            theirs = jax.jit(kernel_fn, static_argnames="get")(x1, x2, get=BOTH)
        for name in ("kernas", "neural-tangents"):
            kernel = NeuralKernel(kk.serial(network, kk.Dense()), get=BOTH, backend=cast(Any, name))
            for ours, value in zip(kernel(x1, x2), theirs, strict=True):
                np.testing.assert_allclose(ours, value, rtol=1e-10)


# --- branches ------------------------------------------------------------------------------------


def test_a_sum_of_fresh_weights_agrees():
    """Two equal convolutions of one node are two layers, uncorrelated: kernels add."""
    branches = kk.parallel(kk.Conv(3, W_std=1.2), kk.Conv(1, b_std=0.3), kk.Conv(3, W_std=1.2))
    architecture = kk.serial(kk.Conv(3), kk.Relu(), branches, kk.Relu(), kk.GlobalAvgPool())
    check_agreement(architecture, *np.random.default_rng(0).standard_normal((2, 2, 4, 4, 2)))


def test_a_skip_beside_a_pool_is_refused_since_adding_kernels_is_wrong():
    """neural-tangents itself returns a number, far from the oracle's and the engine's."""
    pool = kk.AvgPool(3, padding="SAME", divisor="window")
    architecture = kk.serial(kk.Conv(3), kk.residual(pool), kk.Relu(), kk.GlobalAvgPool())
    x = np.random.default_rng(0).standard_normal((3, 4, 4, 2))
    with pytest.raises(ArchitectureError, match=r"node 4 \(Sum reading 2, 3\) adds branches"):
        NeuralKernel(architecture, backend="neural-tangents")(x)

    stax = import_neural_tangents().stax
    branches = stax.parallel(stax.Identity(), stax.AvgPool((3, 3), (1, 1), "SAME", False))
    _, _, kernel_fn = stax.serial(
        stax.Conv(1, (3, 3), padding="SAME"),
        stax.FanOut(2),
        branches,
        stax.FanInSum(),
        stax.Relu(),
        stax.GlobalAvgPool(),
    )
    with jax.enable_x64(True):
        ours = NeuralKernel(architecture, get=BOTH)(x)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`FanIn` layers")
            theirs = [
                np.asarray(part)
                for part in jax.jit(kernel_fn, static_argnames="get")(x, x, get=BOTH)
            ]
    exact = oracle(architecture, x)
    added = oracle(architecture, x, branches="independent")
    for i in range(2):
        np.testing.assert_allclose(ours[i], exact[i], rtol=1e-10)
        np.testing.assert_allclose(theirs[i], added[i], rtol=1e-7)
    assert np.min(1 - theirs[0] / exact[0]) > 0.1
    assert np.min(1 - np.diag(theirs[1]) / np.diag(exact[1])) > 0.05


W, RELU = kk.Conv(1), kk.Relu()


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (head(kk.Normalize()), r"node 2 \(Normalize reading 1\) takes statistics over a batch"),
        (head(kk.residual(kk.Identity())), r"node 4 \(Sum reading 2, 3\) .* nodes 2 and 3"),
        (head(kk.parallel(RELU, kk.serial(W, RELU)), W), "correlated"),  # both have a mean
        (head(kk.residual(RELU), W), "correlated"),  # Stein
        (kk.serial(kk.residual(kk.AvgPool(3, padding="SAME")), W, kk.Flatten()), "correlated"),
        (head(kk.Normalize(), kk.residual(kk.Identity())), r"node 2 .*batch; node 5 .*correlated"),
        (head(RELU, kk.Conv(3, dilation=2)), r"node 3 \(Conv reading 2\) is dilated"),
        (
            head(kk.parallel(W, kk.Conv(3), join=kk.Concat()), kk.LayerNorm()),
            r"node 5 \(LayerNorm reading 4\) takes statistics over a concatenation",
        ),
    ],
)
def test_what_it_cannot_express_is_refused_by_name(architecture, message):
    kernel = NeuralKernel(architecture, backend="neural-tangents")
    x = np.random.default_rng(0).standard_normal((3, 4, 4, 2))
    calls = (lambda: kernel(x), lambda: kernel.bind(x), lambda: kernel.prepare(x))
    for call in (*calls, lambda: kernel.settings((4, 4, 2))):
        with pytest.raises(ArchitectureError, match=message) as caught:
            call()
        assert str(caught.value).endswith("use backend='kernas'")


def test_correlated_branches_that_no_one_reads_do_not_matter():
    dead = kk.serial(kk.residual(kk.Identity()), kk.Zero())
    architecture = head(kk.parallel(W, dead))
    check_agreement(architecture, *np.random.default_rng(0).standard_normal((2, 2, 4, 4, 2)))


# --- the face ------------------------------------------------------------------------------------


@pytest.fixture
def network():
    return head(kk.residual(kk.serial(kk.Relu(), kk.Conv(3, W_std=2**0.5))))


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((5, 3, 3, 2))


def test_result_does_not_depend_on_tiles(network, x):
    """Five images in tiles of two, as one triangle, and two of them with three."""
    with jax.enable_x64(True):
        whole = NeuralKernel(network, get=BOTH)
        exact = [whole(x), whole(x[:2], x[2:])]
        per_pair = backend.pair_bytes(network, x.shape[1:], tangent=True)
        small = NeuralKernel(
            network, get=BOTH, tile_bytes=per_pair * 2**2, backend="neural-tangents"
        )
        assert small.settings(x.shape[1:])["tile_side"] == 2
        triangle = small(x)
        for ours, theirs in zip(exact, (triangle, small(x[:2], x[2:])), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-7)
        np.testing.assert_array_equal(triangle.ntk, triangle.ntk.T)


@pytest.mark.parametrize("tangent", [True, False])
@pytest.mark.parametrize("side", [1, 4])
def test_a_tile_takes_no_more_than_its_bytes(network, tangent, side):
    """What XLA says it needs beside its arguments, for two networks of different width."""
    shape = (4, 4, 2)
    wide = kk.serial(kk.Conv(3), kk.Relu(), kk.parallel(*[kk.Conv(3)] * 4), kk.GlobalAvgPool())
    for architecture in (network, wide):
        images = jax.ShapeDtypeStruct((side, *shape), jnp.float32)
        function = jax.jit(backend.pair_kernel(architecture, shape, tangent=tangent))
        analysis = function.lower(images, images).compile(AS_USERS).memory_analysis()
        needed = cast(Any, analysis).temp_size_in_bytes
        estimate = backend.pair_bytes(architecture, shape, tangent=tangent) * side**2
        assert 0.1 * estimate < needed <= estimate


def test_prepared_images_and_equal_images(network, x):
    kernel = NeuralKernel(network, get=BOTH, backend="neural-tangents")
    prepared = kernel.prepare(x)
    assert len(prepared) == len(x)
    for direct, again in zip(kernel(x[:2], x), kernel(x[:2], prepared), strict=True):
        np.testing.assert_array_equal(direct, again)
    engine = NeuralKernel(network, get=BOTH)
    for mine, other in [(kernel, engine), (engine, kernel)]:
        with pytest.raises(DataError, match="prepared by another kernel"):
            mine(other.prepare(x))
    near = np.sqrt(24 * np.finfo(np.float32).eps) / np.pi  # a layer's part of the singularity
    assert np.max(np.abs(kernel(x).ntk / engine(x).ntk - 1)) < 3 * near


def test_get_bind_and_settings(network, x):
    kernel = NeuralKernel(network, backend="neural-tangents")
    assert kernel(x).dtype == np.float32
    assert kernel(x, get=("nngp",)).ntk is None
    bound = kernel.bind(x, 3)
    assert bound.is_bound
    assert not bound.needs_bind
    np.testing.assert_array_equal(bound(x), kernel(x))
    settings = kernel.settings(x.shape[1:])
    assert settings["backend"] == "neural-tangents"
    assert NeuralKernel(network).settings(x.shape[1:])["backend"] == "kernas"


def test_bad_arguments_are_refused_in_one_line(network, x):
    kernel = NeuralKernel(network, backend="neural-tangents")
    small = NeuralKernel(network, backend="neural-tangents", tile_bytes=100)
    cases = [
        (lambda: NeuralKernel(network, backend=cast(Any, "torch")), ConfigurationError, "'torch'"),
        (lambda: small(x), ConfigurationError, r"needs \d+ bytes in neural-tangents"),
        (lambda: kernel(x * np.nan), DataError, r"x\[0\] has NaN"),
        (lambda: kernel(x, x[:, :2]), DataError, "expected equal shapes"),
        (lambda: kernel(x * 1e30), KernelRangeError, r"overflows float32 at node 0 \(Input\); st"),
        (
            lambda: NeuralKernel(kk.serial(W, RELU), backend="neural-tangents")(x),
            ArchitectureError,
            "end with GlobalAvgPool",
        ),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


# --- a kernel_fn of neural-tangents as a kernel --------------------------------------------------


def test_a_kernel_fn_is_a_kernel(x):
    kernel_fn = stax_relu_net(import_neural_tangents().stax, 1.4, 0.6)
    kernel = kk.as_kernel(kernel_fn, get=BOTH)
    assert not kernel.needs_bind
    assert kk.as_kernel(kernel) is kernel
    conv, dense = kk.Conv(3, W_std=1.4, b_std=0.6), kk.Dense(W_std=1.4, b_std=0.6)
    ours = NeuralKernel(kk.serial(conv, RELU, conv, RELU, kk.Flatten(), dense), get=BOTH)
    assert kk.as_kernel(ours) is ours
    with jax.enable_x64(True):
        assert isinstance(kernel(x), kk.Kernels)
        for a, b in [(x, None), (x[:2], x)]:
            for mine, theirs in zip(ours(a, b), kernel(a, b), strict=True):
                np.testing.assert_allclose(theirs, mine, rtol=1e-7)
        np.testing.assert_array_equal(kernel(x, get="nngp"), kernel(x).nngp)
        assert kernel(x, get=("ntk",)).nngp is None
        y = np.arange(5) % 2
        score = score_gram(kernel(x, get="ntk"), y, ridge=1e-2, metrics=["loo_error"], n_classes=2)
        assert np.isfinite(score["loo_error"].value)


def test_what_is_no_kernel_fn_is_refused(x):
    stax = import_neural_tangents().stax
    open_ended = kk.as_kernel(stax.serial(stax.Dense(1), stax.Relu())[2])
    cases = [
        (lambda: kk.as_kernel(cast(Any, 3)), ConfigurationError, "kernel_fn=3"),
        (lambda: kk.as_kernel(lambda *_: None, get=cast(Any, "NTK")), ConfigurationError, "'NTK'"),
        (lambda: open_ended(x), DataError, "end the network with Flatten"),
        (lambda: open_ended(x, x[:, 1:]), DataError, "expected equal shapes"),
        (lambda: open_ended(x * np.nan), DataError, r"x1\[0\] has NaN"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
