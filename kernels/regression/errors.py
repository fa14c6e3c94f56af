"""What can be wrong with a Gram matrix that is otherwise well formed."""

from kernas.errors import DegenerateKernelError as DegenerateKernelError
from kernas.errors import KernasError


class NotPositiveDefiniteError(KernasError, ArithmeticError):
    """``K + ρI`` is not positive definite in float64, so it defines no regression."""


class NotConvergedError(KernasError, ArithmeticError):
    """An iterative solution did not reach its tolerance."""


class JitterWarning(UserWarning):
    """More than the ridge was added to a Gram matrix, because rounding asked for it."""
