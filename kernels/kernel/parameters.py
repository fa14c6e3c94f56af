"""Parameters of a kernel as scikit-learn reads and sets them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from ..architecture import Architecture
from ..architecture.scales import named_scales, with_scales

if TYPE_CHECKING:
    from .neural_kernel import NeuralKernel

ARGUMENTS = ("architecture", "get", "tile_bytes", "backend", "blocking", "augment")
"""Arguments of :class:`NeuralKernel` that :meth:`ScikitParameters.set_params` sets."""


class ScikitParameters:
    """The face of :class:`NeuralKernel` that ``GridSearchCV`` and ``clone`` look at."""

    architecture: Architecture

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Arguments by name, as scikit-learn asks for them.

        Args:
            deep: whether to give the scales too, ``node3__W_std`` and ``node3__b_std`` of the
                weight layer that is node 3, and ``W_std`` and ``b_std`` where all layers have one.
        """
        arguments = {name: getattr(self, name) for name in ARGUMENTS}
        return {**arguments, **(named_scales(self.architecture) if deep else {})}

    def set_params(self, **params: Any) -> NeuralKernel[Any]:
        """The kernel with other parameters; this one is not changed.

        An estimator replaces its kernel by it: ``GridSearchCV(KernelClassifier(kernel),
        {"kernel__W_std": [1.2, 1.4], "kernel__b_std": [0, 0.1]})``.

        Args:
            params: names of :meth:`get_params`. ``W_std`` and ``b_std`` are set in all weight
                layers, the last one included, and ``node3__W_std`` in the one that is node 3,
                which goes before.

        Returns:
            A kernel without a bound: statistics belong to the scales that they were taken with.
            Estimators bind in ``fit``.

        Raises:
            ConfigurationError: there is no such parameter, or its value is not usable.
            ArchitectureError: a scale is not a finite number >= 0.
        """
        kernel: Any = self
        if not params:
            return kernel
        arguments = {name: params[name] for name in params if name in ARGUMENTS}
        changed = replace(kernel, _bound=None, **arguments)
        scales = {name: params[name] for name in params if name not in ARGUMENTS}
        if not scales:
            return changed
        return replace(changed, architecture=with_scales(changed.architecture, scales))

    def __sklearn_clone__(self) -> Self:
        """A kernel never changes: its clone is the kernel."""
        return self
