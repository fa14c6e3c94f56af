"""Networks of other libraries: their architecture, and a finite network with their weights.

flax, torch and onnx are imported where a network is read, and not before.
"""

from .flax_network import from_flax as from_flax
from .imported import Imported as Imported
from .onnx_model import from_onnx as from_onnx
from .torch_network import from_torch as from_torch
