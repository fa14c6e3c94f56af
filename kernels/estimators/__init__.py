"""Kernel regression in scikit-learn's manner: what fits, predicts and is searched over there."""

from .adapters import SklearnKernel as SklearnKernel
from .classifier import KernelClassifier as KernelClassifier
from .machine import KernelMachine as KernelMachine
from .model_folder import load_model as load_model
from .model_folder import save_model as save_model
from .regressor import KernelRegressor as KernelRegressor
