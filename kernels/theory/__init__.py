"""What theory says of networks and kernels, computed: paths of gradient flow."""

from .path_kernel import PathKernel as PathKernel
from .trajectory import GradientPath as GradientPath
from .trajectory import gradient_path as gradient_path
