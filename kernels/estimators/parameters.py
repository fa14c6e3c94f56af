"""Parameters of a kernel as parameters of what holds it, in scikit-learn's sense."""

from __future__ import annotations

from typing import Any, Self

from kernas.errors import ConfigurationError

NESTED = "kernel__"


class ReplacedKernel:
    """``set_params(kernel__NAME=value)`` for an object with a parameter ``kernel``.

    scikit-learn sets nested parameters in the object that is nested. A kernel never changes, so
    that here it is replaced: by ``kernel.set_params(NAME=value)``, see
    :meth:`NeuralKernel.set_params`.
    """

    kernel: Any

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the kernel as ``kernel__NAME``.

        Raises:
            ConfigurationError: the kernel has no such parameter, or there is no kernel.
            ValueError: another parameter does not exist.
        """
        nested = {name for name in params if name.startswith(NESTED)}
        others: Any = super()
        others.set_params(**{name: params[name] for name in params if name not in nested})
        if nested:
            if not hasattr(self.kernel, "set_params"):
                raise ConfigurationError(
                    f"{min(nested)} with kernel={self.kernel!r}: expected "
                    "kernel=NeuralKernel(architecture), whose parameters have names"
                )
            of_kernel = {name.removeprefix(NESTED): params[name] for name in nested}
            self.kernel = self.kernel.set_params(**of_kernel)
        return self
