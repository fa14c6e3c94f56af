"""The drawing of an architecture, read as XML: every edge, and nothing in the way of another."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.kernels.architecture import elementwise
from kernas.kernels.architecture.arrangement import arranged
from kernas.search import NasBench201

SVG = "{http://www.w3.org/2000/svg}"

Point = tuple[float, float]


class Box:
    """A rectangle with the texts that belong to it."""

    def __init__(self, group: ElementTree.Element) -> None:
        rect, text, title = (group.find(f"{SVG}{tag}") for tag in ("rect", "text", "title"))
        assert rect is not None
        assert text is not None
        assert title is not None
        self.text, self.title = text.text or "", title.text or ""
        self.border = float(rect.attrib["stroke-width"])
        self.left, self.top, width, height = (
            float(rect.attrib[name]) for name in ("x", "y", "width", "height")
        )
        self.right, self.bottom = self.left + width, self.top + height

    def holds(self, point: Point, inset: float = 0.5) -> bool:
        x, y = point
        within = self.left + inset < x < self.right - inset
        return within and self.top + inset < y < self.bottom - inset


class Drawing:
    """What the document of an architecture shows."""

    def __init__(self, architecture: kk.Architecture) -> None:
        document = architecture._repr_svg_()
        assert document is not None
        self.root = ElementTree.fromstring(document)
        self.boxes = {
            int(group.attrib["data-node"]): Box(group) for group in self.root.iter(f"{SVG}g")
        }
        self.lines = [self._line(path.attrib["d"]) for path in self.root.iter(f"{SVG}path")]

    @staticmethod
    def _line(d: str) -> list[Point]:
        """Start, points along the curve, and where the line ends."""
        found = re.fullmatch(
            r"M([-\d.]+) ([-\d.]+)C([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+)"
            r"(?:V([-\d.]+))?",
            d,
        )
        assert found is not None
        numbers = [float(number) for number in found.groups() if number is not None]
        P = np.array(numbers[:8]).reshape(4, 2)
        t = np.linspace(0, 1, 21)[:, None]
        curve = (1 - t) ** 3 * P[0] + 3 * (1 - t) ** 2 * t * P[1] + 3 * (1 - t) * t**2 * P[2]
        points = [(float(x), float(y)) for x, y in curve + t**3 * P[3]]
        points[0], points[-1] = (numbers[0], numbers[1]), (numbers[6], numbers[7])  # as written
        if len(numbers) == 9:
            points += [(numbers[6], y) for y in np.linspace(numbers[7], numbers[8], 9)]
        return points

    def edges(self) -> Counter[tuple[int, int]]:
        """Source and target of every line that ends on a box, followed back over bends."""
        ends = {line[-1]: line[0] for line in self.lines}
        found: Counter[tuple[int, int]] = Counter()
        for line in self.lines:
            targets = [
                node
                for node, box in self.boxes.items()
                if abs(box.top - line[-1][1]) < 0.11 and box.left < line[-1][0] < box.right
            ]
            if not targets:
                continue
            start = line[0]
            while not (sources := self._leaves_from(start)):
                start = ends[start]
            found[sources[0], targets[0]] += 1
        return found

    def _leaves_from(self, point: Point) -> list[int]:
        return [
            node
            for node, box in self.boxes.items()
            if abs(box.bottom - point[1]) < 0.11
            and abs((box.left + box.right) / 2 - point[0]) < 0.11
        ]


def joined_twice() -> kk.Architecture:
    """One node that is read twice by one sum, and one that is read far below."""
    builder = kk.GraphBuilder()
    first = builder.add(kk.Conv(3), builder.input)
    last = builder.add(kk.Conv(1), builder.add(kk.Relu(), first))
    total = builder.add(kk.Sum(), last, last, first)
    return builder.build(builder.add(kk.Flatten(), total))


def densely_connected() -> kk.Architecture:
    builder = kk.GraphBuilder()
    read = [builder.add(kk.Conv(3), builder.input)]
    for _ in range(5):
        read.append(builder.add(kk.Conv(3), builder.add(kk.Concat(), *read)))
    return builder.build(read[-1])


NETWORKS: dict[str, Callable[[], kk.Architecture]] = {
    "chain": lambda: kk.serial(kk.Conv(3), kk.Relu(), kk.Conv(3), kk.GlobalAvgPool(), kk.Dense()),
    "residual": lambda: kk.serial(
        kk.Conv(3), *[kk.residual(kk.serial(kk.Relu(), kk.Conv(3)))] * 20, kk.Flatten()
    ),
    "NAS-Bench-201": lambda: NasBench201(2).sample(3, seed=0)[0].architecture,
    "wide": lambda: kk.serial(
        kk.Conv(3),
        kk.parallel(*[kk.serial(*[kk.Conv(3)] * n) for n in range(1, 30)], join=kk.Concat()),
        kk.Flatten(),
    ),
    "joined twice": joined_twice,
    "densely connected": densely_connected,
    **{
        f"random {seed}": lambda seed=seed: random_architecture(
            np.random.default_rng(seed), layers="all"
        )
        for seed in range(8)
    },
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_edge_is_drawn_and_no_box_is_in_its_way(name: str) -> None:
    architecture = NETWORKS[name]()
    drawing = Drawing(architecture)
    edges = Counter((i, n) for n, node in enumerate(architecture.nodes) for i in node.inputs)
    assert drawing.edges() == edges
    assert list(range(len(architecture))) == sorted(drawing.boxes)
    for one, other in itertools.combinations(drawing.boxes.values(), 2):
        assert (
            one.right < other.left
            or other.right < one.left
            or one.bottom < other.top
            or other.bottom < one.top
        )
    for line in drawing.lines:
        assert not any(box.holds(point) for point in line for box in drawing.boxes.values())
    for source, target in edges:
        assert drawing.boxes[source].bottom < drawing.boxes[target].top


@pytest.mark.parametrize("name", NETWORKS)
def test_all_lies_within_the_picture(name: str) -> None:
    drawing = Drawing(NETWORKS[name]())
    left, top, width, height = map(float, drawing.root.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    assert drawing.root.attrib["width"] == f"{width:.0f}"
    corners = [(box.left, box.top) for box in drawing.boxes.values()]
    corners += [(box.right, box.bottom) for box in drawing.boxes.values()]
    for x, y in itertools.chain(corners, *drawing.lines):
        assert 0 < x < width
        assert 0 < y < height


def crossings(rows: Sequence[Sequence[Any]]) -> int:
    """Pairs of lines between two rows that start in one order and end in the other."""
    total = 0
    for row, below in itertools.pairwise(rows):
        ends = [(i, below.index(end)) for i, place in enumerate(row) for end in place.below]
        total += sum(a < c and b > d for (a, b), (c, d) in itertools.permutations(ends, 2))
    return total


def test_no_lines_of_a_cell_cross() -> None:
    """The complete graph of four nodes, which is a cell, can be drawn without a crossing."""
    for candidate in NasBench201(1).sample(25, seed=1):
        inputs = [node.inputs for node in candidate.architecture.nodes]
        assert crossings(arranged(inputs, [50.0] * len(inputs))) == 0


def test_a_chain_is_straight() -> None:
    lines = Drawing(NETWORKS["chain"]()).lines
    assert len({round(x, 6) for line in lines for x, _ in line}) == 1


def test_texts_are_escaped_and_the_output_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "<b>&\"'\n\x00]]>"
    monkeypatch.setitem(elementwise.FUNCTIONS, name, elementwise.FUNCTIONS["tanh"])
    architecture = kk.serial(kk.Dense(), kk.Elementwise(name), kk.Dense(b_std=0.1))
    drawing = Drawing(architecture)
    assert drawing.boxes[2].text == f"2 Elementwise({name!r})"
    assert drawing.boxes[2].title == f"Elementwise({name!r}), reads 1"
    assert drawing.boxes[3].text == "3 Dense(b_std=0.1)"
    assert [box.border for box in drawing.boxes.values()] == [1, 1, 1, 2.5]
    (below,) = [text for text in drawing.root.findall(f"{SVG}text") if text.text == "output"]
    assert float(below.attrib["y"]) > drawing.boxes[3].bottom


def test_arguments_without_room_are_left_to_the_pointer() -> None:
    conv = kk.Conv(3, stride=2, padding=((1, 1), (1, 1)), W_std=2**0.5, width=2)
    box = Drawing(kk.serial(conv, kk.Flatten())).boxes[1]
    assert box.text == "1 Conv(3, stride=2, W_std=1.414, …)"
    assert box.title == (
        "Conv(3, stride=2, padding=((1, 1), (1, 1)), W_std=1.414, width=2), reads 0"
    )


def test_a_drawing_is_the_same_in_every_process() -> None:
    program = (
        "import kernas.search as ks; a = ks.NasBench201(2).sample(3, seed=0)[0].architecture;"
        "print(a._repr_svg_())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.rstrip("\n") == NETWORKS["NAS-Bench-201"]()._repr_svg_()


def test_what_is_too_large_is_not_drawn() -> None:
    assert kk.serial(*[kk.Dense()] * 499)._repr_svg_() is not None
    assert kk.serial(*[kk.Dense()] * 500)._repr_svg_() is None
    sums = kk.serial(*[kk.parallel(*[kk.Identity()] * 2, join=kk.Sum())] * 4)
    assert sums._repr_svg_() is not None
    builder = kk.GraphBuilder()
    many = builder.add(kk.Sum(), *[builder.add(kk.Dense(), builder.input)] * 2001)
    assert builder.build(many)._repr_svg_() is None
