"""The covariance program: which second moments a network's kernel needs, in order."""

from .explanation import Explanation as Explanation
from .explanation import explain as explain
from .lowering import correlated_terms as correlated_terms
from .lowering import lower as lower
from .lowering import lower_together as lower_together
from .lowering import nodes_of_instructions as nodes_of_instructions
from .ops import Program as Program
