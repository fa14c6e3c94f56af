"""Architecture search: spaces, scores, tables of truth, rankings and their reports.

The public names are loaded when they are first used, so that the command line can choose JAX's
device and show its help before JAX is imported.
"""

if __name__ == "search":
    raise ImportError("import kernas.search")

from typing import TYPE_CHECKING

from kernas.lazily import lazy_names

if TYPE_CHECKING:
    from kernas.execution import Executor as Executor
    from kernas.execution import Local as Local
    from kernas.execution import Processes as Processes
    from kernas.execution import RayExecutor as RayExecutor

    from .evaluation import preference as preference
    from .pipeline import estimate_ranking as estimate_ranking
    from .pipeline import rank as rank
    from .ranking import Agreement as Agreement
    from .ranking import Agreements as Agreements
    from .ranking import Interval as Interval
    from .ranking import Ranking as Ranking
    from .ranking import RankingEstimate as RankingEstimate
    from .ranking import Row as Row
    from .ranking import agreement as agreement
    from .ranking import agreements as agreements
    from .ranking import ndcg as ndcg
    from .ranking import read_run as read_run
    from .report import fidelity_figure as fidelity_figure
    from .report import leaderboard_figure as leaderboard_figure
    from .report import report_page as report_page
    from .report import score_matrix_figure as score_matrix_figure
    from .report import score_score_figure as score_score_figure
    from .report import score_truth_figure as score_truth_figure
    from .scores import Combined as Combined
    from .scores import Cost as Cost
    from .scores import CountScore as CountScore
    from .scores import Evaluation as Evaluation
    from .scores import KernelScore as KernelScore
    from .scores import KernelSource as KernelSource
    from .scores import MeanScore as MeanScore
    from .scores import ProxyScore as ProxyScore
    from .scores import RegularizedScore as RegularizedScore
    from .scores import SampledKernelScore as SampledKernelScore
    from .scores import Score as Score
    from .scores import SharedWeightScore as SharedWeightScore
    from .scores import Source as Source
    from .scores import TrainScore as TrainScore
    from .scores import TruthScore as TruthScore
    from .scores import evaluate_scores as evaluate_scores
    from .scores import parse_scores as parse_scores
    from .scores import score_names as score_names
    from .spaces import AmoebaNetSpace as AmoebaNetSpace
    from .spaces import ArchitectureList as ArchitectureList
    from .spaces import Candidate as Candidate
    from .spaces import ChoiceSpace as ChoiceSpace
    from .spaces import DartsSpace as DartsSpace
    from .spaces import EnasSpace as EnasSpace
    from .spaces import GraphSpace as GraphSpace
    from .spaces import LogRange as LogRange
    from .spaces import MacroSpace as MacroSpace
    from .spaces import NasBench101 as NasBench101
    from .spaces import NasBench201 as NasBench201
    from .spaces import NasNetSpace as NasNetSpace
    from .spaces import NatsSize as NatsSize
    from .spaces import PnasSpace as PnasSpace
    from .spaces import RecipeSpace as RecipeSpace
    from .spaces import RestrictedSpace as RestrictedSpace
    from .spaces import Space as Space
    from .spaces import read_candidates as read_candidates
    from .spaces import space_from_text as space_from_text
    from .strategies import Bandit as Bandit
    from .strategies import Darts as Darts
    from .strategies import EcoNas as EcoNas
    from .strategies import Enas as Enas
    from .strategies import ExploreThenExploit as ExploreThenExploit
    from .strategies import LocalSearch as LocalSearch
    from .strategies import Predictor as Predictor
    from .strategies import Progressive as Progressive
    from .strategies import QLearning as QLearning
    from .strategies import RandomSearch as RandomSearch
    from .strategies import RegularizedEvolution as RegularizedEvolution
    from .strategies import Reinforce as Reinforce
    from .strategies import Strategy as Strategy
    from .strategies import SuccessiveHalving as SuccessiveHalving
    from .strategies import Trial as Trial
    from .strategies import WarmUp as WarmUp
    from .studies import Nsga2 as Nsga2
    from .studies import StrategySampler as StrategySampler
    from .studies import Tpe as Tpe
    from .studies import optimize as optimize
    from .studies import strategy_from_text as strategy_from_text
    from .studies import study_figure as study_figure
    from .studies import suggest as suggest
    from .training import FullTraining as FullTraining
    from .training import Regime as Regime
    from .training import Supernet as Supernet
    from .training import Trained as Trained
    from .training import TrainingSettings as TrainingSettings
    from .training import estimate_training as estimate_training
    from .training import export_network as export_network
    from .training import train as train
    from .training import train_supernet as train_supernet
    from .truth import SurrogateTruth as SurrogateTruth
    from .truth import Truth as Truth
    from .truth import load_truth as load_truth

_ROOMS = {
    ".execution": ("Executor", "Local", "Processes", "RayExecutor"),
    "evaluation": ("preference",),
    "pipeline": ("estimate_ranking", "rank"),
    "ranking": (
        "Agreement",
        "Agreements",
        "Interval",
        "Ranking",
        "RankingEstimate",
        "Row",
        "agreement",
        "agreements",
        "ndcg",
        "read_run",
    ),
    "report": (
        "fidelity_figure",
        "leaderboard_figure",
        "report_page",
        "score_matrix_figure",
        "score_score_figure",
        "score_truth_figure",
    ),
    "scores": (
        "Combined",
        "Cost",
        "CountScore",
        "Evaluation",
        "KernelScore",
        "KernelSource",
        "MeanScore",
        "ProxyScore",
        "RegularizedScore",
        "SampledKernelScore",
        "Score",
        "SharedWeightScore",
        "Source",
        "TrainScore",
        "TruthScore",
        "evaluate_scores",
        "parse_scores",
        "score_names",
    ),
    "spaces": (
        "AmoebaNetSpace",
        "ArchitectureList",
        "Candidate",
        "ChoiceSpace",
        "DartsSpace",
        "EnasSpace",
        "GraphSpace",
        "LogRange",
        "MacroSpace",
        "NasBench101",
        "NasBench201",
        "NatsSize",
        "NasNetSpace",
        "PnasSpace",
        "RecipeSpace",
        "RestrictedSpace",
        "Space",
        "read_candidates",
        "space_from_text",
    ),
    "strategies": (
        "Bandit",
        "Darts",
        "EcoNas",
        "Enas",
        "ExploreThenExploit",
        "LocalSearch",
        "Predictor",
        "Progressive",
        "QLearning",
        "RandomSearch",
        "RegularizedEvolution",
        "Reinforce",
        "Strategy",
        "SuccessiveHalving",
        "Trial",
        "WarmUp",
    ),
    "studies": (
        "Nsga2",
        "StrategySampler",
        "Tpe",
        "optimize",
        "strategy_from_text",
        "study_figure",
        "suggest",
    ),
    "training": (
        "FullTraining",
        "Regime",
        "Supernet",
        "Trained",
        "TrainingSettings",
        "estimate_training",
        "export_network",
        "train",
        "train_supernet",
    ),
    "truth": ("SurrogateTruth", "Truth", "load_truth"),
}

if not TYPE_CHECKING:  # who checks types is told of names that are not there
    __getattr__, __dir__ = lazy_names(__name__, globals(), _ROOMS)
