"""Scores: numbers that rank candidates, and the sources that they are drawn from."""

from .base import Cost as Cost
from .base import Evaluation as Evaluation
from .base import Score as Score
from .base import Source as Source
from .base import evaluate_scores as evaluate_scores
from .combined import Combined as Combined
from .counts import CountScore as CountScore
from .kernel_score import KernelScore as KernelScore
from .kernel_source import KernelSource as KernelSource
from .looked_up import TruthScore as TruthScore
from .mean_score import MeanScore as MeanScore
from .proxies import ProxyScore as ProxyScore
from .registry import parse_scores as parse_scores
from .registry import score_names as score_names
from .regularized import RegularizedScore as RegularizedScore
from .sampled_kernels import SampledKernelScore as SampledKernelScore
from .shared_weights import SharedWeightScore as SharedWeightScore
from .trained import TrainScore as TrainScore
