"""Reports of a ranking: files and figures."""

from .figures import score_distribution_figure as score_distribution_figure
from .figures import score_truth_figure as score_truth_figure
from .files import write_report as write_report
