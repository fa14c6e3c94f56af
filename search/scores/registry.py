"""Scores by their names, as the command line and the records write them, and what each one is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from kernas.errors import ConfigurationError
from kernas.fields import nearest
from kernas.kernels.data import Dataset
from kernas.kernels.finite.network import Parameterization
from kernas.kernels.regression import METRICS, Normalization

from ..defaults import PRESETS
from ..training import TrainingSettings
from .base import Score, check_scores
from .combined import HOWS, Combined, How
from .counts import COUNTS, DEFAULT_WIDTH, CountScore
from .kernel_score import KernelScore
from .kernel_source import KERNELS, STANDARD, KernelName, name_of
from .proxies import PROXIES, ProxyScore
from .proxies.score import BATCH, REPEATS
from .sampled_kernels import OF, SampledKernelScore, SampledName
from .trained import NAME, TrainScore

CostClass = Literal["counted", "proxy", "kernel", "sampled", "trained"]

COST_CLASSES: Mapping[CostClass, str] = {
    "counted": "from the description alone, a fraction of a second",
    "proxy": "networks that are drawn and not trained, a few passes of one batch of the images; "
    "NAME@… is a variant of NAME",
    "kernel": "one kernel matrix of the images, no training; nngp: the infinitely wide network as "
    "a Gaussian process, ntk: trained by gradient descent, ntk_standard: likewise, with the "
    "numbers of parameters of a finite width",
    "sampled": "the kernels of networks that are drawn and not trained, averaged over some: "
    "seconds; not in all",
    "trained": "finite networks, trained from several seeds: seconds to minutes",
}
"""What a candidate takes, from the cheapest on."""

OF_NETWORKS = ("width", "batch_size", "repeats", "seed")
"""Options of scores that are of finite networks."""

OF_NORMALIZED: Mapping[str, str] = {
    "cosine": ", from the kernel's cosines",
    "centred": ", from the centred kernel",
}
"""What the name of a kernel's score may end in, after an @, and what that makes of its text."""


@dataclass(frozen=True)
class KnownScore:
    """A score that has a name.

    Attributes:
        name: as in ``--score``.
        text: what it is, in a few words.
        higher_is_better: its direction.
        cost: a key of ``COST_CLASSES``.
        reference: where it comes from.
        make: the score on labelled images, further ones, and options of ``parse_scores``.
    """

    name: str
    text: str
    higher_is_better: bool
    cost: CostClass
    reference: str
    make: Callable[[Dataset, Dataset | None, Mapping[str, Any]], Score]


def _kernel_score(kernel: str, metric: str, normalization: Normalization = "raw") -> KnownScore:
    known = METRICS[metric]
    known.check(normalization)
    get: KernelName = "nngp" if kernel == "nngp" else "ntk"
    parameterization: Parameterization = "standard" if kernel == STANDARD else "ntk"

    def make(fit: Dataset, validation: Dataset | None, options: Mapping[str, Any]) -> Score:
        own = {name: value for name, value in options.items() if name not in OF_NETWORKS}
        if kernel == STANDARD:
            own |= {"parameterization": parameterization}
            own |= {"width": options.get("width", DEFAULT_WIDTH)}
        return KernelScore(
            fit, validation, get=get, metric=metric, normalization=normalization, **own
        )

    return KnownScore(
        name_of(get, metric, normalization, parameterization),
        known.text + OF_NORMALIZED.get(normalization, ""),
        known.higher_is_better,
        "kernel",
        known.reference,
        make,
    )


def _kernel_scores() -> list[KnownScore]:
    return [_kernel_score(kernel, metric) for kernel in (*KERNELS, STANDARD) for metric in METRICS]


def _counts() -> list[KnownScore]:
    def known(name: str, text: str) -> KnownScore:
        def make(fit: Dataset, validation: Dataset | None, options: Mapping[str, Any]) -> Score:
            width = options.get("width", DEFAULT_WIDTH)
            return CountScore(name, fit.input_shape, fit.n_classes, width)

        return KnownScore(name, text, True, "counted", "Krishnakumar et al. 2022, section 3", make)

    return [known(name, text) for name, text in COUNTS.items()]


def _proxies() -> list[KnownScore]:
    def known(name: str) -> KnownScore:
        proxy = PROXIES[name]

        def make(fit: Dataset, validation: Dataset | None, options: Mapping[str, Any]) -> Score:
            batch_size = options.get("batch_size") or min(BATCH, len(fit) // 2)
            width, repeats = options.get("width", DEFAULT_WIDTH), options.get("repeats", REPEATS)
            first = options.get("seed", 0) * repeats
            return ProxyScore(fit, name, width, batch_size, repeats, first)

        return KnownScore(name, proxy.text, proxy.higher_is_better, "proxy", proxy.reference, make)

    return [known(name) for name in PROXIES]


def _sampled() -> list[KnownScore]:
    def known(get: SampledName, metric: str) -> KnownScore:
        of = METRICS[metric]

        def make(fit: Dataset, validation: Dataset | None, options: Mapping[str, Any]) -> Score:
            names = ("width", "repeats", "ridge", "n_reference")
            own = {name: options[name] for name in names if options.get(name) is not None}
            first = options.get("seed", 0) * own.get("repeats", REPEATS)
            return SampledKernelScore(fit, validation, get, metric, seed=first, **own)

        text = f"{of.text}, with the mean {OF[get].upper()} of networks of finite width"
        return KnownScore(
            f"{get}:{metric}", text, of.higher_is_better, "sampled", "Park et al. 2020", make
        )

    return [known(get, metric) for get in OF for metric in ("validation_accuracy", "loo_error")]


def _trained() -> list[KnownScore]:
    def make(fit: Dataset, validation: Dataset | None, options: Mapping[str, Any]) -> Score:
        size = min(TrainingSettings.batch_size, len(fit))
        width = options.get("width", TrainingSettings.width)
        return TrainScore(fit, validation, TrainingSettings(width=width, batch_size=size))

    text = "validation accuracy of trained networks, mean over seeds"
    return [KnownScore(NAME, text, True, "trained", "Dong and Yang 2020, section 2.2", make)]


SCORES: Mapping[str, KnownScore] = {
    known.name: known
    for known in _counts() + _proxies() + _kernel_scores() + _sampled() + _trained()
}
"""Every score by its name; names with an @ are known to :func:`known_score`."""

ALL = "all"
"""In place of the names of every score that neither trains nor samples kernels."""

AGGREGATES: Mapping[str, str] = {
    "az_nas": "log_rank(expressivity, progressivity, trainability, flops)",
    "vkdnw_agg": "log_rank(vkdnw, jacob_cov, expressivity, trainability, flops)",
    "abdelfattah_vote": "vote(synflow, jacob_cov, snip)",
}
"""Names of published combinations: Lee and Ham 2024, section 3.2; Tybl and Neumann 2025, section
3.4; Abdelfattah et al. 2021, section 3.3."""

NAMED: Mapping[str, str] = {
    **{name: preset.score for name, preset in PRESETS.items()},
    **AGGREGATES,
}
"""What a name on the command line stands for that is no score's own."""

_COMBINED = re.compile(rf"({'|'.join(HOWS)})\s*\((.*)\)", re.DOTALL)


def score_names() -> list[str]:
    """Every score's name."""
    return list(SCORES)


def known_score(name: str) -> KnownScore:
    """The score of a name.

    Args:
        name: one of :func:`score_names`, or one of a kernel with what is made of the kernel first:
            ``ntk:gcv@cosine``, ``ntk:gcv@centred``.

    Raises:
        ConfigurationError: it is unknown (the message lists all names), or of a metric that cannot
            be computed from such a kernel.
    """
    if name in SCORES:
        return SCORES[name]
    plain, at, normalization = name.partition("@")
    known = SCORES.get(plain)
    if known is None:
        of_kernels = [own.name for own in SCORES.values() if own.cost == "kernel"]
        spellings = [*SCORES, *(spelling for own in of_kernels for spelling in _normalized(own))]
        raise ConfigurationError(
            f"unknown score {name!r}{nearest(name, spellings)}, expected one or more of "
            f"{', '.join(SCORES)}, kernels' also as {' or '.join(_normalized('NAME'))}, or "
            f"{HOWS[0]}(…) of some, separated by commas"
        )
    if not at:
        return known
    if known.cost != "kernel" or normalization not in OF_NORMALIZED:
        spellings = [plain, *(_normalized(plain) if known.cost == "kernel" else ())]
        raise ConfigurationError(
            f"unknown normalisation in score {name!r}{nearest(name, spellings)}, expected "
            f"{', '.join(spellings)}"
        )
    kernel, _, metric = plain.partition(":")
    return _kernel_score(kernel, metric, cast(Normalization, normalization))


def _normalized(name: str) -> list[str]:
    """The spellings of a kernel's score that normalise the kernel first."""
    return [f"{name}@{normalization}" for normalization in OF_NORMALIZED]


def check_score_names(text: str) -> list[str | Combined]:
    """The scores of a text: names, and combinations of names.

    Args:
        text: comma-separated names, and ``log_rank(…)`` or ``rank(…)`` of comma-separated names,
            each perhaps with its weight: ``2*ntk:loo_error``; ``all`` for every other score that
            trains and samples nothing, without variants; a name of ``NAMED`` for what it stands
            for.

    Returns:
        What is asked for, in order, each followed by what it needs that is not there yet.

    Raises:
        ConfigurationError: a name is unknown (the message lists all names) or given twice.
    """
    asked: list[str | Combined] = []
    needed: list[str] = []
    for part in comma_separated(text):
        if part == ALL:
            asked += [name for name in _untrained() if name not in asked]
            continue
        part = NAMED.get(part, part)
        combined = _COMBINED.fullmatch(part)
        if combined is None:
            asked.append(known_score(part).name)
        else:
            how, inside = combined.groups()
            weights = dict(_weighted(name) for name in comma_separated(inside))
            if len(weights) < len(comma_separated(inside)):
                raise ConfigurationError(f"{part!r} combines a score with itself; give each once")
            asked.append(Combined(weights, cast(How, how)))
            needed += weights
    for number, one in enumerate(asked):
        if one in asked[:number]:
            name = one if isinstance(one, str) else one.name
            raise ConfigurationError(f"score {name!r} is given twice; give every score once")
    return asked + [name for name in dict.fromkeys(needed) if name not in asked]


def _untrained() -> list[str]:
    """What ``all`` stands for."""
    slow = ("sampled", "trained")
    return [name for name, known in SCORES.items() if known.cost not in slow and "@" not in name]


def _weighted(text: str) -> tuple[str, float]:
    """``2*name`` and ``name``."""
    weight, star, name = text.rpartition("*")
    try:
        return known_score(name.strip()).name, float(weight) if star else 1.0
    except ValueError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"{text!r} in a combination: expected WEIGHT*NAME, for example 2*params"
        ) from None


def comma_separated(text: str) -> list[str]:
    """What commas separate outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def parse_scores(
    text: str, fit: Dataset, validation: Dataset | None = None, **options: Any
) -> tuple[Score | Combined, ...]:
    """The scores of a text, all on the same data.

    Args:
        text: for example ``"nngp:validation_accuracy,ntk:loo_error"``, or
            ``"log_rank(ntk:loo_error, params)"``, which is followed by the scores that it combines.
        fit: labelled images of the regression.
        validation: other labelled images, needed by the validation scores only.
        options: further arguments of :class:`KernelScore`, such as ``ridge``; ``width``, of the
            networks that are counted, drawn or trained; ``batch_size`` and ``repeats`` of
            :class:`ProxyScore`, and its ``seed`` in units of ``repeats``, so that no two seeds
            draw one network.

    Raises:
        ConfigurationError: a name is unknown (the message lists all names) or given twice.
    """
    scores = tuple(
        known_score(one).make(fit, validation, options) if isinstance(one, str) else one
        for one in check_score_names(text)
    )
    check_scores(scores)
    return scores
