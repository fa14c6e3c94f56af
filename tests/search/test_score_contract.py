"""Scores: the suite for each kind of ours, and some that are wrong."""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from pages import example

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.regression import ScoreValue
from kernas.search.testing import ScoreTests
from kernas.search.training import TrainingSettings

NETWORKS = {
    f"{depth} layers": kk.serial(
        kk.Flatten(), *[kk.Dense(W_std=1.5, b_std=0.1), kk.Relu()] * depth, kk.Dense()
    )
    for depth in (1, 2, 3)
}
NAMES = "ntk:loo_error,nngp:validation_accuracy,ntk:evidence"


def draw(seed):
    train, _ = kk.load("digits", n_train=24, n_test=1, image_size=4, seed=seed)
    return train.split(0.5, seed=seed)


class OnNetworks(ScoreTests):
    @pytest.fixture
    def candidates(self):
        return [ks.ArchitectureList(NETWORKS).candidate(name) for name in NETWORKS]


class TestKernelScores(OnNetworks):
    means = ("ntk:loo_error", "nngp:validation_accuracy")

    @pytest.fixture
    def scores(self):
        return ks.parse_scores(NAMES, *draw(0))

    @pytest.fixture
    def others(self):
        return [
            *ks.parse_scores("ntk:loo_error", *draw(1)),
            *ks.parse_scores("ntk:loo_error", *draw(0), ridge=0.5),
        ]


class TestNormalisedKernelScores(OnNetworks):
    means = ("ntk:gcv@cosine", "nngp:validation_accuracy@cosine")

    @pytest.fixture
    def scores(self):
        names = "ntk:gcv@cosine,nngp:validation_accuracy@cosine,ntk:logdet@centred,ntk:trace"
        return ks.parse_scores(names, *draw(0))

    @pytest.fixture
    def others(self):
        return ks.parse_scores("ntk:gcv@cosine", *draw(0), ridge=0.5)


class TestSampledKernels(OnNetworks):
    means = ("nngp_mc:validation_accuracy",)

    @pytest.fixture
    def scores(self):
        names = "nngp_mc:validation_accuracy,ntk_mc:loo_error,ntk_mc:validation_accuracy"
        return ks.parse_scores(names, *draw(0), width=8, repeats=2)

    @pytest.fixture
    def others(self):
        return [
            *ks.parse_scores("nngp_mc:loo_error", *draw(0), width=8, repeats=3),
            *ks.parse_scores("nngp_mc:loo_error", *draw(0), width=8, repeats=2, seed=1),
        ]


class TestTruthScores(ScoreTests):
    @pytest.fixture
    def candidates(self):
        return ks.NasBench201(1).sample(4, seed=0)

    @pytest.fixture
    def scores(self, candidates: Any) -> Any:
        return [ks.TruthScore({c.name: n / 10 for n, c in enumerate(candidates)})]

    @pytest.fixture
    def others(self, candidates: Any) -> Any:
        values = {c.name: n / 10 for n, c in enumerate(candidates)}
        return [ks.TruthScore({**values, candidates[0].name: 0.7}),
                ks.TruthScore(values, cost=dict.fromkeys(values, 3.0))]  # fmt: skip


class TestRegularizedScores(OnNetworks):
    means = ("regularized(swap, params)",)

    @pytest.fixture
    def scores(self):
        return [self.of(scale=1e6), self.of("naswot", scale=1e6)]

    @pytest.fixture
    def others(self):
        return [self.of(scale=1e7), self.of(scale=1e6, repeats=3)]

    def of(self, name="swap", repeats=2, **options):
        fit, _ = draw(0)
        proxy = ks.ProxyScore(fit, name, width=8, batch_size=6, repeats=repeats)
        count = ks.CountScore("params", fit.input_shape, fit.n_classes, 8)
        return ks.RegularizedScore(proxy, count, center=500.0, **options)


class TestStandardParameterization(OnNetworks):
    means = ("ntk_standard:gcv@cosine", "ntk_standard:validation_accuracy")

    @pytest.fixture
    def scores(self):
        names = "ntk_standard:gcv@cosine,ntk_standard:validation_accuracy,ntk_standard:trace"
        return ks.parse_scores(names, *draw(0), width=8)

    @pytest.fixture
    def others(self):
        return [
            *ks.parse_scores("ntk_standard:gcv", *draw(0), width=9),
            *ks.parse_scores("ntk:gcv", *draw(0), width=8),
        ]


class TestMeans(OnNetworks):
    means = ("ntk:loo_error",)

    @pytest.fixture
    def scores(self):
        return [ks.MeanScore(tuple(self.of(seed) for seed in (0, 1)))]

    @pytest.fixture
    def others(self):
        return [ks.MeanScore(tuple(self.of(seed) for seed in (0, 2)))]

    def of(self, seed):
        return ks.KernelScore(*draw(seed), get="ntk", metric="loo_error")


class TestCounts(OnNetworks):
    @pytest.fixture
    def scores(self):
        return [ks.CountScore(name, (8, 8, 1), 10) for name in ("params", "flops", "depth")]

    @pytest.fixture
    def others(self):
        return [ks.CountScore("params", (8, 8, 1), 10, width=8)]


class TestProxies(OnNetworks):
    means = ("snip", "naswot", "zico", "synflow")

    @pytest.fixture
    def scores(self):
        return [self.of(name) for name in self.means]

    @pytest.fixture
    def others(self):
        return [self.of("snip", repeats=3), self.of("snip", W_std=1.0), self.of("snip", width=5)]

    def of(self, name, **options):
        settings = {"width": 16, "batch_size": 6, "repeats": 2, **options}
        return ks.ProxyScore(draw(0)[0], name, **settings)


def the_guides_score():
    """The score of the guide's example, run as it stands there."""
    code = example("docs/guides/own_score.md", "ks.Source")
    names: dict[str, Any] = {"__name__": __name__}
    exec(code, names)
    return names["Similarity"]


Similarity = the_guides_score()  # where a score that is sent to other processes looks for its class


class TestTheGuidesScore(OnNetworks):
    @pytest.fixture
    def scores(self):
        return [Similarity(draw(0)[0])]

    @pytest.fixture
    def others(self):
        return [Similarity(draw(1)[0])]

    def test_a_network_that_tells_nothing_apart_is_last(self):
        images = draw(0)[0]
        networks = {
            f"b_std={b_std}": kk.serial(kk.Flatten(), kk.Dense(b_std=b_std), kk.Relu(), kk.Dense())
            for b_std in (100.0, 0.0)
        }
        best, worst = ks.rank(networks, Similarity(images), progress=False)
        assert (best.name, worst.name) == ("b_std=0.0", "b_std=100.0")
        assert best.values["similarity"].value < worst.values["similarity"].value < 1


class TestTrained(OnNetworks):
    means = ("trained_accuracy",)

    @pytest.fixture
    def scores(self):
        return [self.of(0)]

    @pytest.fixture
    def others(self):
        return [self.of(1), self.of(0, seeds=3), self.of(0, width=5)]

    def of(self, seed, seeds=2, width=4):
        recipe = TrainingSettings(width=width, batch_size=4, steps=3)
        return ks.TrainScore(*draw(seed), recipe, seeds)


class TestCombinedWithinASample(OnNetworks):
    @pytest.fixture
    def scores(self):
        return [self.within(20)]

    @pytest.fixture
    def others(self):
        return [self.within(21)]

    def within(self, n):
        parts = [
            ks.KernelScore(*draw(0), get="ntk", metric="loo_error"),
            ks.CountScore("params", (4, 4, 1), 10),
        ]
        reference = {"ntk:loo_error": [0.04 * i for i in range(n)], "params": [100.0 * n] * n}
        return ks.Combined({"ntk:loo_error": 1, "params": 1}).within(reference, parts)


COUNTER = itertools.count()


@dataclass(frozen=True, eq=False)
class WrongSource(ks.Source):
    """A source of which one thing is wrong."""

    wrong: str
    unpicklable: object = None

    name = "wrong"

    def settings(self):
        return {"wrong": object() if self.wrong == "settings" else self.wrong}

    @property
    def key(self):
        return str(next(COUNTER)) if self.wrong == "key" else super().key

    def work_key(self, candidate):
        return "one" if self.wrong == "work" else super().work_key(candidate)

    def prepare(self, families, scores):
        return WrongSource("prepared") if self.wrong == "prepare" else self

    def cost(self, candidate, scores):
        return ks.Cost(-1 if self.wrong == "cost" else 1)

    def begin(self, candidate, scores):
        value = float(len(candidate.architecture.nodes))
        if self.wrong == "order":
            value += next(COUNTER)
        if self.wrong == "raises":
            raise ValueError("always")
        error = None if self.wrong == "error" else 0.1
        return lambda: ks.Evaluation({"wrong": ScoreValue(value, error)})


@dataclass(frozen=True)
class WrongScore(ks.Score):
    wrong: str
    higher_is_better: bool = True

    @property
    def name(self):
        return " wrong" if self.wrong == "name" else "wrong"

    @property
    def source(self):
        unpicklable = (lambda: None) if self.wrong == "pickle" else None
        return WrongSource(self.wrong, unpicklable)

    def __reduce__(self):
        if self.wrong == "pickle":
            raise TypeError("cannot be pickled")
        return super().__reduce__()


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        ("name", "test_a_score_has_a_name_a_direction_and_a_source"),
        ("settings", "test_settings_are_json_and_decide_the_key"),
        ("key", "test_settings_are_json_and_decide_the_key"),
        ("pickle", "test_values_are_the_same_after_pickling"),
        ("raises", "test_every_score_has_a_finite_value_or_a_reason"),
        ("error", "test_a_mean_has_an_error"),
        ("order", "test_values_do_not_depend_on_what_came_before"),
        ("prepare", "test_preparing_changes_no_value"),
        ("work", "test_candidates_of_one_work_have_one_value"),
        ("cost", "test_a_cost_is_not_negative"),
    ],
)
def test_a_wrong_score_fails_where_it_is_wrong(wrong, test):
    candidates = [ks.ArchitectureList(NETWORKS).candidate(name) for name in NETWORKS]
    suite = ScoreTests()
    suite.means = ("wrong",)

    def run(what):
        given = {"scores": [WrongScore(what)], "others": [], "candidates": candidates}
        wanted = getattr(suite, test).__annotations__
        getattr(suite, test)(**{name: given[name] for name in wanted if name in given})

    run("nothing")
    with pytest.raises((AssertionError, TypeError, ValueError)):
        run(wrong)
