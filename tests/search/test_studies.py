"""Studies: what a search keeps, and that nothing of it is lost or done twice."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import toy_search
from toy_search import TOY, ToyScore, sum_of

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, DataError, KernasError
from kernas.kernels.engine import compilations
from kernas.search.evaluation import Evaluator
from kernas.search.spaces import Candidate, Space
from kernas.search.strategies import Course, Strategy, Trial, search
from kernas.search.studies.history import OUTCOME
from kernas.search.studies.place import Place
from kernas.search.studies.registry import STRATEGIES
from kernas.search.studies.results import best_of, best_so_far, trials_of
from kernas.search.testing import StrategyTests

EVOLUTION = ks.RegularizedEvolution(8, tournament=3)
OF_A_TEXT = {
    "warm-up": "warm-up:pool=30,first=6",
    "regularized-evolution": "regularized-evolution:population=8,tournament=3",
    "predictor": "predictor:first=25,pool=10",
    "explore-then-exploit": "explore-then-exploit:pool=20,mutants=3",
    "progressive": "progressive:beam=4",
    "reinforce": "reinforce:controller=lstm",
    "nsga2": "nsga2:population=6",
}
ELSEWHERE = ("successive-halving", "econas", "enas", "darts")
"""Strategies that ask for more than the toy has."""

TEXTS = [OF_A_TEXT.get(name, name) for name in STRATEGIES if name not in ELSEWHERE]


def made(text: str) -> Strategy:
    return toy_search.strategy(text)


def candidates(study: optuna.Study) -> list[str]:
    return [one.candidate for one in trials_of(study)]


def optimized(score: Any = None, *, space: Space = TOY, n_trials: int = 30, **options: Any) -> Any:
    options = {"strategy": EVOLUTION, "progress": False, **options}
    return ks.optimize(space, ToyScore() if score is None else score, n_trials=n_trials, **options)


class TestSampled(StrategyTests):
    @pytest.fixture(params=[ks.Tpe(startup=5), ks.Nsga2(population=6)], ids=lambda s: s.name)
    def strategy(self, request: pytest.FixtureRequest) -> Strategy:
        return request.param

    @pytest.fixture(params=[TOY, ks.NasBench201(1)], ids=lambda s: s.name)
    def space(self, request: pytest.FixtureRequest) -> Space:
        return request.param


@pytest.mark.parametrize("text", TEXTS)
def test_a_study_proposes_as_the_strategy_does_without_it(text: str) -> None:
    score = ToyScore(fails=7)

    def value(candidate: Candidate) -> float | None:
        return None if sum(candidate.genotype) % 7 == 0 else sum_of(candidate)

    alone = search(made(text), TOY, value, 40, seed=3)
    study = optimized(score, strategy=made(text), n_trials=40, seed=3)
    assert candidates(study) == [trial.candidate.name for trial in alone]
    assert [one.values[0] if one.values else None for one in trials_of(study)] == [
        trial.value for trial in alone
    ]


def test_what_a_trial_says_is_read_without_kernas(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs/study.db"
    optimized(ToyScore(fails=7), storage=url)
    study = optuna.load_study(study_name="search", storage=url)
    assert study.user_attrs["kernas"]["space"]["name"] == TOY.name
    states = Counter(trial.state.name for trial in study.trials)
    assert states["COMPLETE"] > 20
    assert states["FAIL"] > 0
    for trial in study.trials:
        attributes = trial.user_attrs
        outcome = attributes["outcome"]
        candidate = TOY.candidate(attributes["candidate"])
        if trial.state.name == "FAIL":
            assert outcome["status"] == "error"
            assert outcome["message"] == f"ValueError: {sum(candidate.genotype)} is no good"
        else:
            assert trial.value == sum_of(candidate)
            assert outcome["errors"] == {"toy": 0.01}
    assert study.best_trial.value == max(sum_of(c) for c in map(TOY.candidate, candidates(study))
                                         if sum(c.genotype) % 7)  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "study.db", "study.journal"])
@pytest.mark.parametrize("cut", [1, 7, 20])
def test_a_search_that_was_cut_goes_on_as_if_it_had_not_been(
    tmp_path: Path, cut: int, kind: str
) -> None:
    whole = candidates(optimized())
    prefix = "sqlite:///" if kind.endswith(".db") else ""
    memory = optuna.storages.InMemoryStorage()
    storage = memory if kind == "memory" else f"{prefix}{tmp_path / kind}"
    score = ToyScore(tmp_path / "written", stops=cut)
    with pytest.raises(KeyboardInterrupt):
        optimized(score, storage=storage)
    study = optimized(replace(score, stops=0), storage=storage)
    assert candidates(study) == whole
    again = Counter(score.evaluated())
    assert sum(again.values()) == len(again) + 1  # the one that was interrupted
    lost = [trial for trial in study.trials if OUTCOME not in trial.user_attrs]
    assert [trial.state.name for trial in lost] == ["FAIL"]
    repeated = [trial for trial in study.trials if "repeats" in trial.user_attrs]
    assert [trial.user_attrs["repeats"] for trial in repeated] == [lost[0].number]
    longer = optimized(replace(score, stops=0), storage=storage, n_trials=45)
    assert candidates(longer) == candidates(optimized(n_trials=45))


def test_equal_candidates_are_scored_once(tmp_path: Path) -> None:
    score = ToyScore(tmp_path / "written")
    study = optimized(score, n_trials=120)
    assert Counter(score.evaluated()).most_common(1)[0][1] == 1
    found = trials_of(study)
    first: dict[str, int] = {}
    for one in found:
        assert one.same_as == first.get(one.candidate)
        assert one.same_as is None or one.seconds == 0
        first.setdefault(one.candidate, one.number)
    assert len(found) == 120 > len(first)


def test_candidates_of_one_kernel_are_scored_once() -> None:
    """A cell and one that is the same network."""
    space = ks.NasBench201(1, reduction="pool")
    score = ks.KernelScore(few_images(), metric="loo_error")
    study = ks.optimize(space, score, strategy=ks.RandomSearch(), n_trials=30, progress=False)
    keys = {space.candidate(name).key for name in candidates(study)}
    assert sum(one.same_as is None for one in trials_of(study)) == len(keys) < 30


def few_images() -> kk.Dataset:
    return kk.load("digits", n_train=10, n_test=1, image_size=4, seed=0)[0]


@pytest.mark.usefixtures("x64_kept")
def test_a_search_compiles_no_more_than_a_ranking() -> None:
    """Of the same candidates."""
    space, images = ks.NasBench201(1, reduction="pool"), few_images()
    before = compilations().count
    study = optimized(ks.KernelScore(images, metric="loo_error"), space=space, n_trials=12)
    searched = compilations().count - before
    chosen = [space.candidate(name) for name in dict.fromkeys(candidates(study))]
    before = compilations().count
    ks.rank(chosen, ks.KernelScore(images.subset(9), metric="loo_error"), progress=False)
    assert searched <= compilations().count - before + 1


def test_the_time_budget_is_what_the_table_says() -> None:
    names = [candidate.name for candidate in ks.NasBench201(1).sample(50, seed=0)]
    space = ks.RestrictedSpace(ks.NasBench201(1), names)
    score = ks.TruthScore(
        {name: n / 100 for n, name in enumerate(names)}, cost=dict.fromkeys(names, 10.0)
    )
    study = ks.optimize(space, score, strategy=ks.RandomSearch(), time_budget=105.0, progress=False)
    found = trials_of(study)
    assert sum(one.seconds for one in found) == 100
    assert sum(one.same_as is None for one in found) == 10
    with pytest.raises(ConfigurationError, match="one evaluation takes 10 s"):
        ks.optimize(space, score, time_budget=9.0, progress=False)


def test_a_search_of_values_that_cost_nothing_ends() -> None:
    """A budget of seconds that is never spent, once nothing new comes."""
    truth = {TOY.candidate(dict.fromkeys(TOY.distributions(), n)).name: n for n in range(3)}
    space = ks.RestrictedSpace(TOY, list(truth))
    study = ks.optimize(
        space, ks.TruthScore(truth), strategy=ks.RandomSearch(), time_budget=1.0, progress=False
    )
    assert {one.candidate for one in trials_of(study)} == set(truth)


def test_a_candidate_that_was_not_measured_ends_a_search_unharmed() -> None:
    storage = optuna.storages.InMemoryStorage()
    measured = {one.name: 0.5 for n, one in enumerate(TOY.enumerate()) if n % 5}
    with pytest.raises(DataError, match="has no 'truth'"):
        ks.optimize(
            TOY, ks.TruthScore(measured), strategy=ks.RandomSearch(), n_trials=100,
            storage=storage, progress=False,
        )  # fmt: skip
    study = optuna.load_study(study_name="search", storage=storage)
    assert all(trial.state.name == "COMPLETE" for trial in study.trials)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_workers_share_a_study(tmp_path: Path, kind: str) -> None:
    storage = storage_of(kind, tmp_path)
    score = ToyScore(tmp_path / "written", fails=7)
    study = optimized(score, n_trials=60, storage=storage, executor=ks.Processes(2))
    found = trials_of(study)
    assert len(found) == 60
    assert Counter(score.evaluated()).most_common(1)[0][1] == 1
    assert {one.candidate for one in found} == set(score.evaluated())


def storage_of(kind: str, folder: Path) -> str:
    name = folder / "study"
    return f"sqlite:///{name}.db" if kind == "sqlite" else f"{name}.journal"


def started(storage: str, written: Path, n_trials: int, wait: float, strategy: str) -> Any:
    command = [sys.executable, toy_search.__file__, storage, str(written), str(n_trials)]
    return subprocess.Popen(
        [*command, str(wait), strategy], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_processes_that_are_started_by_hand_share_a_study(tmp_path: Path, kind: str) -> None:
    storage, written = storage_of(kind, tmp_path), tmp_path / "written"
    processes = [started(storage, written, 60, 0.02, TEXTS[1]) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    study = optuna.load_study(study_name="search", storage=Place.opened(storage).storage)
    assert len(trials_of(study)) == len(study.trials) == 60
    evaluated = written.read_text().splitlines()
    assert Counter(evaluated).most_common(1)[0][1] == 1
    workers = {trial.user_attrs["worker"] for trial in study.trials}
    assert len(workers) == 3


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The port of this machine at which a process serves a database."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, toy_search.__file__, "serve", f"sqlite:///{tmp_path}/study.db"]
    process = subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL)
    while True:
        assert process.poll() is None
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield port
    process.kill()
    process.wait()


def test_drivers_that_know_no_database_share_a_study_through_a_proxy(
    served: int, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    drivers = [started(f"grpc:{served}", written, 60, 0.02, TEXTS[1]) for _ in range(3)]
    for driver in drivers:
        _, errors = driver.communicate(timeout=600)
        assert driver.returncode == 0, errors
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/study.db")
    found = trials_of(study)
    # No lock is shared: each of the others may have asked while the last trial was asked for.
    assert 60 <= len(found) <= 62
    assert len({trial.user_attrs["worker"] for trial in study.trials}) == 3
    assert {one.candidate for one in found} == set(written.read_text().splitlines())


def killed_and_resumed(folder: Path, kind: str, text: str, rng: random.Random) -> None:
    """Killed once it has begun an evaluation or two, and at a random moment after that."""
    storage, written = storage_of(kind, folder), folder / "written"
    process = started(storage, written, 40, 0.01, text)
    process.stdout.readline()
    wanted = rng.randrange(1, 12)
    while not written.exists() or len(written.read_text().splitlines()) < wanted:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    time.sleep(rng.random() * 0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = written.read_text().splitlines()
    toy_search.run(storage, str(written), 40, 0.0, text)
    study = optuna.load_study(study_name="search", storage=Place.opened(storage).storage)
    expected = optimized(strategy=made(text), n_trials=40)
    assert candidates(study) == candidates(expected)
    evaluated = written.read_text().splitlines()
    lost = [one for one in study.trials if OUTCOME not in one.user_attrs]
    assert len(lost) <= 1
    twice = {name for name, n in Counter(evaluated).items() if n > 1}
    assert twice <= {before[-1]}


def test_a_search_that_was_killed_goes_on(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, "sqlite", TEXTS[1], random.Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(20))
def test_searches_that_were_killed_go_on(tmp_path: Path, kill: int) -> None:
    kind = ("sqlite", "journal")[kill % 2]
    killed_and_resumed(tmp_path, kind, TEXTS[kill % len(TEXTS)], random.Random(kill))


def test_a_trial_of_a_dead_process_is_done_again_and_one_of_another_machine_is_not(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    optimized(n_trials=3, storage=url)
    study = optuna.load_study(study_name="search", storage=url)
    own = Place.opened(url).worker.rsplit("-", 2)[0]
    for worker in (f"{own}-1-00000000", "elsewhere-1-00000000"):
        trial = study.ask()
        trial.set_user_attr(
            "candidate", TOY.candidate(dict.fromkeys(TOY.distributions(), len(worker) % 4)).name
        )
        trial.set_user_attr("worker", worker)
    optimized(n_trials=10, storage=url)
    states = [trial.state.name for trial in study.trials]
    assert states[3:5] == ["FAIL", "RUNNING"]
    assert Counter(states) == {"COMPLETE": 9, "FAIL": 1, "RUNNING": 1}
    assert study.trials[5].user_attrs["candidate"] == study.trials[3].user_attrs["candidate"]


def test_a_trial_that_its_process_ended_as_it_was_looked_at_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends the trial and itself between the reading of the trial and of its lock."""
    url = f"sqlite:///{tmp_path}/study.db"
    optimized(n_trials=3, storage=url)
    study = optuna.load_study(study_name="search", storage=url)
    other = study.ask()
    for name, value in study.trials[0].user_attrs.items():
        other.set_user_attr(name, value)
    other.set_user_attr("worker", "other")
    looked = Place.is_at_work

    def ends(place: Place, worker: str | None) -> bool:
        if worker == "other":
            study.tell(other, study.trials[0].values)
            monkeypatch.setattr(Place, "is_at_work", looked)
            return False
        return looked(place, worker)

    monkeypatch.setattr(Place, "is_at_work", ends)
    optimized(n_trials=6, storage=url)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6


def test_what_another_process_evaluates_is_waited_for(tmp_path: Path) -> None:
    """A trial of an equal candidate has its value, and of one that died is evaluated."""
    url = f"sqlite:///{tmp_path}/study.db"
    alone = candidates(optimized(strategy=ks.RandomSearch(), n_trials=2))
    optimized(strategy=ks.RandomSearch(), n_trials=1, storage=url)
    study = optuna.load_study(study_name="search", storage=url)
    process = started(url, tmp_path / "written", 2, 2.0, "random")
    try:
        while len(study.trials) < 2:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        score = ToyScore(tmp_path / "mine")
        optimized(score, strategy=Only(alone[1]), n_trials=3, storage=url)
    finally:
        process.communicate(timeout=600)
    assert not (tmp_path / "mine").exists()
    assert [one.same_as for one in trials_of(study)] == [None, None, 1]


@dataclass(frozen=True)
class Only(Strategy):
    """One candidate, whatever became of it."""

    candidate: str

    @property
    def name(self) -> str:
        return "only"

    def course(self, space: Space, seed: int) -> Course:
        return Always(space.candidate(self.candidate))


@dataclass
class Always(Course):
    candidate: Candidate

    def tell(self, trial: Trial) -> None:
        pass

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        return self.candidate


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": ks.NasBench201(1)}, "made with space.name"),
        ({"score": ToyScore(fails=3)}, r"made with scores.toy.fails = 0, and this search has 3"),
        ({"score": ToyScore(minus=True)}, "made with scores"),
    ],
)
def test_a_study_of_something_else_is_refused_and_unharmed(changed: Any, said: str) -> None:
    storage = optuna.storages.InMemoryStorage()
    before = candidates(optimized(storage=storage))
    with pytest.raises(ConfigurationError, match=said):
        optimized(**{"storage": storage, **changed})
    assert candidates(optimized(storage=storage)) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_trials": 0}, "n_trials=0: expected an integer >= 1"),
        ({"n_trials": None}, "no end is given"),
        ({"n_trials": None, "time_budget": 0.0}, "time_budget=0.0: expected seconds > 0"),
        ({"score": (ToyScore(), ToyScore(minus=True))}, "2 scores for regularized-evolution"),
        ({"score": ()}, "no score given"),
        ({"seed": -1}, "seed=-1"),
        ({"storage": "nowhere"}, r"storage 'nowhere' cannot be opened \(expected sqlite"),
        ({"storage": "sqlite:////proc/none/study.db"}, "cannot be opened"),
        ({"storage": "what://me:secret@there/db"}, r"storage 'what://…@there/db' cannot be opened"),
        (
            {"strategy": ks.LocalSearch(),
                "space": ks.RecipeSpace(TOY, learning_rate=(0.01, 1.0)),
            },
            "is not Neighbouring",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_a_line(options: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        optimized(**options)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_storage_that_is_full_ends_a_search_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with room again it goes on."""
    url, tell = f"sqlite:///{tmp_path}/study.db", optuna.Study.tell

    def full(study: optuna.Study, trial: Any, *arguments: Any, **options: Any) -> Any:
        if len(study.trials) > 5:
            raise optuna.exceptions.StorageInternalError("database or disk is full")
        return tell(study, trial, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "tell", full)
        with pytest.raises(KernasError, match="cannot be written") as of:
            optimized(storage=url)
    assert "\n" not in str(of.value)
    assert candidates(optimized(storage=url)) == candidates(optimized())


def test_a_study_that_was_not_made_here_is_refused() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="search", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    with pytest.raises(ConfigurationError, match="were not made here"):
        optimized(storage=storage)
    assert len(study.trials) == 2


def test_two_objectives_have_a_front() -> None:
    """Of the sum and its opposite nothing dominates anything."""
    score = (ToyScore(), ks.CountScore("depth", (4, 4, 1), 10))
    study = optimized(score, strategy=ks.Nsga2(population=10), n_trials=60)
    best = best_of(study)
    assert {one.candidate for one in best} == {
        one.candidate for one in trials_of(study) if one.values[0] == best[0].values[0]
    }  # all depths are equal
    assert [len(one.values) for one in best] == [2] * len(best)


def test_nsga2_finds_a_known_front() -> None:
    """Of (sum, −first number), what has the other numbers at their largest."""
    values = {c.name: (sum_of(c), -float(c.genotype[0])) for c in TOY.enumerate()}
    score = [ks.TruthScore(ks.Truth({n: v[place] for n, v in values.items()}, column=str(place)))
             for place in (0, 1)]  # fmt: skip
    study = ks.optimize(
        TOY, score, strategy=ks.Nsga2(population=20), n_trials=600, seed=1, progress=False
    )
    found = {one.values for one in best_of(study)}
    top = toy_search.CHOICES - 1
    front = {values[TOY.candidate({f"p{n}": top if n else first for n in range(5)}).name]
             for first in range(toy_search.CHOICES)}  # fmt: skip
    assert found == front


def test_strategies_are_samplers_of_optuna_too() -> None:
    """Plain optuna sees the same candidates."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for text in ("regularized-evolution:population=8,tournament=3", "reinforce", "tpe"):
        sampler = ks.StrategySampler(made(text), TOY, seed=4)
        plain = optuna.create_study(sampler=sampler, direction="maximize")
        plain.optimize(lambda trial: sum_of(ks.suggest(trial, TOY)), n_trials=30)
        driven = optimized(strategy=made(text), seed=4)
        assert [one.user_attrs["candidate"] for one in plain.trials] == candidates(driven)


def test_of_a_range_optuna_suggests_a_number() -> None:
    space = ks.RecipeSpace(ks.NasBench201(1), learning_rate=(0.01, 1.0), batch_size=[16, 32])
    rates: list[float] = []

    def value(trial: optuna.Trial) -> float:
        rates.append(space.recipe(ks.suggest(trial, space))["learning_rate"])
        return -abs(rates[-1] - 0.1)

    optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0)).optimize(value, n_trials=20)
    assert all(0.01 <= rate <= 1 for rate in rates)
    assert np.median(rates) < 0.5  # drawn by their logarithms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evolution", "unknown strategy 'evolution', did you mean"),
        ("random:n=3", "unknown field 'n'"),
        ("regularized-evolution:mutants=3", "mutants=3 without prefer"),
        ("warm-up", "by a cheap score: give one"),
        ("enas", "enas trains weights that candidates share: give images"),
        ("regularized-evolution:prefer=x", "unknown field 'prefer'"),
    ],
)
def test_a_text_that_is_no_strategy_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ks.strategy_from_text(text)


def test_a_preference_without_use_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="chooses by no other score"):
        ks.strategy_from_text("random", sum_of)


def test_the_best_so_far_is_the_best_of_what_has_ended() -> None:
    for minus in (False, True):
        study = optimized(ToyScore(minus=minus, fails=7))
        found = trials_of(study)
        values = [one.values[0] if one.values else None for one in found]
        better = min if minus else max
        for place, best in enumerate(best_so_far(study, found), start=1):
            known = [value for value in values[:place] if value is not None]
            assert (best and best.values[0]) == (better(known) if known else None)


def test_a_preference_is_the_score() -> None:
    space, score = ks.NasBench201(1), ks.CountScore("params", (8, 8, 1), 10)
    prefer = ks.preference(score)
    cells = space.sample(5, seed=0)
    rows = ks.rank(cells, score, progress=False)
    by_value = sorted(cells, key=lambda c: -(prefer(c) or 0.0))
    assert [row.name for row in rows] == [c.name for c in by_value]


def test_a_name_that_is_longer_than_a_column_is_kept(tmp_path: Path) -> None:
    """Databases cut a text, and a cell of a large space has a long name."""
    long = "x" * 5000
    place = Place.opened(f"sqlite:///{tmp_path}/study.db")
    study = optuna.create_study(storage=place.storage)
    trial = study.ask()
    trial.set_user_attr("candidate", long)
    assert study.trials[0].user_attrs["candidate"] == long


def test_programs_of_every_family_that_was_met_stay() -> None:
    """A search comes back to families that it has met before."""
    space = ks.space_from_text("macro:max_depth=2")
    cells = {candidate.family: candidate for candidate in space.sample(20)}
    one, other = list(cells.values())[:2]
    evaluator = Evaluator.of([ks.KernelScore(few_images(), metric="loo_error")])
    both = evaluator.prepared([one]).prepared([other])
    assert both.prepared([one, other]) is both
    ((source, _),) = both.groups.values()
    assert isinstance(source, ks.KernelSource)
    assert set(source.programs) == {one.family, other.family}
