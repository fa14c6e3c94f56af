"""Scales of weights and biases that are learned from training images, by gradients of kernels."""

from .fitting import FittedScales as FittedScales
from .fitting import fit_scales as fit_scales
