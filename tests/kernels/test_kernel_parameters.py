"""Parameters of kernels by name: the scales of layers in searches, pipelines and clones."""

from typing import Any, cast

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels import KernelClassifier, KernelRegressor, NeuralKernel, SklearnKernel

DENSE = kk.serial(kk.Dense(W_std=1.5, b_std=0.1), kk.Relu(), kk.Dense(b_std=0.1))
NORMALIZED = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
X = np.random.default_rng(0).standard_normal((18, 3))
LABELS = (X[:, 0] > 0).astype(int)


def scales(kernel):
    layers = [node.layer for node in kernel.architecture.nodes]
    return [(layer.W_std, layer.b_std) for layer in layers if hasattr(layer, "W_std")]


def test_scales_have_names_and_a_kernel_does_not_change():
    kernel = NeuralKernel(DENSE, get="nngp")
    found = kernel.get_params()
    assert {name: found[name] for name in found if "std" in name} == {
        "b_std": 0.1,  # all layers have it; of W_std there are two
        "node1__W_std": 1.5,
        "node1__b_std": 0.1,
        "node3__W_std": 1.0,
        "node3__b_std": 0.1,
    }
    other = kernel.set_params(W_std=2.0, node3__W_std=0.5, b_std=0, tile_bytes=2**20)
    assert scales(other) == [(2.0, 0.0), (0.5, 0.0)]
    assert (other.get, other.tile_bytes) == ("nngp", 2**20)
    assert scales(kernel) == [(1.5, 0.1), (1.0, 0.1)]
    same = kernel.set_params(**found)
    assert same.architecture.hash == DENSE.hash
    assert kernel.set_params() is kernel
    moved = kernel.set_params(architecture=NORMALIZED, W_std=2)
    assert scales(moved) == [(2.0, 0.0), (2.0, 0.0)]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"w_std": 1.0}, ConfigurationError, "'w_std' of an architecture of 4 nodes"),
        ({"node2__W_std": 1.0}, ConfigurationError, "I of a weight layer, one of 1, 3"),
        ({"node9__b_std": 1.0}, ConfigurationError, "'node9__b_std'"),
        ({"W_std": -1.0}, ArchitectureError, "W_std"),
        ({"W_std": "big"}, ArchitectureError, "W_std"),
        ({"get": "npk"}, ConfigurationError, "npk"),
    ],
)
def test_names_and_values_that_are_none_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        NeuralKernel(DENSE).set_params(**params)
    estimator = KernelRegressor(NeuralKernel(DENSE))
    with pytest.raises(error, match=message):
        estimator.set_params(**{f"kernel__{name}": value for name, value in params.items()})


def test_an_estimator_replaces_its_kernel():
    kernel = NeuralKernel(DENSE)
    estimator = KernelRegressor(kernel, ridge=1e-2)
    copy: Any = clone(estimator)
    assert copy.kernel is kernel
    copy.set_params(ridge=0.5, kernel__W_std=2.0, kernel__get="nngp")
    assert isinstance(copy.kernel, NeuralKernel)
    assert (copy.ridge, copy.kernel.get, scales(copy.kernel)[0][0]) == (0.5, "nngp", 2.0)
    assert scales(kernel)[0][0] == 1.5
    assert copy.get_params()["kernel__W_std"] == 2.0
    both = {"kernel__b_std": 1.0, "kernel": NeuralKernel(NORMALIZED)}
    assert scales(copy.set_params(**both).kernel) == [(1.0, 1.0), (1.0, 1.0)]


def test_without_a_kernel_there_are_no_names():
    for kernel in (None, kk.as_kernel(lambda x1, x2, get: None)):
        with pytest.raises(ConfigurationError, match=r"kernel=NeuralKernel\(architecture\)"):
            KernelClassifier(kernel).set_params(kernel__W_std=1.0)
    with pytest.raises(ValueError, match="Invalid parameter 'kern'"):
        KernelClassifier().set_params(kern__W_std=1.0)


def test_a_bound_is_lost_with_the_scales_and_made_again_in_fit():
    images = X.reshape(2, 3, 3, 3)
    bound = NeuralKernel(NORMALIZED).bind(images)
    assert bound.is_bound
    assert not bound.set_params(W_std=2.0).is_bound
    with pytest.raises(ConfigurationError, match=r"give kernel.bind\(x_train\)"):
        SklearnKernel(bound, (3, 3, 3)).set_params(kernel__W_std=2.0)


def test_grids_search_scales_beside_ridges_in_pipelines():
    """Each best score is that of the estimator that was made with the scales."""
    grid = {"kernel__W_std": [0.5, 2.0], "kernel__b_std": [1.0], "ridge": [1e-3, 1.0]}
    search = GridSearchCV(KernelClassifier(NeuralKernel(DENSE)), grid, cv=2).fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 4
    best: Any = search.best_estimator_
    chosen = search.best_params_
    assert set(scales(best.kernel)) == {(chosen["kernel__W_std"], chosen["kernel__b_std"])}
    assert scales(best.kernel_) == scales(best.kernel)
    network = kk.serial(*(
        kk.Dense(W_std=chosen["kernel__W_std"], b_std=chosen["kernel__b_std"]), kk.Relu(),
        kk.Dense(W_std=chosen["kernel__W_std"], b_std=chosen["kernel__b_std"]),
    ))  # fmt: skip
    alone = KernelClassifier(NeuralKernel(network), ridge=chosen["ridge"]).fit(X, LABELS)
    np.testing.assert_array_equal(best.dual_coef_, alone.dual_coef_)
    pipeline = make_pipeline(StandardScaler(), KernelClassifier(NeuralKernel(DENSE)))
    pipeline.set_params(kernelclassifier__kernel__node1__W_std=3.0)
    assert scales(cast(Any, pipeline[-1]).kernel)[0][0] == 3.0


def test_support_vectors_reach_the_scales():
    machine: Any = SVC(kernel=cast(Any, SklearnKernel(NeuralKernel(DENSE))))
    machine = cast(Any, clone(machine)).set_params(kernel__kernel__W_std=3.0)
    assert scales(cast(Any, machine.kernel).kernel)[0][0] == 3.0
    assert scales(cast(Any, clone(machine)).kernel.kernel)[0][0] == 3.0
