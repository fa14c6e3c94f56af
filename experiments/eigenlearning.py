"""Does eigenlearning predict what kernels of fully connected networks learn?

    python experiments/eigenlearning.py              # minutes on two cores; recorded here
    python experiments/eigenlearning.py --size quick # to see it work; records nothing

Four things are predicted from eigenvalues and measured by regressions: test errors on a circle, a
cube and a sphere, by depth, target and number of points; which parities are learned from how many
corners of a cube; what ridge does to noisy targets, at perturbed corners too; and, from one Gram
matrix and labels alone, the error of trainings on other numbers of images. ``n``: draws of the
training points. One JSON line is printed, and kept beside this script with a figure.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmarks.measuring import environment, report
from running import Options, Size, command

import kernas.kernels as kk
from kernas.kernels.regression import centred_one_hot, choose_ridge, decompose, predict
from kernas.kernels.theory import (
    KernelSpectrum,
    eigenlearning,
    extrapolate,
    gram_spectrum,
    largest_size,
    predicted_curve,
)

CASES = {"no ridge, no noise": (0.0, 0.0), "ridge 0.05, noise 0.1": (0.05, 0.1)}
"""Relative ridge and variance of the noise."""

FROM = 32
"""Training points from which deviations are summed up."""

NOISE, FLIPS = 0.25, (0.0, 0.05, 0.1, 0.2)
"""Of the part on overfitting: the noise's variance, and probabilities of a flipped coordinate."""


@dataclass(frozen=True)
class Setting:
    """How large the sets are, and how often training points are drawn.

    Attributes:
        depths: hidden layers.
        points: on the circle; as many are drawn from the sphere to train on, and to test on.
        d_cube, d_sphere: dimensions.
        sizes: numbers of training points.
        draws: of them.
        datasets: of images, and the side that they are shrunk to.
        n_images: in the Gram matrix of each data set, of ``n_pool`` that are trained on.
        n_test: other images.
        most_subsets: of a size that are trained on.
    """

    depths: tuple[int, ...]
    points: int
    d_cube: int
    d_sphere: int
    sizes: tuple[int, ...]
    draws: int
    datasets: dict[str, int]
    n_images: int
    n_pool: int
    n_test: int
    most_subsets: int


IMAGES = {"cifar10": 8, "fashion_mnist": 14}
SIZES = (16, 32, 64, 128, 256)
SETTINGS: dict[Size, Setting] = {
    "quick": Setting((1, 2), 64, 6, 3, (8, 16, 32), 4, {"digits": 8}, 80, 160, 100, 2),
    "small": Setting((1, 2, 4), 2000, 11, 6, SIZES, 40, IMAGES, 1000, 2000, 2000, 6),
    "medium": Setting((1, 2, 4, 8), 4000, 12, 6, SIZES, 100, IMAGES, 2000, 8000, 2000, 8),
    "full": Setting(
        (1, 2, 4, 8), 8000, 13, 6, (*SIZES, 512), 200, dict.fromkeys(IMAGES, 32),
        4000, 16000, 2000, 8,
    ),
}  # fmt: skip


HIDDEN = [kk.Dense(W_std=2**0.5, b_std=0.1), kk.Relu()]
"""A critical layer of ReLU with a weak bias."""


def fully_connected(depth: int) -> kk.NeuralKernel:
    """The NTK of a critical network of ReLU with so many hidden layers, and a weak bias."""
    return kk.NeuralKernel(kk.serial(*HIDDEN * depth, kk.Dense(b_std=0.1)), "ntk")


@dataclass(frozen=True, eq=False)
class Domain:
    """Points that are trained on, points that are tested on, and targets at both.

    Attributes:
        train: the points that training points are drawn from.
        test: where errors are measured; ``None`` for all points of ``train``.
        targets: by level, at the points of ``train``.
        of_test: likewise at those of ``test``.
        spectrum: of a kernel.
    """

    train: np.ndarray
    test: np.ndarray | None
    targets: dict[int, np.ndarray]
    of_test: dict[int, np.ndarray]
    spectrum: Callable[[Any], KernelSpectrum]

    def matrices(self, kernel: kk.NeuralKernel) -> tuple[np.ndarray, np.ndarray]:
        """The kernel of training points, and of tested with training points, in float64."""
        with jax.enable_x64(True):
            if self.test is None:
                gram = np.asarray(kernel(self.train))
                return gram, gram
            gram, cross = kernel.gram_and_cross(self.train, self.test)
            return np.asarray(gram), np.asarray(cross)


def domains(setting: Setting) -> dict[str, Domain]:
    """The three sets of the setting."""
    circle, cube = kk.circle(setting.points), kk.hypercube(setting.d_cube)
    d, degrees = setting.d_sphere, (1, 2, 3)
    sphere, others = (kk.hypersphere(setting.points, d, seed=seed) for seed in (0, 1))
    waves = {k: circle.target(k) for k in (2, 8, 16)}
    parities = {k: cube.target(k) for k in degrees}
    harmonics, of_others = ({k: x.target(k) for k in degrees} for x in (sphere, others))
    return {
        "circle": Domain(
            circle.x, None, waves, waves, lambda k: kk.circle_spectrum(k, setting.points)
        ),
        "hypercube": Domain(
            cube.x, None, parities, parities, lambda k: kk.hypercube_spectrum(k, setting.d_cube)
        ),
        "hypersphere": Domain(
            sphere.x, others.x, harmonics, of_others, lambda k: kk.hypersphere_spectrum(k, d)
        ),
    }


def measured(
    domain: Domain, matrices: tuple[np.ndarray, np.ndarray], n: int, draws: int,
    ridge: float, noise: float,
) -> dict[int, np.ndarray]:  # fmt: skip
    """Test errors of each target in every draw of n training points, shape ``(draws,)``."""
    gram, cross = matrices
    delta = ridge * float(np.mean(np.diag(gram)))
    f, of_test = (
        np.stack(list(values.values()), axis=1) for values in (domain.targets, domain.of_test)
    )
    errors = np.empty((draws, f.shape[1]))
    for draw in range(draws):
        rng = np.random.default_rng((draw, n))
        train = rng.choice(len(gram), n, replace=False)
        y = f[train] + noise**0.5 * rng.normal(size=(n, f.shape[1]))
        dual = np.linalg.solve(gram[np.ix_(train, train)] + delta * np.eye(n), y)
        errors[draw] = np.mean((cross[:, train] @ dual - of_test) ** 2, axis=0) + noise
    return dict(zip(domain.targets, errors.T, strict=True))


def test_errors(setting: Setting, draws: int) -> list[dict[str, Any]]:
    """Predicted and measured by number of points, for each set, depth, case and target."""
    curves: list[dict[str, Any]] = []
    for name, domain in domains(setting).items():
        for depth in setting.depths:
            kernel = fully_connected(depth)
            spectrum, matrices = domain.spectrum(kernel), domain.matrices(kernel)
            for case, (ridge, noise) in CASES.items():
                found = [measured(domain, matrices, n, draws, ridge, noise) for n in setting.sizes]
                for k in domain.targets:
                    errors = np.stack([of[k] for of in found])
                    predicted = eigenlearning(
                        spectrum, {k: 1.0}, setting.sizes, ridge=ridge, noise=noise
                    )
                    curves.append({
                        "set": name, "depth": depth, "case": case, "level": k,
                        "predicted": predicted.test_error.tolist(),
                        "measured": errors.mean(axis=1).tolist(),
                        "standard_error": (errors.std(axis=1, ddof=1) / draws**0.5).tolist(),
                    })  # fmt: skip
            print(name, depth, file=sys.stderr, flush=True)
    return curves


def deviations(curves: list[dict[str, Any]], sizes: Sequence[int]) -> dict[str, Any]:
    """Relative deviations of predicted from measured errors, and how they change with n."""
    predicted, found, errors = (
        np.array([curve[name] for curve in curves])
        for name in ("predicted", "measured", "standard_error")
    )
    deviation = np.abs(predicted / found - 1)
    late = [i for i, n in enumerate(sizes) if n >= FROM]
    worst, at = np.unravel_index(np.argmax(deviation[:, late]), (len(curves), len(late)))
    i = late[at]
    return {
        "median": float(np.median(deviation[:, late])),
        "largest": {
            **{name: curves[worst][name] for name in ("set", "depth", "case", "level")},
            "n": sizes[i], "predicted": predicted[worst, i], "measured": found[worst, i],
            "deviation": deviation[worst, i],
        },
        "median_standard_error": float(np.median((errors / found)[:, late])),
        "median_by_n": dict(zip(sizes, np.median(deviation, axis=0).tolist(), strict=True)),
    }  # fmt: skip


def published_circle(setting: Setting, draws: int) -> dict[str, Any]:
    """Waves on the circle of the published experiment: 256 points, 4 hidden layers, no ridge.

    arXiv 2110.03922, its repository's ``experiments/lrn_mse_curves.ipynb``.
    """
    M, waves = 256, (2, 5, 10)
    circle, kernel = kk.circle(M), kk.NeuralKernel(kk.serial(*HIDDEN * 4, kk.Dense()), "ntk")
    spectrum = kk.circle_spectrum(kernel, M)
    with jax.enable_x64(True):
        gram = np.asarray(kernel(circle.x))
    functions = np.stack([circle.target(k) for k in waves], axis=1)
    sizes = [n for n in setting.sizes if n < M]
    found = np.empty((len(sizes), draws, 2, len(waves)))
    for i, n in enumerate(sizes):
        for draw in range(draws):
            train = np.random.default_rng((draw, n)).choice(M, n, replace=False)
            f = gram[:, train] @ np.linalg.solve(gram[np.ix_(train, train)], functions[train])
            found[i, draw] = np.mean(f * functions, axis=0), np.mean((f - functions) ** 2, axis=0)
    means = found.mean(axis=1)
    predicted = {k: eigenlearning(spectrum, {k: 1.0}, sizes) for k in waves}
    return {
        "points": M,
        "sizes": sizes,
        "waves": {
            k: {
                "learnability": {
                    "predicted": predicted[k].learnabilities[:, k].tolist(),
                    "measured": means[:, 0, j].tolist(),
                },
                "error": {
                    "predicted": predicted[k].test_error.tolist(),
                    "measured": means[:, 1, j].tolist(),
                },
            }
            for j, k in enumerate(waves)
        },
    }


def parities(setting: Setting, draws: int) -> dict[str, Any]:
    """Learnability of parities by degree and number of corners, without ridge."""
    d = setting.d_cube
    cube = kk.hypercube(d)
    sizes = [2**i for i in range(3, d)]
    kernel = fully_connected(2)
    with jax.enable_x64(True):
        gram = np.asarray(kernel(cube.x))
    functions = np.stack([cube.target(k) for k in range(d + 1)], axis=1)
    found: dict[int, list[float]] = {}
    for n in [size for size in sizes if size in setting.sizes]:
        total = np.zeros(d + 1)
        for draw in range(draws):
            train = np.random.default_rng((draw, n)).choice(len(gram), n, replace=False)
            dual = np.linalg.solve(gram[np.ix_(train, train)], functions[train])
            total += np.mean(functions * (gram[:, train] @ dual), axis=0)
        found[n] = (total / draws).tolist()
    by_depth = {
        depth: eigenlearning(kk.hypercube_spectrum(fully_connected(depth), d), {0: 1.0}, sizes)
        for depth in setting.depths
    }
    learned = by_depth[2].learnabilities
    high = range(d // 2 + 1, d + 1)
    return {
        "d": d,
        "sizes": sizes,
        "predicted": {k: learned[:, k].tolist() for k in range(d + 1)},
        "measured": found,
        "corners_that_learn_half": {
            k: next((n for n, of in zip(sizes, learned[:, k], strict=True) if of >= 0.5), None)
            for k in range(d + 1)
        },
        "largest_learnability_of_high_degrees": {
            depth: float(of.learnabilities[sizes.index(2 ** (d - 3))][list(high)].max())
            for depth, of in by_depth.items()
        },
        "of_degrees": [high[0], high[-1]],
        "of_corners": 2 ** (d - 3),
    }


def overfitting(setting: Setting, draws: int) -> dict[str, Any]:
    """Noisy targets at several ridges: errors in training, in testing, and at flipped corners."""
    d = setting.d_cube
    n = setting.sizes[-2]
    cube, kernel = kk.hypercube(d), fully_connected(2)
    spectrum = kk.hypercube_spectrum(kernel, d)
    with jax.enable_x64(True):
        gram = np.asarray(kernel(cube.x))
    f = (cube.target(1) + cube.target(2)) / 2**0.5
    power = {1: 0.5, 2: 0.5}
    ridges = [0.0, *(float(ridge) for ridge in 10.0 ** np.arange(-2, 1.1, 0.5))]
    rows: list[dict[str, Any]] = []
    for ridge in ridges:
        predicted = eigenlearning(spectrum, power, n, ridge=ridge, noise=NOISE)
        found = np.empty((draws, 1 + len(FLIPS)))
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            train = rng.choice(len(gram), n, replace=False)
            y = f[train] + NOISE**0.5 * rng.normal(size=n)
            inside = gram[np.ix_(train, train)]
            dual = np.linalg.solve(inside + ridge * gram[0, 0] * np.eye(n), y)
            predictions = gram[:, train] @ dual
            found[draw, 0] = np.mean((inside @ dual - y) ** 2)
            for i, flip in enumerate(FLIPS, 1):
                moved = np.where(rng.random(cube.x.shape) < flip, -cube.x, cube.x) > 0
                places = moved @ (1 << np.arange(d)[::-1])
                found[draw, i] = np.mean((predictions[places] - f) ** 2) + NOISE
        mean = found.mean(axis=0)
        rows.append({
            "ridge": ridge,
            "overfitting": float(predicted.overfitting[0]),
            "train": {"predicted": float(predicted.train_error[0]), "measured": float(mean[0])},
            "flipped": {
                flip: {
                    "predicted": float(predicted.perturbed_error(flip)[0]),
                    "measured": float(mean[i]),
                }
                for i, flip in enumerate(FLIPS, 1)
            },
        })  # fmt: skip
    return {"n": n, "noise": NOISE, "rows": rows}


def images(setting: Setting, name: str, side: int) -> dict[str, Any]:
    """Errors of trainings on other numbers of images, predicted from one matrix of N."""
    N = setting.n_images
    train, test = kk.load(
        name, n_train=setting.n_pool, n_test=setting.n_test, image_size=side, seed=0
    )
    kernel = kk.NeuralKernel(kk.serial(kk.Flatten(), *HIDDEN * 2, kk.Dense()), "ntk")
    gram, cross = (np.asarray(K) for K in kernel.gram_and_cross(train.x, test.x))
    Y, of_test = (centred_one_hot(part.y, train.n_classes) for part in (train, test))
    spectrum = decompose(gram[:N, :N])
    chosen, _ = choose_ridge(spectrum, Y[:N])
    more = extrapolate(spectrum, Y[:N], chosen, 2 * N)
    modes, power = gram_spectrum(gram[:N, :N], Y[:N])
    rows: list[dict[str, Any]] = []
    for ridge in sorted({chosen, more.ridge}):
        most = largest_size(spectrum, ridge)
        halves = [*(N // 2**i for i in range(4, -1, -1)), 2 * N]
        sizes = [n for n in halves if n <= min(most, setting.n_pool)]
        for point in predicted_curve(spectrum, Y[:N], ridge, sizes):
            n = point.n
            errors = [
                float(np.mean(np.sum((predict(
                    decompose(gram[part, part]), cross[:, part], Y[part], ridge
                ) - of_test) ** 2, axis=1)))
                for part in subsets(setting, n)
            ]  # fmt: skip
            found = float(np.mean(errors))
            plain = None if n >= N else float(
                eigenlearning(modes, power, n, ridge=ridge).test_error[0]
            )  # fmt: skip
            rows.append({
                **asdict(point), "measured": found, "subsets": len(errors),
                "inside": bool(point.low <= found <= point.high),
                "deviation": point.error / found - 1,
                "all_there_is": plain,
                "deviation_of_all_there_is": None if plain is None else plain / found - 1,
            })  # fmt: skip
    return {
        "image_size": side, "N": N, "chosen_ridge": chosen, "ridge_of_twice": more.ridge,
        "rows": rows,
    }  # fmt: skip


def subsets(setting: Setting, n: int) -> list[slice]:
    """Disjoint parts of the pool, of n images each."""
    starts = range(0, setting.n_pool - n + 1, n)
    return [slice(start, start + n) for start in list(starts)[: setting.most_subsets]]


def main(options: Options) -> None:
    """Predict, measure and report."""
    setting = SETTINGS[options.size]
    draws = options.n or setting.draws
    curves = test_errors(setting, draws)
    groups = {
        f"{name}, {case}": [of for of in curves if (of["set"], of["case"]) == (name, case)]
        for name in sorted({of["set"] for of in curves})
        for case in CASES
    }
    record = {
        **options.asked(),
        "settings": {**asdict(setting), "draws": draws, "from_n": FROM},
        "all": deviations(curves, setting.sizes),
        "deviations": {label: deviations(of, setting.sizes) for label, of in groups.items()},
        "published_circle": published_circle(setting, draws),
        "parities": parities(setting, draws),
        "overfitting": overfitting(setting, draws),
        "images": {name: images(setting, name, side) for name, side in setting.datasets.items()},
        "curves": curves,
        **environment(),
    }
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        draw(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".png"))


def draw(record: dict[str, Any], path: Path) -> None:
    """Six panels of a record as JSON has it: three sets, parities, noise, images."""
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(2, 3, figsize=(13, 7.4), layout="constrained")
    depth, sizes = record["settings"]["depths"][1], record["settings"]["sizes"]
    for axes, name in zip(grid[0], ("circle", "hypercube", "hypersphere"), strict=True):
        for case, marker in zip(CASES, ("o", "s"), strict=True):
            own = [of for of in record["curves"]
                   if (of["set"], of["depth"], of["case"]) == (name, depth, case)]  # fmt: skip
            for i, curve in enumerate(own):
                line = "-" if marker == "o" else "--"
                axes.plot(sizes, curve["predicted"], line, color=f"C{i}", lw=1.2)
                axes.errorbar(
                    sizes, curve["measured"], curve["standard_error"], fmt=marker, ms=4,
                    color=f"C{i}", mfc=f"C{i}" if marker == "o" else "white",
                    label=f"level {curve['level']}" if marker == "o" else None,
                )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="training points", ylabel="test error",
                 title=f"{name}, {depth} hidden layers")  # fmt: skip
        axes.legend(fontsize=8)
        axes.set_xticks(sizes, sizes)
        axes.minorticks_off()
    _, dashed = CASES
    grid[0, 1].set_title(f"hypercube (open, dashed: {dashed})", fontsize=10)
    found = record["parities"]
    for k in range(found["d"] + 1):
        color = plt.get_cmap("viridis")(k / found["d"])
        grid[1, 0].plot(found["sizes"], found["predicted"][str(k)], color=color, label=str(k))
        corners = [int(n) for n in found["measured"]]
        means = [of[k] for of in found["measured"].values()]
        grid[1, 0].plot(corners, means, "o", color=color, ms=4)
    grid[1, 0].set(xscale="log", xlabel=f"corners of the {found['d']}-cube", ylabel="learnability",
                   title="Which parities are learned, by degree")  # fmt: skip
    grid[1, 0].legend(fontsize=7, ncols=2, loc="upper left", bbox_to_anchor=(0, 0.97))
    grid[1, 0].set_xlim(left=0.7)
    rows = record["overfitting"]["rows"]
    x = [max(row["ridge"], 3e-3) for row in rows]
    for i, (label, of) in enumerate({
        "training": lambda row: row["train"],
        **{f"test, {flip:.0%} flipped": (lambda row, flip=flip: row["flipped"][str(flip)])
           for flip in FLIPS},
    }.items()):  # fmt: skip
        grid[1, 1].plot(x, [of(row)["predicted"] for row in rows], color=f"C{i}", label=label)
        grid[1, 1].plot(x, [of(row)["measured"] for row in rows], "o", color=f"C{i}", ms=4)
    grid[1, 1].set(
        xscale="log", xlabel="ridge (leftmost: none)", ylabel="squared error",
        title=f"Noisy targets, {record['overfitting']['n']} corners",
    )  # fmt: skip
    grid[1, 1].legend(fontsize=8, loc="upper center", ncols=2)
    grid[1, 1].set_ylim(top=1.75)
    for i, (name, found) in enumerate(record["images"].items()):
        own = [row for row in found["rows"] if row["ridge"] == found["ridge_of_twice"]]
        n = [row["n"] for row in own]
        grid[1, 2].plot(n, [row["error"] for row in own], color=f"C{i}",
                        label=f"{name}, from {found['N']:,} images")  # fmt: skip
        grid[1, 2].fill_between(n, [row["low"] for row in own], [row["high"] for row in own],
                                color=f"C{i}", alpha=0.2)  # fmt: skip
        grid[1, 2].plot(n, [row["measured"] for row in own], "o", color=f"C{i}")
        plain = [row for row in own if row["all_there_is"] is not None]
        grid[1, 2].plot([row["n"] for row in plain], [row["all_there_is"] for row in plain], ":",
                        color=f"C{i}")  # fmt: skip
    grid[1, 2].set(xscale="log", xlabel="training images", ylabel="test error",
                   title="Images (dots measured;\n"
                   "dotted: the matrix as all there is)")  # fmt: skip
    grid[1, 2].legend(fontsize=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a glyph or a layout that does not fit
        figure.savefig(path, dpi=110)


if __name__ == "__main__":
    command(Options, main)
