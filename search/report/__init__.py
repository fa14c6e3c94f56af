"""Reports of a ranking: files and figures."""

from .against import score_score_figure as score_score_figure
from .against import score_truth_figure as score_truth_figure
from .compared import fidelity_figure as fidelity_figure
from .compared import score_matrix_figure as score_matrix_figure
from .files import write_report as write_report
from .leaderboard import leaderboard_figure as leaderboard_figure
from .page import report_page as report_page
