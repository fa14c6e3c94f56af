"""Exact kernels of infinitely wide networks: architecture → program → Gram → regression."""

if __name__ == "kernels":
    raise ImportError("import kernas.kernels")

from .adapter import as_kernel as as_kernel
from .architecture import Architecture as Architecture
from .architecture import AvgPool as AvgPool
from .architecture import Conv as Conv
from .architecture import Dense as Dense
from .architecture import Flatten as Flatten
from .architecture import GlobalAvgPool as GlobalAvgPool
from .architecture import GraphBuilder as GraphBuilder
from .architecture import Identity as Identity
from .architecture import Input as Input
from .architecture import Normalize as Normalize
from .architecture import Relu as Relu
from .architecture import Sum as Sum
from .architecture import Zero as Zero
from .architecture import parallel as parallel
from .architecture import residual as residual
from .architecture import serial as serial
from .data import Dataset as Dataset
from .data import load as load
from .kernel import KernelFunction as KernelFunction
from .kernel import Kernels as Kernels
from .kernel import NeuralKernel as NeuralKernel
from .regression import METRICS as METRICS
from .regression import ScoreValue as ScoreValue
from .regression import score_gram as score_gram
