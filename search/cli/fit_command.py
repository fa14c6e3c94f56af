"""The subcommand ``kernas fit``."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from kernas.errors import ConfigurationError
from kernas.files import Location

from .devices import configure_jax
from .executors import executor_of
from .exit_codes import DONE
from .matrix import bound, fill, kernel_of, training_images
from .options import FitOptions
from .printing import messages_aside, say, say_json
from .space import architecture_of

if TYPE_CHECKING:
    from kernas.kernels import KernelClassifier
    from kernas.kernels.data import Dataset


def run_fit(options: FitOptions) -> int:
    """Fit and keep the model, print what it is, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        fitted = _fit(options)
    if fitted is None:
        return DONE
    summary = {"model": str(options.model), "store": str(_store(options)), **fitted}
    if options.json:
        say_json(summary)
    else:
        say(_text(summary))
    return DONE


def _fit(options: FitOptions) -> dict[str, Any] | None:
    """What the fitted model says of itself; ``None`` if the user declined."""
    from kernas.kernels import KernelClassifier, save_model
    from kernas.kernels.estimators.base import default_architecture
    from kernas.kernels.estimators.model_folder import check_new_folder

    check_new_folder(options.model)
    ridge = _ridge(options)
    if options.learning_curve and options.solver == "cg":
        raise ConfigurationError(
            "--learning-curve with --solver cg: expected --solver cholesky, since a learning curve "
            "is predicted from a matrix in memory"
        )
    executor = executor_of(options.executor, options.device)
    train = training_images(options)
    architecture = (
        default_architecture(train.input_shape)
        if options.architecture is None
        else architecture_of(options, options.architecture)
    )
    kernel = kernel_of(options, architecture, options.get)
    estimator = KernelClassifier(
        kernel,
        get=options.get,
        ridge=ridge,
        dtype=options.dtype,
        n_reference=options.n_reference,
        reference_seed=options.seed,
        solver=options.solver,
        store=_store(options),
        executor=executor,
    )
    estimator.check_options()
    with nullcontext() if executor is None else executor.session():
        filled = fill(options, bound(options, kernel, train), train, _store(options), executor)
        if filled is None:
            return None
        estimator.fit(train.x, train.y)
    judged = {} if estimator.loo_ is None else _judged(estimator, train, filled.store[options.get])
    predicted = {}
    if options.learning_curve:
        predicted = _predicted(estimator.ridge_, train, filled.store[options.get])
    save_model(estimator, options.model, {**_notes(options, train), **judged, **predicted})
    return {**_found(estimator, train), **predicted}


def _store(options: FitOptions) -> Location:
    return options.store or options.model.with_name(f"{options.model.name}-gram")


def _ridge(options: FitOptions) -> float | Literal["loo", "evidence"]:
    if options.ridge in ("loo", "evidence"):
        return cast(Literal["loo", "evidence"], options.ridge)
    try:
        return float(options.ridge)
    except ValueError:
        raise ConfigurationError(
            f"--ridge {options.ridge}: expected a number >= 0, loo or evidence"
        ) from None


def _notes(options: FitOptions, train: Dataset) -> dict[str, Any]:
    """How the images were made, for those to predict at."""
    from kernas.kernels.data import location

    from ..runs.environment import environment

    return {
        "dataset": location(options.dataset),
        "n": len(train),
        "seed": options.seed,
        "classes": list(train.classes),
        "info": train.info,
        "standardization": None
        if train.standardization is None
        else {name: array.tolist() for name, array in asdict(train.standardization).items()},
        "environment": environment(),
    }


def _judged(estimator: KernelClassifier, train: Dataset, gram: np.ndarray) -> dict[str, Any]:
    """How well it does on its own training images, each by the regression on others."""
    from sklearn.metrics import confusion_matrix

    from kernas.kernels.regression.learning_curve import LearningPoint, halves, learning_curve

    n, classes = len(train), len(train.classes)
    confusion = confusion_matrix(train.y, estimator.loo_labels_, labels=range(classes))
    *smaller, _ = halves(n, classes)  # of all images the labels are there
    curve = learning_curve(gram, train.y, estimator.ridge_, smaller) if smaller else []
    curve.append(LearningPoint.of(n, int(confusion.trace()), n))
    return {
        "loo_confusion": confusion.tolist(),
        "learning_curve": [asdict(point) for point in curve],
    }


def _predicted(ridge: float, train: Dataset, gram: np.ndarray) -> dict[str, Any]:
    """Errors of trainings on fewer images and on twice as many, all at one ridge."""
    from kernas.kernels.regression import centred_one_hot, decompose
    from kernas.kernels.regression.learning_curve import halves
    from kernas.kernels.theory import extrapolate, predicted_curve

    n, classes = len(train), len(train.classes)
    spectrum, Y = decompose(gram), centred_one_hot(train.y, classes)
    twice = extrapolate(spectrum, Y, ridge, 2 * n)
    fewer = predicted_curve(spectrum, Y, twice.ridge, halves(n, classes))
    return {"predicted_curve": [asdict(point) for point in (*fewer, twice)]}


def _found(estimator: KernelClassifier, train: Dataset) -> dict[str, Any]:
    accuracy = None if estimator.loo_ is None else float(np.mean(estimator.loo_labels_ == train.y))
    return {
        "dataset": train.name,
        "n": len(train),
        "classes": list(train.classes),
        "loo_accuracy": accuracy,
        **estimator.diagnostics_,
    }


def _text(summary: dict[str, Any]) -> str:
    """What a person reads."""
    accuracy = summary["loo_accuracy"]
    said = (
        f"residual {summary['residual']:.1e} after {summary['steps']} steps"
        if accuracy is None
        else f"leave-one-out accuracy {accuracy:.4f}"
    )
    more = _of_twice(summary) if "predicted_curve" in summary else ""
    return (
        f"{summary['model']}: {summary['n']:,} images of {summary['dataset']} in "
        f"{len(summary['classes'])} classes, ridge {summary['ridge']:.2g}, {said}; predict with "
        f"`kernas predict {summary['model']}`; the training matrix stays in {summary['store']}"
        f"{more}"
    )


def _of_twice(summary: dict[str, Any]) -> str:
    """What more images would bring, and from what that is known."""
    *_, now, twice = summary["predicted_curve"]
    return (
        f"\nwith twice the images, about {twice['error']:.3f} [{twice['low']:.3f}, "
        f"{twice['high']:.3f}] where {now['n']:,} have {now['error']:.3f} (squared error on other "
        f"images, {1 - 1 / len(summary['classes']):.3f} of no prediction; predicted from the "
        f"training matrix at ridge {twice['ridge']:.2g}, 95% interval from the spread over its "
        "images)"
    )
