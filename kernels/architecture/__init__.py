"""One description of a network: layers, the graph they form, its canonical form and its JSON."""

from .combinators import GraphBuilder as GraphBuilder
from .combinators import parallel as parallel
from .combinators import residual as residual
from .combinators import serial as serial
from .graph import Architecture as Architecture
from .layers import AvgPool as AvgPool
from .layers import Conv as Conv
from .layers import Dense as Dense
from .layers import Flatten as Flatten
from .layers import GlobalAvgPool as GlobalAvgPool
from .layers import Identity as Identity
from .layers import Input as Input
from .layers import Layer as Layer
from .layers import Node as Node
from .layers import Normalize as Normalize
from .layers import Relu as Relu
from .layers import Sum as Sum
from .layers import WeightLayer as WeightLayer
from .layers import Zero as Zero
