"""Networks of finite width: an architecture as a flax module, and kernels of functions.

flax is imported where a network is made, and not before.
"""

from .empirical import EmpiricalKernel as EmpiricalKernel
from .network import finite_network as finite_network
