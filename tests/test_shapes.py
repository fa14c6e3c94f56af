"""Shapes in signatures are checked in this very run: what does not fit its signature raises."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, cast, get_type_hints

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from shape_checks import CHECKED

import kernas.kernels as kk
from kernas.errors import ConfigurationError, DataError
from kernas.kernels.covariance import grids, images, moments, normalization, pools, sums, weights
from kernas.kernels.covariance.activations import Dual, stein_slopes
from kernas.kernels.covariance.activations.correlation import spread
from kernas.kernels.covariance.activations.families import FAMILIES
from kernas.kernels.covariance.activations.series import series_dual
from kernas.kernels.regression import (
    Factor,
    LandmarkRegression,
    Posterior,
    Solution,
    Spectrum,
    WholeGram,
    centred_one_hot,
    decompose,
    iterative,
    ridge,
    scores,
    solve,
)
from kernas.kernels.regression.weights import times_roots
from kernas.search.ranking.statistics import ndcg

ONES, MATRIX = np.ones(3), np.ones((3, 2))
SINGLE = jnp.ones((3, 2))


def modules() -> Iterator[ModuleType]:
    for name in CHECKED:
        module = import_module(name)
        yield module
        for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            yield import_module(found.name)


def functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """Those that a module defines, methods and the initialisers of dataclasses included."""
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield value
        elif inspect.isclass(value):
            yield from filter(inspect.isfunction, vars(value).values())


WRONG: dict[str, Callable[[], Any]] = {
    "a matrix that is not square": lambda: WholeGram(MATRIX),
    "a factor in single precision": lambda: Factor(np.eye(3, dtype=np.float32), 0.1, 0.0, 1.0),
    "more eigenvalues than eigenvectors": lambda: Spectrum(np.ones(4), np.eye(3), 1.0),
    "coefficients of one axis": lambda: LandmarkRegression(ONES, 1, 0.1),
    "a variance of other images": lambda: Posterior(np.ones((2, 2)), ONES),
    "a solution that is a list": lambda: Solution([[1.0]], 0.0, 0, 0, 0.1),  # pyright: ignore[reportArgumentType]
    "a vector times the tiles": lambda: iterative.product(WholeGram(np.eye(3)), ONES, 0.1),
    "labels that are no integers": lambda: scores.mean_accuracy(MATRIX, ONES),
    "fewer labels than predictions": lambda: scores.mean_squared_error(MATRIX, np.array([0, 1])),
    "weights of a vector": lambda: times_roots(ONES, None),
    "scores of fewer candidates": lambda: ndcg(ONES, np.ones(2)),
    "kernels of two shapes": lambda: moments.moment(SINGLE, SINGLE.T),
    "a moment in NumPy": lambda: moments.covariance(MATRIX),  # pyright: ignore[reportArgumentType]
    "terms of integers": lambda: sums.weighted_sum([jnp.arange(3)], [1]),
    "a grid of two axes": lambda: grids.left_mean(SINGLE),
    "a variance of integers": lambda: normalization.layer_scale(jnp.arange(3), 0.1),
    "weights of other rows": lambda: pools.weighed(SINGLE, jnp.ones((1, 2)), jnp.ones((1, 2))),
    "vectors of other channels": lambda: images.vector_moment(SINGLE, jnp.ones((3, 4))),
    "planes of three axes": lambda: weights.surrounded(jnp.ones((1, 2, 3)), weights.ROW),
    "a dual of two shapes": lambda: Dual(kk.Relu(), kk.Relu())(SINGLE, SINGLE, SINGLE.T),
    "slopes of integers": lambda: stein_slopes(kk.Relu(), jnp.arange(3)),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_its_signature_raises(case: str) -> None:
    with pytest.raises(TypeCheckError):
        WRONG[case]()


def test_what_a_function_returns_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum = decompose(np.diag([1.0, 2.0, 3.0]))
    monkeypatch.setattr(ridge, "_solved", lambda *_: np.ones((2, 2)))
    with pytest.raises(TypeCheckError, match="return value"):
        solve(spectrum, MATRIX, 0.1)


def test_every_formula_checks_its_covariances() -> None:
    a = spread(jnp.ones(2))
    for members, formula, slope in FAMILIES:
        layer, numbers = cast(Any, members[0]), jnp.arange(2)
        beside = ((jnp.asarray, jnp.asarray),) if formula is series_dual else ()
        with pytest.raises(TypeCheckError, match="'k'"):
            formula(layer, layer, numbers, a, a, *beside)
        with pytest.raises(TypeCheckError, match="'b'"):
            slope(layer, numbers)


def test_what_a_user_gives_is_refused_in_our_words() -> None:
    with pytest.raises(DataError, match="expected"):
        decompose(MATRIX)
    with pytest.raises(DataError, match="expected"):
        solve(decompose(np.diag([1.0, 2.0, 3.0])), ONES, 0.1)
    with pytest.raises(ConfigurationError, match="expected"):
        centred_one_hot([0, 1], 2.0)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_every_annotation_is_read(module: ModuleType) -> None:
    """One that names nothing would be taken for Any, without a word."""
    for function in functions(module):
        get_type_hints(function, include_extras=True)
