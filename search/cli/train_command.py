"""The subcommand ``kernas train``."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernas.errors import ConfigurationError, RunFolderError
from kernas.files import write_whole

from .agreement import told
from .devices import configure_jax
from .exit_codes import DONE, FAILED
from .folders import numbered_folder
from .interruption import way_on
from .options import TrainOptions
from .printing import messages_aside, say, say_json, tell
from .space import candidate_of

if TYPE_CHECKING:
    from kernas.kernels import Dataset

    from ..spaces import Candidate
    from ..training import Trained, TrainingSettings

EVALUATIONS = 20
"""Times at most that the test images are classified, for the curve."""

CURVE, PICTURE, METRICS = "curve.csv", "curve.png", "metrics.json"


def run_train(options: TrainOptions) -> int:
    """Train, write the folder, print what came out, and return the exit code."""
    configure_jax(options.device, "float32", compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        asked = _asked(options)
        trained = _train(options, asked) if _begin(options, asked) else None
        if trained is None:
            return DONE
        metrics = _written(options, asked, trained)
    if options.json:
        say_json(metrics)
    else:
        say(_text(metrics, asked))
    return FAILED if trained.diverged.all() else DONE


@dataclass(frozen=True)
class _Asked:
    """What the options ask for, all of it checked."""

    candidate: Candidate
    train_set: Dataset
    test_set: Dataset
    recipe: TrainingSettings
    output: Path
    steps: int
    every: int


def _asked(options: TrainOptions) -> _Asked:
    from kernas.kernels.data import load

    from ..training import TrainingSettings
    from ..training.checkpoints import NAME
    from ..training.export import check_export
    from ..training.trained import recipe_for

    named = {field.name for field in fields(TrainingSettings)}
    recipe = TrainingSettings(**{name: getattr(options, name) for name in named})
    if options.seeds < 1:
        raise ConfigurationError(f"--seeds {options.seeds}: expected how many, 1 or more")
    if options.export is not None:
        check_export(options.export)
    output = options.output or numbered_folder("train", options.dataset, options.resume)
    if (output / NAME).exists() and not options.resume:
        raise RunFolderError(
            f"{output} already holds a training; give --resume to go on with it, or choose "
            "another output folder"
        )
    candidate = candidate_of(options, options.architecture)
    recipe = recipe_for(candidate, recipe)
    train_set, test_set = load(
        options.dataset,
        n_train=options.n_train,
        n_test=options.n_test,
        image_size=options.image_size,
        resize=options.resize,
        seed=options.seed,
    )
    candidate.space.check_shape(train_set.input_shape)
    steps = recipe.steps_for(train_set)
    each = len(train_set) // recipe.batch_size
    every = each * max(1, -(-steps // each) // EVALUATIONS)
    return _Asked(candidate, train_set, test_set, recipe, output, steps, min(every, steps))


def _begin(options: TrainOptions, asked: _Asked) -> bool:
    """Whether to begin, once it was said what it takes."""
    from ..training import estimate_training

    if options.yes and options.quiet:
        return True
    if not options.quiet:
        tell("compiling the training, to time some of its steps …")
    estimate = estimate_training(
        *(asked.candidate, asked.train_set, asked.recipe),
        seeds=options.seeds,
        n_test=len(asked.test_set),
        evaluations=-(-asked.steps // asked.every),
    )
    said = f"{options.seeds} × {asked.candidate.name}: {estimate}"
    return told(said, estimate.seconds, yes=options.yes, quiet=options.quiet)


def _train(options: TrainOptions, asked: _Asked) -> Trained:
    from ..training import train

    again = "the same command" if options.resume else f"--output {asked.output} --resume"
    with way_on(f"{asked.output} keeps what was done; give {again} to go on"):
        return train(
            asked.candidate,
            asked.train_set,
            asked.test_set,
            asked.recipe,
            seeds=options.seeds,
            evaluate_every=asked.every,
            folder=asked.output,
            progress=not options.quiet,
        )


def _written(options: TrainOptions, asked: _Asked, trained: Trained) -> dict[str, Any]:
    """The files of the run folder and the export; returns the metrics."""
    from ..report.curves import curves_figure, curves_table
    from ..report.panels import to_png
    from ..training import export_network

    name = asked.candidate.name
    final = trained.test_accuracy
    metrics: dict[str, Any] = {
        "candidate": name,
        "hash": asked.candidate.key,
        "dataset": options.dataset,
        "images": {"train": len(asked.train_set), "test": len(asked.test_set)},
        "image_shape": list(asked.train_set.input_shape),
        "settings": asked.recipe.settings(),
        "steps": len(trained.losses),
        "seeds": list(trained.seeds),
        "parameters": trained.parameters,
        "test_accuracy": _numbers(final),
        "train_accuracy": _numbers(trained.train_accuracy),
        "mean_test_accuracy": _number(final.mean()),
        "diverged": trained.diverged.tolist(),
        "seconds": round(trained.seconds, 3),
        "output": str(asked.output),
        "export": None if options.export is None else str(options.export),
    }
    picture = to_png(curves_figure(trained, name))
    for file, content in (
        (CURVE, curves_table(trained).encode()),
        (PICTURE, picture),
        (METRICS, (json.dumps(metrics, indent=1) + "\n").encode()),
    ):
        try:
            write_whole(asked.output / file, content)
        except OSError as error:
            raise RunFolderError(
                f"cannot write {asked.output / file} ({error.strerror}); make room, and give "
                "--resume"
            ) from None
    if options.export is not None:
        export_network(
            *(trained, asked.train_set, asked.recipe.width, options.export),
            title=f"{name}, trained on {options.dataset}",
        )
    return metrics


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """As JSON has it; ``None`` where a network diverged."""
    return float(value) if np.isfinite(value) else None


def _text(metrics: dict[str, Any], asked: _Asked) -> str:
    """What a person reads on stdout."""
    of_each = ", ".join("diverged" if a is None else f"{a:.4f}" for a in metrics["test_accuracy"])
    lines = [
        f"{metrics['candidate']}: {metrics['parameters']:,} parameters, {metrics['steps']:,} steps "
        f"on {metrics['images']['train']:,} images of {asked.train_set.name}",
        f"test accuracy on {metrics['images']['test']:,} others: {of_each} (seeds "
        f"{', '.join(map(str, metrics['seeds']))})",
        f"written in {metrics['output']}: {CURVE}, {PICTURE}, {METRICS}, checkpoint.npz, after "
        f"{metrics['seconds']:.1f} s",
    ]
    if metrics["export"] is not None:
        lines.append(f"exported to {metrics['export']}: `python {metrics['export']}/load.py`")
    return "\n".join(lines)
