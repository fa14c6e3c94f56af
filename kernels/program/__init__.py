"""The covariance program: which second moments a network's kernel needs, in order."""

from .lowering import lower as lower
from .ops import Program as Program
