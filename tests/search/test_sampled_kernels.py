"""Sampled kernels: one network's against its gradients, and the mean against the exact kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, DataError
from kernas.kernels.architecture import Slot
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.finite.drawing import draw_variables
from kernas.kernels.finite.filling import filled_variables
from kernas.search.scores import sampled_kernels

HE = 2**0.5
BRANCHES = {
    "conv": kk.serial(kk.Relu(), kk.Conv(3, W_std=HE), kk.Normalize(center=False)),
    "none": kk.serial(kk.Zero()),
}


class OneSlot(ks.ChoiceSpace):
    """Networks that differ in one place."""

    def template(self, candidate: ks.Candidate) -> kk.Architecture:
        return around(Slot(tuple(BRANCHES.values()), 0))

    def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
        return (list(BRANCHES).index(candidate.genotype[0]),)


def around(inside: Any) -> kk.Architecture:
    return kk.serial(
        *(kk.Conv(3, W_std=HE, b_std=0.1), kk.Normalize(), kk.residual(inside), kk.Relu()),
        *(kk.GlobalAvgPool(), kk.Dense(W_std=1.5, b_std=0.2)),
    )


SPACE = OneSlot(lambda operation: around(BRANCHES[operation]), {"operation": list(BRANCHES)})


@pytest.fixture(scope="module")
def images() -> tuple[kk.Dataset, kk.Dataset]:
    train, _ = kk.load("digits", n_train=50, n_test=1, image_size=4, seed=2)
    return train.split(0.3, seed=0)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_one_networks_kernels_are_those_of_its_gradients(
    images: tuple[kk.Dataset, kk.Dataset], parameterization: Any
) -> None:
    fit, validation = images
    candidate = SPACE.candidate("operation=conv")
    score = ks.SampledKernelScore(
        fit, validation, "ntk_mc", width=4, repeats=1, parameterization=parameterization
    )
    source = score.source
    template, slots = SPACE.template(candidate), SPACE.slots(candidate)
    programs = sampled_kernels._programs(with_gains(template, 1.0), fit.input_shape, 4)
    x = np.concatenate([fit.x, validation.x]).astype(np.float32)
    found = source._sampled(
        sampled_kernels.what_is_trained(candidate), programs, ["ntk_mc"], x, seed=0
    )

    network = candidate.architecture
    drawn = draw_variables(template, programs.shapes, np.random.default_rng([0, 9]))
    params = filled_variables(template, slots, {"params": drawn["params"]})["params"]
    if parameterization == "ntk":
        params = {
            name: {
                part: value / deviations(network, name, parts)[part]
                for part, value in parts.items()
            }
            for name, parts in params.items()
        }
    module: Any = kk.finite_network(network, 4, parameterization=parameterization)
    statistics = module.init(jax.random.key(0), x[:1])["batch_stats"]
    still = jax.tree.map(np.zeros_like, statistics)
    _, moved = module.apply(
        {"params": params, "batch_stats": still}, x[: len(fit)], train=True, mutable=["batch_stats"]
    )
    settled = jax.tree.map(lambda value: value * 10, moved["batch_stats"])

    def apply(params: Any, x: Any) -> Any:
        return module.apply({"params": params, "batch_stats": settled}, x)

    wanted = kk.EmpiricalKernel(apply, params)(x, x[: len(fit)])
    np.testing.assert_allclose(found["ntk_mc"], wanted, rtol=1e-4, atol=1e-4)


def deviations(network: kk.Architecture, name: str, parts: Any) -> dict[str, float]:
    layer: Any = network.nodes[int(name.rpartition("_")[2])].layer
    return sampled_kernels.weight_deviations(layer, parts["kernel"].shape)


def test_their_mean_tends_to_the_exact_kernels(images: tuple[kk.Dataset, kk.Dataset]) -> None:
    fit, _ = images
    fit = fit.subset(12, seed=0)
    network = kk.serial(
        *(kk.Conv(3, W_std=HE), kk.Relu(), kk.Conv(3, W_std=HE), kk.Relu()),
        *(kk.GlobalAvgPool(), kk.Dense(b_std=0.2)),
    )
    candidate = ks.ArchitectureList({"network": network}).candidate("network")
    score = ks.SampledKernelScore(fit, get="ntk_mc", metric="loo_error", width=128)
    programs = sampled_kernels._programs(with_gains(network, 1.0), fit.input_shape, 128)
    what = sampled_kernels.what_is_trained(candidate)
    x = np.asarray(fit.x, np.float32)
    draws = [
        score.source._sampled(what, programs, ["nngp_mc", "ntk_mc"], x, seed) for seed in range(40)
    ]
    exact = kk.NeuralKernel(network, get=("nngp", "ntk"))(x)
    pairs: Any = (("nngp_mc", exact.nngp), ("ntk_mc", exact.ntk))
    for get, wanted in pairs:
        each = np.array([draw[get] for draw in draws])
        error = each.std(axis=0, ddof=1) / len(each) ** 0.5
        # Entries of a kernel vary together: 78 of them, and their largest deviation is below 5
        # standard errors but once in 20,000 independent ones; the finite width biases the second
        # layer's by some 1/128.
        assert np.all(np.abs(each.mean(axis=0) - wanted) < 5 * error + np.abs(wanted) / 128)


def test_all_metrics_come_from_one_sampling(images: tuple[kk.Dataset, kk.Dataset]) -> None:
    fit, validation = images
    scores = ks.parse_scores(
        "nngp_mc:validation_accuracy,ntk_mc:loo_error,nngp_mc:loo_error", fit, validation, width=3
    )
    assert len({score.source for score in scores if isinstance(score, ks.Score)}) == 1
    candidates = [SPACE.candidate(f"operation={name}") for name in BRANCHES]
    ranking = ks.rank(candidates, scores)
    for row in ranking:
        assert row.values.keys() == {score.name for score in scores}
        assert 0 <= row.values["nngp_mc:validation_accuracy"].value <= 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"get": "nngp"}, ConfigurationError, "expected one of nngp_mc, ntk_mc"),
        ({"metric": "accuracy"}, ConfigurationError, "metric='accuracy'"),
        ({"repeats": 0}, ConfigurationError, "repeats=0"),
        ({"ridge": 0.0}, ConfigurationError, "ridge=0.0"),
        ({"seed": -1}, ConfigurationError, "seed=-1"),
        ({"validation": None}, ConfigurationError, "needs validation images"),
        ({"parameterization": "mup"}, ConfigurationError, "expected one of ntk, standard"),
    ],
)
def test_what_cannot_be_is_refused(
    options: dict[str, Any], error: type, message: str, images: tuple[kk.Dataset, kk.Dataset]
) -> None:
    with pytest.raises(error, match=message):
        ks.SampledKernelScore(**{"fit": images[0], "validation": images[1], **options})


def test_images_of_another_shape_are_refused(images: tuple[kk.Dataset, kk.Dataset]) -> None:
    other, _ = kk.load("digits", n_train=10, n_test=1, image_size=8, seed=0)
    with pytest.raises(DataError, match=r"\(8, 8, 1\)"):
        ks.SampledKernelScore(images[0], other)


def test_gradients_beyond_the_bound_and_networks_without_a_last_layer_fail_by_name(
    images: tuple[kk.Dataset, kk.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, _ = images
    candidate = SPACE.candidate("operation=conv")
    score = ks.SampledKernelScore(fit, get="ntk_mc", metric="loo_error", width=3)
    monkeypatch.setattr(sampled_kernels, "LARGEST", 1000)
    (row,) = ks.rank([candidate], [score])
    assert "give a smaller width" in row.message
    network = kk.serial(kk.Conv(3), kk.Relu(), kk.GlobalAvgPool())
    (row,) = ks.rank({"network": network}, [replace(score, get="nngp_mc")])
    assert "expected Dense()" in row.message
