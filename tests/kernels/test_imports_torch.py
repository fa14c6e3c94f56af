"""Networks read from PyTorch itself: outputs, refusals, and that what is recorded is what it gives.

They need torch, and run where CONTRIBUTING.md says: ``pytest -m torch``.
"""

# pyright: reportMissingImports=false, reportOptionalMemberAccess=false

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.imports import Imported

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("default")]

RECORDED = Path(__file__).parents[1] / "recorded" / "torch_networks.npz"


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def difference(found: Imported, module: Any, x: np.ndarray) -> float:
    """The largest one of outputs, relative to the largest output where that is above 1."""
    from record_torch import outputs

    expected = outputs(module, x)
    network: Any = found.network
    own = np.asarray(network.apply(found.variables, x))
    return float(np.abs(own - expected).max() / max(1, np.abs(expected).max()))


@pytest.mark.parametrize("batch_norm", ["normalize", "fold"])
@pytest.mark.parametrize(
    ("name", "shape"), [("resnet18", (64, 64, 3)), ("vgg", (32, 32, 3)), ("preact", (32, 32, 3))]
)
def test_published_networks_give_their_outputs(
    name: str, shape: tuple[int, ...], batch_norm: Any
) -> None:
    import torch_models as models

    made = {
        "resnet18": lambda: models.ResNet18(64, 1000),
        "vgg": lambda: models.Vgg(pixels=1, hidden=512),
        "preact": lambda: models.PreActResNet18(16, 10),
    }
    module = models.drawn(made[name](), positive=name == "preact")
    if (name, batch_norm) == ("preact", "fold"):
        with pytest.raises(ArchitectureError, match=r'BatchNorm2d.*batch_norm="normalize"'):
            kk.from_torch(module, shape, batch_norm="fold")
        return
    found = kk.from_torch(module, shape, batch_norm=batch_norm, max_pool="average")
    assert difference(found, module, images(2, *shape)) < 1e-5
    kernel = kk.NeuralKernel(found.architecture)
    if name == "resnet18":
        with pytest.raises(ArchitectureError, match="not Gaussian"):
            kernel.plan(shape)
        return
    assert kernel.plan(shape).operations > 0
    plain = kk.from_torch(module, shape, batch_norm=batch_norm)
    with pytest.raises(ArchitectureError, match=r"MaxPool.*as_average"):
        kk.NeuralKernel(plain.architecture).plan(shape)


def test_the_recorded_networks_are_those_that_torch_gives() -> None:
    from record_torch import recorded

    with np.load(RECORDED) as arrays:
        own = recorded()
        assert set(arrays) == set(own)
        for name, array in own.items():
            if name.endswith("/y"):
                np.testing.assert_allclose(arrays[name], array, rtol=1e-4, atol=1e-5)
            elif name.endswith("/calls"):
                assert arrays[name].tobytes() == array.tobytes(), name
            else:
                np.testing.assert_array_equal(arrays[name], array)


def test_a_forward_pass_that_branches_on_data_is_refused_by_name() -> None:
    import torch_models as models

    with pytest.raises(ArchitectureError, match=r"gate \(Gate\) cannot be traced.*branch on data"):
        kk.from_torch(models.Branching(), (5,))


def test_layers_without_a_rule_are_refused_by_name() -> None:
    import torch_models as models
    from torch import nn

    with pytest.raises(ArchitectureError, match=r"'attention' \(MultiheadAttention\): attention"):
        kk.from_torch(models.Attention(), (8, 8, 3))
    for layer, match in (
        (nn.LSTM(3, 4), r"\(LSTM\): no recurrent layer"),
        (nn.ReLU6(), r"\(ReLU6\).*kinks"),
        (nn.Softmax(1), r"\(Softmax\).*couples channels"),
        (nn.TransformerEncoderLayer(4, 2), r"\(TransformerEncoderLayer\): attention"),
    ):
        with pytest.raises(ArchitectureError, match=match):
            kk.from_torch(nn.Sequential(layer), (4,))
    with pytest.raises(ConfigurationError, match=r"expected a torch.nn.Module"):
        kk.from_torch("resnet18", (4,))


@pytest.mark.parametrize("name", ["resnet18", "vgg", "mixed", "mlp"])
def test_what_torch_exports_to_onnx_is_read_again(name: str) -> None:
    pytest.importorskip("onnxscript")
    import torch
    from torch_models import IMAGES as SHAPES
    from torch_models import small

    module, shape = small(name), SHAPES[name]
    x = images(2, *shape)
    given = torch.from_numpy(x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x)
    for dynamo in (True, False):
        file = io.BytesIO()
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(module, (given,), file, dynamo=dynamo, verbose=False)
        if name == "mixed":  # circular windows are exported as padding, or as slices
            with pytest.raises(ArchitectureError, match=r"\((Pad|Slice)\)"):
                kk.from_onnx(file.getvalue())
            continue
        found = kk.from_onnx(file.getvalue())
        assert difference(found, module, x) < 1e-5, dynamo
