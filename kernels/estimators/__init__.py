"""Kernel regression in scikit-learn's manner: what fits, predicts and is searched over there."""

from .adapters import SklearnKernel as SklearnKernel
from .classifier import KernelClassifier as KernelClassifier
from .regressor import KernelRegressor as KernelRegressor
