"""Calls and names of other libraries are answered with ours, or with why there is none."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import jax
import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import ArchitectureError
from kernas.kernels._compat import import_neural_tangents
from kernas.kernels.architecture.foreign_names import NAMES, PARAMETERS, answer
from kernas.kernels.architecture.layers import LAYERS
from kernas.kernels.architecture.windows import WindowLayer

WIDTHS = "widths go to infinity, so a layer takes no number of channels or units"
WINDOWED: list[Any] = [layer for layer in LAYERS.values() if issubclass(layer, WindowLayer)]

ANY: Any = kk
"""The same, of which the type checker does not know how it is called."""


def test_windowed_layers_take_only_the_window_by_position() -> None:
    assert {layer.__name__ for layer in WINDOWED} == {"Conv", "DepthwiseConv", "AvgPool", "MaxPool"}
    for layer in WINDOWED:
        assert layer.__match_args__ == ("window",)
        assert layer(3) == layer(window=(3, 3))
        with pytest.raises(ArchitectureError):
            layer(3, 1)


def test_weight_layers_take_no_parameter_by_position_but_a_window() -> None:
    assert kk.Dense.__match_args__ == ()
    for layer in (ANY.Conv, ANY.DepthwiseConv):
        with pytest.raises(ArchitectureError, match=WIDTHS):
            layer(64, (3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ANY.Conv(64, (3, 3)), rf"Conv\(64, \(3, 3\)\): {WIDTHS}: write Conv\(\(3, 3\)\);"),
        (lambda: ANY.Conv(64, 3), rf"{WIDTHS}: write Conv\(3\), or Conv\(64, stride=3\) for a str"),
        (lambda: ANY.Conv(3, 64, 3), rf"{WIDTHS}: write Conv\(window\), e.g. Conv\(3\)"),
        (lambda: ANY.Conv(64, window=3), rf"{WIDTHS}: write Conv\(3\)"),
        (lambda: ANY.DepthwiseConv(1, (2, 2)), rf"{WIDTHS}: write DepthwiseConv\(\(2, 2\)\)"),
        (lambda: ANY.Dense(512), rf"Dense\(512\): {WIDTHS}: write Dense\(\), with W_std and b_std"),
        (lambda: ANY.Dense(features=512), WIDTHS),
        (lambda: ANY.Dense(units=3, activation="relu"), rf"{WIDTHS}; a nonlinearity is a layer"),
        (lambda: ANY.Conv(filters=64, kernel_size=3), rf"{WIDTHS}; kernel_size is window here"),
        (lambda: ANY.Conv(3, out_chan=4, filter_shape=3), rf"{WIDTHS}; filter_shape is window"),
        (lambda: ANY.Conv(3, strides=2), r"Conv\(3, strides=2\): strides is stride here$"),
        (lambda: ANY.Conv(3, dilation_rate=2), "dilation_rate is dilation here"),
        (lambda: ANY.Conv(3, use_bias=False), "biases are b_std=... here, 0 for none"),
        (lambda: ANY.AvgPool(2, 2), r"write AvgPool\(2, stride=2\)$"),
        (lambda: ANY.AvgPool((2, 2), (2, 2), "SAME"), r"\(\(2, 2\), stride=\(2, 2\), padding='SAM"),
        (lambda: ANY.MaxPool(pool_size=2), "pool_size is window here"),
        (lambda: ANY.LeakyRelu(negative_slope=0.1), "negative_slope is slope here"),
        (lambda: ANY.LayerNorm(epsilon=0.1), "epsilon is eps here"),
        (lambda: ANY.Relu(0.1), r"Relu\(0.1\): it has no parameters, write Relu\(\)"),
        (lambda: ANY.Conv(3, pading="SAME"), "no parameter pading, perhaps padding is meant"),
        (lambda: ANY.Dense(kernel_size=3), "no parameter kernel_size, Dense has W_std, b_std"),
        (lambda: ANY.LocalAvgPool(1, "circular", 2), r"write LocalAvgPool\(1, 'circular'\)"),
    ],
)
def test_calls_of_other_libraries_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_layers_are_copied_pickled_and_replaced_as_before() -> None:
    for layer in (kk.Conv((3, 2), stride=2, W_std=1.5), kk.Dense(b_std=0.1), kk.Hermite(3)):
        copies = (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)))
        assert all(other == layer and hash(other) == hash(layer) for other in copies)
        assert replace(layer) == layer
    assert replace(kk.Conv(3), stride=2) == kk.Conv(3, stride=2)


def test_answers_about_parameters_are_parameters_or_sentences() -> None:
    ours = {field.name for layer in LAYERS.values() for field in fields(layer)}
    assert all(" " in said or said in ours for said in PARAMETERS.values())


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("FanOut", "parallel(branch, ...)"),
        ("FanInSum", "Sum()"),
        ("ABRelu", "LeakyRelu(slope=a/b)"),
        ("ReLU6", "its kinks do not lie at 0"),
        ("swish", 'Elementwise("silu")'),
        ("leaky_relu", "it is LeakyRelu here"),
        ("relu", "it is Relu here"),
        ("ELU", "it is Elu here"),
        ("gelu", "Gelu()"),
        ("BatchNorm2d", "Normalize()"),
        ("BatchNormalization", "Normalize()"),
        ("Dropout", "ridge"),
        ("MaxPool2d", "a maximum has no exact kernel"),
        ("AvgPool1d", "windows of signals have one axis, Conv((3,))"),
        ("Conv3d", "volumes are not supported"),
        ("Conv2D", "widths go to infinity"),
        ("GlobalAveragePooling2D", "GlobalAvgPool()"),
        ("DepthwiseConv2D", "it is DepthwiseConv here"),
        ("Sequential", "serial(layer, ...)"),
        ("NeuralKernal", "perhaps NeuralKernel is meant"),
    ],
)
def test_names_of_other_libraries_are_answered(name: str, said: str) -> None:
    assert not hasattr(kk, name)
    with pytest.raises(AttributeError) as refused:
        getattr(kk, name)
    message = str(refused.value)
    assert message.startswith(f"module 'kernas.kernels' has no attribute {name!r}: ")
    assert said in message


def test_names_that_nothing_comes_near_are_refused_as_ever() -> None:
    for name in ("xyzzy", "__wrapped__"):
        with pytest.raises(AttributeError, match=rf"has no attribute '{name}'$"):
            getattr(kk, name)


def test_answers_are_of_names_that_are_not_ours() -> None:
    assert not set(NAMES) & set(dir(kk))
    assert all(name == name.lower() and "_" not in name for name in NAMES)
    assert not any("\n" in said or said.endswith(".") for said in NAMES.values())


def test_every_layer_of_stax_is_ours_or_answered() -> None:
    stax = import_neural_tangents().stax
    tools = {"AggregateImplementation", "AttentionMechanism", "Bool", "Diagonal", "MaskedArray"}
    tools |= {"Padding", "PositionalEmbedding"}  # types in its namespace, no layers
    names = {name for name in dir(stax) if name[0].isupper()} - tools - set(dir(kk))
    assert len(names) > 20
    unanswered = {name for name in names if "perhaps" in (answer(name, dir(kk)) or "perhaps")}
    assert not unanswered


def test_documents_and_names_of_functions_are_answered() -> None:
    text = kk.serial(kk.Dense()).to_json()
    with pytest.raises(ArchitectureError, match=r"unknown layer 'BatchNorm': it is Normalize\(\)"):
        kk.Architecture.from_json(text.replace('"Dense"', '"BatchNorm"'))
    with pytest.raises(ArchitectureError, match=WIDTHS):
        kk.Architecture.from_json(text.replace('"width"', '"features"'))
    for name, said in (("swish", 'Elementwise("silu")'), ("relu", "it is Relu here")):
        with pytest.raises(ArchitectureError, match=f"name='{name}': .*expected one of") as refused:
            kk.Elementwise(name)
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (jax.nn.relu, "it is Relu here"),
        (jax.nn.swish, 'it is Elementwise("silu") here'),
        (np.tanh, 'it is Elementwise("tanh") here'),
        (kk.Relu, "it is the class, write Relu()"),
        ([kk.Dense(), kk.Relu()], "serial(*layers)"),
        ((np.sin, np.sin, np.sin), "functions of stax"),
        ("relu", "it is Relu here"),
        (64, "expected a layer such as Conv(3)"),
        (None, "expected a layer such as Conv(3)"),
    ],
)
def test_what_is_no_layer_is_answered(part: object, said: str) -> None:
    with pytest.raises(ArchitectureError, match="cannot add ") as refused:
        kk.serial(kk.Dense(), part)  # pyright: ignore[reportArgumentType]
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
