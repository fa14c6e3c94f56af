"""The subcommand ``kernas rank``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernas.errors import ConfigurationError, DataError

from .devices import configure_jax
from .exit_codes import DONE, FAILED
from .interruption import way_on
from .options import RankOptions
from .printing import messages_aside, say, say_json, tell
from .space import space_of

if TYPE_CHECKING:
    from kernas.kernels.data import Dataset

    from ..ranking.table import Ranking
    from ..spaces import Candidate, Space

NAMED_IMAGE_SIZE = 8
SHOWN = 10


def run_rank(options: RankOptions) -> int:
    """Rank as the options say, print the result, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        ranking, output = _rank(options)
    if options.json:
        say_json(dict(ranking.summary), indent=None)
    else:
        say(_text(ranking, output, options))
    failed = [row for row in ranking.rows if row.status == "error"]
    if len(failed) == len(ranking.rows):
        tell(f"kernas: all {len(failed)} candidates failed, the first with {failed[0].message}")
        return FAILED
    return DONE


def _rank(options: RankOptions) -> tuple[Ranking, Path]:
    from kernas.kernels.augmentation import named

    from ..pipeline import rank
    from ..scores.names import check_score_names, parse_scores
    from ..truth import load_truth

    check_score_names(options.score)
    space = space_of(options)
    if options.image_size is not None and not options.architectures:
        space.check_image_size(options.image_size)
    candidates = _candidates(options, space)
    truth = None
    if options.truth is not None:
        truth = load_truth(options.truth, options.truth_column)
        truth.require(candidate.name for candidate in candidates)
    fit, validation = _data(options)
    _check_images(candidates, space, fit)
    scores = parse_scores(
        options.score,
        fit,
        validation,
        ridge=options.ridge,
        n_reference=options.n_reference,
        reference_seed=options.seed,
        grams=options.grams,
        backend=options.backend,
        augment=named(options.augment),
    )
    output = options.output or _numbered_folder(options.dataset, options.resume)
    again = "the same command" if options.resume else f"--output {output} --resume"
    with way_on(f"{output} keeps what was finished; give {again} to go on"):
        ranking = rank(
            candidates,
            scores,
            output=output,
            resume=options.resume,
            truth=truth,
            seed=options.seed,
            progress=not options.quiet,
            options=_identity(options, space, fit),
        )
    return ranking, output


def _candidates(options: RankOptions, space: Space) -> list[Candidate]:
    from ..spaces import read_candidates

    if options.architectures:
        return read_candidates(options.architectures, space)
    return space.sample(options.sample, seed=options.seed)


def _data(options: RankOptions) -> tuple[Dataset, Dataset | None]:
    """The images of the regression, and those of the validation if any."""
    from kernas.kernels.data import load
    from kernas.kernels.data.known import known_name

    n_train, n_validation = options.n_train, options.n_validation
    if n_train < 1 or n_validation < 0:
        name, value = ("--n-train", n_train) if n_train < 1 else ("--n-validation", n_validation)
        raise ConfigurationError(f"{name} {value}: expected a number of images, for example 100")
    size = options.image_size
    if size is None and known_name(options.dataset) is not None:
        size = NAMED_IMAGE_SIZE
    total = n_train + n_validation
    try:
        train, _ = load(
            options.dataset,
            n_train=total,
            n_test=1,
            image_size=size,
            resize=options.resize,
            seed=options.seed,
            standardize=False,
        )
    except ConfigurationError as error:
        raise ConfigurationError(
            f"--dataset {options.dataset} with --n-train {n_train} and --n-validation "
            f"{n_validation}, {total} images in all: {error}"
        ) from None
    if n_train < train.n_classes:
        raise ConfigurationError(
            f"--n-train {n_train} for the {train.n_classes} classes of {train.name}: expected at "
            f"least one image of each, --n-train {train.n_classes} or more"
        )
    if n_validation == 0:
        return train.standardized(train), None
    fit, validation = train.split(n_train / total, seed=options.seed)
    return fit.standardized(fit), validation.standardized(fit)


def _check_images(candidates: Sequence[Candidate], space: Space, fit: Dataset) -> None:
    """Refuse images that the space's skeleton cannot take; lists of JSON may hold other nets."""
    if not any("|" in candidate.name for candidate in candidates):
        return
    if len(fit.input_shape) != 3:
        raise DataError(
            f"{fit.name} has vectors of {fit.input_shape[0]} features: the cells of {space.name} "
            "need images (n, height, width, channels)"
        )
    for side in fit.input_shape[:2]:
        space.check_image_size(side)


def _numbered_folder(dataset: str, resume: bool) -> Path:
    """``runs/rank-DATASET-N``: the first unused N, or the last used one to resume."""
    stem = f"rank-{re.sub(r'[^A-Za-z0-9]+', '-', Path(dataset).stem)}-"
    runs = Path("runs")
    found = runs.glob(f"{stem}*") if runs.is_dir() else []
    numbers = [
        int(path.name.removeprefix(stem))
        for path in found
        if path.name.removeprefix(stem).isdecimal()
    ]
    last = max(numbers, default=0)
    return runs / f"{stem}{max(last, 1) if resume else last + 1}"


def _identity(options: RankOptions, space: Space, fit: Dataset) -> dict[str, Any]:
    """The options that decide the result, named as on the command line."""
    chosen = (
        {"architectures": list(options.architectures)}
        if options.architectures
        else {"sample": options.sample}
    )
    return {
        "dataset": options.dataset,
        **chosen,
        "seed": options.seed,
        "score": options.score,
        "ridge": options.ridge,
        "image_shape": list(fit.input_shape),
        **({"resize": fit.info["resize"]} if "resize" in fit.info else {}),
        "n_train": options.n_train,
        "n_validation": options.n_validation,
        "n_reference": options.n_reference,
        "space": space.settings(),
        "truth": options.truth,
        "truth_column": options.truth_column if options.truth else None,
    }


def _text(ranking: Ranking, output: Path, options: RankOptions) -> str:
    """What a person reads on stdout."""
    from ..report.files import report_names

    parts = [str(ranking.top(SHOWN))]
    if len(ranking) > SHOWN:
        parts.append(f"… {len(ranking) - SHOWN} more in {output / 'ranking.csv'}")
    parts += ["", *_legend(ranking, options)]
    for name, value in ranking.statistics.items():
        parts.append(f"{name} with the truth (95% intervals): {value}")
    failed = sum(row.status == "error" for row in ranking.rows)
    degenerate = sum(row.status == "degenerate" for row in ranking.rows)
    parts.append(
        f"{len(ranking)} candidates ({degenerate} degenerate, {failed} failed) in "
        f"{ranking.summary['seconds']:.1f} s; written in {output}: "
        + ", ".join(report_names(ranking))
    )
    return "\n".join(parts)


def _legend(ranking: Ranking, options: RankOptions) -> list[str]:
    """What the table's columns mean, and how sure its order is."""
    first = next(iter(ranking.directions))
    ways = {True: "higher", False: "lower"}
    directions = ", ".join(f"{name} {ways[up]}" for name, up in ranking.directions.items())
    images = f"{options.n_train} images of {options.dataset}"
    if options.n_validation:
        images += f", judged on {options.n_validation} others by the validation scores"
    legend = [
        f"Ranked by {first}. Better is: {directions}.",
        f"Kernel regression on {images}; ridge {options.ridge:g}; ± is one standard error; "
        "=3 shares the third place.",
    ]
    for name in ranking.directions:
        near = ranking.by(name).near_best()
        if near is not None and near > 1:
            legend.append(f"By {name}, {near} of {len(ranking)} lie within ± of the best.")
    return legend
