"""Cells of two inputs: the spaces of DARTS, ENAS, PNAS, NASNet and AmoebaNet on one machinery."""

from .space import AmoebaNetSpace as AmoebaNetSpace
from .space import DartsSpace as DartsSpace
from .space import EnasSpace as EnasSpace
from .space import NasNetSpace as NasNetSpace
from .space import NdsSpace as NdsSpace
from .space import PnasSpace as PnasSpace
