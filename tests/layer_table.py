"""Write docs/layers.md: every layer, how its kernel is computed, and the tests that compare it.

    python tests/layer_table.py docs/layers.md

The tests are collected, not run. One that compares networks with an oracle carries the marker
``oracle(name, networks=…)``, where ``networks`` makes its network from its parameters; a layer is
covered by every test in whose network it stands.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from oracles.networks import CASES

from kernas.errors import ArchitectureError
from kernas.kernels.architecture.activations import Activation
from kernas.kernels.architecture.combinators import serial
from kernas.kernels.architecture.layers import (
    LAYERS,
    Conv,
    Flatten,
    FullWeightLayer,
    Layer,
    MaxPool,
    WeightLayer,
)
from kernas.kernels.covariance import images, normalization, pools, sums, weights
from kernas.kernels.covariance.activations import formula_of, has_closed_form
from kernas.kernels.program import lower

TESTS = Path(__file__).parent
ORACLES = ("NumPy loops", "neural-tangents", "finite networks")
HEAD = f"""\
# Every layer

Written by `python tests/layer_table.py docs/layers.md` from the tests; a test fails when it is out
of date. For each oracle, in how many of the ordinary tests' networks the layer stands, and after
the plus sign in how many of the slow ones'. Windows come with strides, dilation, zero, circular
and cropped edges: [`tests/oracles/networks.py`](../tests/oracles/networks.py) lists the variations.
The oracles are float64 loops
([`tests/oracles/numpy_kernel.py`](../tests/oracles/numpy_kernel.py)), neural-tangents for the
networks that it gets right (it runs its `Conv` for `DepthwiseConv`, whose second moments have
the same rule, and its `AvgPool` for `MaxPool`), and networks of finite width drawn at random
([`tests/oracles/finite_width.py`](../tests/oracles/finite_width.py)).

| layer | kernel | formula | {" | ".join(ORACLES)} | tests |
|---|---|---|{"---|" * len(ORACLES)}---|
"""
FOOT = f"""
Tests of all: [`test_layers.py`](../tests/kernels/test_layers.py) takes {len(CASES)} networks, one
for every variation of a layer's parameters.
"""


class Collector:
    """A plugin of pytest: counts the tests in which each layer stands, by oracle."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.files: dict[str, set[Path]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.count(session.items)

    def count(self, items: Iterable[pytest.Item]) -> None:
        """The layers of these tests."""
        for item in items:
            for name, layers in self._compared(item):
                slow = item.get_closest_marker("slow") is not None
                for layer in layers:
                    self.counts[layer, name][slow] += 1
                    self.files[layer].add(item.path)

    def _compared(self, item: pytest.Item) -> Iterator[tuple[str, set[str]]]:
        call = getattr(item, "callspec", None)  # None of a test without parameters
        parameters = {} if call is None else call.params
        for marker in item.iter_markers("oracle"):
            (name,) = marker.args
            network = marker.kwargs["networks"](**parameters)
            yield name, {type(node.layer).__name__ for node in network.nodes}


def collected() -> Collector:
    """What the tests compare.

    Raises:
        RuntimeError: the tests do not import.
    """
    collector = Collector()
    options = ["--collect-only", "-qq", "-m", "", str(TESTS / "kernels")]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # kernas is imported already
    with redirect_stdout(StringIO()) as printed:
        code = pytest.main(options, plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected:\n{printed.getvalue()}")
    return collector


def samples_of(layer: type[Activation]) -> list[Activation]:
    """Nonlinearities of one kind, as they stand in the networks of the tests."""
    layers = [node.layer for network in CASES.values() for node in network.nodes]
    return [sample for sample in layers if isinstance(sample, layer)]


def kernel_of(layer: type[Layer]) -> str:
    """Whether a layer's kernel is exact, and if not what it is."""
    if issubclass(layer, Activation):
        if all(has_closed_form(sample, sample) for sample in samples_of(layer)):
            return "exact"
        return "series; estimated error above 1e-6 is refused"
    if layer is MaxPool:
        try:
            lower(serial(Conv(1), MaxPool(2), Flatten()), (4, 4, 1))
        except ArchitectureError:
            return "refused; `as_average=True`: that of `AvgPool`"
    if issubclass(layer, WeightLayer) and not issubclass(layer, FullWeightLayer):
        return "exact; not Gaussian: no nonlinearity of it"
    return "exact"


def formula_file(name: str) -> str:
    """A link to the module with a layer's formula."""
    layer = LAYERS[name]
    rooms = {
        "Input": images,
        "Normalize": normalization,
        "LayerNorm": normalization,
        "Sum": sums,
        "Concat": sums,
    }
    if name in ("Identity", "Zero"):
        return "–"
    if issubclass(layer, Activation):
        (sample, *_) = samples_of(layer)
        module = formula_of(sample, sample).__module__
    elif issubclass(layer, WeightLayer):
        module = weights.__name__
    else:
        module = rooms.get(name, pools).__name__
    path = module.removeprefix("kernas.").replace(".", "/") + ".py"
    return f"[`{Path(path).name}`](../{path})"


def table(found: Collector) -> str:
    """The page."""
    rows = []
    for name, layer in LAYERS.items():
        counts = []
        for oracle in ORACLES:
            ordinary, slow = found.counts[name, oracle]
            counts.append(f"{ordinary} + {slow}" if slow else str(ordinary or "–"))
        files = sorted(path.name for path in found.files[name])
        tests = ", ".join(
            f"[`{f.removeprefix('test_').removesuffix('.py')}`](../tests/kernels/{f})"
            for f in files
        )
        cells = [f"`{name}`", kernel_of(layer), formula_file(name), *counts, tests]
        rows.append(f"| {' | '.join(cells)} |")
    return HEAD + "\n".join(rows) + "\n" + FOOT


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table(collected()), encoding="utf-8")
