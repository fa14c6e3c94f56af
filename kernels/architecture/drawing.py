"""Graphs as SVG, an architecture first of all: boxes from top to bottom, lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .activations import Activation
from .arrangement import Place, arranged
from .layers import Layer, Node, WeightLayer
from .table import layer_arguments, layer_text

MOST_NODES, MOST_LINES = 500, 2000
"""Of a network that is drawn; a picture of more is too large to be of use."""

LONGEST_TEXT = 36
"""Characters in a box; the pointer shows the arguments that are left out."""

CHARACTER, BOX, GAP, MARGIN, PORT = 7.3, 26.0, 28.0, 12.0, 9.0
"""Pixels: width of a character, height of a box, between rows, around the picture, between lines
that enter one box."""

BESIDE, TITLE = 24.0, 22.0
"""Pixels between pictures side by side, and above them."""

WEIGHTS, NONLINEARITY, PLAIN = "#dbe9f8", "#fdebd0", "#f2f2f2"
"""Colours of layers with weights, of nonlinearities, and of all others."""


@dataclass(frozen=True)
class Box:
    """A box of a drawing.

    Attributes:
        text: in it.
        inputs: the earlier boxes that it reads; only the first reads none.
        title: what the pointer shows.
        fill: its colour.
    """

    text: str
    inputs: tuple[int, ...] = ()
    title: str = ""
    fill: str = PLAIN


def svg(nodes: Sequence[Node]) -> str | None:
    """The picture as a document that stands by itself, or ``None`` if the network is too large.

    Args:
        nodes: of an architecture, in topological order.
    """
    if len(nodes) > MOST_NODES or sum(len(node.inputs) for node in nodes) > MOST_LINES:
        return None
    return drawn([_box_of(index, node) for index, node in enumerate(nodes)])


def drawn(boxes: Sequence[Box]) -> str:
    """Boxes from top to bottom, with lines to what reads them; a document that stands by itself.

    Args:
        boxes: in topological order; all but the last are read.
    """
    width, height, lines = _laid_out(boxes)
    return _document(width, height, lines)


def side_by_side(pictures: Sequence[tuple[str, Sequence[Box]]]) -> str:
    """Several drawings in one document, each under its title.

    Args:
        pictures: titles, and boxes as of :func:`drawn`.
    """
    parts: list[str] = []
    left, tallest = 0.0, 0.0
    for title, boxes in pictures:
        own, height, lines = _laid_out(boxes)
        width = max(own, len(title) * CHARACTER + 2 * MARGIN)
        parts += [
            f'<text x="{left + width / 2:.1f}" y="16" text-anchor="middle" font-weight="bold" '
            f'fill="#222222">{escape(title)}</text>',
            f'<g transform="translate({left:.1f} {TITLE:.0f})">',
            *lines,
            "</g>",
        ]
        left, tallest = left + width + BESIDE, max(tallest, height)
    return _document(left - BESIDE, tallest + TITLE, parts)


def _document(width: float, height: float, lines: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="12">',
            *lines,
            "</svg>",
        ]
    )


def _laid_out(boxes: Sequence[Box]) -> tuple[float, float, list[str]]:
    """Width, height and the elements of a drawing."""
    widths = [max(len(box.text) * CHARACTER + 16, PORT * (len(box.inputs) + 1)) for box in boxes]
    rows = arranged([box.inputs for box in boxes], widths)
    places = [place for row in rows for place in row]
    left = min(place.x - place.width / 2 for place in places) - MARGIN
    for place in places:
        place.x -= left
    width = max(place.x + place.width / 2 for place in places) + MARGIN
    tops = [MARGIN]
    for row in rows[:-1]:
        lean = max(abs(place.x - below.x) for place in row for below in place.below)
        tops.append(tops[-1] + BOX + GAP + lean / 8)  # long lines would lie flat
    end = tops[-1] + BOX
    elements = [
        *[line for place in places for line in _lines(place, tops)],
        *[
            _box(place, boxes[place.node], tops[place.row])
            for place in places
            if place.node is not None
        ],
        f'<text x="{rows[-1][0].x:.1f}" y="{end + 18:.1f}" text-anchor="middle" '
        'fill="#888888">output</text>',
    ]
    return width, end + 30, elements


def _box_of(index: int, node: Node) -> Box:
    colours = {WeightLayer: WEIGHTS, Activation: NONLINEARITY}
    fill = next((c for kind, c in colours.items() if isinstance(node.layer, kind)), PLAIN)
    reads = f", reads {', '.join(map(str, node.inputs))}" if node.inputs else ""
    return Box(_text(index, node.layer), node.inputs, layer_text(node.layer) + reads, fill)


def _text(index: int, layer: Layer) -> str:
    """Number and layer, without the arguments for which there is no room."""
    text, left_out = f"{index} {type(layer).__name__}", False
    said: list[str] = []
    for argument in layer_arguments(layer):
        if len(f"{text}({', '.join([*said, argument, '…'])})") <= LONGEST_TEXT:
            said.append(argument)
        else:
            left_out = True
    said += ["…"] if left_out else []
    return f"{text}({', '.join(said)})" if said else text


def _lines(place: Place, tops: Sequence[float]) -> list[str]:
    """The lines that enter a place: beside each other into a box, through a bend."""
    found: list[str] = []
    step = min(PORT, (place.width - 16) / len(place.above)) if place.above else 0.0
    for port, above in enumerate(sorted(place.above, key=lambda other: other.x)):
        x = place.x + (port - (len(place.above) - 1) / 2) * step
        start, end = tops[above.row] + BOX, tops[place.row]
        middle = (start + end) / 2
        curve = f"M{above.x:.1f} {start:.1f}C{above.x:.1f} {middle:.1f} {x:.1f} {middle:.1f} "
        through = f"V{end + BOX:.1f}" if place.node is None else ""
        found.append(
            f'<path d="{curve}{x:.1f} {end:.1f}{through}" fill="none" stroke="#888888" '
            'stroke-width="1.3"/>'
        )
    return found


def _box(place: Place, box: Box, top: float) -> str:
    border = 1 if place.below else 2.5
    return (
        f'<g data-node="{place.node}"><title>{escape(box.title)}</title>'
        f'<rect x="{place.x - place.width / 2:.1f}" y="{top:.1f}" width="{place.width:.1f}" '
        f'height="{BOX:.0f}" rx="6" fill="{box.fill}" stroke="#444444" stroke-width="{border}"/>'
        f'<text x="{place.x:.1f}" y="{top + 17:.1f}" text-anchor="middle" fill="#222222">'
        f"{escape(box.text)}</text></g>"
    )
