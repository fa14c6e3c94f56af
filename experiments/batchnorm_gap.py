"""How far finite networks with BatchNorm are from both forms of ``Normalize``.

Draws finite NAS-Bench-201 networks on CIFAR-10 images, at several widths and with the images
themselves as the batch: once with true BatchNorm ("batchnorm"), once with the normalisation whose
limit the centred kernel is ("limit": a channel's batch mean, the kernel's scale). Writes beside
this script how far their mean kernels are from the centred and from the RMS kernel.

    python experiments/batchnorm_gap.py                  # a quarter of an hour on 2 cores
    python experiments/batchnorm_gap.py --size medium    # four times the draws, wider tangents
    python experiments/batchnorm_gap.py --size full      # twice as wide again
    python experiments/batchnorm_gap.py --size quick     # one cell, narrow; writes nothing

What makes this large is the networks' width and the number of draws, which the size decides;
``--n`` is the number of images, the batch itself. Needs ``cifar10_10k_2k.npz`` in the folder
``KERNAS_DATA``. Of the draws ``K_d`` with mean ``K̄`` against a kernel ``K``, in Frobenius norms
over ``‖K̄‖``:

- ``distance``: ``‖E K_d − K‖`` without the sampling noise of the mean, 0 if it is less than that;
- ``distance_of_mean``: ``‖K̄ − K‖`` as it stands, and ``noise``: what sampling alone would give;
- ``distance_of_one_draw``: ``(mean_d ‖K_d − K‖²)^½``;
- ``distance_rescaled``: ``distance`` after the best factor on ``K``;
- ``distance_over_kernel``: ``distance`` over ``‖K‖`` in place of ``‖K̄‖``;
- ``cosine_difference``: root mean square difference of ``cos = K(x, x') / √(K(x, x) K(x', x'))``
  over pairs of different images, of ``K̄`` and ``K`` (no noise removed, not relative).

Each value comes with its standard error, a jackknife over the draws (``null`` beside a 0).
``rate_of_limit`` is the power of the width with which ``distance_of_one_draw`` falls for "limit"
networks, -1/2 in theory; that of their mean is mostly lost in the sampling noise.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmarks.measuring import environment, report
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from running import Options, Size, command, foretell
from tqdm import tqdm

import kernas.kernels as kk
import kernas.search as ks

# The package has no finite networks of its own yet: these are the ones that test its kernels.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles.finite_width import FiniteNetwork, Normalization, sample_ntk
from oracles.numpy_kernel import normalize_scales

CELLS = {
    "convolutions": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "mixed": "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|"
    "+|none~0|nor_conv_1x1~1|skip_connect~2|",
    "skips and pools": "|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|"
    "+|skip_connect~0|avg_pool_3x3~1|avg_pool_3x3~2|",
}
IMAGES, IMAGE_SIZE, SEED = 24, 8, 0
DRAWS = {"nngp": {48: 64, 96: 32, 192: 16, 384: 6}, "ntk": {24: 12, 48: 12}}
"""Draws by width, the channels of the stem; the three stages have one, two and four times as many.
Tangent kernels of wider networks take minutes a draw."""
SETTINGS: dict[Size, dict[str, dict[int, int]]] = {
    "quick": {"nngp": {8: 8, 16: 4}, "ntk": {8: 3}},
    "small": DRAWS,
    "medium": {"nngp": {48: 256, 96: 128, 192: 64, 384: 24}, "ntk": {24: 48, 48: 48, 96: 12}},
    "full": {
        "nngp": {48: 256, 96: 128, 192: 64, 384: 24, 768: 12},
        "ntk": {24: 48, 48: 48, 96: 24, 192: 12},
    },
}

NORMALIZATIONS: tuple[Normalization, ...] = ("batchnorm", "limit")
LIMIT = ("limit", "centred")
COMPARISONS = (("batchnorm", "centred"), ("batchnorm", "rms"), LIMIT)
CURVES = (
    (COMPARISONS[1], "distance", "BatchNorm, mean, to RMS kernel", "#c8553d", "s-"),
    (COMPARISONS[0], "distance", "BatchNorm, mean, to centred kernel", "#2a6f97", "o-"),
    (LIMIT, "distance_of_one_draw", "limit, one network, to centred kernel", "#6c757d", "^-"),
    (LIMIT, "distance_of_mean", "limit, mean, to centred kernel", "#adb5bd", "v:"),
)
"""Comparison, quantity, label, colour and line of each curve of the figure."""

Sampled = dict[str, np.ndarray]
Estimate = dict[str, float | None]


def sample(name: str, network: FiniteNetwork, draws: int, seed: int) -> Sampled:
    """Kernels of the same random weights with either normalisation, ``(draws, n, n)`` each."""
    networks = {
        normalize: FiniteNetwork(
            network.architecture, network.x, network.width, network.x, normalize
        )
        for normalize in NORMALIZATIONS
    }
    if name == "ntk":
        return {normalize: sample_ntk(net, draws, seed) for normalize, net in networks.items()}
    scales = normalize_scales(network.architecture, network.x)
    last = network.architecture.nodes[-1]
    assert isinstance(last.layer, kk.Dense)
    W_std, b_std, read = last.layer.W_std, last.layer.b_std, last.inputs[0]

    @jax.jit
    def one_draw(key: jax.Array) -> dict[str, jax.Array]:
        parameters = network.draw(key)
        kernels: dict[str, jax.Array] = {}
        for normalize, net in networks.items():
            h = net.forward(parameters, scales)[read]
            # The mean over the last layer's weights is exact, as in oracles.sample_kernels.
            kernels[normalize] = W_std**2 * h @ h.T / h.shape[1] + b_std**2
        return kernels

    keys = jax.random.split(jax.random.key(seed), draws)
    done = [jax.device_get(one_draw(key)) for key in tqdm(keys, desc=f"width {network.width}")]
    return {n: np.stack([kernels[n] for kernels in done]).astype(float) for n in NORMALIZATIONS}


def jackknife(statistic: Callable[[np.ndarray], float], kernels: np.ndarray) -> Estimate:
    """A statistic of the draws and its standard error, ``None`` where the statistic is cut at 0."""
    n, value = len(kernels), statistic(kernels)
    without = [statistic(np.delete(kernels, d, axis=0)) for d in range(n)]
    error = float(np.sqrt((n - 1) * np.var(without))) if value > 0 else None
    return {"value": value, "standard_error": error}


def root_mean_square(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def cosines(K: np.ndarray) -> np.ndarray:
    """``K(x, x') / √(K(x, x) K(x', x'))`` of the pairs of different images."""
    cosine = K / np.sqrt(np.outer(np.diag(K), np.diag(K)))
    return cosine[~np.eye(len(K), dtype=bool)]


def norm(matrix: np.ndarray) -> float:
    """The Frobenius norm."""
    return float(np.linalg.norm(matrix))


def noise(kernels: np.ndarray) -> float:
    """Root mean square ``‖K̄ − E K_d‖``."""
    return float(np.sqrt(kernels.var(axis=0, ddof=1).sum() / len(kernels)))


def expected_distance(kernels: np.ndarray, kernel: np.ndarray) -> float:
    """``‖E K_d − K‖``, from the unbiased estimate of its square; 0 where that is negative."""
    squared = norm(kernels.mean(0) - kernel) ** 2 - noise(kernels) ** 2
    return float(np.sqrt(max(squared, 0.0)))


def best_factor(kernels: np.ndarray, kernel: np.ndarray) -> float:
    """The ``a`` for which ``a K`` is closest to the mean."""
    return float((kernels.mean(0) * kernel).sum() / norm(kernel) ** 2)


def compare(kernels: np.ndarray, kernel: np.ndarray) -> dict[str, Any]:
    """The distances of the module's docstring."""

    def relative(absolute: Callable[[np.ndarray], float]) -> Estimate:
        return jackknife(lambda draws: absolute(draws) / norm(draws.mean(0)), kernels)

    return {
        "distance": relative(lambda draws: expected_distance(draws, kernel)),
        "distance_of_mean": relative(lambda draws: norm(draws.mean(0) - kernel)),
        "noise": noise(kernels) / norm(kernels.mean(0)),
        "distance_of_one_draw": relative(lambda d: norm(d - kernel) / len(d) ** 0.5),
        "distance_rescaled": relative(
            lambda draws: expected_distance(draws, best_factor(draws, kernel) * kernel)
        ),
        "distance_over_kernel": jackknife(
            lambda draws: expected_distance(draws, kernel) / norm(kernel), kernels
        ),
        "cosine_difference": jackknife(
            lambda draws: root_mean_square(cosines(draws.mean(0)) - cosines(kernel)), kernels
        ),
    }


def mean_diagonal(kernels: np.ndarray) -> float:
    """The mean of ``K(x, x)``, of the mean kernel."""
    return float(np.trace(kernels.mean(0)) / kernels.shape[1])


def mean_cosine(kernels: np.ndarray) -> float:
    """The mean cosine of different images, of the mean kernel."""
    return float(cosines(kernels.mean(0)).mean())


def shape(kernels: np.ndarray) -> dict[str, Estimate]:
    """Scale and likeness of the images, as the draws have them."""
    return {
        "mean_diagonal": jackknife(mean_diagonal, kernels),
        "mean_cosine": jackknife(mean_cosine, kernels),
    }


def rate(widths: dict[str, Any]) -> Estimate | None:
    """Slope of log distance of one "limit" network against log width; ``None`` of one width.

    By least squares, weighted with the standard errors.
    """
    if len(widths) < 2:
        return None
    value, error = column(widths, LIMIT, "distance_of_one_draw")
    x, weights = np.log([int(width) for width in widths]), (value / error) ** 2
    x -= np.average(x, weights=weights)
    spread = float((weights * x**2).sum())
    slope = float((weights * x * np.log(value)).sum()) / spread
    return {"value": slope, "standard_error": spread**-0.5}


def column(
    widths: dict[str, Any], comparison: tuple[str, str], quantity: str
) -> tuple[np.ndarray, np.ndarray]:
    """A quantity at every width, and its standard errors."""
    found = [at[" to ".join(comparison)][quantity] for at in widths.values()]
    value, error = ([e[part] for e in found] for part in ("value", "standard_error"))
    return np.array(value, float), np.array(error, float)


def exact_kernels(cell: str, x: np.ndarray) -> dict[str, kk.Kernels]:
    """Both kernels of a cell with either form of ``Normalize``, bound to the images themselves."""
    result = {}
    for form, center in (("centred", True), ("rms", False)):
        architecture = ks.NasBench201(cells_per_stage=1, center=center).architecture(cell)
        kernel = kk.NeuralKernel(architecture, get=("nngp", "ntk")).bind(x, n_reference=len(x))
        result[form] = kernel(x, get=("nngp", "ntk"))
    return result


def measure(
    name: str, cell: str, x: np.ndarray, kernels: dict[str, kk.Kernels], draws: dict[int, int]
) -> dict[str, Any]:
    """One kernel of one cell against the finite networks of every width."""
    exact = {form: np.asarray(getattr(both, name), float) for form, both in kernels.items()}
    architecture = ks.NasBench201(cells_per_stage=1, center=True).architecture(cell)
    result: dict[str, Any] = {
        form: {"mean_diagonal": mean_diagonal(K[None]), "mean_cosine": mean_cosine(K[None])}
        for form, K in exact.items()
    }
    widths: dict[str, Any] = {}
    for width, count in draws.items():
        start = time.perf_counter()
        sampled = sample(name, FiniteNetwork(architecture, x, width, x), count, SEED + width)
        at: dict[str, Any] = {"draws": count}
        for normalize in NORMALIZATIONS:
            at[normalize] = shape(sampled[normalize])
        for normalize, form in COMPARISONS:
            at[f"{normalize} to {form}"] = compare(sampled[normalize], exact[form])
        widths[str(width)] = at | {"seconds": round(time.perf_counter() - start, 1)}
    return result | {"widths": widths, "rate_of_limit": rate(widths)}


def figure(result: dict[str, Any]) -> Figure:
    """Distance against width, log-log: a row a kernel, a column a cell."""
    drawn = Figure(figsize=(3.6 * len(CELLS), 3.4 * len(DRAWS)), layout="constrained")
    panels = drawn.subplots(len(DRAWS), len(CELLS), squeeze=False, sharey="row")
    for line, name in zip(panels, DRAWS, strict=True):
        for axes, cell in zip(line, CELLS, strict=True):
            draw_panel(axes, result[name][cell]["widths"])
            axes.set_title(f"{name.upper()}, {cell}", fontsize=10)
        line[0].set_ylabel("relative distance")
    for axes in panels[-1]:
        axes.set_xlabel("channels of the stem")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return drawn


def draw_panel(axes: Axes, widths: dict[str, Any]) -> None:
    """One cell's distances with their standard errors."""
    x = np.array([int(width) for width in widths])
    for comparison, quantity, label, color, line in CURVES:
        value, error = column(widths, comparison, quantity)
        axes.errorbar(x, value, error, fmt=line, color=color, label=label, capsize=2, markersize=5)
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(x)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#d9dee3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def predicted_seconds(draws: dict[str, dict[int, int]], n: int) -> float:
    """By the recorded seconds of the small setting: as draws, weights and pairs of images."""
    recorded = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    total = 0.0
    for name, counts in draws.items():
        for cell in recorded[name].values():
            known = {
                int(width): at["seconds"] / at["draws"] for width, at in cell["widths"].items()
            }
            for width, count in counts.items():
                nearest = min(known, key=lambda one: abs(one - width))
                total += count * known[nearest] * (width / nearest) ** 2 * (n / IMAGES) ** 2
    return total


def main(options: Options) -> None:
    """Measure, print one JSON line, keep it with its figure."""
    start = time.perf_counter()
    n = options.n or IMAGES
    cells = dict(list(CELLS.items())[1:2]) if options.size == "quick" else CELLS
    draws = SETTINGS[options.size]
    foretell(
        predicted_seconds(draws, n) * len(cells) / len(CELLS),
        "by the recorded seconds a draw, compiling apart",
    )
    train, _ = kk.load("cifar10", n_train=max(n, 10), image_size=IMAGE_SIZE, seed=SEED)
    x = train.x[:n]
    result: dict[str, Any] = {
        "images": {"dataset": "cifar10", "n": n, "size": IMAGE_SIZE, "reference": "all"},
        "seed": SEED,
        "cells_per_stage": 1,
        "cells": cells,
    }
    result |= {name: {} for name in draws}
    for key, cell in cells.items():
        kernels = exact_kernels(cell, x)
        for name, counts in draws.items():
            result[name][key] = measure(name, cell, x, kernels, counts)
    result |= {"seconds": round(time.perf_counter() - start, 1)}
    path = options.record(__file__)
    report(result | options.asked() | environment(), path)
    if path is not None:
        figure(result).savefig(path.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    command(Options, main)
