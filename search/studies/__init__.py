"""Studies: searches that optuna's storages keep, driven by strategies and resumed at any time."""

from .figures import study_figure as study_figure
from .optimize import optimize as optimize
from .registry import strategy_from_text as strategy_from_text
from .samplers import Nsga2 as Nsga2
from .samplers import StrategySampler as StrategySampler
from .samplers import Tpe as Tpe
from .samplers import suggest as suggest
