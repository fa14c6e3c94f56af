"""Rankings: the table, read back from a run, and its agreement with the truth."""

from .estimate import RankingEstimate as RankingEstimate
from .reading import read_run as read_run
from .statistics import Agreement as Agreement
from .statistics import Agreements as Agreements
from .statistics import Interval as Interval
from .statistics import agreement as agreement
from .statistics import agreements as agreements
from .statistics import ndcg as ndcg
from .table import Ranking as Ranking
from .table import Row as Row
