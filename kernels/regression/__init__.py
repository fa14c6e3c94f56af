"""From a Gram matrix to scores: exact ridge regression, leave-one-out, evidence, alignment."""

from .errors import DegenerateKernelError as DegenerateKernelError
from .errors import NotPositiveDefiniteError as NotPositiveDefiniteError
from .ridge import Spectrum as Spectrum
from .ridge import centred_alignment as centred_alignment
from .ridge import condition_number as condition_number
from .ridge import decompose as decompose
from .ridge import log_evidence as log_evidence
from .ridge import loo_predictions as loo_predictions
from .ridge import loo_residuals as loo_residuals
from .ridge import predict as predict
from .ridge import solve as solve
from .scores import METRICS as METRICS
from .scores import Metric as Metric
from .scores import ScoreValue as ScoreValue
from .scores import resolve_metrics as resolve_metrics
from .scores import score_gram as score_gram
from .targets import centred_one_hot as centred_one_hot
