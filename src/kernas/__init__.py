"""Exact kernels of infinitely wide networks, and architecture ranking without training.

The two halves are :mod:`kernas.kernels` (architecture → program → Gram → regression) and
:mod:`kernas.search` (spaces → scores → ranking → report).
"""

from .errors import KernasError as KernasError

__version__ = "0.1.0.dev0"
