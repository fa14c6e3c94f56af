"""Networks of flax, ONNX and PyTorch: their outputs, the plans of their kernels, refusals by name.

PyTorch's are recorded (``tests/record_torch.py``); ``test_imports_torch.py`` reads them from torch.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax_models as models
import jax
import numpy as np
import onnx
import pytest
from flax import nnx
from onnx import helper
from onnx_models import model, small_onnx

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.kernels.imports import Imported
from kernas.kernels.imports.recognition import recognized
from kernas.kernels.imports.torch_graph import Call, loaded
from kernas.kernels.imports.torch_network import from_calls

RECORDED = Path(__file__).parents[1] / "recorded" / "torch_networks.npz"
OPTIONS: dict[str, Any] = {
    "max_pool": None,
    "batch_norm": "normalize",
    "W_std": 2**0.5,
    "b_std": 0.1,
}


def check_outputs(found: Imported, x: np.ndarray, expected: Any) -> None:
    """Equal to 1e-5, of outputs above 1 relative to them."""
    network: Any = found.network
    own = np.asarray(jax.jit(network.apply)(found.variables, x))
    assert own.shape == expected.shape
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def has(found: Imported, kind: type) -> bool:
    return any(isinstance(node.layer, kind) for node in found.architecture.nodes)


# --- PyTorch, recorded ---------------------------------------------------------------------------


def recorded(name: str) -> tuple[list[Call], str, np.ndarray, np.ndarray]:
    with np.load(RECORDED) as arrays:
        prefix = f"{name}/weights/"
        weights = {k.removeprefix(prefix): arrays[k] for k in arrays if k.startswith(prefix)}
        calls, output = loaded(arrays[f"{name}/calls"].tobytes().decode(), weights)
        return calls, output, arrays[f"{name}/x"], arrays[f"{name}/y"]


@pytest.mark.parametrize("batch_norm", ["normalize", "fold"])
@pytest.mark.parametrize("name", ["resnet18", "vgg", "mlp", "mixed"])
def test_modules_of_pytorch_give_their_outputs(name: str, batch_norm: Any) -> None:
    calls, output, x, y = recorded(name)
    options = {**OPTIONS, "batch_norm": batch_norm}
    if (name, batch_norm) == ("mixed", "fold"):  # what its norm reads is a concatenation
        with pytest.raises(ArchitectureError, match=r"'norm' \(BatchNorm2d\).*\"normalize\""):
            from_calls(calls, output, x.shape[1:], **options)
        return
    found = from_calls(calls, output, x.shape[1:], **options)
    check_outputs(found, x, y)
    assert has(found, kk.Normalize) == (name in ("resnet18", "mixed") and batch_norm == "normalize")


def check_plans(plain: Imported, averages: Imported) -> None:
    with pytest.raises(ArchitectureError, match=r"MaxPool.*as_average"):
        kk.NeuralKernel(plain.architecture).plan(plain.image_shape)
    kernel = kk.NeuralKernel(averages.architecture)
    assert kernel.plan(averages.image_shape).operations > 0
    assert any("averages for maxima" in said for said in averages.said)


def test_kernels_plan_with_averages_and_refuse_maxima_by_layer() -> None:
    calls, output, x, _ = recorded("vgg")
    options = {**OPTIONS, "max_pool": "average"}
    check_plans(
        from_calls(calls, output, x.shape[1:], **OPTIONS),
        from_calls(calls, output, x.shape[1:], **options),
    )


def test_a_nonlinearity_of_a_sum_with_a_nonlinearity_has_no_kernel() -> None:
    """The published residual networks: ReLU(ReLU(z) + conv) of no Gaussian."""
    calls, output, x, _ = recorded("resnet18")
    found = from_calls(calls, output, x.shape[1:], **{**OPTIONS, "max_pool": "average"})
    node = found.names["layer1.0.relu:2"]
    with pytest.raises(ArchitectureError, match=rf"node {node} \(Relu.*not Gaussian"):
        kk.NeuralKernel(found.architecture).plan(x.shape[1:])


def test_names_lead_to_nodes_and_widths_to_channels() -> None:
    calls, output, x, _ = recorded("resnet18")
    found = from_calls(calls, output, x.shape[1:], **OPTIONS)
    nodes = found.architecture.nodes
    assert isinstance(nodes[found.names["layer2.0.downsample.0"]].layer, kk.Conv)
    assert isinstance(nodes[found.names["layer2.0.downsample.1"]].layer, kk.Normalize)
    assert isinstance(nodes[found.names["layer2.0.add"]].layer, kk.Sum)
    assert nodes[found.names["flatten"]] == nodes[found.names["avgpool"]]
    last: Any = nodes[found.names["layer4.0.conv1"]].layer
    assert (found.width, last.width, found.outputs) == (2, 8.0, 3)
    assert "layer4.1.conv2" in str(found)


# --- flax ----------------------------------------------------------------------------------------


def drawn(module: Any, shape: tuple[int, ...], signs: float = 1, **arguments: Any) -> Any:
    """Variables as training may leave them; of ``signs`` above 1.1 scales of both signs."""
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "var": lambda a: 0.5 + rng.random(a.shape),
        "bias": lambda a: 0.2 * rng.normal(size=a.shape),
        "mean": lambda a: 0.2 * rng.normal(size=a.shape),
        "scale": lambda a: 1 + signs * rng.uniform(-0.9, 0.9, size=a.shape),
        "kernel": lambda a: rng.normal(size=a.shape) / np.prod(a.shape[:-1]) ** 0.5,
    }
    shapes = jax.eval_shape(
        lambda: module.init(jax.random.key(0), np.ones((1, *shape), np.float32), **arguments)
    )
    return jax.tree_util.tree_map_with_path(
        lambda path, a: values[path[-1].key](a).astype(np.float32), shapes
    )


FLAX: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "cnn": (models.Cnn(), (28, 28, 1), {}),
    "mlp": (models.Mlp(), (5,), {}),
    "resnet": (models.ResNet(), (32, 32, 3), {"train": False}),
    "mixed": (models.Mixed(), (9, 11, 3), {}),
}


@pytest.mark.parametrize("batch_norm", ["normalize", "fold"])
@pytest.mark.parametrize("name", FLAX)
def test_modules_of_flax_give_their_outputs(name: str, batch_norm: Any) -> None:
    module, shape, arguments = FLAX[name]
    variables = drawn(module, shape, 2 if name == "resnet" else 1, **arguments)
    found = kk.from_flax(module, variables, shape, arguments=arguments, batch_norm=batch_norm)
    x = normal(3, *shape)
    check_outputs(found, x, jax.jit(lambda x: module.apply(variables, x, **arguments))(x))
    assert has(found, kk.Normalize) == (name == "resnet" and batch_norm == "normalize")


def test_kernels_of_flax_plan_and_stand_beside_the_empirical_one() -> None:
    module, shape = models.PreActivation(), (16, 16, 3)
    variables = drawn(module, shape)
    check_plans(
        kk.from_flax(module, variables, shape),
        kk.from_flax(module, variables, shape, max_pool="average"),
    )

    mlp = kk.from_flax(models.Mlp(), drawn(models.Mlp(), (5,)), (5,))
    x = normal(4, 5)
    empirical = kk.EmpiricalKernel(mlp.apply, mlp.variables["params"])(x)
    exact = kk.NeuralKernel(mlp.architecture)(x)
    assert np.shape(empirical) == np.shape(exact) == (4, 4)


def test_what_flax_has_and_kernels_have_not_is_refused_by_name() -> None:
    with pytest.raises(ArchitectureError, match=r"'attention' \(MultiHeadDotProductAttention\)"):
        kk.from_flax(models.Attention(), drawn(models.Attention(), (8, 8, 3)), (8, 8, 3))
    with pytest.raises(ArchitectureError, match=r"Branching cannot be traced.*branch on data"):
        kk.from_flax(models.Branching(), {"params": {}}, (5,))
    recurrent = nn.Sequential([lambda x: x.reshape((-1, 5, 3)), nn.RNN(nn.LSTMCell(4))])
    with pytest.raises(ArchitectureError, match=r"\(RNN\).* no recurrent layer here"):
        kk.from_flax(recurrent, drawn(recurrent, (15,)), (15,))
    training = models.ResNet()
    with pytest.raises(ArchitectureError, match=r'arguments=\{"train": False\}'):
        kk.from_flax(training, drawn(training, (32, 32, 3), train=False), (32, 32, 3))
    with pytest.raises(ConfigurationError, match="nnx"):
        kk.from_flax(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), {}, (2,))
    for function, reason in ((nn.relu6, "kinks|no layer"), (nn.softmax, "couples channels")):
        mlp = models.Mlp(activation=function)
        with pytest.raises(ArchitectureError, match=reason):
            kk.from_flax(mlp, drawn(mlp, (5,)), (5,))


def test_shared_weights_are_refused() -> None:
    class Shared(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            layer = nn.Dense(5, name="twice")
            return nn.Dense(1)(nn.relu(layer(nn.relu(layer(x)))))

    with pytest.raises(ArchitectureError, match=r"'twice:2'.*has the weights of 'twice'"):
        kk.from_flax(Shared(), drawn(Shared(), (5,)), (5,))


# --- ONNX ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_norm", ["normalize", "fold"])
def test_models_of_onnx_give_their_outputs(batch_norm: Any, tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    made = small_onnx()
    x = normal(3, 12, 12, 3)
    (expected,) = ReferenceEvaluator(made).run(None, {"x": x.transpose(0, 3, 1, 2)})
    path = tmp_path / "network.onnx"
    onnx.save(made, path)
    for given in (made, made.SerializeToString(), path):
        found = kk.from_onnx(given, batch_norm=batch_norm)
    check_outputs(found, x, expected)
    assert found.image_shape == (12, 12, 3)
    assert isinstance(found.architecture.nodes[found.names["residual"]].layer, kk.Sum)


def test_a_model_of_onnx_without_a_rule_is_refused_by_its_layers() -> None:
    node = helper.make_node
    attention = model(
        [
            node("MatMul", ["x", "Q"], ["q"], name="queries"),
            node("MatMul", ["x", "K"], ["k"], name="keys"),
            node("Mul", ["q", "k"], ["s"], name="scores"),
            node("Softmax", ["s"], ["y"], name="weights"),
        ],
        {"Q": normal(5, 5), "K": normal(5, 5)},
        ("n", 5),
    )
    with pytest.raises(
        ArchitectureError, match=r"'scores' \(Mul\).*'weights' \(Softmax\): it coup"
    ):
        kk.from_onnx(attention)
    recurrent = model(
        [node("LSTM", ["x", "W", "R"], ["y"], name="memory", hidden_size=2)],
        {"W": normal(1, 8, 5), "R": normal(1, 8, 2)},
        ("n", 4, 5),
    )
    with pytest.raises(ConfigurationError, match="image_shape"):
        kk.from_onnx(recurrent)
    with pytest.raises(ArchitectureError, match=r"'memory' \(LSTM\): no recurrent layer"):
        kk.from_onnx(recurrent, (20,))
    with pytest.raises(DataError, match="cannot be read"):
        kk.from_onnx(b"no model")


# --- rules of the mapping ------------------------------------------------------------------------


def linear(name: str, read: str, kernel: np.ndarray) -> Call:
    weights = {"weight": kernel.T.astype(np.float32)}
    return Call(name, "Linear", (read,), {}, weights, key=name)


def norm(name: str, read: str, scale: list[float]) -> Call:
    ones = np.ones(len(scale), dtype=np.float32)
    weights = {"weight": np.asarray(scale, np.float32), "bias": 0.3 * ones}
    weights |= {"running_mean": 0.1 * ones, "running_var": 2 * ones}
    return Call(name, "BatchNorm1d", (read,), {"eps": 1e-5}, weights, key=name)


@pytest.mark.parametrize("batch_norm", ["normalize", "fold"])
def test_scales_that_no_running_variance_gives_go_into_the_weights(batch_norm: Any) -> None:
    kernel, scale = normal(4, 4), [-2.0, 0.0, 1e4, 0.5]
    calls = [Call("input", "input"), linear("a", "input", kernel), norm("b", "a", scale)]
    found = from_calls(calls, "b", (4,), **{**OPTIONS, "batch_norm": batch_norm})
    x = normal(3, 4)
    expected = (x @ kernel - 0.1) / np.sqrt(2 + 1e-5) * np.array(scale) + 0.3
    check_outputs(found, x, expected)


def test_scales_without_weights_beside_them_are_refused_by_name() -> None:
    calls = [
        Call("input", "input"),
        Call("act", "ReLU", ("input",)),
        norm("b", "act", [1.0, -1.0]),
        Call("end", "ReLU", ("b",)),
    ]
    with pytest.raises(ArchitectureError, match=r"'b' \(BatchNorm1d\).*not positive.* 1 channels"):
        from_calls(calls, "end", (2,), **OPTIONS)
    with pytest.raises(ArchitectureError, match=r"'b' \(BatchNorm1d\).*batch_norm=\"normalize\""):
        from_calls(calls, "end", (2,), **{**OPTIONS, "batch_norm": "fold"})


@pytest.mark.parametrize("batch_norm", ["normalize", "fold"])
def test_a_norm_and_a_layer_after_a_flattened_image_are_reordered(batch_norm: Any) -> None:
    scale = [1.0, 0.5, 2.0, 1.5, 0.7, 0.9, 1.1, 1.2]
    kernel = normal(8, 3)
    calls = [
        Call("input", "input"),
        Call("flat", "Flatten", ("input",), {"start_dim": 1, "end_dim": -1}),
        norm("b", "flat", scale),
        linear("end", "b", kernel),
    ]
    found = from_calls(calls, "end", (2, 2, 2), **{**OPTIONS, "batch_norm": batch_norm})
    x = normal(3, 2, 2, 2)
    flat = x.transpose(0, 3, 1, 2).reshape(3, 8)
    expected = ((flat - 0.1) / np.sqrt(2 + 1e-5) * np.array(scale) + 0.3) @ kernel
    check_outputs(found, x, expected)


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1)])
def test_a_constant_of_columns_is_not_taken_for_one_of_channels(shape: tuple[int, ...]) -> None:
    calls = [
        Call("input", "input"),
        Call("shift", "constant", weights={"value": normal(*shape)}),
        Call(
            "add",
            "add",
            ("input", "shift"),
            {"args": [{"call": "input"}, {"call": "shift"}], "kwargs": {}},
        ),
        Call("flat", "Flatten", ("add",), {"start_dim": 1, "end_dim": -1}),
        linear("end", "flat", normal(27, 2)),
    ]
    match = r"'add' \(add\).*" + ("every column" if len(shape) == 1 else "fold into weights")
    with pytest.raises(ArchitectureError, match=match):
        from_calls(calls, "end", (3, 3, 3), **OPTIONS)


@pytest.mark.parametrize(
    ("kind", "args", "match"),
    [
        ("dropout", [0.5], "drops out in eval mode too"),
        ("max", [0], "no layer here|maximum"),
        ("flatten", [], "only flatten"),
        ("mean", [1], "mean here is over all pixels"),
    ],
)
def test_functions_that_do_something_else_are_refused(
    kind: str, args: list[float], match: str
) -> None:
    settings = {"args": [{"call": "input"}, *args], "kwargs": {}}
    calls = [Call("input", "input"), Call("it", kind, ("input",), settings)]
    with pytest.raises(ArchitectureError, match=rf"'it' \({kind}\).*({match})"):
        from_calls(calls, "it", (4, 4, 3), **OPTIONS)


def test_functions_are_recognised_by_their_values_and_others_are_not() -> None:
    assert recognized(lambda x: np.maximum(x, 0)) == kk.Relu()
    assert recognized(lambda x: np.where(x > 0, x, 0.2 * x)) == kk.LeakyRelu(0.2)
    assert recognized(lambda x: np.exp(-(x**2) / 8)) == kk.Gaussian(2.0)
    assert recognized(lambda x: 1 / (1 + np.exp(-x))) == kk.Elementwise("sigmoid")
    line: Any = recognized(lambda x: np.float32(0.1) * x + 1000)
    assert (line.scale, line.shift) == (pytest.approx(0.1, rel=1e-5), 1000)
    assert recognized(lambda x: np.clip(x, 0, 6)) is None
    assert recognized(lambda x: np.clip(x, -1, 1)) is None


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_pool": "maximum"}, "max_pool='maximum': expected 'average' or None"),
        ({"batch_norm": "drop"}, "batch_norm='drop': expected 'normalize' or 'fold'"),
        ({"b_std": 0}, "b_std=0"),
        ({"image_shape": (3, 4)}, "channels last"),
    ],
)
def test_options_are_refused_in_a_line(options: dict[str, Any], match: str) -> None:
    shape = options.get("image_shape", (5,))
    options = {name: value for name, value in options.items() if name != "image_shape"}
    module = models.Mlp()
    with pytest.raises((ConfigurationError, ArchitectureError), match=match):
        kk.from_flax(module, drawn(module, (5,)), shape, **options)


def test_a_module_of_pytorch_without_pytorch_says_what_to_install() -> None:
    code = """
import sys
sys.modules["torch"] = None
import kernas.kernels as kk
assert not {"flax", "onnx", "kernas.kernels.imports"} & set(sys.modules)
try:
    kk.from_torch(object(), (3,))
except kk.from_torch.__globals__["calls_of"].__globals__["MissingDependencyError"] as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'kernas[torch]'" in ran.stdout, ran.stderr
