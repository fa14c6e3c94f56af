"""Proxies against their definitions in loops; what they refuse, and what says nothing by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from oracles.untrained import proxies as definitions

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.kernels.architecture import Slot
from kernas.kernels.architecture.slots import filled
from kernas.kernels.engine import compilations
from kernas.kernels.finite.filling import filled_variables
from kernas.search.scores.base import evaluate_scores
from kernas.search.scores.proxies import PROXIES, jacobians, probes, source
from kernas.search.scores.proxies.probed import Probed
from kernas.search.scores.proxies.probes import probes_of

HE = 2**0.5
BATCH, WIDTH = 6, 2

BRANCHES = {
    "skip": kk.serial(kk.Identity()),
    "conv": kk.serial(kk.Relu(), kk.Conv(3, W_std=HE), kk.Normalize()),
    "pool": kk.serial(kk.AvgPool(3, padding="SAME", divisor="valid")),
    "none": kk.serial(kk.Zero()),
}


def around(center: bool, *inside: Any) -> kk.Architecture:
    """A small network around something."""
    return kk.serial(
        *(kk.Conv(3, W_std=HE), kk.Normalize(center=center), *inside, kk.Relu()),
        *(kk.GlobalAvgPool(), kk.Dense()),
    )


class OneSlot(ks.ChoiceSpace):
    """Networks that differ in one place."""

    def template(self, candidate: ks.Candidate) -> kk.Architecture:
        return around(True, Slot(tuple(BRANCHES.values()), 0))

    def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
        return (list(BRANCHES).index(candidate.genotype[0]),)


SPACE = OneSlot(lambda operation: around(True, BRANCHES[operation]), {"operation": list(BRANCHES)})
TANH = kk.serial(
    *(kk.Conv(3, W_std=1.2), kk.Elementwise("tanh"), kk.Conv(1, W_std=1.2), kk.Elementwise("tanh")),
    *(kk.Flatten(), kk.Dense()),
)
FORKED = kk.serial(
    *(kk.Conv(3, W_std=HE), kk.Normalize()),
    kk.residual(kk.serial(kk.Relu(), kk.Conv(3, W_std=HE), kk.Normalize())),
    kk.residual(kk.serial(kk.Relu(), kk.Conv(1, W_std=HE))),
    *(kk.GlobalAvgPool(), kk.Dense()),
)
CANDIDATES = {
    **{name: SPACE.candidate(f"operation={name}") for name in BRANCHES},
    "root mean square": around(False, BRANCHES["skip"]),
    "tanh": TANH,
    "forked": FORKED,
}


@pytest.fixture(scope="module")
def fit() -> kk.Dataset:
    images, _ = kk.load("digits", n_train=2 * BATCH, n_test=1, image_size=4, seed=3)
    return replace(images, y=images.y % 4)  # several of a class in a batch


@pytest.fixture
def float64() -> Iterator[None]:
    """Programs in float64, compiled anew."""
    probes._probes.cache_clear()
    with jax.enable_x64(True):
        yield
    probes._probes.cache_clear()


def all_of(fit: kk.Dataset, **options: Any) -> list[ks.ProxyScore]:
    settings = {"width": WIDTH, "batch_size": BATCH, "repeats": 1, **options}
    return [ks.ProxyScore(fit, name, **settings) for name in PROXIES]


def expected(fit: kk.Dataset, template: kk.Architecture, slots: tuple[int, ...]) -> dict[str, Any]:
    """Every proxy of the network of seed 0, by its definition."""
    drawn = probes_of(template, fit.input_shape, fit.n_classes, WIDTH, BATCH)

    def own(variables: Any) -> definitions.Weights:
        params = filled_variables(template, slots, variables)["params"]
        return {name: np.asarray(parts["kernel"], np.float64) for name, parts in params.items()}

    weights = own(drawn.start(template, 0))
    network = filled(template, slots)
    nets = [
        definitions.Tiny(network, fit.x[part].astype(np.float64), fit.y[part])
        for part in (slice(BATCH), slice(BATCH, 2 * BATCH))
    ]
    net, other_net = nets
    printed, sign = definitions.naswot_printed(net, weights)
    noise, other = np.random.default_rng([0, 5]).standard_normal((2, *net.images.shape))
    noise, other = noise.astype(np.float32), other.astype(np.float32)
    readout = next(node.inputs[0] for node in network.nodes if isinstance(node.layer, READOUT))
    last = f"{type(network.nodes[readout].layer).__name__}_{readout}"
    rng = np.random.default_rng([0, 7])
    signs = {
        name: rng.integers(0, 2, shape, np.int8) * 2.0 - 1 for name, shape in drawn.ends.items()
    }
    ends = [_node(template, network, name) for name in signs]
    entropies = definitions.entropies(net, weights, ends)
    vkdnw, vkdnw_entropy = definitions.vkdnw(net, weights)
    assert drawn.small_shape is not None
    crops = ks.ProxyScore(fit, width=WIDTH, batch_size=BATCH).source._crops(drawn.small_shape, 0)
    thin = definitions.Tiny(network, crops.astype(np.float64), np.zeros(len(crops), int))
    several = (
        {
            "progressivity": min(np.diff(entropies)),
            "trainability": definitions.trainability(
                net, weights, dict(zip(ends, signs.values(), strict=True))
            ),
        }
        if len(ends) > 1
        else {}
    )
    zen, zen_of_code = definitions.zen(
        network, own(drawn.normal(0)), noise, noise + source.STEP * other, last
    )
    return {
        "snip": definitions.snip(net, weights),
        "plain": definitions.plain(net, weights),
        "grad_norm": definitions.grad_norm(net, weights),
        "l2_norm": definitions.l2_norm(net, weights),
        "grasp": definitions.grasp(net, weights),
        "synflow": definitions.synflow(net, weights),
        "fisher": definitions.fisher(net, weights),
        "fisher@code": definitions.fisher(net, weights, weighted=True),
        "zico": definitions.zico(net, other_net, weights),
        "naswot": definitions.naswot(net, weights),
        "naswot_euclidean": definitions.naswot(net, weights, power=0.5),
        "naswot@printed": printed,
        "naswot@printed_sign": sign,
        "swap": definitions.swap(net, weights),
        "ntk_condition": definitions.ntk_condition(net, weights),
        "label_gradient_alignment": definitions.label_gradient_alignment(net, weights),
        "jacob_cov": definitions.jacob_cov(net, weights),
        "epe_nas": definitions.epe_nas(net, weights, fit.n_classes),
        "zen": zen,
        "zen@code": zen_of_code,
        "meco": definitions.meco(net, weights),
        "near": definitions.near(net, weights),
        "expressivity": sum(entropies),
        "vkdnw": vkdnw,
        "vkdnw@entropy": vkdnw_entropy,
        "linear_regions": definitions.linear_regions(thin, own(drawn.thin(template, 0))),
        **several,
    }


def _node(template: kk.Architecture, network: kk.Architecture, end: str) -> str:
    """Of a filled network the end of a block, which comes after all slots of its template."""
    place = int(end.removeprefix("end_")) + len(network.nodes) - len(template.nodes)
    return f"{type(network.nodes[place].layer).__name__}_{place}"


TWELVE = (
    *("snip", "grad_norm", "l2_norm", "plain", "fisher", "grasp", "synflow", "jacob_cov"),
    *("naswot", "epe_nas", "zico", "zen"),
)
READOUT = (kk.GlobalAvgPool, kk.Flatten)


@pytest.mark.parametrize("name", ["conv", "pool", "root mean square", "tanh", "forked"])
def test_a_proxy_is_what_its_definition_says(name: str, fit: kk.Dataset, float64: None) -> None:
    candidate = CANDIDATES[name]
    if isinstance(candidate, ks.Candidate):
        template, slots = SPACE.template(candidate), SPACE.slots(candidate)
    else:
        template, slots = candidate, ()
    found = evaluate_scores(candidate, all_of(fit))
    wanted = expected(fit, template, slots)
    for proxy, value in wanted.items():
        assert found.values[proxy].value == pytest.approx(value, rel=1e-7), proxy
    assert found.values.keys() == wanted.keys()
    assert wanted.keys() | found.degenerate.keys() == PROXIES.keys()
    single = {"progressivity", "trainability"}
    assert found.degenerate.keys() == (set() if name in ("tanh", "forked") else single)


def test_in_float32_it_is_nearly_that(fit: kk.Dataset) -> None:
    candidate = CANDIDATES["conv"]
    found = evaluate_scores(candidate, all_of(fit)).values
    wanted = expected(fit, SPACE.template(candidate), SPACE.slots(candidate))
    for proxy, value in wanted.items():
        assert found[proxy].value == pytest.approx(value, rel=1e-5), proxy


def test_more_than_a_hundred_classes_are_compared_with_each_other() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 100, 100, 100])
    rows = rng.standard_normal((5, 7))
    net = definitions.Tiny(TANH, rng.standard_normal((5, 2, 2, 1)), labels)
    for classes in (100, 101):
        object.__setattr__(net, "jacobian", lambda weights: rows)
        found = jacobians.epe_nas(Probed(labels, classes, {}, jacobian=rows))
        assert found == pytest.approx(definitions.epe_nas(net, {}, classes))


def test_a_mean_over_initialisations_has_the_error_that_they_show(fit: kk.Dataset) -> None:
    candidate = CANDIDATES["conv"]
    several = evaluate_scores(candidate, all_of(fit, repeats=4)).values["snip"]
    assert several.standard_error is not None
    assert several.standard_error > 0
    alone = evaluate_scores(candidate, all_of(fit)).values["snip"]
    assert alone.standard_error is None
    two = evaluate_scores(candidate, all_of(fit, repeats=2)).values["snip"]
    assert two.standard_error == pytest.approx(abs(two.value - alone.value))
    other = evaluate_scores(candidate, all_of(fit, seed=1)).values["snip"]
    assert two.value == pytest.approx((alone.value + other.value) / 2)


def test_a_gain_for_all_layers_scales_what_depends_on_it(fit: kk.Dataset) -> None:
    candidate = CANDIDATES["conv"]
    (one, two) = (evaluate_scores(candidate, all_of(fit, W_std=gain)).values for gain in (1.0, 2.0))
    assert two["l2_norm"].value == pytest.approx(2 * one["l2_norm"].value)
    assert two["synflow"].value == pytest.approx(one["synflow"].value + 3 * np.log(2), rel=1e-4)
    assert two["naswot"].value == pytest.approx(one["naswot"].value, rel=1e-3)  # normalised


@pytest.mark.parametrize(("width", "programs"), [(3, 4), (4, 8)])
def test_few_programs_serve_all_candidates(width: int, programs: int, fit: kk.Dataset) -> None:
    scores = all_of(fit, width=width)
    if programs == 4:
        scores = [score for score in scores if score.proxy in TWELVE]
    before = compilations().count
    for name in BRANCHES:
        evaluate_scores(CANDIDATES[name], scores)
    assert compilations().count - before <= programs


@pytest.mark.parametrize(
    ("name", "proxy", "reason"),
    [
        ("none", "synflow", "no weight lies on a way"),
        ("none", "naswot", "two images have equal codes"),
        ("none", "jacob_cov", "does not depend on some images"),
        ("none", "zen", "do not depend on the images"),
        ("none", "ntk_condition", "has no condition number"),
        ("linear", "naswot", "no activation"),
        ("linear", "zen", "the readout reads the images"),
        ("linear", "expressivity", "neither blocks nor activations"),
        ("linear", "meco", "no layer has pixels"),
        ("linear", "linear_regions", "no activation"),
        ("skip twice", "trainability", "hands on what it reads"),
        ("conv", "progressivity", "a single block"),
        ("constant", "zico", "no weight lies on a way"),
    ],
)
def test_a_network_that_says_nothing_has_a_reason(
    name: str, proxy: str, reason: str, fit: kk.Dataset
) -> None:
    networks = {
        "linear": kk.serial(kk.Flatten(), kk.Dense()),
        "constant": kk.serial(kk.Flatten(), kk.Zero(), kk.Dense()),
        "skip twice": kk.serial(
            *(kk.Conv(3), kk.parallel(kk.Identity(), kk.Zero()), kk.Relu()),
            *(kk.GlobalAvgPool(), kk.Dense()),
        ),
    }
    score = ks.ProxyScore(fit, proxy, width=WIDTH, batch_size=BATCH, repeats=2)
    found = evaluate_scores({**CANDIDATES, **networks}[name], [score])
    assert not found.values
    assert reason in found.degenerate[proxy]


def test_a_proxy_without_branches_that_reach_the_output_still_has_weights(fit: kk.Dataset) -> None:
    found = evaluate_scores(CANDIDATES["none"], all_of(fit)).values
    assert found["snip"].value >= 0
    assert found["l2_norm"].value > 0


@pytest.mark.slow
@pytest.mark.parametrize("text", ["macro", "macro:network=dense", "nasbench201:cells=1"])
def test_every_proxy_of_any_network_is_finite_or_says_why(text: str) -> None:
    name = "hypersphere:d=4,degree=2,n=200" if "dense" in text else "digits"
    images, _ = kk.load(name, n_train=40, n_test=1, seed=0)
    scores = all_of(replace(images, y=images.y % 4), batch_size=20, width=4, repeats=2)
    for candidate in ks.space_from_text(text).sample(3, seed=1):
        found = evaluate_scores(candidate, scores)
        assert found.values.keys() | found.degenerate.keys() == PROXIES.keys()
        assert all(np.isfinite(value.value) for value in found.values.values())
        assert {"snip", "l2_norm", "synflow", "grad_norm"} <= found.values.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxy": "synflo"}, "did you mean 'synflow'"),
        ({"repeats": 0}, "repeats=0"),
        ({"width": 0}, "width=0"),
        ({"batch_size": 1}, "batch_size=1 of 12 images"),
        ({"batch_size": 13}, "give batch_size=12"),
        ({"proxy": "zico", "batch_size": 7}, "two batches"),
        ({"W_std": 0.0}, "W_std=0.0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str, fit: kk.Dataset) -> None:
    given = {"proxy": "naswot", "batch_size": BATCH, **options}
    with pytest.raises(ConfigurationError, match=message):
        ks.ProxyScore(fit, **given)


def test_classes_of_one_image_are_refused() -> None:
    images, _ = kk.load("digits", n_train=40, n_test=1, image_size=4, seed=0)
    first = [int(np.flatnonzero(images.y == label)[0]) for label in (0, 1, 2)]
    few = replace(images, x=images.x[first], y=images.y[first])
    with pytest.raises(ConfigurationError, match="a class with two images"):
        ks.ProxyScore(few, "epe_nas", batch_size=3)


def test_of_fewer_pixels_each_has_all_that_were_read_in_its_place() -> None:
    rng = np.random.default_rng(0)
    read, made = rng.standard_normal((2, 5, 5, 3)), rng.standard_normal((2, 3, 3, 4))
    wanted = np.zeros((2, 2, 3, 4))
    for image, p, q in np.ndindex(2, 3, 3):
        for i, j in np.ndindex(2, 2):
            if 2 * p + i < 5 and 2 * q + j < 5:
                place = read[image, 2 * p + i, 2 * q + j]
                wanted[i, j] += np.outer(place, made[image, p, q]) / 18
    with jax.enable_x64(True):
        found = np.asarray(probes._passage(jax.numpy.array(read), jax.numpy.array(made)))
    np.testing.assert_allclose(found, wanted.reshape(12, 4), atol=1e-12)
