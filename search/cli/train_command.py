"""The subcommand ``kernas train``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernas.csv_text import csv_table
from kernas.errors import ConfigurationError, KernasError, RunFolderError
from kernas.execution import Local
from kernas.progress import progress_bar

from .agreement import told
from .best import Best, best_of_run
from .devices import configure_jax
from .executors import executor_of, tell_rates
from .exit_codes import DONE, FAILED
from .folders import numbered_folder, write_in_run
from .interruption import way_on
from .options import TrainOptions
from .printing import messages_aside, say, say_json, table_width, tell
from .space import candidate_of, space_of

if TYPE_CHECKING:
    from kernas.execution import Executor
    from kernas.kernels import Dataset

    from ..spaces import Candidate
    from ..training import Trained, TrainingSettings

EVALUATIONS = 20
"""Times at most that the test images are classified, for the curve."""

CURVE, PICTURE, METRICS, BEST = "curve.csv", "curve.png", "metrics.json", "best.csv"

DATASET = "digits"
"""Whose images are trained on by default."""


def run_train(options: TrainOptions) -> int:
    """Train, write the folder, print what came out, and return the exit code."""
    configure_jax(options.device, "float32", compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        asked = _asked(options)
        if not _begin(options, asked):
            return DONE
        trained = _trained(options, asked)
        found = [
            _written(options, asked, job, networks)
            for job, networks in zip(asked.jobs, trained, strict=True)
        ]
        exported = _exported(options, asked, trained)
        if asked.best is not None:
            write_in_run(asked.output / BEST, _best_table(asked.best, found).encode())
    if options.json:
        say_json(found[0] if asked.best is None else {"best": found})
    else:
        texts = [_text(metrics, asked) for metrics in found]
        if asked.best is not None:
            texts = [_best_text(asked, found)]
        if exported is not None:
            texts.append(f"exported to {exported}: `python {exported}/load.py`")
        say("\n".join(texts))
    return FAILED if all(one.diverged.all() for one in trained) else DONE


@dataclass(frozen=True)
class Job:
    """One network that is trained.

    Attributes:
        output: its run folder.
        every: steps between evaluations.
    """

    candidate: Candidate
    recipe: TrainingSettings
    output: Path
    steps: int
    every: int


@dataclass(frozen=True)
class _Asked:
    """What the options ask for, all of it checked.

    Attributes:
        dataset: its name.
        best: the run that chose the candidates, if one did.
        executor: who trains; ``None`` for this process.
    """

    jobs: list[Job]
    dataset: str
    train_set: Dataset
    test_set: Dataset
    output: Path
    best: Best | None
    executor: Executor | None


def _asked(options: TrainOptions) -> _Asked:
    from kernas.kernels.data import load

    from ..training import TrainingSettings
    from ..training.checkpoints import NAME
    from ..training.export import check_export

    named = {field.name for field in fields(TrainingSettings)}
    recipe = TrainingSettings(**{name: getattr(options, name) for name in named})
    if options.seeds < 1:
        raise ConfigurationError(f"--seeds {options.seeds}: expected how many, 1 or more")
    if options.export is not None:
        check_export(options.export)
    executor = executor_of(options.executor, options.device)
    candidates, best = _candidates(options)
    dataset = options.dataset or (DATASET if best is None else best.dataset)
    output = options.output or numbered_folder("train", dataset, options.resume)
    folders = [output] if best is None else [output / str(n + 1) for n in range(len(candidates))]
    for folder in folders:
        if (folder / NAME).exists() and not options.resume:
            raise RunFolderError(
                f"{folder} already holds a training; give --resume to go on with it, or choose "
                "another output folder"
            )
    train_set, test_set = load(
        dataset,
        n_train=options.n_train,
        n_test=options.n_test,
        image_size=options.image_size,
        resize=options.resize,
        seed=options.seed,
    )
    jobs = [
        _job(candidate, recipe, folder, train_set)
        for candidate, folder in zip(candidates, folders, strict=True)
    ]
    return _Asked(jobs, dataset, train_set, test_set, output, best, executor)


def _candidates(options: TrainOptions) -> tuple[list[Candidate], Best | None]:
    """The one network that is named, or the best ones of a run."""
    if (options.architecture is None) == (options.best is None):
        raise ConfigurationError(
            "expected one network, CELL|FILE, or --best RUN, the folder of a search or a ranking"
        )
    if options.architecture is not None:
        return [candidate_of(options, options.architecture)], None
    assert options.best is not None
    space = None if options.space is None else space_of(options)
    best = best_of_run(options.best, options.top, space)
    return best.candidates, best


def _job(candidate: Candidate, recipe: TrainingSettings, output: Path, train_set: Dataset) -> Job:
    from ..training.trained import recipe_for

    own = recipe_for(candidate, recipe)
    candidate.space.check_shape(train_set.input_shape)
    steps = own.steps_for(train_set)
    each = len(train_set) // own.batch_size
    every = each * max(1, -(-steps // each) // EVALUATIONS)
    return Job(candidate, own, output, steps, min(every, steps))


def _begin(options: TrainOptions, asked: _Asked) -> bool:
    """Whether to begin, once it was said what it takes."""
    from ..training import estimate_training

    if options.yes and options.quiet:
        return True
    if not options.quiet:
        tell("compiling the training, to time some of its steps …")
    job = asked.jobs[0]
    estimate = estimate_training(
        *(job.candidate, asked.train_set, job.recipe),
        seeds=options.seeds,
        n_test=len(asked.test_set),
        evaluations=-(-job.steps // job.every),
    )
    n = len(asked.jobs)
    more = f", and {n - 1} more, each about as long" if n > 1 else ""
    said = f"{options.seeds} × {job.candidate.name}: {estimate}{more}"
    return told(said, n * estimate.seconds, yes=options.yes, quiet=options.quiet)


def _trained(options: TrainOptions, asked: _Asked) -> list[Trained]:
    """Every job's networks, in the order of the jobs."""
    again = "the same command" if options.resume else f"--output {asked.output} --resume"
    here = asked.executor is None
    task = TrainingTask(
        *(asked.train_set, asked.test_set, options.seeds, asked.output.absolute()),
        progress=here and not options.quiet,
    )
    # Who trains elsewhere is in a folder of its own.
    items = [(n, replace(job, output=job.output.absolute())) for n, job in enumerate(asked.jobs)]
    found: dict[int, Trained] = {}
    with (
        way_on(f"{asked.output} keeps what was done; give {again} to go on"),
        progress_bar(
            shown=not here and not options.quiet,
            total=len(asked.jobs),
            desc="train",
            unit="network",
        ) as bar,
    ):
        for number, trained in (asked.executor or Local()).map(task, items):
            found[number] = trained
            bar.update()
    tell_rates(asked.executor)
    return [found[number] for number in range(len(asked.jobs))]


@dataclass(frozen=True)
class TrainingTask:
    """Trains networks, each with its state in a folder of its own, and says of which number it is.

    Attributes:
        train_set, test_set: images.
        seeds: of each network.
        output: the folder that has those of all networks.
        progress: whether to show a bar for each.
    """

    train_set: Dataset
    test_set: Dataset
    seeds: int
    output: Path
    progress: bool = False

    @property
    def folders(self) -> tuple[Path, ...]:
        """What all who train write into."""
        return (self.output,)

    def begin(self, item: tuple[int, Job]) -> Callable[[], tuple[int, Trained]]:
        """Train one."""
        from ..training import train

        number, job = item
        trained = train(
            *(job.candidate, self.train_set, self.test_set, job.recipe),
            seeds=self.seeds,
            evaluate_every=job.every,
            folder=job.output,
            progress=self.progress,
        )
        return lambda: (number, trained)

    def failed(self, item: tuple[int, Job], message: str) -> tuple[int, Trained]:
        """Without its networks there is nothing to write.

        Raises:
            KernasError: with the message.
        """
        raise KernasError(f"{item[1].candidate.name}: {message}; what was done is kept")


def _written(options: TrainOptions, asked: _Asked, job: Job, trained: Trained) -> dict[str, Any]:
    """The files of a network's run folder; returns the metrics."""
    from ..report.curves import curves_figure, curves_table
    from ..report.panels import to_png
    from ..runs.environment import environment

    name = job.candidate.name
    final = trained.test_accuracy
    metrics: dict[str, Any] = {
        "candidate": name,
        "hash": job.candidate.key,
        "dataset": asked.dataset,
        "images": {"train": len(asked.train_set), "test": len(asked.test_set)},
        "image_shape": list(asked.train_set.input_shape),
        "settings": job.recipe.settings(),
        "steps": len(trained.losses),
        "seeds": list(trained.seeds),
        "parameters": trained.parameters,
        "test_accuracy": _numbers(final),
        "train_accuracy": _numbers(trained.train_accuracy),
        "mean_test_accuracy": _number(final.mean()),
        "diverged": trained.diverged.tolist(),
        "seconds": round(trained.seconds, 3),
        "output": str(job.output),
        "export": None if options.export is None else str(options.export),
        **environment(),
    }
    for file, content in (
        (CURVE, curves_table(trained).encode()),
        (PICTURE, to_png(curves_figure(trained, name))),
        (METRICS, (json.dumps(metrics, indent=1) + "\n").encode()),
    ):
        write_in_run(job.output / file, content)
    return metrics


def _exported(options: TrainOptions, asked: _Asked, trained: Sequence[Trained]) -> Path | None:
    """Export the network of the highest test accuracy, if one is to be; returns its folder."""
    from ..training import export_network

    if options.export is None:
        return None
    means = [np.nan_to_num(one.test_accuracy.mean(), nan=-1.0) for one in trained]
    place = int(np.argmax(means))
    job = asked.jobs[place]
    export_network(
        *(trained[place], asked.train_set, job.recipe.width, options.export),
        title=f"{job.candidate.name}, trained on {asked.dataset}",
    )
    return options.export


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """As JSON has it; ``None`` where a network diverged."""
    return float(value) if np.isfinite(value) else None


def _text(metrics: Mapping[str, Any], asked: _Asked) -> str:
    """What a person reads on stdout of one network."""
    of_each = ", ".join("diverged" if a is None else f"{a:.4f}" for a in metrics["test_accuracy"])
    return "\n".join(
        [
            f"{metrics['candidate']}: {metrics['parameters']:,} parameters, {metrics['steps']:,} "
            f"steps on {metrics['images']['train']:,} images of {asked.train_set.name}",
            f"test accuracy on {metrics['images']['test']:,} others: {of_each} (seeds "
            f"{', '.join(map(str, metrics['seeds']))})",
            f"written in {metrics['output']}: {CURVE}, {PICTURE}, {METRICS}, checkpoint.npz, after "
            f"{metrics['seconds']:.1f} s",
        ]
    )


def _best_lines(best: Best, found: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Of each candidate its rank in the run, its score there and what was measured."""
    lines: list[list[Any]] = []
    for place, (value, metrics) in enumerate(zip(best.values, found, strict=True), start=1):
        known = [accuracy for accuracy in metrics["test_accuracy"] if accuracy is not None]
        mean = float(np.mean(known)) if known else None
        error = float(np.std(known, ddof=1) / len(known) ** 0.5) if len(known) > 1 else None
        lines.append([place, value, mean, error, metrics["parameters"], metrics["candidate"]])
    return lines


def _best_table(best: Best, found: Sequence[Mapping[str, Any]]) -> str:
    head = ["rank", best.score, "test_accuracy", "standard_error", "parameters", "candidate"]
    return csv_table([head, *_best_lines(best, found)])


def _best_text(asked: _Asked, found: Sequence[Mapping[str, Any]]) -> str:
    """What a person reads on stdout of the best of a run."""
    from ..ranking.layout import fitted

    assert asked.best is not None
    lines = [["rank", asked.best.score, "test accuracy", "parameters", "name"]]
    for rank, value, mean, error, parameters, name in _best_lines(asked.best, found):
        accuracy = "diverged" if mean is None else f"{mean:.4f}"
        accuracy += "" if error is None else f" ± {error:.4f}"
        lines.append([str(rank), f"{value:.4g}", accuracy, f"{parameters:,}", name])
    seeds = len(found[0]["seeds"])
    images = found[0]["images"]
    return "\n".join(
        [
            fitted(lines, table_width(), spare=()),
            "",
            f"Trained on {images['train']:,} images of {asked.train_set.name}, tested on "
            f"{images['test']:,} others; mean of {seeds} seed{'s' if seeds > 1 else ''}"
            + (", ± one standard error" if seeds > 1 else ""),
            f"written in {asked.output}: {BEST}, and a folder for each with {CURVE}, {PICTURE}, "
            f"{METRICS}, checkpoint.npz",
        ]
    )
