"""The subcommand ``kernas predict``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kernas.csv_text import csv_table
from kernas.documents import (
    INTEGER,
    NOT_NEGATIVE,
    NUMBER,
    OBJECT,
    SIZE,
    TEXT,
    field,
    list_of,
    optional,
)
from kernas.errors import (
    ConfigurationError,
    DataError,
    DocumentError,
    KernasError,
    ModelFolderError,
)
from kernas.execution import Local
from kernas.files import write_whole
from kernas.progress import progress_bar

from .devices import configure_jax
from .executors import executor_of, tell_rates
from .exit_codes import DONE
from .options import PredictOptions
from .printing import messages_aside, say, say_json

if TYPE_CHECKING:
    from kernas.execution import Executor
    from kernas.kernels import KernelClassifier

IMAGES_AT_A_TIME = 256


def run_predict(options: PredictOptions) -> int:
    """Predict, write the file, print what came out, and return the exit code."""
    configure_jax(options.device, "float32", compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        summary = _predict(options)
    if options.json:
        say_json(summary)
        return DONE
    accuracy = ""
    if summary["accuracy"] is not None:
        low, high = summary["interval"]
        accuracy = f", accuracy {summary['accuracy']:.4f} (95%: {low:.4f} to {high:.4f})"
    say(f"{summary['n']:,} images{accuracy}; written in {summary['output']}")
    return DONE


def _predict(options: PredictOptions) -> dict[str, Any]:
    from kernas.kernels import KernelClassifier, load_model

    if options.output.exists():
        raise ConfigurationError(
            f"--output {options.output} exists: expected a new file; remove it or choose another"
        )
    if not options.output.absolute().parent.is_dir():
        raise ConfigurationError(
            f"--output {options.output}: there is no folder {options.output.parent}; make it"
        )
    executor = executor_of(options.executor, options.device)
    estimator = load_model(options.model)
    notes = estimator.notes_
    try:
        if not isinstance(estimator, KernelClassifier):
            raise DocumentError(f"it is a {type(estimator).__name__}")
        check_notes(notes, len(estimator.classes_))
    except DocumentError as error:
        raise ModelFolderError(
            f"{options.model} does not say how images are made ({error}): expected a model of "
            "`kernas fit`; in Python, load_model(folder).predict(x)"
        ) from None
    x, labels = _images(options, notes, estimator.input_shape)
    values = _values(estimator, x, executor, quiet=options.quiet)
    chosen = np.argmax(values, axis=1)
    table = _table(notes["classes"], chosen, labels, estimator.probabilities(values))
    try:
        write_whole(options.output, table.encode())
    except OSError as error:
        raise KernasError(
            f"cannot write {options.output} ({error.strerror}); make room, or choose another file"
        ) from None
    found: dict[str, Any] = {"accuracy": None, "interval": None}
    if labels is not None:
        from scipy.stats import binomtest

        right = int(np.sum(chosen == labels))
        interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
        found = {"accuracy": right / len(labels), "interval": [interval.low, interval.high]}
    return {"model": str(options.model), "n": len(x), **found, "output": str(options.output)}


def check_notes(notes: dict[str, Any], n_classes: int) -> None:
    """Refuse notes that are not those of ``kernas fit``.

    Raises:
        DocumentError: a field is missing or holds something else.
    """
    field(notes, "dataset", TEXT)
    field(notes, "n", SIZE)
    field(notes, "seed", INTEGER)
    field(notes, "classes", list_of(TEXT, n_classes))
    if field(notes, "standardization", optional(OBJECT)) is not None:
        mean = field(notes, "standardization.mean", list_of(NUMBER))
        field(notes, "standardization.std", list_of(NOT_NEGATIVE, len(mean)))


def _images(
    options: PredictOptions, notes: dict[str, Any], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images made as the model's were, and their labels as its classes, if they have some."""
    from kernas.kernels.data import Standardization, load_unseen, location, read_images
    from kernas.kernels.data.checks import check_images

    size = (shape[0], shape[1]) if len(shape) == 3 else None
    how = notes["info"].get("resize")
    if options.images is not None:
        if options.dataset is not None or options.n is not None:
            raise ConfigurationError(
                f"--images {options.images} with --dataset or --n: expected images, or a data set"
            )
        what = options.images
        x, labels = (
            read_images(options.images, image_size=size, resize=how, signals=len(shape) == 2),
            None,
        )
    else:
        name = notes["dataset"] if options.dataset is None else location(options.dataset)
        n_seen = notes["n"] if name == notes["dataset"] else None
        test = load_unseen(
            name, n=options.n, n_seen=n_seen, image_size=size, resize=how, seed=notes["seed"]
        )
        strange = sorted(set(test.classes) - set(notes["classes"]))
        if strange:
            raise DataError(
                f"{test.name} has the class {strange[0]!r}, which the model lacks: expected "
                f"{', '.join(notes['classes'])}; give images alone with --images"
            )
        numbers = np.array([notes["classes"].index(name) for name in test.classes])
        what, x, labels = test.name, test.x, numbers[test.y]
    if x.shape[1:] != tuple(shape):
        raise DataError(
            f"{what} has images of {x.shape[1:]}: expected {shape}, those that the model was "
            "fitted to; give images of that shape"
        )
    fitted = notes["standardization"]
    if fitted is not None:
        mean, std = (np.asarray(fitted[name], np.float64) for name in ("mean", "std"))
        x = check_images(
            Standardization(mean, std).apply(x), f"{what}, standardised,", signals=True
        )
    return np.asarray(x, np.float32), labels


def _values(
    estimator: KernelClassifier, x: np.ndarray, executor: Executor | None, *, quiet: bool
) -> np.ndarray:
    """``f(x)``, shape ``(n, C)``, some images at a time."""
    starts = range(0, len(x), IMAGES_AT_A_TIME)
    items = [(start, x[start : start + IMAGES_AT_A_TIME]) for start in starts]
    found: dict[int, np.ndarray] = {}
    with progress_bar(shown=not quiet, total=len(x), desc="predict", unit="image") as bar:
        for start, values in (executor or Local()).map(PredictionTask(estimator), items):
            found[start] = values
            bar.update(len(values))
    tell_rates(executor)
    return np.concatenate([found[start] for start in starts])


@dataclass(frozen=True)
class PredictionTask:
    """Predicts for images, and says for which: those from a number on.

    Attributes:
        estimator: fitted.
    """

    estimator: KernelClassifier

    def begin(self, item: tuple[int, np.ndarray]) -> Callable[[], tuple[int, np.ndarray]]:
        """Compute their kernel with the training images, and what follows from it."""
        start, x = item
        values = self.estimator.values(x)
        return lambda: (start, values)

    def failed(self, item: tuple[int, np.ndarray], message: str) -> tuple[int, np.ndarray]:
        """A table of predictions has no holes.

        Raises:
            KernasError: with the message.
        """
        raise KernasError(f"images {item[0]} to {item[0] + len(item[1])}: {message}")


def _table(
    classes: list[str],
    chosen: np.ndarray,
    labels: np.ndarray | None,
    probabilities: np.ndarray | None,
) -> str:
    """A line for each image: number, label if known, predicted class, probabilities if any."""
    columns = ["label"] if labels is not None else []
    likely = [f"p({name})" for name in classes] if probabilities is not None else []
    rows: list[list[Any]] = [["image", *columns, "predicted", *likely]]
    for i, number in enumerate(chosen):
        known = [classes[labels[i]]] if labels is not None else []
        chances = [] if probabilities is None else [f"{p:.6g}" for p in probabilities[i]]
        rows.append([i, *known, classes[number], *chances])
    return csv_table(rows)
