"""Kernels as functions of images: of one network, and of several in one pass."""

from ..engine import SharedPrograms as SharedPrograms
from .kernel_table import KernelTable as KernelTable
from .neural_kernel import NeuralKernel as NeuralKernel
from .prepared import PreparedImages as PreparedImages
from .traced import TracedKernel as TracedKernel
from .traced import kernel_function as kernel_function
