"""The covariance program: which second moments a network's kernel needs, in order."""

from .lowering import correlated_terms as correlated_terms
from .lowering import lower as lower
from .ops import Program as Program
