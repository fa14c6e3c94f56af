"""What the files of a model have to hold, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from kernas.documents import (
    COUNT,
    FLAG,
    NOT_NEGATIVE,
    OBJECT,
    POSITIVE,
    SIZE,
    TEXT,
    Kind,
    field,
    list_of,
    one_of,
    optional,
)
from kernas.errors import DocumentError

from ..interface import Get
from .base import Dtype, Solver
from .machine import MachineLoss

_NAME = one_of(*get_args(Get))
_DTYPE = one_of(*get_args(Dtype))
_NUMBER: Kind[float] = Kind("a number", lambda value: type(value) in (int, float))
_NAMES: Kind[list[Get]] = Kind(
    f"a list of {_NAME.words}", lambda value: list_of(_NAME).holds(value) and value
)
_CHOICE: Kind[Any] = Kind(
    f"{_NAME.words}, or a list", lambda value: _NAME.holds(value) or _NAMES.holds(value)
)


def _is_weight(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and NOT_NEGATIVE.holds(pair[1])


_CLASS_WEIGHT: Kind[Any] = Kind(
    "'balanced' or pairs of a class and its weight",
    lambda value: value == "balanced" or (isinstance(value, list) and all(map(_is_weight, value))),
)

FIELDS: dict[str, Kind[Any]] = {
    "parameters": OBJECT,
    "parameters.get": optional(_NAME),
    "parameters.dtype": optional(_DTYPE),
    "fitted": OBJECT,
    "fitted.diagnostics": OBJECT,
    "fitted.diagnostics.dtype": _DTYPE,
    "fitted.n_features_in": SIZE,
    "kernel": OBJECT,
    "kernel.identity": OBJECT,
    "kernel.identity.kernels": _NAMES,
    "kernel.identity.architecture": OBJECT,
    "kernel.identity.bound": optional(OBJECT),
    "kernel.get": _CHOICE,
    "kernel.backend": TEXT,
    "kernel.blocking": optional(OBJECT),
    "kernel.tile_bytes": SIZE,
    "sha256": TEXT,
    "notes": OBJECT,
}
"""Of ``model.json``, what is read of every model."""

_OF_REGRESSIONS: dict[str, Kind[Any]] = {
    "parameters.solver": one_of(*get_args(Solver)),
    "fitted.diagnostics.ridge": NOT_NEGATIVE,
    "fitted.ridge_path": list_of(list_of(_NUMBER, 2)),
}

FIELDS_OF: dict[str, dict[str, Kind[Any]]] = {
    "KernelClassifier": {
        **_OF_REGRESSIONS,
        "fitted.temperature": optional(POSITIVE),
        "parameters.class_weight": optional(_CLASS_WEIGHT),
    },
    "KernelMachine": {"parameters.loss": one_of(*get_args(MachineLoss)), "parameters.C": POSITIVE},
    "KernelRegressor": {
        **_OF_REGRESSIONS,
        "fitted.flat": FLAG,
        "parameters.time": optional(NOT_NEGATIVE),
    },
}
"""What is read of one estimator's models beside."""

SHAPES = {
    "x": ("n", "features", "width", "channels"),
    "dual_coef": ("n", "outputs"),
    "loo": ("n", "outputs"),
    "classes": ("outputs",),
    "coefficients": ("n", "machines"),
    "signs": ("n", "machines"),
    "intercept": ("machines",),
    "targets": ("n", "outputs"),
    "offset": ("outputs",),
    "gram": ("n", "n"),
    "gram_nngp": ("n", "n"),
    "gram_ntk": ("n", "n"),
    "sample_weight": ("n",),
    "reference": ("references", "features", "width", "channels"),
}
"""The axes of arrays, of vectors the first two, of signals all but the second; axes of one name
have one size."""

ARRAYS_OF = {
    "KernelClassifier": ("x", "dual_coef", "classes"),
    "KernelMachine": ("x", "coefficients", "signs", "intercept", "classes"),
    "KernelRegressor": ("x", "dual_coef", "targets", "offset"),
}
"""The arrays that no estimator's model may lack."""


def check_record(record: Mapping[str, Any]) -> None:
    """Refuse what ``model.json`` cannot say.

    Raises:
        DocumentError: a field is missing or holds something else.
    """
    estimator = field(record, "estimator", one_of(*FIELDS_OF))
    for name, kind in (FIELDS | FIELDS_OF[estimator]).items():
        field(record, name, kind)
    identity = record["kernel"]["identity"]
    if "augment" in identity:
        field(identity, "augment", list_of(TEXT))
    if identity["bound"] is not None:
        field(identity, "bound.seed", COUNT)


def check_arrays(arrays: Mapping[str, np.ndarray], estimator: str) -> None:
    """Refuse arrays that do not belong together.

    Args:
        arrays: by their names.
        estimator: the name of its class.

    Raises:
        DocumentError: one is missing, has another shape, or numbers that are none.
    """
    for name in ARRAYS_OF[estimator]:
        if name not in arrays:
            raise DocumentError(f"it lacks the array {name!r}")
    sizes: dict[str, int] = {}
    for name, axes in SHAPES.items():
        array = arrays.get(name)
        if array is None:
            continue
        if len(axes) == 4:
            axes = {2: axes[:2], 3: (axes[0], *axes[2:])}.get(array.ndim, axes)
        fits = [sizes.setdefault(axis, n) == n for axis, n in zip(axes, array.shape, strict=False)]
        if array.ndim != len(axes) or not all(fits) or array.size == 0:
            raise DocumentError(f"{name} has shape {array.shape}: expected {' × '.join(axes)}")
        if name != "classes" and not (array.dtype.kind in "iuf" and np.isfinite(array).all()):
            raise DocumentError(f"{name} has values of {array.dtype}: expected finite numbers")
