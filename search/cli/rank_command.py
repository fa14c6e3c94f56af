"""The subcommand ``kernas rank``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .agreement import told
from .devices import configure_jax
from .executors import executor_of, tell_rates
from .exit_codes import DONE, FAILED
from .folders import numbered_folder
from .images import Images, check_images, image_seeds, read_images, say_resized, scores_on
from .interruption import way_on
from .options import RankOptions
from .printing import messages_aside, say, say_json, table_width, tell
from .space import space_of
from .truth import space_text, truth_of

if TYPE_CHECKING:
    from kernas.execution import Executor

    from ..ranking import Ranking, RankingEstimate
    from ..spaces import Candidate, Space
    from ..truth import Truth

SHOWN, SHOWN_SCORES = 10, 8
"""Candidates in the table on stdout, and scores; all are in the file."""


def run_rank(options: RankOptions) -> int:
    """Rank as the options say, print the result, and return the exit code."""
    configure_jax(options.device, options.dtype, compilation_cache=options.compilation_cache)
    with messages_aside(options.json):
        asked = _asked(options)
        ranking = None if options.dry_run or not _begin(options, asked) else _rank(options, asked)
    if options.dry_run:
        if options.json:
            say_json(asdict(asked.estimate), indent=None)
        else:
            say(str(asked.estimate))
        return DONE
    if ranking is None:
        return DONE
    if options.json:
        say_json(dict(ranking.summary), indent=None)
    else:
        say(_text(ranking, asked, options))
    failed = [row for row in ranking.rows if row.status == "error"]
    if len(failed) == len(ranking.rows):
        tell(f"kernas: all {len(failed)} candidates failed, the first with {failed[0].message}")
        return FAILED
    return DONE


class _Asked(NamedTuple):
    """What the options ask for, all of it checked: arguments of ``rank``, and what it will take."""

    arguments: dict[str, Any]
    executor: Executor | None
    output: Path
    images: Images
    estimate: RankingEstimate


def _asked(options: RankOptions) -> _Asked:
    from ..pipeline import check_output, estimate_ranking
    from ..scores.registry import check_score_names

    check_score_names(options.score)
    executor = executor_of(options.executor, options.device, options.workers)
    space, seeds = space_of(options, space_text(options)), image_seeds(options)
    if options.image_size is not None and not options.architectures:
        space.check_shape((options.image_size, options.image_size, 1))
    output = options.output or numbered_folder("rank", options.dataset, options.resume)
    check_output(output, _identity(options, space, None), resume=options.resume)
    truth = truth_of(options, space)
    candidates = _candidates(options, space, truth)
    if truth is not None and options.truth is None and not truth.covers(candidates):
        truth = None  # nobody asked for it
    if truth is not None:
        truth.require(candidates)
    draws = [read_images(options, seed) for seed in seeds]
    if not options.quiet:
        say_resized(draws[0].fit)
    check_images(candidates, draws[0].fit, options.augment)
    arguments = {
        "candidates": candidates,
        "scores": scores_on(options, options.score, draws, options.grams),
        "output": output,
        "resume": options.resume,
        "truth": truth,
        "seed": _seed(options, options.bootstrap_seed),
        "options": _identity(options, space, draws[0]),
    }
    return _Asked(arguments, executor, output, draws[0], estimate_ranking(**arguments))


def _begin(options: RankOptions, asked: _Asked) -> bool:
    estimate = asked.estimate
    return told(estimate, estimate.most_seconds, yes=options.yes, quiet=options.quiet)


def _rank(options: RankOptions, asked: _Asked) -> Ranking:
    from ..pipeline import rank

    again = "the same command" if options.resume else f"--output {asked.output} --resume"
    with way_on(f"{asked.output} keeps what was finished; give {again} to go on"):
        ranking = rank(**asked.arguments, executor=asked.executor, progress=not options.quiet)
    tell_rates(asked.executor, asked.output)
    return ranking


def _seed(options: RankOptions, own: int | None) -> int:
    return options.seed if own is None else own


def _candidates(options: RankOptions, space: Space, truth: Truth | None) -> list[Candidate]:
    from ..spaces import read_candidates

    if options.architectures:
        return read_candidates(options.architectures, space)
    seed = _seed(options, options.cell_seed)
    if truth is not None and truth.space is not None:
        return truth.sample(space, options.sample, seed=seed)
    drawn = space.sample(options.sample, seed=seed)
    if truth is None or truth.covers(drawn):
        return drawn
    known = sum(map(space.recognises, truth))
    if known < options.sample:
        return drawn
    measured = truth.sample(space, options.sample, seed=seed)
    if not options.quiet:
        tell(f"candidates are drawn among the {known:,} of {truth.source}")
    return measured


def _identity(options: RankOptions, space: Space, images: Images | None) -> dict[str, Any]:
    """The options that decide what is computed of a candidate, named as on the command line; what
    the images decide, once they are read. Candidates, scores and truth may become more or others in
    a run that is resumed."""
    own_seed = options.image_seed not in (None, options.seed)
    read: dict[str, Any] = {}
    if images is not None:
        info = images.fit.info
        resized = {"resize": info["resize"]} if "resize" in info else {}
        read = {
            "image_shape": list(images.fit.input_shape),
            **resized,
            "n_validation": images.n_validation,
        }
    return {
        "dataset": options.dataset,
        "seed": options.seed,
        **({"image_seed": options.image_seed} if own_seed else {}),
        **({"image_seeds": options.image_seeds} if options.image_seeds > 1 else {}),
        "ridge": options.ridge,
        **read,
        "n_train": options.n_train,
        "n_reference": options.n_reference,
        "space": space.settings(),
    }


def _text(ranking: Ranking, asked: _Asked, options: RankOptions) -> str:
    """What a person reads on stdout."""
    from ..report.files import report_names

    shown = dict(list(ranking.directions.items())[:SHOWN_SCORES])
    top = replace(ranking.top(SHOWN), directions=shown)
    parts = [top.table(table_width())]
    table = asked.output / "ranking.csv"
    if len(ranking) > SHOWN:
        parts.append(f"… {len(ranking) - SHOWN} more in {table}")
    if len(shown) < len(ranking.directions):
        parts.append(f"… {len(ranking.directions) - len(shown)} scores more in {table}")
    parts += ["", *_legend(ranking, asked.images, options)]
    if ranking.statistics:
        parts += ["", *_agreement(ranking)]
    parts += _on_truth(asked.arguments["truth"])
    failed = sum(row.status == "error" for row in ranking.rows)
    degenerate = sum(row.status == "degenerate" for row in ranking.rows)
    of = "" if options.architectures else f" of {space_text(options)}"
    parts.append(
        f"{len(ranking)} candidates{of} ({degenerate} degenerate, {failed} failed) in "
        f"{ranking.summary['seconds']:.1f} s; written in {asked.output}: "
        + ", ".join(report_names(ranking))
    )
    parts.append(f"kernas report {asked.output} --open shows it as a page.")
    return "\n".join(parts)


def _agreement(ranking: Ranking) -> list[str]:
    """How well the scores order the candidates like the truth, in a table."""
    n = next(iter(ranking.statistics.values())).n
    return [
        f"Agreement with the truth of {n} candidates, with 95% intervals; behind: how far below "
        "the best; best tenth: the share of it that is found; s: seconds a candidate, of all "
        "scores from one source together.",
        ranking.comparison().table(table_width()),
    ]


def _on_truth(truth: Truth | None) -> list[str]:
    """What was measured, if it is the truth in the package."""
    from ..truth.shipped import protocol, shipped_truths

    if truth is None or truth.source not in shipped_truths():
        return []
    how = protocol(truth.source)
    agreement = how["agreement"]
    return [
        f"The truth {truth.source}: the mean test accuracy of {how['seeds']} networks of each "
        f"candidate, trained on {how['images']['train']:,} images. Two of them agree with one "
        f"another at Spearman {agreement['all']:.2f} ({agreement['better half']:.2f} in the better "
        "half)."
    ]


def _legend(ranking: Ranking, judged: Images, options: RankOptions) -> list[str]:
    """What the table's columns mean, and how sure its order is."""
    from ..scores.registry import check_score_names, known_score

    asked = {name: check_score_names(name)[0] for name in ranking.directions}
    known = {name: known_score(name) for name, one in asked.items() if isinstance(one, str)}
    legend: list[str] = []
    shown = list(ranking.directions)[:SHOWN_SCORES]
    for name in shown:
        higher = ranking.directions[name]
        text = known[name].text if name in known else "ranks of the scores that it combines"
        head = "" if legend else "Ranked by "
        legend.append(f"{head}{name}, {'higher' if higher else 'lower'} is better: {text}.")
    images = f"{options.n_train} images of {options.dataset}"
    if judged.n_validation:
        images += f", judged on {judged.n_validation} others by the validation scores"
    draws = options.image_seeds
    over = f" over {draws} draws of the images" if draws > 1 else ""
    if any(score.cost == "kernel" for score in known.values()):
        legend.append(
            f"Kernel regression on {images}, with the exact kernel of each network at infinite "
            f"width; ridge {options.ridge:g} of the kernel's mean diagonal."
        )
    if any(score.cost == "proxy" for score in known.values()):
        legend.append(
            f"Proxies are means over {options.repeats} networks of width {options.width}, drawn "
            "and not trained."
        )
    legend.append(f"± is one standard error{over}; =3 shares the third place.")
    for name in shown:
        near = ranking.by(name).near_best()
        if near is not None and near > 1:
            legend.append(f"By {name}, {near} of {len(ranking)} lie within ± of the best.")
    outside = ranking.summary["outside_cover"]
    if outside:
        legend.append(
            f"{outside} lie outside what the space's cover compiles: they have programs of their "
            "own."
        )
    failed = [row for row in ranking if row.status == "error"]
    if failed:
        legend.append(f"{len(failed)} failed, the first with: {failed[0].message}")
    return legend
