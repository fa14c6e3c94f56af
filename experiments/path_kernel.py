"""A trained network as a sum over its training images, and the kernel of its limit in its place.

Networks of several widths are trained by gradient flow on two classes of digits, labels −1 and 1,
and their tangent kernels are integrated along the path (Domingos 2020). Recorded, for several
seeds of each width:

- ``reproduced``: the largest error of ``Σ_i a_i(x) K^p(x, x_i) + b`` relative to the trained
  outputs' deviation, which is that of integration;
- ``machine``: 1 − R² against the trained outputs where the limit's NTK stands in place of the
  tangent kernel, and the weights are the same for all queries;
- ``limit``: 1 − R² of training with the limit's NTK from the network's own start;
- ``movement``: ``‖K_T − K_0‖ / ‖K_0‖``;
- ``dependence``: ``‖(a_i(x) − a_i) K^p(x, x_i)‖ / ‖a_i K^p(x, x_i)‖`` over queries and images, a_i
  the weight that a constant kernel would have: how far the weights depend on the query.

Powers of the width are slopes of the logarithm of root mean squares (of ``machine`` and ``limit``
of the mean), with central 95% of a bootstrap over the seeds. ``orders``: how the error of the
sum falls as the step is halved, for each integrator, and for ReLU, whose kinks spoil it.

    python experiments/path_kernel.py                  # a few minutes on 2 cores
    python experiments/path_kernel.py --size medium    # more images and seeds
    python experiments/path_kernel.py --size full      # 200 images, 50 seeds
    python experiments/path_kernel.py --size quick     # to see it work; writes nothing

``--n`` is the number of training images.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from benchmarks.measuring import environment, report
from comparing import two_classes
from finite_width_rate import COLORS, rate
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from results import table
from running import Options, Size, command
from tqdm import tqdm

import kernas.kernels as kk
from kernas.kernels.theory.integrators import IntegratorName

CLASSES = (3, 8)
QUANTITIES = ("machine", "limit", "movement", "dependence")
ORDER_TIME = 4.0
"""Of the trainings whose orders are measured."""

SQUARES = ("machine", "limit")
"""Those that are squares of a deviation: their power is twice that of their root."""


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes:
        n_train: images of both classes that networks are trained on.
        n_test: queries.
        time: T, of the training.
        steps: S.
        halvings: how often the step is halved for the orders, from 8 steps on.
        order_width: of the networks whose orders are measured.
    """

    n_train: int
    n_test: int
    widths: tuple[int, ...]
    seeds: int
    time: float = 30.0
    steps: int = 120
    halvings: int = 5
    order_width: int = 64


WIDTHS = (32, 64, 128, 256, 512, 1024)
SETTINGS: dict[Size, Setting] = {
    "quick": Setting(10, 10, (8, 16), 2, time=4.0, steps=8, halvings=2, order_width=8),
    "small": Setting(40, 60, WIDTHS, 8),
    "medium": Setting(100, 100, WIDTHS, 20),
    "full": Setting(200, 119, WIDTHS, 50),
}


def network(activation: Any) -> kk.Architecture:
    """One hidden layer."""
    return kk.serial(kk.Flatten(), kk.Dense(W_std=1.5, b_std=0.1), activation, kk.Dense())


NETWORKS = {"erf": network(kk.Erf()), "relu": network(kk.Relu())}


@dataclass(frozen=True)
class Images:
    """Training images with targets, and queries."""

    x: np.ndarray
    y: np.ndarray
    queries: np.ndarray


def images_of(setting: Setting) -> Images:
    """Of two digits."""
    train, test = kk.load("digits")
    x, y = two_classes(train, CLASSES, setting.n_train)
    return Images(x, y, two_classes(test, CLASSES, setting.n_test)[0])


def lost(found: np.ndarray, trained: np.ndarray) -> float:
    """1 − R²."""
    return float(np.sum((found - trained) ** 2) / np.sum((trained - trained.mean()) ** 2))


def of_one(
    limit: kk.NeuralKernel, width: int, seed: int, images: Images, setting: Setting
) -> dict[str, float]:
    """Every quantity of one training of the network whose limit's kernel is given."""
    path = kk.gradient_path(
        *(limit.architecture, width, images.x, images.y),
        **{"time": setting.time, "steps": setting.steps, "seed": seed},
    )
    kernel = kk.PathKernel.along(path, images.queries)
    gram, cross = limit(images.x), limit(images.queries, images.x)
    trained_limit = kk.gradient_descent_mse(
        *(gram, images.y[:, None].astype(float), path.time),
        K_cross=cross,
        f_train=path.outputs[0][:, None],
        f_test=kernel.offset[:, None],
    ).test
    assert trained_limit is not None
    error = np.abs(kernel.predictions - kernel.trained).max()
    constant = kernel.mean_weights * kernel.kernel
    differs = np.linalg.norm(kernel.contributions - constant) / np.linalg.norm(constant)
    return {
        "reproduced": float(error / kernel.trained.std()),
        "machine": lost(kernel.of_constant(cross), kernel.trained),
        "limit": lost(trained_limit[0, :, 0], kernel.trained),
        "movement": kernel.movement,
        "dependence": float(differs),
        "loss": float(path.losses[-1] / path.losses[0]),
    }


def of_widths(label: str, images: Images, setting: Setting) -> dict[str, Any]:
    """Every quantity of all seeds by width, and the powers of the width."""
    by_width: dict[int, dict[str, list[float]]] = {}
    limit = kk.NeuralKernel(NETWORKS[label], "ntk")
    for width in setting.widths:
        rows = [
            of_one(limit, width, seed, images, setting)
            for seed in tqdm(range(setting.seeds), f"{label}, width {width}")
        ]
        by_width[width] = {name: [row[name] for row in rows] for name in rows[0]}
    return {"widths": by_width, "powers": {name: power(by_width, name) for name in QUANTITIES}}


def power(by_width: dict[int, dict[str, list[float]]], name: str) -> dict[str, float]:
    """Of the width, with its interval."""
    half = name in SQUARES
    roots = {w: np.array(found[name]) ** (0.5 if half else 1.0) for w, found in by_width.items()}
    return {end: value * (2 if half else 1) for end, value in rate(roots).items()}


def of_orders(images: Images, setting: Setting) -> dict[str, dict[str, Any]]:
    """The error of the sum by the number of steps, for every integrator and activation."""
    found: dict[str, dict[str, Any]] = {}
    numbers = [8 * 2**halving for halving in range(setting.halvings + 1)]
    for label, architecture in NETWORKS.items():
        for integrator in get_args(IntegratorName):
            errors = []
            for steps in tqdm(numbers, f"{label}, {integrator}"):
                path = kk.gradient_path(
                    *(architecture, setting.order_width, images.x, images.y),
                    **{"time": ORDER_TIME, "steps": steps, "integrator": integrator},
                )
                kernel = kk.PathKernel.along(path, images.queries)
                errors.append(float(np.abs(kernel.predictions - kernel.trained).max()))
            orders = np.log2(np.divide(errors[:-1], errors[1:])).tolist()
            found[f"{label}, {integrator}"] = {"steps": numbers, "errors": errors, "orders": orders}
    return found


def figure(result: dict[str, Any]) -> Figure:
    """The limit in place of the path, what moves, and the orders."""
    drawn = Figure(figsize=(12.6, 5.0), layout="constrained")
    left, middle, right = drawn.subplots(1, 3)
    of_quantities(left, result, SQUARES, "1 − R² against the trained network")
    of_quantities(middle, result, ("movement", "dependence"), "relative size")
    for place, label in enumerate(NETWORKS):
        for integrator, marker in zip(get_args(IntegratorName), "osd", strict=True):
            one = result["orders"][f"{label}, {integrator}"]
            line = {"color": COLORS[place], "marker": marker, "markersize": 4}
            style = "-" if place == 0 else "--"
            last = f"{one['orders'][-1]:.1f}".replace("-", "−")
            right.plot(
                one["steps"],
                one["errors"],
                style,
                **line,
                label=f"{label}, {integrator}: order {last}",
            )
    right.set(xlabel="steps", ylabel="largest error of the sum")
    widths = list(map(int, result["networks"]["erf"]["widths"]))
    steps = result["orders"]["erf, rk4"]["steps"]
    for axes, ticks in ((left, widths), (middle, widths), (right, steps)):
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#d9dee3", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1
        )
    return drawn


def as_text(result: dict[str, Any]) -> str:
    """A Markdown table of means over seeds by width, and of the powers of the width."""
    head = ["network", *(NAMES[name] for name in QUANTITIES), "error of the sum"]
    rows = []
    for label, found in result["networks"].items():
        for width, values in found["widths"].items():
            means = [f"{np.mean(values[name]):.2g}" for name in QUANTITIES]
            rows.append([f"{label}, {width}", *means, f"{np.mean(values['reproduced']):.0e}"])
        ends = [found["powers"][name] for name in QUANTITIES]
        powers = [f"{p['value']:.2f} [{p['low']:.2f}, {p['high']:.2f}]" for p in ends]
        rows.append([f"{label}, power of the width", *powers, ""])
    return table(head, rows).replace("-0.", "−0.").replace("-1.", "−1.")


NAMES = {
    "machine": "limit's NTK, weights of the path",
    "limit": "training with the limit's NTK",
    "movement": "movement of the tangent kernel",
    "dependence": "dependence of weights on the query",
}


def of_quantities(axes: Axes, result: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    """Two quantities by width, of both networks, seeds as points."""
    for place, label in enumerate(NETWORKS):
        for name, style in zip(names, ("o-", "s--"), strict=True):
            by_width = result["networks"][label]["widths"]
            widths = np.array([int(width) for width in by_width], float)
            values = np.array([found[name] for found in by_width.values()])
            color, fitted = COLORS[place], result["networks"][label]["powers"][name]
            axes.plot(widths, values, style[0], color=color, alpha=0.2, markersize=3)
            mean = values.mean(1) if name in SQUARES else np.sqrt((values**2).mean(1))
            text = f"{label}, {NAMES[name]}: {fitted['value']:.2f}".replace("-", "−")
            axes.plot(widths, mean, style, color=color, markersize=5, label=text)
    axes.set(xlabel="width", ylabel=what)


def main(options: Options) -> None:
    """Measure, print one JSON line, keep it with its figure."""
    setting = SETTINGS[options.size]
    setting = replace(setting, n_train=options.n or setting.n_train)
    images = images_of(setting)
    trainings = len(NETWORKS) * len(setting.widths) * setting.seeds
    print(f"{trainings} trainings of {setting.steps} steps", file=sys.stderr)
    result = {
        "setting": asdict(setting),
        "classes": CLASSES,
        "networks": {label: of_widths(label, images, setting) for label in NETWORKS},
        "orders": of_orders(images, setting),
        **options.asked(),
        **environment(),
    }
    path = options.record(__file__)
    report(result, path)
    if path is not None:
        figure(result).savefig(path.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    command(Options, main)
