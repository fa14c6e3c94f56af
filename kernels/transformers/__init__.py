"""Preprocessing in scikit-learn's manner: fitted to training images, then applied to others."""

from .patch_features import PatchFeatures as PatchFeatures
from .standardizer import Standardizer as Standardizer
from .whitening import Whitening as Whitening
from .zca import ZCA as ZCA
