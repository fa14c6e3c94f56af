"""What random networks are put together from: stems, blocks and readouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from oracles.geometry import axis_windows

from kernas.kernels.architecture.combinators import GraphBuilder
from kernas.kernels.architecture.layers import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Normalize,
    Padding,
    Sum,
    WindowLayer,
    Zero,
)

Form = Literal["center", "rms", "any"]
AROUND: Padding = ((1, 1), (1, 1))


class Draw:
    """A network being drawn; ``size`` is the height and width where it stands, or ``()``."""

    def __init__(
        self,
        rng: np.random.Generator,
        normalize: Form | None,
        size: tuple[int, ...],
        activations: Sequence[Layer],
    ) -> None:
        self.rng = rng
        self.normalize = normalize
        self.size = size
        self.activations = activations
        self.builder = GraphBuilder()
        self.trained = False
        self.add = self.builder.add

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def choose(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    # --- layers ----------------------------------------------------------------------------------

    def weights(self, window: int = 1, padding: Padding = "SAME", stride: int = 1) -> Layer:
        """A weight layer with these window, padding and stride; a dense one on vectors."""
        common: dict[str, Any] = {
            "W_std": float(self.choose(0.8, 1.0, 2**0.5, 1.6)),
            "b_std": float(self.choose(0.0, 0.0, 0.1, 0.3)),
            "trainable": not self.chance(0.2),
        }
        self.trained = self.trained or common["trainable"]
        if not self.size:
            return Dense(**common)
        return Conv(window, stride=stride, padding=padding, **common)

    def keeping(self) -> Layer:
        """A weight layer that keeps the size."""
        window = self.choose(1, 3, 3)
        return self.weights(window, self.choose("SAME", AROUND) if window == 3 else "SAME")

    def smoothing(self) -> Layer:
        """A pool that keeps the size; the identity where it would make pixels equal."""
        if not self.size or min(self.size) < 3:
            return Identity()
        divisor = self.choose("valid", "window")
        return AvgPool(3, padding=self.choose("SAME", AROUND), divisor=divisor)

    def norm(self, node: int, probability: float = 0.5) -> int:
        """The node, or a Normalize of it."""
        if self.normalize is None or not self.chance(probability):
            return node
        center = self.chance(0.5) if self.normalize == "any" else self.normalize == "center"
        return self.add(Normalize(center=center), node)

    def relu(self, node: int) -> int:
        """A nonlinearity of the node: ReLU, unless others were given to choose from."""
        one = len(self.activations) == 1
        return self.add(self.activations[0] if one else self.choose(*self.activations), node)

    def relu_conv_norm(self, node: int) -> int:
        return self.norm(self.add(self.keeping(), self.relu(node)), 0.7)

    # --- parts of a network ----------------------------------------------------------------------

    def stem(self) -> int:
        x = self.builder.input
        if self.size and self.chance(0.2):
            x = self.add(Sum(), x, self.add(self.smoothing(), x))
        return self.norm(self.add(self.keeping(), x), 1.0)

    def block(self, h: int, remeet: bool) -> int:
        kinds = self.kinds()
        if remeet:
            kinds += [self.remeeting] * 4
        return self.choose(*kinds)(h)

    def kinds(self) -> list[Callable[[int], int]]:
        """What a block may be where it stands."""
        kinds = [
            self.chain,
            self.skip_beside_pool,
            self.two_weights,
            self.one_weight_twice,
            self.residual,
            self.branches_of_relus,
            self.weight_beside_relu,
            self.cell,
        ]
        if self.size and min(self.size) >= 3:
            kinds += [self.strided_residual, self.windows]
        return kinds

    def chain(self, h: int) -> int:
        """ReLU, perhaps normalised, then weights, perhaps normalised."""
        return self.norm(self.add(self.keeping(), self.norm(self.relu(h))))

    def windows(self, h: int) -> int:
        """A convolution or pool of any window, stride and padding."""
        window = (self.choose(1, 2, 3), self.choose(1, 2, 3))
        stride = (self.choose(1, 1, 2), self.choose(1, 1, 2))
        explicit = tuple(
            (int(self.rng.integers(w)), int(self.rng.integers(w))) if w > 1 else (0, 0)
            for w in window
        )
        padding = self.choose("SAME", "VALID", explicit)
        if self.chance(0.5):
            layer = Conv(
                window, stride=stride, padding=padding, W_std=2**0.5, b_std=self.choose(0.0, 0.2)
            )
            h = self.add(layer, self.relu(h))
        else:
            layer = AvgPool(
                window, stride=stride, padding=padding, divisor=self.choose("valid", "window")
            )
            h = self.add(layer, self.add(self.keeping(), self.relu(h)))
        self.resize(layer)
        return h

    def resize(self, layer: WindowLayer) -> None:
        """Go to where the layer's output stands."""
        self.size = tuple(len(axis_windows(layer, axis, n)) for axis, n in enumerate(self.size))

    def skip_beside_pool(self, h: int) -> int:
        """A node and its pool, one of them perhaps twice."""
        terms = [h, self.add(self.smoothing(), h)]
        if self.chance(0.3):
            terms.append(self.choose(*terms))
        if self.chance(0.2):
            terms.append(self.add(Zero(), h))
        return self.norm(self.add(Sum(), *terms), 0.3)

    def two_weights(self, h: int) -> int:
        """Two weight layers that read one node."""
        r = self.relu(h)
        return self.norm(self.add(Sum(), self.add(self.keeping(), r), self.add(self.keeping(), r)))

    def one_weight_twice(self, h: int) -> int:
        """One weight layer that is read on two paths."""
        w = self.add(self.keeping(), self.relu(h))
        other = self.choose(Identity(), self.smoothing(), None)
        second = self.add(self.keeping(), self.relu(w)) if other is None else self.add(other, w)
        return self.add(Sum(), w, second)

    def residual(self, h: int) -> int:
        branch = self.relu_conv_norm(self.norm(h))
        if self.chance(0.3):
            branch = self.relu_conv_norm(branch)
        return self.add(Sum(), branch, self.add(Identity(), h) if self.chance(0.5) else h)

    def strided_residual(self, h: int) -> int:
        """Stride 2 with padding (1, 1); the shortcut pools, then 1×1 weights."""
        r = self.relu(self.norm(h))
        odd = any(n % 2 for n in self.size)
        pool = self.add(AvgPool(2, stride=2, padding="SAME" if odd else "VALID"), r)
        down = self.norm(self.add(self.weights(3, AROUND, 2), r))
        self.resize(AvgPool(3, stride=2, padding=AROUND))
        branch = self.norm(self.add(self.weights(3, AROUND), self.relu(down)))
        return self.add(Sum(), branch, self.add(self.weights(1), pool))

    def branches_of_relus(self, h: int) -> int:
        """Sum of nonlinearities of different nodes, which have a mean, then weights."""
        first = self.relu(h)
        second = self.relu(self.add(self.keeping(), self.choose(first, self.relu(h))))
        if self.chance(0.4):
            second = self.add(self.smoothing(), second)
        return self.add(self.keeping(), self.add(Sum(), first, second))

    def weight_beside_relu(self, h: int) -> int:
        """Sum of a weight output and a nonlinearity of it, then weights."""
        second = self.relu(self.choose(h, self.add(self.smoothing(), h)))
        return self.add(self.keeping(), self.add(Sum(), h, second))

    def cell(self, h: int) -> int:
        """Four nodes, each the sum of an operation on every earlier one (as NAS-Bench-201)."""
        nodes = [h]
        for target in range(1, 4):
            terms = []
            for source in range(target):
                kinds = ["skip", "pool", "weights", "zero"]
                if source == 0 and target == 3:
                    kinds.remove("zero")
                kind = self.choose(*kinds)
                if kind == "weights":
                    terms.append(self.relu_conv_norm(nodes[source]))
                else:
                    layer = {"skip": Identity(), "pool": self.smoothing(), "zero": Zero()}[kind]
                    terms.append(self.add(layer, nodes[source]))
            nodes.append(self.add(Sum(), *terms))
        return nodes[3]

    def remeeting(self, h: int) -> int:
        """A node and its normalised form on two branches, joined before or after ReLU."""
        other = self.norm(h, 1.0)
        if self.chance(0.5):
            return self.add(Sum(), h, other)
        return self.add(self.keeping(), self.add(Sum(), self.relu(h), self.relu(other)))

    def readout(self, h: int) -> int:
        """Pool or flatten, then a dense layer or two; features may be sums and pools of ReLUs."""
        if self.chance(0.8):
            h = self.relu(h)
            if self.chance(0.3):
                h = self.add(Sum(), h, self.add(self.smoothing(), h))
        if self.size or self.chance(0.3):
            h = self.vector(h)
        self.size = ()
        if self.chance(0.3):
            h = self.relu(self.norm(self.add(self.weights(), h), 0.3))
        last = self.weights()
        return self.add(last if self.trained else Dense(), h)

    def vector(self, h: int) -> int:
        """The pixels side by side, or their mean."""
        return self.add(self.choose(Flatten(), GlobalAvgPool()), h)
