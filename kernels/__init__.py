"""Exact kernels of infinitely wide networks: architecture → program → Gram → regression."""

if __name__ == "kernels":
    raise ImportError("import kernas.kernels")

from typing import TYPE_CHECKING

from kernas.lazily import lazy_names

from .adapter import as_kernel as as_kernel
from .architecture import Abs as Abs
from .architecture import Architecture as Architecture
from .architecture import AvgPool as AvgPool
from .architecture import Concat as Concat
from .architecture import Conv as Conv
from .architecture import Cos as Cos
from .architecture import Dense as Dense
from .architecture import DepthwiseConv as DepthwiseConv
from .architecture import Elementwise as Elementwise
from .architecture import Elu as Elu
from .architecture import Erf as Erf
from .architecture import Exp as Exp
from .architecture import Flatten as Flatten
from .architecture import Gaussian as Gaussian
from .architecture import Gelu as Gelu
from .architecture import GlobalAvgPool as GlobalAvgPool
from .architecture import GraphBuilder as GraphBuilder
from .architecture import Hermite as Hermite
from .architecture import Identity as Identity
from .architecture import Input as Input
from .architecture import LayerNorm as LayerNorm
from .architecture import LeakyRelu as LeakyRelu
from .architecture import LocalAvgPool as LocalAvgPool
from .architecture import MaxPool as MaxPool
from .architecture import Monomial as Monomial
from .architecture import Normalize as Normalize
from .architecture import Relu as Relu
from .architecture import Selu as Selu
from .architecture import Sign as Sign
from .architecture import Sin as Sin
from .architecture import Sinusoid as Sinusoid
from .architecture import Sum as Sum
from .architecture import Zero as Zero
from .architecture import parallel as parallel
from .architecture import register_elementwise as register_elementwise
from .architecture import residual as residual
from .architecture import serial as serial
from .architecture import standard_parameterization as standard_parameterization
from .architecture.foreign_names import answer
from .architecture.scales import scales_of as scales_of
from .augmentation import Flip as Flip
from .augmentation import Translate as Translate
from .augmentation import group_order as group_order
from .conventions import CONVENTIONS as CONVENTIONS
from .data import Dataset as Dataset
from .data import circle as circle
from .data import hypercube as hypercube
from .data import hypersphere as hypersphere
from .data import load as load
from .finite import EmpiricalKernel as EmpiricalKernel
from .finite import finite_network as finite_network
from .interface import Kernels as Kernels
from .kernel import KernelTable as KernelTable
from .kernel import NeuralKernel as NeuralKernel
from .kernel import kernel_function as kernel_function
from .program import explain as explain
from .recurrent import RecurrentKernel as RecurrentKernel

if TYPE_CHECKING:
    from .estimators import KernelClassifier as KernelClassifier
    from .estimators import KernelMachine as KernelMachine
    from .estimators import KernelRegressor as KernelRegressor
    from .estimators import SklearnKernel as SklearnKernel
    from .estimators import load_model as load_model
    from .estimators import save_model as save_model
    from .gram import GramStore as GramStore
    from .gram import compute_gram as compute_gram
    from .gram import estimate_gram as estimate_gram
    from .imports import from_flax as from_flax
    from .imports import from_onnx as from_onnx
    from .imports import from_torch as from_torch
    from .regression import gp_inference as gp_inference
    from .regression import gradient_descent as gradient_descent
    from .regression import gradient_descent_mse as gradient_descent_mse
    from .regression import gradient_descent_mse_ensemble as gradient_descent_mse_ensemble
    from .regression import max_learning_rate as max_learning_rate
    from .theory import PathKernel as PathKernel
    from .theory import circle_spectrum as circle_spectrum
    from .theory import eigenlearning as eigenlearning
    from .theory import gradient_path as gradient_path
    from .theory import hypercube_spectrum as hypercube_spectrum
    from .theory import hypersphere_spectrum as hypersphere_spectrum
    from .theory import predicted_curve as predicted_curve
    from .transformers import ZCA as ZCA
    from .transformers import PatchFeatures as PatchFeatures
    from .transformers import Standardizer as Standardizer
    from .tuning import fit_scales as fit_scales

_ROOMS = {
    "estimators": (
        "KernelClassifier",
        "KernelMachine",
        "KernelRegressor",
        "SklearnKernel",
        "load_model",
        "save_model",
    ),
    "gram": ("GramStore", "compute_gram", "estimate_gram"),
    "imports": ("from_flax", "from_onnx", "from_torch"),
    "regression": (
        "gp_inference",
        "gradient_descent",
        "gradient_descent_mse",
        "gradient_descent_mse_ensemble",
        "max_learning_rate",
    ),
    "theory": (
        "PathKernel",
        "circle_spectrum",
        "eigenlearning",
        "gradient_path",
        "hypercube_spectrum",
        "hypersphere_spectrum",
        "predicted_curve",
    ),
    "transformers": ("PatchFeatures", "Standardizer", "ZCA"),
    "tuning": ("fit_scales",),
}
"""Loaded when they are first used: scikit-learn and zarr take a second to import."""

if not TYPE_CHECKING:  # who checks types is told of names that are not there
    __getattr__, __dir__ = lazy_names(__name__, globals(), _ROOMS, answer)
