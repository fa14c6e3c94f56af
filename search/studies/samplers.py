"""optuna's samplers as strategies, and strategies as optuna's samplers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed, require
from ..strategies import Course, Strategy, Trial
from ..strategies.base import check_least, rng_of
from .dependency import (
    MAXIMIZE,
    BaseDistribution,
    CategoricalDistribution,
    as_optuna,
    optuna,
    quiet,
)

SEEDS = 2**31
"""Seeds of optuna's samplers are below it."""


@dataclass(frozen=True)
class _Sampled(Strategy):
    """A sampler of optuna over the parameters of a space."""

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed,)

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """optuna's."""
        raise NotImplementedError

    def tell(self, study: optuna.Study, trial: optuna.Trial, values: Sequence[float]) -> None:
        """Tell a study of a trial whose parameters were given, and not asked for."""
        study.tell(trial, values)

    def course(self, space: Space, seed: int) -> Course:
        """A study in memory that is told what the strategy is."""
        distributions = as_optuna(require(space, Distributed).distributions())
        return _SampledCourse(self, space, distributions)


@dataclass(frozen=True)
class Tpe(_Sampled):
    """The tree-structured Parzen estimator of optuna.

    Each parameter is drawn where the better trials lie densely beside the others.

    Args:
        startup: random proposals at first, >= 1.
        multivariate: whether parameters are drawn together.

    Raises:
        ConfigurationError: an argument is out of its range.

    Reference: Bergstra, Bardenet, Bengio and Kégl 2011, Algorithms for hyper-parameter
    optimization, section 4.
    """

    startup: int = 10
    multivariate: bool = False

    def __post_init__(self) -> None:
        check_least(self.startup, "startup")

    @property
    def name(self) -> str:
        """``tpe``."""
        return "tpe"

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """``TPESampler``."""
        return optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            multivariate=self.multivariate,
            seed=seed,
        )


@dataclass(frozen=True)
class Nsga2(_Sampled):
    """NSGA-II of optuna, for one objective or several.

    Parents of a generation are the fronts that nothing dominates, of one front the less crowded.

    Args:
        population: of a generation, >= 2.

    Raises:
        ConfigurationError: an argument is out of its range.

    Reference: Deb, Pratap, Agarwal and Meyarivan 2002, A fast and elitist multiobjective genetic
    algorithm: NSGA-II, section III.
    """

    population: int = 50

    def __post_init__(self) -> None:
        check_least(self.population, "population", 2)

    @property
    def name(self) -> str:
        """``nsga2``."""
        return "nsga2"

    @property
    def objectives(self) -> int:
        """Three: of more, most candidates are in the first front."""
        return 3

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """``NSGAIISampler``."""
        return optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)

    def tell(self, study: optuna.Study, trial: optuna.Trial, values: Sequence[float]) -> None:
        """It belongs to the generation that is being filled; when that is full, the parents of the
        next are chosen at once, since the sampler has them in another order when it chooses than
        later."""
        sampler = optuna.samplers.NSGAIISampler(population_size=self.population)
        frozen = study.get_trials(deepcopy=False)[trial.number]
        generation = sampler.get_trial_generation(study, frozen)
        study.tell(trial, values)
        if len(sampler.get_population(study, generation)) == self.population:
            sampler.get_parent_population(study, generation + 1)


@dataclass
class _SampledCourse(Course):
    """Attributes:
    distributions: of the parameters.
    study: in memory; made when the number of objectives is known.
    """

    strategy: _Sampled
    space: Space
    distributions: dict[str, BaseDistribution]
    study: optuna.Study | None = None

    def tell(self, trial: Trial) -> None:
        if trial.value is None:
            return
        values = [trial.value, *trial.others]
        if self.study is None:
            self.study = self._new_study(len(values))
        self.study.sampler = self.strategy.sampler(0)  # the parameters are given, its draws unused
        self.study.enqueue_trial(require(self.space, Distributed).values_of(trial.candidate))
        self.strategy.tell(self.study, self.study.ask(self.distributions), values)

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        study = self.study or self._new_study(1)
        study.sampler = self.strategy.sampler(rng.randrange(SEEDS))
        asked = study.ask(self.distributions)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)  # told again when it has a value
        return require(self.space, Distributed).candidate_of(asked.params)

    def _new_study(self, objectives: int) -> optuna.Study:
        with quiet():
            return optuna.create_study(directions=[MAXIMIZE] * objectives)


def suggest(trial: optuna.Trial, space: Space) -> Candidate:
    """A candidate of a space, parameter by parameter as optuna suggests them: for programs that
    call ``study.optimize`` themselves.

    Args:
        trial: of optuna; it keeps the candidate's name as its attribute ``candidate``.
        space: ``Distributed``.

    Raises:
        ConfigurationError: the space is not.
    """
    able = require(space, Distributed)
    values: dict[str, Any] = {}
    for name, of in as_optuna(able.distributions()).items():
        if isinstance(of, CategoricalDistribution):
            values[name] = trial.suggest_categorical(name, of.choices)
        else:
            assert isinstance(of, optuna.distributions.FloatDistribution)
            values[name] = trial.suggest_float(name, of.low, of.high, log=of.log)
    candidate = able.candidate_of(values)
    trial.set_user_attr("candidate", candidate.name)
    return candidate


@dataclass
class StrategySampler(optuna.samplers.BaseSampler):
    """A strategy as a sampler of optuna, for programs that call ``study.optimize`` themselves and
    get their candidates from :func:`suggest`.

    Args:
        strategy: of one objective.
        space: ``Distributed``, with what the strategy asks for.
        seed: of all randomness.

    Raises:
        ConfigurationError: the space lacks an ability.

    >>> import optuna, kernas.search as ks
    >>> space, score = ks.space_from_text("macro"), ks.CountScore("params", (32, 32, 3), 10)
    >>> sampler = ks.StrategySampler(ks.RegularizedEvolution(10, tournament=3), space)
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=sampler, direction="maximize")
    >>> value = ks.preference(score)
    >>> study.optimize(lambda trial: value(ks.suggest(trial, space)), n_trials=60)
    >>> study.best_value > study.trials[0].value
    True
    """

    strategy: Strategy
    space: Space
    seed: int = 0
    _told: set[int] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        require(self.space, Distributed)
        self._course = self.strategy.begin(self.space, self.seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters of the space."""
        return as_optuna(require(self.space, Distributed).distributions())

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """What the strategy proposes after the trials that the study has."""
        able, states = require(self.space, Distributed), optuna.trial.TrialState
        maximize = study.direction == MAXIMIZE
        running: list[Candidate] = []
        for one in study.get_trials(deepcopy=False):
            if one.number in self._told or set(one.params) != set(search_space):
                continue
            candidate = able.candidate_of(one.params)
            if one.state == states.RUNNING:
                running.append(candidate)
            elif one.state in (states.COMPLETE, states.FAIL):
                value = one.value if maximize or one.value is None else -one.value
                self._course.tell(Trial(len(self._told), candidate, value))
                self._told.add(one.number)
        number = len(self._told) + len(running)
        return able.values_of(self._course.propose(rng_of(self.seed, number), running))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Of a parameter that is not the space's, at random."""
        seed = rng_of(self.seed, trial.number, param_name).randrange(SEEDS)
        sampler = optuna.samplers.RandomSampler(seed)
        return sampler.sample_independent(study, trial, param_name, param_distribution)
