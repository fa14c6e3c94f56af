"""Gram matrices on disk: tiles that outlive the process, computed once whoever computes them."""

from .estimate import GramEstimate as GramEstimate
from .estimate import estimate_gram as estimate_gram
from .fill import compute_gram as compute_gram
from .store import GramStore as GramStore
from .store import TileFault as TileFault
from .work import matrix_work as matrix_work
