"""`Imported`: what a network of another library is here; and how it comes of its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from kernas.errors import ArchitectureError, ConfigurationError

from ..architecture import Architecture, MaxPool
from ..architecture.base import finite_number
from ..architecture.table import layer_text
from ..finite import finite_network
from .building import Building, Choices
from .folding import BatchNorm, Folded
from .refusing import refuse
from .settling import settled
from .steps import IMAGES, UNSCALED, Adaptive, Affine, Flattening, Images, Operation

if TYPE_CHECKING:
    from ..finite.module import FiniteNetwork

HE = 2**0.5

MaxPooling = Literal["average"] | None


@dataclass(frozen=True, eq=False)
class Imported:
    """A network of another library.

    Attributes:
        architecture: its layers, whose exact kernel is ``NeuralKernel(architecture)``.
        names: its own names of layers → nodes of the architecture. What was folded into weights is
            at their node, and what does nothing (dropout) at the node that it reads.
        image_shape: ``(height, width, channels)`` or ``(features,)`` of what it reads.
        width: at which the architecture has exactly its channels.
        outputs: of its last layer if that is a ``Dense``, otherwise ``None``.
        variables: the weights, and the running averages of ``Normalize``, as
            ``finite_network(..., parameterization="standard")`` holds them.
        said: what differs from the network that was read, a sentence each.
    """

    architecture: Architecture
    names: Mapping[str, int]
    image_shape: tuple[int, ...]
    width: int
    outputs: int | None
    variables: Mapping[str, Any]
    said: tuple[str, ...]

    @property
    def network(self) -> FiniteNetwork:
        """The finite network: ``network.apply(variables, images)`` gives the outputs."""
        return finite_network(
            self.architecture, self.width, outputs=self.outputs, parameterization="standard"
        )

    def apply(self, params: Any, images: Any) -> Any:
        """The outputs, as a function of ``variables["params"]``: what ``EmpiricalKernel`` takes.

        Args:
            params: the weights, ``variables["params"]`` for those that were imported.
            images: ``(n, *image_shape)``.

        Returns:
            ``(n, outputs)``, or ``(n, height, width, channels)`` of a network that keeps pixels.
        """
        return self.network.apply({**self.variables, "params": params}, images)

    def __str__(self) -> str:
        """A line for each of the network's own names: node and layer."""
        size = max(map(len, self.names), default=0)
        nodes = self.architecture.nodes
        digits = len(str(len(nodes) - 1))
        lines = [
            f"{name:{size}}  {node:{digits}}  {layer_text(nodes[node].layer)}"
            for name, node in self.names.items()
        ]
        return "\n".join([*lines, *self.said])


def checked_shape(image_shape: Sequence[int]) -> tuple[int, ...]:
    """``(height, width, channels)`` or ``(features,)`` as a tuple.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        shape = tuple(int(side) for side in image_shape)
    except (TypeError, ValueError):
        shape = ()
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ConfigurationError(
            f"image_shape={image_shape!r}: expected (height, width, channels) or (features,), "
            "without the batch, channels last whatever the library"
        )
    return shape


def imported(
    operations: Sequence[Operation],
    output: str,
    image_shape: tuple[int, ...],
    *,
    channels_first: bool,
    max_pool: MaxPooling,
    batch_norm: BatchNorm,
    W_std: float,
    b_std: float,
    said: Sequence[str] = (),
) -> Imported:
    """What the operations of a network are here.

    Args:
        operations: in topological order, the first one :class:`Images`.
        output: the name of the one that is the network's output.
        image_shape: see :func:`checked_shape`.
        channels_first: how the library's images lie.
        max_pool: as of :func:`from_torch`, and ``batch_norm``, ``W_std``, ``b_std``.
        said: what the library's own reading left out.

    Raises:
        ArchitectureError: an operation is nothing here; the message names it.
        ConfigurationError: an option is not usable.
    """
    for name, value, known in (
        ("max_pool", max_pool, ("average", None)),
        ("batch_norm", batch_norm, get_args(BatchNorm)),
    ):
        if value not in known:
            raise ConfigurationError(f"{name}={value!r}: expected {' or '.join(map(repr, known))}")
    choices = Choices(
        finite_number(W_std, "W_std", at_least=0),
        finite_number(b_std, "b_std", above=0),
        max_pool == "average",
        channels_first,
    )
    needed = settled(operations, output)
    if not any(isinstance(operation.step, Images) for operation in needed):
        raise ArchitectureError("the network's output does not depend on its input")
    if channels_first:
        _check_columns(needed, image_shape)
    folded = Folded(needed, output, batch_norm)
    building = Building(image_shape, choices)
    for operation in folded.operations:
        building.add(operation)
    architecture, width, outputs = building.architecture(folded.output)
    return Imported(
        architecture,
        _names(needed, folded, building),
        image_shape,
        width,
        outputs,
        building.variables,
        (*said, *_said(folded, building, architecture)),
    )


def _check_columns(operations: Sequence[Operation], image_shape: tuple[int, ...]) -> None:
    """Refuse constants of one axis on images whose channels lie first: they are of columns."""
    vectors: dict[str, bool] = {}
    for operation in operations:
        step = operation.step
        ends = isinstance(step, Flattening) or (isinstance(step, Adaptive) and step.size == (1, 1))
        read = [vectors[name] for name in operation.inputs]
        vectors[operation.name] = ends or (any(read) if read else len(image_shape) == 1)
        if isinstance(step, Affine) and step.of_last_axis and not vectors[operation.name]:
            raise refuse(
                operation,
                "its constant has a number for every column of an image; give it the shape "
                "(channels, 1, 1) for one of every channel",
            )


def _names(needed: Sequence[Operation], folded: Folded, building: Building) -> dict[str, int]:
    names: dict[str, int] = {}
    for operation in needed:
        name = operation.name
        while name in folded.within:
            name = folded.within[name]
        if operation.name != IMAGES and not operation.name.endswith(UNSCALED):
            names[operation.name] = building.values[name].node
    return names


def _said(folded: Folded, building: Building, architecture: Architecture) -> list[str]:
    said: list[str] = []
    if folded.folded:
        said.append(
            f"batch normalisations folded into weights: {', '.join(folded.folded)}; the kernel is "
            "that of a network without them."
        )
    kept = [op.name for op in folded.operations if isinstance(op.step, Affine)]
    if kept:
        said.append(
            f"scale and shift of {', '.join(kept)} are in the running averages; the kernel's "
            "Normalize has neither, and takes its statistics from the images that it is bound to."
        )
    layers = [node.layer for node in architecture.nodes]
    if any(isinstance(layer, MaxPool) and layer.as_average for layer in layers):
        said.append("the kernel takes averages for maxima; the finite network takes the maximum.")
    value = building.values[folded.output]
    if value.order is not None:
        said.append(
            "the outputs are those of a flattened image in the order (row, column, channel)."
        )
    if value.pixels:
        said.append("the outputs are images (n, height, width, channels).")
    return said
