"""How a network is trained: its width, the optimiser and its schedule, batches, augmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from kernas.errors import ConfigurationError
from kernas.fields import nearest
from kernas.kernels.architecture.widths import check_count
from kernas.kernels.data import Dataset

from ..spaces.parts import check_one_of

Optimizer = Literal["sgd", "adam"]


@dataclass(frozen=True)
class TrainingSettings:
    """A recipe of training.

    The loss is the cross-entropy of a softmax. The rate of step ``t`` of ``T`` is
    ``learning_rate · (1 + cos(π t / T)) / 2``.

    Args:
        width: channels of a weight layer of relative width 1.
        optimizer: ``"sgd"``, with Nesterov momentum and the decay added to the gradient, as PyTorch
            and so NAS-Bench-201 has it; or ``"adam"``, with the decay apart (AdamW).
        learning_rate: at the first step, > 0.
        momentum: of ``"sgd"``, in [0, 1).
        weight_decay: of all weights and biases, >= 0.
        batch_size: images of a step, >= 2, no more than there are. What an epoch leaves over is
            left out.
        epochs: passes over the images, >= 1; does not count where ``steps`` is given.
        steps: of the optimiser, >= 1; ``None`` for as many as the epochs have.
        augment: whether images are mirrored at random and cropped at random out of themselves with
            an eighth of their side, at least a pixel, of zeros around: 4 pixels at 32, as
            NAS-Bench-201 does, which however pads before it standardises.

    Raises:
        ConfigurationError: an argument is out of its range.

    References:
        Dong and Yang 2020, NAS-Bench-201, section 2.2 and table 2; Loshchilov and Hutter 2017,
        SGDR, equation 5 without restarts.
    """

    width: int = 8
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 50
    epochs: int = 10
    steps: int | None = None
    augment: bool = False

    def __post_init__(self) -> None:
        check_one_of("optimizer", self.optimizer, Optimizer)
        for name in ("width", "batch_size", "epochs", *(["steps"] if self.steps else [])):
            check_count(getattr(self, name), name)
        if self.steps == 0 or self.batch_size < 2:
            name = "batch_size" if self.batch_size < 2 else "steps"
            least = 2 if self.batch_size < 2 else 1
            raise ConfigurationError(
                f"{name}={getattr(self, name)!r}: expected an integer >= {least}"
            )
        for name, low, high in (
            ("learning_rate", 0.0, math.inf),
            ("momentum", 0.0, 1.0),
            ("weight_decay", 0.0, math.inf),
        ):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value < high or (value == 0 and name == "learning_rate"):
                least = "> 0" if name == "learning_rate" else f"in [{low:g}, {high:g})"
                raise ConfigurationError(f"{name}={value!r}: expected a number {least}")
        if not isinstance(self.augment, bool):
            raise ConfigurationError(f"augment={self.augment!r}: expected True or False")

    def steps_for(self, images: Dataset) -> int:
        """The optimiser's steps on a data set.

        Raises:
            ConfigurationError: it has fewer images than a batch, or no pixels to be augmented.
        """
        if self.batch_size > len(images):
            raise ConfigurationError(
                f"batch_size={self.batch_size} of {len(images)} images of {images.name}: expected "
                "no more than there are; give a smaller one"
            )
        if self.augment and len(images.input_shape) != 3:
            raise ConfigurationError(
                f"augment=True on {images.name}, which has inputs of shape {images.input_shape}: "
                "only images are cropped and mirrored; give augment=False"
            )
        return self.steps or self.epochs * (len(images) // self.batch_size)

    def chosen(self, values: Mapping[str, Any]) -> TrainingSettings:
        """This recipe with some values in place of its own; epochs also take that of its steps.

        Args:
            values: by the names of its arguments.

        Raises:
            ConfigurationError: a name is unknown, or a value out of its range.

        >>> TrainingSettings(steps=100).chosen({"epochs": 3}).steps is None
        True
        """
        names = [field.name for field in fields(self)]
        for name in values:
            if name not in names:
                raise ConfigurationError(
                    f"recipe with {name!r}{nearest(name, names)}: expected names among "
                    f"{', '.join(names)}"
                )
        steps = None if "epochs" in values else self.steps
        return replace(self, **{"steps": steps, **values})

    def settings(self) -> dict[str, Any]:
        """All of them by name, as JSON values."""
        return asdict(self)
