"""A fitted estimator as a folder, ``model.json`` and ``arrays.npz``: no pickles, on any machine.

``model.json`` names the kernel, the options and the SHA-256 of ``arrays.npz``, which has the
training images, the dual coefficients and, for a regressor, the Gram matrices that deviations need;
it carries the checksum of its own content.
A kernel that normalises over a batch is bound again to the reference images that are kept with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from kernas import __version__
from kernas.arrays import KINDS, open_npz
from kernas.comparison import first_difference
from kernas.documents import CHECKSUM, one_of, read, sealed, unsealed
from kernas.errors import (
    ConfigurationError,
    DocumentError,
    KernasError,
    MissingDependencyError,
    ModelFolderError,
)
from kernas.files import open_regular, write_whole

from ..architecture import Architecture
from ..augmentation import named
from ..engine import recorded_blocking
from ..interface import Get
from ..kernel import NeuralKernel
from .base import StorePath
from .classifier import KernelClassifier
from .machine import KernelMachine
from .model_record import check_arrays, check_record
from .regressor import KernelRegressor

FORMAT, VERSION = "kernas.model", 2
VERSIONS = (1, VERSION)
"""Those that are read; models of version 1 have no checksum."""

MODEL, ARRAYS = "model.json", "arrays.npz"

Estimator = KernelClassifier | KernelMachine | KernelRegressor

ESTIMATORS: dict[str, type[Estimator]] = {
    "KernelClassifier": KernelClassifier,
    "KernelMachine": KernelMachine,
    "KernelRegressor": KernelRegressor,
}

WAY_OUT = "copy the model again, or fit again"

OF_THE_MACHINE = ("kernel", "store", "verbose", "executor")
"""Parameters of estimators that are not kept as they are."""


def check_new_folder(folder: StorePath) -> Path:
    """The path of a model that does not exist yet.

    Raises:
        ModelFolderError: something is there.
    """
    path = Path(folder)
    if path.exists():
        raise ModelFolderError(f"{path} exists: expected a new folder; remove it or choose another")
    return path


def save_model(
    estimator: Estimator, folder: StorePath, notes: Mapping[str, Any] | None = None
) -> Path:
    """Write a fitted estimator into a new folder, which is there whole or not at all.

    Args:
        estimator: a fitted :class:`KernelClassifier`, :class:`KernelMachine` or
            :class:`KernelRegressor` with a :class:`NeuralKernel`.
        folder: where; it must not exist.
        notes: JSON values to keep with it, for instance how images were made.

    Returns:
        The folder.

    Raises:
        sklearn.exceptions.NotFittedError: it is not fitted.
        ConfigurationError: another kind of estimator, kernel, or labels that are not numbers or
            strings.
        ModelFolderError: the folder exists or cannot be written.
    """
    kind = type(estimator).__name__
    if ESTIMATORS.get(kind) is not type(estimator):
        raise ConfigurationError(f"{kind}: expected one of {', '.join(ESTIMATORS)}")
    check_is_fitted(estimator, "dual_coef_")
    kernel = estimator.kernel_
    if not isinstance(kernel, NeuralKernel):
        raise ConfigurationError(
            f"kernel={kernel!r}: expected a NeuralKernel; a function cannot be kept in a folder"
        )
    path = check_new_folder(folder)
    arrays = estimator.fitted_arrays()
    if kernel.reference is not None:
        arrays["reference"] = kernel.reference
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS:
            raise ConfigurationError(
                f"{name} of {kind} holds {array.dtype}: expected numbers or strings of one type"
            )
    parameters = estimator.get_params(deep=False)
    record = {
        "format": FORMAT,
        "version": VERSION,
        "estimator": kind,
        "parameters": {
            name: _with_keys(value)
            for name, value in parameters.items()
            if name not in OF_THE_MACHINE
        },
        "fitted": estimator.fitted_values(),
        "kernel": {
            "identity": kernel.identity(),
            "get": kernel.get,
            "backend": kernel.backend,
            "blocking": None if kernel.blocking is None else asdict(kernel.blocking),
            "tile_bytes": kernel.tile_bytes,
        },
        "versions": {"kernas": __version__},
        "notes": dict(notes or {}),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.mkdir(parents=True)
        with (temporary / ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=False, **cast(dict[str, Any], arrays))
            file.flush()
            os.fsync(file.fileno())
        record["sha256"] = _sha256(temporary / ARRAYS)
        text = json.dumps(sealed(record, default=_number), ensure_ascii=False, indent=1)
        write_whole(temporary / MODEL, text.encode())
        temporary.rename(path)
    except OSError as error:
        raise ModelFolderError(
            f"cannot write the model {path} ({error.strerror}); make room, or choose another folder"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def load_model(folder: StorePath) -> Estimator:
    """A fitted estimator from its folder, ready to predict; its ``notes_`` are those it has.

    Raises:
        ModelFolderError: there is no model, one of another version, or one that is damaged.
    """
    path = Path(folder)
    record = model_record(path)
    arrays = _arrays(path, record["sha256"])
    try:
        check_arrays(arrays, record["estimator"])
        estimator = _restored(record, arrays)
    except MissingDependencyError:
        raise
    except KernasError as error:
        raise _damaged(path / MODEL, str(error)) from None
    estimator.notes_ = record["notes"]
    return estimator


def _restored(record: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> Estimator:
    """The estimator that a checked record describes.

    Raises:
        KernasError: it describes none, or a kernel of another identity.
    """
    parameters, known = record["parameters"], ESTIMATORS[record["estimator"]]
    unknown = sorted(set(parameters) - set(known().get_params(deep=False)))
    if unknown:
        raise DocumentError(f"{record['estimator']} has no parameter {unknown[0]!r}")
    if isinstance(parameters.get("class_weight"), list):
        parameters = {**parameters, "class_weight": dict(parameters["class_weight"])}
    estimator = known(**parameters)
    fitted, kept = record["fitted"], record["kernel"]
    estimator.check_options()
    estimator.dtype = fitted["diagnostics"]["dtype"]
    nodes = {k: v for k, v in kept["identity"]["architecture"].items() if k != "hash"}
    names: list[Get] = list(kept["identity"]["kernels"])
    blocking = kept["blocking"]
    kernel = NeuralKernel(
        Architecture.from_json(json.dumps(nodes)),
        get=names[0] if isinstance(kept["get"], str) else tuple(names),
        tile_bytes=kept["tile_bytes"],
        backend=kept["backend"],
        blocking=None if blocking is None else recorded_blocking(blocking),
        augment=named(kept["identity"].get("augment", ())),
    )
    bound = kept["identity"]["bound"]
    _check_kernel({**kept["identity"], "bound": None}, kernel)  # before anything is compiled
    reference = arrays.pop("reference", None)
    estimator.kernel = kernel
    with estimator.precision():
        if reference is not None:
            seed = 0 if bound is None else bound["seed"]
            kernel = kernel.bind(reference, len(reference), seed)
        _check_kernel(kept["identity"], kernel)
        estimator.restore(kernel, arrays, fitted)
    return estimator


def _check_kernel(identity: Mapping[str, Any], kernel: NeuralKernel) -> None:
    difference = first_difference(identity, json.loads(json.dumps(kernel.identity())))
    if difference is not None:
        field, there, here = difference
        raise DocumentError(f"the kernel's {field} is {there} there and {here} here")


def model_record(folder: StorePath) -> dict[str, Any]:
    """What ``model.json`` says, checked; nothing is computed, and no array is read.

    Raises:
        ModelFolderError: there is no model, one of another version, or one that is damaged.
    """
    path = Path(folder)
    try:
        record = read(path / MODEL, finite=False)
        found = (record.get("format"), record.get("version")) if isinstance(record, dict) else None
        if found is None or found[0] != FORMAT or not one_of(*VERSIONS).holds(found[1]):
            raise ModelFolderError(
                f"{path / MODEL} has format and version {found}: expected {(FORMAT, VERSION)}; fit "
                "again with this version of kernas"
            )
        if found != (FORMAT, 1) or CHECKSUM in record:
            record = unsealed(record)
        check_record(record)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFolderError(
            f"no model in {path}: expected {MODEL} and {ARRAYS}; save_model(estimator, folder) or "
            "`kernas fit` writes them"
        ) from None
    except OSError as error:
        raise _damaged(path / MODEL, error.strerror or str(error)) from None
    except DocumentError as error:
        raise _damaged(path / MODEL, str(error)) from None
    return record


def _arrays(path: Path, sha256: str) -> dict[str, np.ndarray]:
    try:
        found = _sha256(path / ARRAYS)
    except OSError as error:
        raise _damaged(path / ARRAYS, error.strerror or str(error)) from None
    if found != sha256:
        raise _damaged(path / ARRAYS, f"its SHA-256 is {found}: expected {sha256}")
    with open_npz(path / ARRAYS, error=ModelFolderError, way_out=WAY_OUT) as archive:
        return {name: archive.read(name) for name in archive.names}


def _damaged(path: Path, what: str) -> ModelFolderError:
    return ModelFolderError(f"{path} is damaged: {what}; {WAY_OUT}")


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()


def _with_keys(value: Any) -> Any:
    """A mapping as pairs: labels may be numbers, and keys of JSON objects are strings."""
    return [list(pair) for pair in value.items()] if isinstance(value, Mapping) else value


def _number(value: Any) -> Any:
    """NumPy's numbers as JSON has them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"not a JSON value: {value!r}")
