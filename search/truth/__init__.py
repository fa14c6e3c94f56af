"""Tables of measured accuracy: what a ranking is compared with."""

from .surrogate import SurrogateTruth as SurrogateTruth
from .tables import Truth as Truth
from .tables import load_truth as load_truth
