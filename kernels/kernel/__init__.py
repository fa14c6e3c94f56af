"""Kernels as functions of images: of one network, and of several in one pass."""

from .computation import share_compilation as share_compilation
from .kernel_table import KernelTable as KernelTable
from .neural_kernel import NeuralKernel as NeuralKernel
from .prepared import PreparedImages as PreparedImages
