"""The names at the top of the packages: what a user's script needs, and no others by accident.

A name that comes or goes is a decision: change the list here, ``CHANGELOG.md`` and the docs.
"""

import sys
from types import ModuleType

import pytest

import kernas.kernels as kk
import kernas.search as ks

LAYERS = """
    Abs AvgPool Concat Conv Cos Dense DepthwiseConv Elementwise Elu Erf Exp Flatten Gaussian Gelu
    GlobalAvgPool Hermite Identity Input LayerNorm LeakyRelu LocalAvgPool MaxPool Monomial Normalize
    Relu Selu Sign Sin Sinusoid Sum Zero
"""
KERNELS = f"""
    {LAYERS}
    Architecture GraphBuilder parallel register_elementwise residual serial
    standard_parameterization
    Flip Kernels KernelTable NeuralKernel Translate as_kernel explain group_order CONVENTIONS
    fit_scales kernel_function scales_of
    gp_inference gradient_descent gradient_descent_mse gradient_descent_mse_ensemble
    max_learning_rate
    circle_spectrum eigenlearning hypercube_spectrum hypersphere_spectrum predicted_curve
    EmpiricalKernel RecurrentKernel finite_network
    KernelClassifier KernelMachine KernelRegressor SklearnKernel load_model save_model
    PathKernel gradient_path
    GramStore compute_gram estimate_gram
    from_flax from_onnx from_torch
    Dataset PatchFeatures Standardizer ZCA circle hypercube hypersphere load
"""
SEARCH = """
    rank Ranking Row
    Candidate ChoiceSpace GraphSpace LogRange MacroSpace NasBench101 NasBench201 NatsSize
    AmoebaNetSpace DartsSpace EnasSpace NasNetSpace PnasSpace
    RecipeSpace Space read_candidates space_from_text
    ArchitectureList Combined Cost CountScore Evaluation Executor KernelScore KernelSource
    Local MeanScore Processes ProxyScore RayExecutor RegularizedScore SampledKernelScore
    Score Source TrainScore
    evaluate_scores parse_scores read_run score_names
    RankingEstimate estimate_ranking
    Agreement Agreements Interval agreement agreements ndcg Truth load_truth
    fidelity_figure leaderboard_figure report_page score_matrix_figure score_score_figure
    score_truth_figure
    FullTraining Regime SharedWeightScore Supernet Trained TrainingSettings
    estimate_training export_network train train_supernet
    optimize preference strategy_from_text study_figure suggest StrategySampler Strategy Trial
    Bandit LocalSearch Nsga2 Predictor QLearning RandomSearch RegularizedEvolution Reinforce Tpe
    WarmUp RestrictedSpace TruthScore ExploreThenExploit Progressive SuccessiveHalving
    Darts EcoNas Enas SurrogateTruth
"""
MACHINERY = {"TYPE_CHECKING", "lazy_names", "answer"}
"""What a package needs to make its names."""


def public(package):
    """The names that a package lists, without its rooms."""
    rooms = {name for name in vars(package) if isinstance(getattr(package, name), ModuleType)}
    return {name for name in dir(package) if not name.startswith("_")} - rooms - MACHINERY


@pytest.mark.parametrize(("package", "names"), [(kk, KERNELS), (ks, SEARCH)], ids=["kk", "ks"])
def test_the_top_has_these_names_and_no_others(package, names):
    assert public(package) == set(names.split())
    for name in names.split():
        found = getattr(package, name)
        assert getattr(found, "__doc__", None), f"{name} has no docstring"
        home = getattr(found, "__module__", package.__name__)
        assert home.startswith("kernas.") or name == "CONVENTIONS", f"{name} comes from {home}"
        assert home in sys.modules
