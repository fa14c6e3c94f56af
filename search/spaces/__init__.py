"""Search spaces: names of cells ↔ architectures."""

from .base import Candidate as Candidate
from .base import Space as Space
from .base import repeated_name as repeated_name
from .nasbench201 import NasBench201 as NasBench201
from .user_list import read_candidates as read_candidates
