"""Scales and shifts: taken together, folded into the weights beside them, or normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ..architecture import Concat, Identity, Sum
from .refusing import refuse
from .steps import Affine, Operation, Weights

BatchNorm = Literal["normalize", "fold"]

MOST_NORMALIZED = 100.0
"""Scales up to it are those of a ``Normalize``: running variances stay well above its epsilon."""

_ROUNDING = 1e-7


class Folded:
    """Operations without scales and shifts that are no layer of their own.

    Attributes:
        operations: in topological order; an :class:`Affine` that is left is a ``Normalize`` whose
            scales are positive.
        within: operations that are gone → the one whose output is theirs.
        folded: names of the batch normalisations that went into weights.
    """

    def __init__(self, operations: Sequence[Operation], output: str, mode: BatchNorm) -> None:
        self._all = {operation.name: operation for operation in operations}
        self._mode, self.output = mode, output
        self.within: dict[str, str] = {}
        self.folded: list[str] = []
        self._drop_identities()
        self._compose()
        for operation in list(self._all.values()):
            if isinstance(operation.step, Affine):
                self._fold(operation, operation.step)
        self.operations = list(self._all.values())

    def _readers(self, name: str) -> list[Operation]:
        return [operation for operation in self._all.values() if name in operation.inputs]

    def _alone(self, name: str) -> bool:
        """Whether one operation reads another's output, and nobody else."""
        return len(self._readers(name)) == 1 and name != self.output

    def _drop(self, name: str, source: str) -> None:
        """Let what reads an operation read what it read."""
        del self._all[name]
        for reader in self._readers(name):
            inputs = tuple(source if i == name else i for i in reader.inputs)
            self._all[reader.name] = replace(reader, inputs=inputs)
        if name == self.output:
            self.output = source
        self.within[name] = source

    def _drop_identities(self) -> None:
        for operation in list(self._all.values()):
            step = self._all[operation.name].step
            single = isinstance(step, Sum | Concat) and len(operation.inputs) == 1
            if isinstance(step, Identity) or single or _is_one(step):
                self._drop(operation.name, self._all[operation.name].inputs[0])

    def _compose(self) -> None:
        """Scales and shifts that follow each other are one."""
        for name in list(self._all):
            after = self._all[name]
            if not isinstance(after.step, Affine):
                continue
            before = self._all[after.inputs[0]]
            if not isinstance(before.step, Affine) or not self._alone(before.name):
                continue
            both = Affine(
                after.step.scale * before.step.scale,
                after.step.scale * before.step.shift + after.step.shift,
                after.step.normalizes or before.step.normalizes,
            )
            kind = before.kind if before.step.normalizes else after.kind
            self._all[name] = replace(after, step=both, kind=kind)
            self._drop(before.name, before.inputs[0])
            self.within[before.name] = name
        for operation in list(self._all.values()):
            if _is_one(operation.step):
                self._drop(operation.name, operation.inputs[0])

    def _fold(self, operation: Operation, affine: Affine) -> None:
        operation = self._all[operation.name]
        source = self._all[operation.inputs[0]]
        weights = source.step if self._alone(source.name) else None
        if affine.normalizes and self._mode == "normalize":
            self._normalize(operation, affine, source, weights)
        elif isinstance(weights, Weights):
            self._all[source.name] = replace(source, step=scaled(weights, affine))
            self._drop(operation.name, source.name)
        else:
            self._fold_forward(operation, affine)
        if affine.normalizes and self._mode == "fold":
            self.folded.append(operation.name)

    def _normalize(
        self, operation: Operation, affine: Affine, source: Operation, weights: object
    ) -> None:
        """Channels that a ``Normalize`` cannot scale are scaled by the weights before it."""
        usual = (affine.scale > 1 / MOST_NORMALIZED) & (affine.scale < MOST_NORMALIZED)
        if bool(usual.all()):
            return
        if isinstance(weights, Weights):
            by_weights = Affine(np.where(usual, 1.0, affine.scale), np.asarray(0.0))
            self._all[source.name] = replace(source, step=scaled(weights, by_weights))
            left = replace(affine, scale=np.where(usual, affine.scale, 1.0))
            self._all[operation.name] = replace(operation, step=left)
            return
        possible = (affine.scale > 0) & (affine.scale < MOST_NORMALIZED)
        if not bool(possible.all()):
            count = int((~possible).sum())
            raise refuse(
                operation,
                f"its scale is not positive (or above {MOST_NORMALIZED:g}) in {count} channels, "
                "which no running variance gives, and no weights stand directly before it to take "
                'the sign; make the scales positive, or try batch_norm="fold"',
            )

    def _fold_forward(self, operation: Operation, affine: Affine) -> None:
        """Into the weights of all that read it."""
        readers = self._readers(operation.name)
        shifts = bool((affine.shift != 0).any())
        able = [
            reader
            for reader in readers
            if isinstance(reader.step, Weights) and not (shifts and reader.step.pads)
        ]
        if not readers or operation.name == self.output or len(able) < len(readers):
            hint = (
                'take batch_norm="normalize"'
                if affine.normalizes
                else ("scale and shift the images before the network, or leave it out")
            )
            raise refuse(
                operation,
                "its scale and shift fold into weights that stand directly before it, or into "
                f"those of all that read it where no zeros are padded, and here are none; {hint}",
            )
        for reader in able:
            assert isinstance(reader.step, Weights)
            self._all[reader.name] = replace(reader, step=fed(reader.step, affine))
        self._drop(operation.name, operation.inputs[0])


def _is_one(step: object) -> bool:
    if not isinstance(step, Affine) or step.normalizes:
        return False
    same = np.abs(step.scale - 1) <= _ROUNDING
    return bool(same.all()) and not bool(np.abs(step.shift).max() > _ROUNDING)


def scaled(weights: Weights, affine: Affine) -> Weights:
    """Weights whose output is ``affine`` of what it was."""
    made = (weights.made,)
    scale, shift = np.broadcast_to(affine.scale, made), np.broadcast_to(affine.shift, made)
    before = 0.0 if weights.bias is None else weights.bias
    bias = scale * before + shift
    no_bias = weights.bias is None and not (shift != 0).any()
    return replace(weights, kernel=weights.kernel * scale, bias=None if no_bias else bias)


def fed(weights: Weights, affine: Affine) -> Weights:
    """Weights that read what ``affine`` read."""
    kernel = weights.kernel
    read = (kernel.shape[-1] if weights.depthwise else kernel.shape[-2],)
    scale, shift = np.broadcast_to(affine.scale, read), np.broadcast_to(affine.shift, read)
    if weights.depthwise:
        new, added = kernel * scale, shift * kernel.sum(axis=(0, 1, 2))
    else:
        new = kernel * scale[:, None]
        taps = kernel.sum(axis=tuple(range(kernel.ndim - 2)))
        added = shift @ taps
    before = 0.0 if weights.bias is None else weights.bias
    no_bias = weights.bias is None and not (shift != 0).any()
    return replace(weights, kernel=new, bias=None if no_bias else before + added)
