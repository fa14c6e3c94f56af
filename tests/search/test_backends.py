"""Candidates by either backend, augmented, and in the space's other forms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from jax import enable_x64
from selection import ordinary

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.backends.stax_network import check_expressible
from kernas.kernels.regression import score_gram
from kernas.search.spaces.nasbench201 import Normalization

SHAPE = (4, 4, 3)
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def images(n: int, seed: int) -> kk.Dataset:
    rng = np.random.default_rng(seed)
    return kk.Dataset(rng.standard_normal((n, *SHAPE)), np.arange(n) % 2, ("a", "b"), name="noise")


def expressible(space: ks.NasBench201, n: int) -> list[ks.Candidate]:
    """The first candidates of a sample that neural-tangents can express."""
    found: list[ks.Candidate] = []
    for candidate in space.sample(400, seed=0):
        try:
            check_expressible(candidate.architecture, SHAPE)
        except ArchitectureError:
            continue
        found.append(candidate)
        if len(found) == n:
            return found
    raise AssertionError(f"only {len(found)} can be expressed")


def ranked(candidates: list[ks.Candidate], **options: Any) -> ks.Ranking:
    scores = ks.parse_scores(
        "ntk:loo_error,nngp:loo_error,nngp:validation_accuracy",
        images(8, 0),
        images(6, 1),
        **options,
    )
    return ks.rank(candidates, scores, progress=False)


@pytest.mark.parametrize(
    "which",
    ordinary(
        [("none", 3), ("layer", 2)], of=[("none", 3), ("none", 14), ("layer", 2), ("layer", 6)]
    ),
)
def test_both_backends_rank_alike(which: tuple[Normalization, int]) -> None:
    normalize, n = which
    candidates = expressible(ks.NasBench201(1, normalize=normalize), n)
    with enable_x64(True):
        ours, theirs = (ranked(candidates, backend=b) for b in ("kernas", "neural-tangents"))
    assert [row.status for row in ours.rows] == ["ok"] * n
    assert [row.name for row in ours.rows] == [row.name for row in theirs.rows]
    for one, other in zip(ours.rows, theirs.rows, strict=True):
        for name, value in one.values.items():
            assert other.values[name].value == pytest.approx(value.value, rel=1e-8), name


def test_a_candidate_that_cannot_be_expressed_is_a_row_with_its_reason() -> None:
    space = ks.NasBench201(1, normalize="none")
    other = CELL.replace("none~1", "skip_connect~1")
    mixed = [space.candidate(CELL), ks.NasBench201(1).candidate(other)]
    ranking = ranked(mixed, backend="neural-tangents")
    assert [row.status for row in ranking.rows] == ["ok", "error"]
    assert "takes statistics over a batch; use backend='kernas'" in ranking.rows[1].message


def test_augmented_scores_are_those_of_the_augmented_kernel() -> None:
    fit = images(8, 0)
    architecture = kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())
    score = ks.KernelScore(fit, get="ntk", metric="loo_error", augment=kk.Flip())
    ranking = ks.rank({"cell": architecture}, score, progress=False)
    K = kk.NeuralKernel(architecture, "ntk", augment=kk.Flip())(fit.x)
    expected = score_gram(K, fit.y, ridge=1e-2, metrics=["loo_error"], n_classes=2)
    plain = kk.NeuralKernel(architecture, "ntk")(fit.x)
    assert ranking.rows[0].name == "cell"
    assert ranking.rows[0].values["ntk:loo_error"] == expected["loo_error"]
    assert not np.allclose(K, plain, rtol=1e-3)


def test_backend_and_augmentation_are_part_of_the_identity() -> None:
    fit = images(8, 0)
    own = ks.KernelScore(fit, metric="loo_error")
    scores = [
        own,
        replace(own, backend="neural-tangents"),
        replace(own, augment=kk.Flip()),
        replace(own, augment=(kk.Flip(), kk.Translate())),
    ]
    assert len({score.source for score in scores}) == 4
    settings = {json.dumps(score.source.settings()) for score in scores}
    assert len(settings) == 4
    with pytest.raises(ConfigurationError, match="expected 'kernas' or 'neural-tangents'"):
        replace(own, backend=cast(Any, "jax"))


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        ({"readout": "flatten"}, kk.Flatten()),
        ({"readout": "lap:1"}, kk.LocalAvgPool(1)),
        ({"readout": "gap"}, kk.GlobalAvgPool()),
    ],
)
def test_a_readout_stands_before_the_last_layer(options: dict[str, Any], layer: object) -> None:
    network = ks.NasBench201(1, **options).architecture(CELL)
    assert network.nodes[-2].layer == layer


def test_normalisations_and_edges_are_those_of_the_space() -> None:
    def layers(**options: Any) -> list[object]:
        return [node.layer for node in ks.NasBench201(1, **options).architecture(CELL).nodes]

    def count(found: list[object], kind: type) -> int:
        return sum(isinstance(layer, kind) for layer in found)

    batch, layer, none = (layers(normalize=name) for name in ("batch", "layer", "none"))
    assert count(batch, kk.Normalize) == count(layer, kk.LayerNorm) > 0
    assert count(none, kk.Normalize) == count(none, kk.LayerNorm) == count(layer, kk.Normalize) == 0
    windows = [one for one in layers(padding="circular") if isinstance(one, kk.Conv | kk.AvgPool)]
    assert {one.padding for one in windows if one.window in (3, (3, 3))} == {"CIRCULAR"}
    network = ks.NasBench201(1, padding="circular", normalize="none").architecture(CELL)
    x = images(3, 0).x
    np.testing.assert_allclose(
        kk.NeuralKernel(network)(x), kk.NeuralKernel(network)(np.roll(x, 4, axis=2)), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalize": "instance"}, "expected one of batch, layer, none"),
        ({"normalize": "layer", "center": False}, "only batch normalisation has a form"),
        ({"padding": "SAME"}, "expected one of zero, circular"),
        ({"readout": "lap"}, "expected gap, flatten, or lap:"),
        ({"readout": "lap:-1"}, "expected gap, flatten, or lap:"),
        ({"readout": "gap:2"}, "expected gap, flatten, or lap:"),
        ({"readout": 3}, "expected gap, flatten, or lap:"),
    ],
)
def test_other_forms_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ks.NasBench201(1, **options)


def test_published_defaults_keep_their_networks() -> None:
    """The options change nothing where they are not given."""
    assert ks.NasBench201().settings()["readout"] == "gap"
    given = ks.NasBench201(normalize="batch", readout="gap", padding="zero")
    assert given.architecture(CELL).hash == ks.NasBench201().architecture(CELL).hash
