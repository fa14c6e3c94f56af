"""What theory says of kernels and networks: eigenlearning, and paths of gradient flow."""

from .from_gram import PredictedPoint as PredictedPoint
from .from_gram import extrapolate as extrapolate
from .from_gram import gram_spectrum as gram_spectrum
from .from_gram import largest_size as largest_size
from .from_gram import predicted_curve as predicted_curve
from .generalization import Generalization as Generalization
from .generalization import eigenlearning as eigenlearning
from .path_kernel import PathKernel as PathKernel
from .spectra import KernelSpectrum as KernelSpectrum
from .spectra import circle_spectrum as circle_spectrum
from .spectra import hypercube_spectrum as hypercube_spectrum
from .spectra import hypersphere_spectrum as hypersphere_spectrum
from .targets import circle_power as circle_power
from .targets import hypercube_power as hypercube_power
from .targets import hypersphere_power as hypersphere_power
from .trajectory import GradientPath as GradientPath
from .trajectory import gradient_path as gradient_path
