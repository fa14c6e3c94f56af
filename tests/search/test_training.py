"""Training against its formulas in NumPy; what is equal, interrupted, damaged, or diverges."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from interrupting import after_a_piece

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, DataError, RunFolderError
from kernas.kernels.architecture import Slot
from kernas.kernels.engine import compilations
from kernas.search.training import Trained, TrainingSettings, checkpoints, programs, train
from kernas.search.training.batches import augmented, batches
from kernas.search.training.programs import programs_of

HE = 2**0.5
LINEAR = kk.serial(kk.Flatten(), kk.Dense(b_std=0.1))
SETTINGS = TrainingSettings(width=4, batch_size=16, steps=60, learning_rate=0.05)


@pytest.fixture(scope="module")
def digits() -> tuple[kk.Dataset, kk.Dataset]:
    return kk.load("digits", n_train=80, n_test=40, image_size=4, seed=0)


def built(operation: str, gain: float) -> kk.Architecture:
    """A small network with normalisation, which differs in one place."""
    return kk.serial(
        *(kk.Conv(3, W_std=gain), kk.Normalize(), BRANCHES[operation], kk.Relu()),
        *(kk.GlobalAvgPool(), kk.Dense()),
    )


BRANCHES = {
    "skip": kk.serial(kk.Identity()),
    "conv": kk.serial(kk.Relu(), kk.Conv(3, W_std=HE), kk.Normalize()),
    "pool": kk.serial(kk.AvgPool(3, padding="SAME")),
}
CHOICES: dict[str, Any] = {"operation": list(BRANCHES), "gain": [1.0, 2.0]}
PLAIN = ks.ChoiceSpace(built, CHOICES)


class SlottedSpace(ks.ChoiceSpace):
    """The same networks, with a slot in the place where they differ."""

    def template(self, candidate: ks.Candidate) -> kk.Architecture:
        slot = Slot(tuple(BRANCHES.values()), 0)
        gain = candidate.genotype[1]
        head = (kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
        return kk.serial(kk.Conv(3, W_std=gain), kk.Normalize(), slot, *head)

    def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
        return (list(BRANCHES).index(candidate.genotype[0]),)


SLOTTED = SlottedSpace(built, CHOICES)


def equal(one: Trained, other: Trained) -> bool:
    """Whether weights, statistics and losses have the same bytes."""
    leaves = zip(
        *(jax.tree.leaves((each.variables, each.losses)) for each in (one, other)), strict=True
    )
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in leaves)


# --- the formulas --------------------------------------------------------------------------------


def rates(settings: TrainingSettings, steps: int) -> np.ndarray:
    return settings.learning_rate * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2


def sgd(w: Any, g: Any, memory: dict[str, Any], t: int, rate: float, s: TrainingSettings) -> Any:
    """PyTorch's: the decay in the gradient, the velocity without the rate, a look ahead."""
    g = g + s.weight_decay * w
    velocity = s.momentum * memory.get("velocity", 0) + g
    memory["velocity"] = velocity
    return w - rate * (g + s.momentum * velocity)


def adam(w: Any, g: Any, memory: dict[str, Any], t: int, rate: float, s: TrainingSettings) -> Any:
    """Loshchilov and Hutter 2019, algorithm 2, with the schedule also on the decay."""
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
    m, v = memory["m"] / (1 - 0.9 ** (t + 1)), memory["v"] / (1 - 0.999 ** (t + 1))
    return w - rate * (m / (np.sqrt(v) + 1e-8) + s.weight_decay * w)


@pytest.mark.parametrize("rule", [sgd, adam], ids=["sgd", "adam"])
def test_softmax_regression_is_trained_as_the_formulas_say(
    rule: Any, digits: tuple[kk.Dataset, kk.Dataset]
) -> None:
    fit, test = digits
    steps, seeds = 60, (5, 2)
    optimizer: Any = rule.__name__
    settings = replace(SETTINGS, optimizer=optimizer, weight_decay=0.02)
    trained = train(LINEAR, fit, test, settings, seeds=seeds)
    start = programs_of(LINEAR, fit.input_shape, 10, settings).start(LINEAR, seeds)
    drawn = batches(0, steps, seeds, len(fit), 16, fit.input_shape)
    x, labels = fit.x.reshape(len(fit), -1).astype(float), np.eye(10)[fit.y]
    for place in range(len(seeds)):
        of_seed = jax.tree.map(lambda a, place=place: a[place].astype(float), start["variables"])
        weights = of_seed["params"]["Dense_2"]
        memory: dict[str, dict[str, Any]] = {"kernel": {}, "bias": {}}
        losses = []
        for t, rate in enumerate(rates(settings, steps)):
            batch = drawn.images[t, place]
            logits = x[batch] @ weights["kernel"] + weights["bias"]
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            losses.append(-np.log((p * labels[batch]).sum(1)).mean())
            error = (p - labels[batch]) / len(batch)
            gradients = {"kernel": x[batch].T @ error, "bias": error.sum(0)}
            weights = {
                part: rule(weights[part], gradients[part], memory[part], t, rate, settings)
                for part in weights
            }
        found = trained.variables["params"]["Dense_2"]
        np.testing.assert_allclose(trained.losses[:, place], losses, rtol=1e-4)
        for part, expected in weights.items():
            np.testing.assert_allclose(found[part][place], expected, rtol=1e-3, atol=1e-4)
        for images, accuracy in ((fit, trained.train_accuracy), (test, trained.test_accuracy)):
            logits = images.x.reshape(len(images), -1) @ weights["kernel"] + weights["bias"]
            assert accuracy[place] == (logits.argmax(1) == images.y).mean()
    assert trained.parameters == 16 * 10 + 10
    assert trained.losses[-10:].mean() < trained.losses[:10].mean()


def test_its_seconds_are_those_that_passed(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    begun = time.perf_counter()
    trained = train(LINEAR, *digits, SETTINGS, seeds=1)
    assert 0 < trained.seconds <= time.perf_counter() - begun


def test_weights_start_with_the_deviations_of_their_layers() -> None:
    """Of the template's gains, though programs are shared by networks of all gains."""
    network = kk.serial(kk.Conv(3, W_std=3.0, b_std=0.5), kk.GlobalAvgPool(), kk.Dense(W_std=0.1))
    settings = TrainingSettings(width=64)
    compiled = programs_of(network, (4, 4, 2), 50, settings)
    drawn = compiled.start(network, (0, 1))["variables"]["params"]
    for layer, part, deviation in (
        ("Conv_1", "kernel", 3 / np.sqrt(18)),
        ("Conv_1", "bias", 0.5),
        ("Dense_3", "kernel", 0.1 / 8),
    ):
        values = drawn[layer][part]
        # The mean square of n normal numbers has a relative deviation of sqrt(2 / n).
        error = 4 * np.sqrt(2 / values.size)
        assert abs((values**2).mean() / deviation**2 - 1) < error
        assert not np.array_equal(values[0], values[1])
    plain = kk.serial(kk.Conv(3, b_std=1.0), kk.GlobalAvgPool(), kk.Dense())
    assert programs_of(plain, (4, 4, 2), 50, settings) is compiled


def test_crops_and_mirror_images_are_those_that_were_drawn() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 16, 8, 2)).astype(np.float32)
    drawn = batches(3, 2, (1,), 6, 6, (16, 8, 2))
    shifts, flips = drawn.shifts[0, 0], drawn.flips[0, 0]
    found = np.asarray(augmented(*map(jax.numpy.asarray, (x, shifts, flips))))
    for image, (down, right), flip, made in zip(x, shifts, flips, found, strict=True):
        framed = np.zeros((20, 10, 2), np.float32)  # 2 and 1 pixels around
        framed[2:18, 1:9] = image
        crop = framed[down : down + 16, right : right + 8]
        assert np.array_equal(made, crop[:, ::-1] if flip else crop)


def test_batches_are_epochs_of_all_images_and_depend_on_seed_and_step_alone() -> None:
    drawn = batches(0, 12, (0, 1), 50, 12, (8, 8, 1))
    for seed in (0, 1):
        for epoch in range(3):
            seen = drawn.images[4 * epoch : 4 * epoch + 4, seed].ravel()
            assert len(set(seen)) == 48
    assert not np.array_equal(drawn.images[:4, 0], drawn.images[4:8, 0])
    assert not np.array_equal(drawn.images[:4, 0], drawn.images[:4, 1])
    assert set(drawn.shifts.ravel()) == {0, 1, 2}
    assert 0.4 < drawn.flips.mean() < 0.6
    later = batches(5, 3, (1,), 50, 12, (8, 8, 1))
    for part, whole in zip(later, drawn, strict=True):
        assert np.array_equal(part[:, 0], whole[5:8, 1])


# --- one program, whoever is trained -------------------------------------------------------------


def test_two_programs_train_all_candidates_of_a_template(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    """And equal seeds give the same bytes, whatever was trained before."""
    settings = replace(SETTINGS, augment=True)
    run = partial(train, train_set=digits[0], test_set=digits[1], settings=settings, seeds=2)
    candidates = list(SLOTTED.enumerate())
    before = compilations().count
    first = [run(candidate) for candidate in candidates]
    assert compilations().count - before <= 2
    for candidate, trained in reversed(list(zip(candidates, first, strict=True))):
        assert equal(run(candidate), trained)
    assert compilations().count - before <= 2
    assert len({trained.losses.tobytes() for trained in first}) == len(candidates)
    expected = {"skip": 0, "conv": 9 * 4 * 4, "pool": 0}
    for candidate, trained in zip(candidates, first, strict=True):
        assert trained.parameters == 9 * 4 + 4 * 10 + expected[candidate.genotype[0]]
    assert not equal(run(candidates[0], seeds=(7, 1)), first[0])


def test_a_slot_is_trained_as_the_network_that_fills_it(
    digits: tuple[kk.Dataset, kk.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same weights: those of branches that are not chosen have no part in it."""

    def constant(architecture: Any, shapes: Any, rng: Any) -> Any:
        """Weights that depend on their shape alone."""
        return jax.tree.map(
            lambda leaf: (
                np.random.default_rng(leaf.shape).normal(size=leaf.shape).astype("f4") / 3
                if len(leaf.shape) > 1
                else np.zeros(leaf.shape, "f4")
            ),
            dict(shapes),
        )

    monkeypatch.setattr(programs, "draw_variables", constant)
    for operation in BRANCHES:
        name = f"operation={operation},gain=1.0"
        one, other = (
            train(space.candidate(name), *digits, SETTINGS, seeds=2) for space in (PLAIN, SLOTTED)
        )
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-3)
        assert one.parameters == other.parameters


@pytest.mark.parametrize("convolution", ["lax", "patches"])
def test_all_ways_to_compute_seeds_train_alike(
    convolution: Any, digits: tuple[kk.Dataset, kk.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds side by side, as accelerators compute them, and XLA's own convolution."""
    candidate = SLOTTED.candidate("operation=conv,gain=1.0")
    settings = replace(SETTINGS, steps=20)
    here = train(candidate, *digits, settings, seeds=2)
    way = programs.Ways(convolution, side_by_side=True)
    monkeypatch.setattr(programs, "ways_for", lambda *_: way)
    monkeypatch.setattr(programs, "_programs", programs._programs.__wrapped__)
    there = train(candidate, *digits, settings, seeds=2)
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-3)


def test_a_cpu_trains_one_seed_after_another() -> None:
    assert programs.ways_for("cpu", (8, 8)) == programs.Ways("patches", side_by_side=False)
    assert programs.ways_for("gpu", (8, 8)) == programs.Ways("lax", side_by_side=True)
    assert programs.ways_for("cpu", (64, 64)).convolution == "lax"


def test_the_score_is_the_mean_over_seeds_with_its_error(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    fit, test = digits
    score = ks.TrainScore(fit, test, SETTINGS, seeds=3)
    value = ks.evaluate_scores(LINEAR, [score]).values[score.name]
    accuracies = train(LINEAR, fit, test, SETTINGS).test_accuracy
    assert value.value == pytest.approx(accuracies.mean())
    assert value.standard_error == pytest.approx(np.std(accuracies, ddof=1) / 3**0.5)
    alone = ks.evaluate_scores(LINEAR, [replace(score, seeds=1)]).values[score.name]
    assert (alone.value, alone.standard_error) == (accuracies[0], None)
    assert score.source.work_key(PLAIN.sample(1)[0]) != score.source.work_key(SLOTTED.sample(1)[0])


def test_a_candidate_that_diverges_has_a_row_that_says_so(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    score = ks.TrainScore(*digits, replace(SETTINGS, learning_rate=1e30))
    (row,) = ks.rank([SLOTTED.candidate("operation=skip,gain=1.0")], [score], progress=False)
    assert row.values == {}
    assert "3 of 3 networks of operation=skip,gain=1.0 diverged: the loss of step" in row.message


def test_scores_that_cannot_train_are_refused(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    with pytest.raises(ConfigurationError, match="needs validation images"):
        ks.parse_scores("trained_accuracy", digits[0])
    with pytest.raises(ConfigurationError, match="seeds=0: expected an integer >= 1"):
        ks.TrainScore(*digits, seeds=0)
    with pytest.raises(ConfigurationError, match="batch_size=100 of 80 images"):
        ks.TrainScore(*digits, TrainingSettings(batch_size=100))
    (score,) = ks.parse_scores("trained_accuracy", *digits, width=3)
    assert isinstance(score, ks.TrainScore)
    assert score.recipe == TrainingSettings(width=3)


@pytest.mark.slow
def test_two_programs_train_many_cells(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    cells = ks.NasBench201(cells_per_stage=1).sample(30)
    before = compilations().count
    trained = [train(cell, *digits, replace(SETTINGS, steps=5), seeds=2) for cell in cells]
    assert compilations().count - before == 2
    assert len({each.losses.tobytes() for each in trained}) == len(cells)
    for cell, each in zip(cells, trained, strict=True):
        assert each.parameters == cell.architecture.summary((4, 4, 1), 4, 10).weights


def test_a_loss_that_leaves_the_finite_numbers_is_said(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    trained = train(LINEAR, *digits, replace(SETTINGS, learning_rate=1e30), seeds=2)
    assert trained.diverged.tolist() == [True, True]
    assert np.isnan(trained.test_accuracy).all()
    assert np.isnan(trained.train_accuracy).all()
    assert len(trained.losses) == 50  # and the steps after are not taken
    assert not train(LINEAR, *digits, SETTINGS, seeds=1).diverged.any()


# --- interruptions -------------------------------------------------------------------------------


CONV = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
LONG = replace(SETTINGS, steps=130, augment=True)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(CONV, *digits, LONG, seeds=2)
    with after_a_piece(monkeypatch):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                train(CONV, *digits, LONG, seeds=2, folder=tmp_path)
    resumed = train(CONV, *digits, LONG, seeds=2, folder=tmp_path)
    assert equal(resumed, undisturbed)
    assert np.array_equal(resumed.test_accuracy, undisturbed.test_accuracy)
    again = train(CONV, *digits, LONG, seeds=2, folder=tmp_path)  # nothing is left to do
    assert equal(again, undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoints.NAME]


def test_a_disk_that_fills_keeps_what_was_finished(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = partial(train, CONV, *digits, LONG, seeds=2, folder=tmp_path)
    with monkeypatch.context() as patched:
        whole, written = checkpoints.write_whole, []

        def filling(path: Path, data: bytes) -> Path:
            if written:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            written.append(path)
            return whole(path, data)

        patched.setattr(checkpoints, "write_whole", filling)
        with pytest.raises(RunFolderError, match=r"No space left.*expected a folder with free"):
            run()
    with np.load(tmp_path / checkpoints.NAME) as kept:
        assert len(kept[checkpoints.LOSSES]) == 50
    assert equal(run(), train(CONV, *digits, LONG, seeds=2))


def test_checkpoints_of_other_trainings_and_damaged_ones_are_refused(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path
) -> None:
    fit, test = digits
    short = replace(SETTINGS, steps=5)
    run = partial(
        train,
        candidate=CONV,
        train_set=fit,
        test_set=test,
        settings=short,
        seeds=2,
        folder=tmp_path,
    )
    run()
    path = tmp_path / checkpoints.NAME
    whole = path.read_bytes()
    others: dict[str, Any] = {
        "settings.learning_rate": partial(run, settings=replace(short, learning_rate=0.1)),
        "seeds": partial(run, seeds=3),
        "train_set": partial(run, train_set=fit.subset(70)),
        "network": partial(run, candidate=LINEAR),
    }
    for message, other in others.items():
        with pytest.raises(RunFolderError, match=f"of another training: {message}.*delete it"):
            other()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        refused += _refused_or_equal(run, whole, path)
    assert refused > 40  # the others: bits of the archive that mean nothing
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(RunFolderError) as error:
            run()
        assert "\n" not in str(error.value)
    path.unlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        train(CONV, fit, test, short, folder=tmp_path / "file" / "folder")


def _refused_or_equal(run: Any, whole: bytes, path: Path) -> bool:
    """Whether a damaged checkpoint is refused; otherwise its arrays are as they were."""
    try:
        trained = run()
    except RunFolderError as error:
        return "\n" not in str(error) and "delete it" in str(error)
    path.write_bytes(whole)
    assert equal(trained, run())
    return False


LONGER = 10_000

KILLED = """
import sys
import kernas.kernels as kk
from kernas.search.training import TrainingSettings, train
fit, test = kk.load("digits", n_train=80, n_test=40, image_size=4, seed=0)
network = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
train(network, fit, test, TrainingSettings(
    width=4, batch_size=16, steps=int(sys.argv[2]), learning_rate=0.05, augment=True
), seeds=2, folder=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_as_if_it_had_not_been(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path
) -> None:
    rng, killed = np.random.default_rng(0), 0
    path = tmp_path / checkpoints.NAME
    while killed < 10:
        before = path.stat().st_mtime_ns if path.exists() else None
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(LONGER)])
        # Until it has come further by some steps, and then for a while.
        while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
        killed += 1
    settings = replace(LONG, steps=LONGER)
    resumed = train(CONV, *digits, settings, seeds=2, folder=tmp_path)
    assert equal(resumed, train(CONV, *digits, settings, seeds=2))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs"}, "optimizer='lbfgs': expected one of sgd, adam"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: expected a number > 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: expected a number > 0"),
        ({"momentum": 1.0}, "momentum=1.0: expected a number in"),
        ({"weight_decay": -1e-4}, "weight_decay=-0.0001: expected a number in"),
        ({"width": 0}, "width=0: expected an integer >= 1"),
        ({"batch_size": 1}, "batch_size=1: expected an integer >= 2"),
        ({"epochs": 0}, "epochs=0: expected an integer >= 1"),
        ({"steps": 0}, "steps=0: expected an integer >= 1"),
        ({"steps": -3}, "steps=-3: expected an integer >= 1"),
        ({"augment": 1}, "augment=1: expected True or False"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TrainingSettings(**options)


def test_epochs_are_as_many_steps_as_they_have_whole_batches(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    assert TrainingSettings(batch_size=30, epochs=3).steps_for(digits[0]) == 6
    assert TrainingSettings(batch_size=30, epochs=3, steps=7).steps_for(digits[0]) == 7


def test_what_cannot_be_trained_is_refused(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    fit, test = digits
    other, _ = kk.load("digits", n_train=80, n_test=40, image_size=6, seed=0)
    run: Any = partial(train, settings=SETTINGS)
    vectors = kk.Dataset(fit.x.reshape(len(fit), -1), fit.y, fit.classes, "vectors")
    for seeds in (0, -1, (), (1, 1), (-1,), 2.0, True):
        with pytest.raises(ConfigurationError, match="expected how many, >= 1, or different"):
            run(LINEAR, fit, test, seeds=seeds)
    with pytest.raises(ConfigurationError, match="candidate='cell': expected a candidate"):
        run("cell", fit, test)
    with pytest.raises(ConfigurationError, match="test_set of ndarray: expected a Dataset"):
        run(LINEAR, fit, test.x)
    with pytest.raises(DataError, match="expected images of equal shapes and the same classes"):
        run(LINEAR, fit, other)
    with pytest.raises(ConfigurationError, match="batch_size=100 of 80 images"):
        train(LINEAR, fit, test, TrainingSettings(batch_size=100))
    with pytest.raises(ConfigurationError, match="only images are cropped"):
        train(LINEAR, vectors, vectors, TrainingSettings(augment=True))
    with pytest.raises(ArchitectureError, match=r"expected Dense\(\); append it"):
        run(kk.serial(kk.Conv(3), kk.GlobalAvgPool()), fit, test)
    with pytest.raises(ArchitectureError, match="has a window of 7 pixels on an axis of 4"):
        run(kk.serial(kk.Conv(7, padding="VALID"), kk.Flatten(), kk.Dense()), fit, test)


# --- imports -------------------------------------------------------------------------------------


RANKED = """
import sys
from kernas.search.cli.app import run
arguments = "rank --dataset digits --space macro:network=dense,max_depth=1 --sample 2 --seed 0 \
--n-train 20 --n-validation 20 --score nngp:loo_error,params --output"
code = run([*arguments.split(), sys.argv[1]])
print(code, sorted({name.partition(".")[0] for name in sys.modules} & {"flax", "optax"}))
"""


def test_kernels_are_ranked_without_flax_and_optax(tmp_path: Path) -> None:
    script = [sys.executable, "-c", RANKED, str(tmp_path / "run")]
    result = subprocess.run(script, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 []"
