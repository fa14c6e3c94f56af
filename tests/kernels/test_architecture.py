"""The description of a network: validation, shapes, combinators and the JSON form."""

import json
from typing import Any

import pytest

from kernas import KernasError
from kernas.errors import ArchitectureError
from kernas.kernels import (
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    GraphBuilder,
    Identity,
    Input,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Relu,
    Sum,
    Zero,
    parallel,
    residual,
    serial,
)
from kernas.kernels.architecture import Node


def wrong(value) -> Any:
    """A value that the type checker is not to see through: what a user may pass all the same."""
    return value


EVERY_LAYER = serial(
    Conv((3, 2), stride=(1, 2), padding=((1, 1), (0, 1)), W_std=2**0.5, b_std=0.1, width=2.0),
    Normalize(center=False),
    Relu(),
    parallel(
        Conv(3, W_std=0.3, trainable=False),
        serial(Conv(3), AvgPool(3, padding=((1, 1), (1, 1)), divisor="window")),
        serial(Conv(1), Identity()),
        serial(Conv(1), Zero()),
    ),
    Normalize(),
    DepthwiseConv(3, padding="CIRCULAR", dilation=(1, 2), b_std=0.2),
    parallel(Conv(1, width=2), Conv((2, 3), padding=((1, 0), (2, 0))), join=Concat()),
    LayerNorm("channels and pixels", eps=1e-5),
    MaxPool(3, padding="SAME", as_average=True),
    parallel(LocalAvgPool(1, "circular"), Flatten(), join=Sum()),
    Dense(b_std=0.2),
    Relu(),
    Dense(),
)


def test_json_round_trip_keeps_everything():
    again = Architecture.from_json(EVERY_LAYER.to_json())
    assert again == EVERY_LAYER
    assert hash(again) == hash(EVERY_LAYER)
    assert json.loads(EVERY_LAYER.to_json())["version"] == 1


def test_numbers_are_equal_however_they_are_written():
    assert Conv(3, W_std=1) == Conv((3, 3), stride=(1, 1), W_std=1.0)
    lists = Conv(wrong([3, 3]), padding=wrong([[1, 1], [1, 1]]))
    assert Conv(3, padding=((1, 1), (1, 1))) == lists


def test_shapes_follow_strides_and_paddings():
    chain = serial(
        Conv(3, stride=2),
        Conv(3, stride=2, padding=((1, 1), (1, 1))),
        AvgPool(2, stride=2),
        Conv(2, padding="VALID"),
        GlobalAvgPool(),
        Dense(),
    )
    assert chain.shapes((32, 30, 3)) == (
        (32, 30),
        (16, 15),
        (8, 8),
        (4, 4),
        (3, 3),
        (),
        (),
    )
    assert serial(Dense()).shapes((7,)) == ((), ())


def test_shapes_follow_dilation_circular_edges_and_crops():
    chain = serial(
        Conv(3, padding="CIRCULAR", dilation=2),
        DepthwiseConv((3, 2), padding="VALID", dilation=(2, 1)),
        MaxPool(3, stride=2, padding="CIRCULAR"),
        Conv(1, padding=((-1, 0), (0, -2))),
        LocalAvgPool(1),
    )
    assert chain.shapes((12, 9, 3))[1:] == ((12, 9), (8, 8), (4, 4), (3, 2), ())
    assert LocalAvgPool(2).pool == AvgPool(5, padding=((2, 2), (2, 2)), divisor="window")
    assert LocalAvgPool(1, edges="circular").pool.padding == "CIRCULAR"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Conv(0), "window=0"),
        (lambda: Conv(3, stride=0), "stride=0"),
        (lambda: Conv(3, padding=wrong("same")), "padding='same'"),
        (lambda: Conv(3, padding=((3, 0), (0, 0))), "entirely in the padding"),
        (lambda: Conv(3, W_std=-1.0), "W_std=-1.0"),
        (lambda: Dense(b_std=float("nan")), "b_std=nan"),
        (lambda: Dense(width=0), "width=0"),
        (lambda: Dense(trainable=wrong(1)), "trainable=1"),
        (lambda: AvgPool(3, divisor=wrong("half")), "divisor='half'"),
        (lambda: Normalize(over=wrong("layer")), r"over='layer'.*LayerNorm\(\)"),
        (lambda: LayerNorm(over=wrong("batch")), r"over='batch'.*Normalize\(\)"),
        (lambda: LayerNorm(eps=0), "eps=0: expected a finite number > 0"),
        (lambda: Conv(3, dilation=0), "dilation=0"),
        (lambda: Conv(3, padding=((5, 0), (0, 0)), dilation=2), "window of 5 pixels"),
        (lambda: DepthwiseConv(3, b_std=-1), "b_std=-1: expected a finite number >= 0"),
        (lambda: LocalAvgPool(-1), "c=-1: expected an integer from 0"),
        (lambda: LocalAvgPool(1, wrong("wrap")), "edges='wrap'"),
        (lambda: MaxPool(3, as_average=wrong(1)), "as_average=1"),
        (lambda: serial(LocalAvgPool(1), Conv(3)), "move it before Flatten"),
        (
            lambda: serial(
                Conv(1),
                parallel(
                    parallel(Conv(1), Conv(1, width=2), join=Concat()),
                    parallel(Conv(1, width=2), Conv(1), join=Concat()),
                ),
            ),
            r"do not align: width 1 \| width 2 and width 2 \| width 1; insert Conv",
        ),
        (
            lambda: serial(
                Conv(1), parallel(Conv(1, width=2), parallel(Conv(1), Conv(1), join=Concat()))
            ),
            "do not align",
        ),
        (
            # All pixels side by side alternate between a and b, or are first those of a.
            lambda: serial(
                Conv(1),
                parallel(
                    serial(parallel(Conv(1), Conv(1), join=Concat()), Flatten()),
                    parallel(serial(Conv(1), Flatten()), serial(Conv(1), Flatten()), join=Concat()),
                ),
            ),
            "width 1, flattened within 1 and 1",
        ),
        (lambda: Normalize(center=wrong(0)), "center=0"),
        (lambda: serial(), "at least one"),
        (lambda: serial(wrong("conv")), "cannot add 'conv'"),
        (lambda: parallel(), "no branches"),
        (lambda: Architecture((Node(Input()),)), "at least one layer"),
        (lambda: Architecture((Node(Dense()), Node(Dense(), (0,)))), r"Input\(\) as node 0"),
        (
            lambda: Architecture((Node(Input()), Node(Sum(), (0, 2)), Node(Dense(), (1,)))),
            r"node 1 \(Sum\) reads node 2",
        ),
        (
            lambda: Architecture((Node(Input()), Node(Dense(), (0, 0)))),
            r"node 1 \(Dense\) reads 2 nodes",
        ),
        (lambda: Architecture((Node(Input()), Node(Sum(), ()))), r"node 1 \(Sum\) reads 0 nodes"),
        (
            lambda: Architecture((Node(Input()), Node(Conv(3), (0,)), Node(Dense(), (0,)))),
            r"node 1 \(Conv\) does not reach the output",
        ),
        (lambda: serial(Flatten(), Conv(3)), "move it before Flatten"),
        (
            lambda: serial(Conv(1), parallel(Conv(3), Conv(3, width=2))),
            "width 1 and width 2; insert Conv",
        ),
        (
            lambda: serial(Conv(1), parallel(Flatten(), GlobalAvgPool())),
            "different channels",
        ),
    ],
)
def test_what_cannot_be_built_names_the_node_and_the_fix(build, message):
    with pytest.raises(ArchitectureError, match=message) as caught:
        build()
    assert isinstance(caught.value, KernasError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "shape", "message"),
    [
        (serial(Conv(3), Dense()), (4, 4, 1), r"insert Flatten\(\)"),
        (serial(Conv(3), Flatten()), (5,), "needs an image but gets a vector"),
        (serial(Conv(5, padding="VALID"), Flatten()), (4, 4, 1), "window of 5 pixels on an axis"),
        (
            serial(Conv(1), parallel(Conv(3), Conv(3, stride=2)), Flatten()),
            (4, 4, 1),
            r"different sizes \(4, 4\), \(2, 2\)",
        ),
        (serial(Dense()), (4, 4, 4, 4), "without the batch axis"),
        (serial(residual(Conv(3)), Flatten()), (4, 4, 3), "raw input"),
        (
            serial(parallel(Identity(), Conv(3), join=Concat()), Flatten()),
            (4, 4, 3),
            "concatenates the raw input.*insert Conv",
        ),
        (
            serial(Conv(1), LocalAvgPool(2, "circular"), Dense()),
            (4, 6, 1),
            r"5×5 pixels .* use GlobalAvgPool\(\).*or c <= 1",
        ),
        (serial(Conv(1, padding=((-3, 0), (-3, -2))), Flatten()), (4, 4, 1), "axis of -1"),
        (
            serial(Conv(1), parallel(Flatten(), serial(AvgPool(2, stride=2), Flatten())), Dense()),
            (4, 4, 1),
            r"flattened from images of \(2, 2\) and \(4, 4\); insert Dense",
        ),
    ],
)
def test_what_does_not_fit_the_images_names_the_node_and_the_fix(architecture, shape, message):
    with pytest.raises(ArchitectureError, match=message):
        architecture.shapes(shape)


NODES = (
    '{"format": "kernas.architecture", "version": 1, "nodes": [{"layer": "Input", "inputs": []}, '
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not an architecture"),
        ('{"format": "kernas.architecture", "version": 99}', "version 99"),
        ('{"format": "kernas.architecture", "version": 1}', '"nodes"'),
        (
            '{"format": "kernas.architecture", "version": 1, "nodes": [{"layer": "Pool"}]}',
            "node 0",
        ),
        (
            '{"format": "kernas.architecture", "version": 1, "nodes": '
            '[{"layer": "Gate", "inputs": []}]}',
            "unknown layer 'Gate'",
        ),
        (
            '{"format": "kernas.architecture", "version": 1, "nodes": '
            '[{"layer": "Dense", "size": 3, "inputs": []}]}',
            "cannot have these parameters",
        ),
        ("[" * 100_000 + "]" * 100_000, "more than 100 brackets"),
        (f'{NODES}{{"layer": "Conv", "window": {"[" * 600 + "]" * 600}}}]}}', "more than 100 brac"),
        (f'{NODES}{{"layer": "Conv", "window": {"9" * 6000}, "inputs": [0]}}]}}', "6,000 digits"),
        (f'{NODES}{{"layer": "Relu", "layer": "Relu", "inputs": [0]}}]}}', '"layer" stands there'),
        (f'{NODES}{{"layer": "Dense", "W_std": NaN, "inputs": [0]}}]}}', "NaN is no number"),
        (f'{NODES}{{"layer": [], "inputs": [0]}}]}}', r"unknown layer \[\]"),
        (f'{NODES}{{"layer": {{}}, "inputs": [0]}}]}}', "unknown layer {}"),
        (f'{NODES}{{"layer": "Relu", "inputs": [false]}}]}}', '"inputs" of node 1 is .false.'),
        (f'{NODES}{{"layer": "Elementwise", "name": {{}}, "inputs": [0]}}]}}', "cannot have"),
        (f'{NODES}{{"layer": "Dense", "W_std": true, "inputs": [0]}}]}}', "W_std=True: expected a"),
        (f'{NODES}{{"layer": "Dense", "W_std": "1", "inputs": [0]}}]}}', "W_std='1': expected a"),
        (
            f'{NODES}{{"layer": "Dense", "W_std": 1e200, "inputs": [0]}}]}}',
            "of at most 1e.30 in si",
        ),
        (f'{NODES}{{"layer": "Conv", "window": true, "inputs": [0]}}]}}', "window=True: expected"),
        ('{"format": "kernas.architecture", "version": true}', "version is true: expected"),
        ('{"format": "kernas.architecture", "version": 1, "nodes": {}}', "nodes is {}: expected"),
    ],
)
def test_a_document_that_is_no_architecture_is_refused(text, message):
    with pytest.raises(ArchitectureError, match=message):
        Architecture.from_json(text)


def test_builder_leaves_out_what_the_output_does_not_read():
    builder = GraphBuilder()
    kept = builder.add(Dense(), builder.input)
    builder.add(Dense(), kept)
    assert len(builder.build(kept)) == 2
    with pytest.raises(ArchitectureError, match="output=9"):
        builder.build(9)
    with pytest.raises(ArchitectureError, match="one input"):
        builder.add(serial(Dense()), 0, kept)


HUGE = 10**30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv(HUGE), "window of more than 131,072 pixels"),
        (lambda: Conv(3, stride=HUGE), "stride of more than 131,072 pixels"),
        (lambda: Conv(3, dilation=(1, HUGE)), "dilation of more than"),
        (lambda: AvgPool(3, padding=((0, -HUGE), (0, 0))), "padding of more than"),
        (lambda: Conv(3, W_std=1e200), "W_std=1e[+]200: .* at most 1e[+]30"),
        (lambda: Dense(b_std=10**400), "b_std=10*: expected a finite number"),
        (lambda: Dense(width=1e200), "width=1e[+]200: expected"),
    ],
)
def test_sizes_beyond_every_use_are_refused(make, message):
    with pytest.raises(ArchitectureError, match=message):
        make()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10**9, 10**9, 3), "at most 2,048 pixels along an axis"),
        ((float("inf"), 8, 3), "expected [(]height, width, channels[)]"),
        ("abc", "expected [(]height, width, channels[)]"),
    ],
)
def test_images_beyond_every_use_are_refused(shape, message):
    with pytest.raises(ArchitectureError, match=message):
        serial(Conv(3), GlobalAvgPool()).shapes(shape)


def test_windows_whose_taps_are_too_many_are_refused():
    around = ((99_999, 99_999), (0, 0))
    for layer in (Conv(100_001), Conv(100_001, padding=around), AvgPool(100_001, padding="SAME")):
        with pytest.raises(ArchitectureError, match="too many to be listed"):
            serial(Conv(1), layer, GlobalAvgPool()).shapes((64, 64, 3))
    assert serial(Conv(1), LocalAvgPool(2**15)).shapes((8, 8, 3))[-1] == ()
