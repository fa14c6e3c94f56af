"""How fast the kernels of finite networks approach the exact ones: the power of the width.

Draws networks of several widths and takes the relative Frobenius distance
``e_d = ‖K_d − K‖ / ‖K‖`` of each draw's empirical kernel ``K_d`` from the exact ``K``: of the NNGP
as the mean over as many outputs as the network is wide, and of the NTK of one output. In the limit
the root mean square over draws falls as ``width ** -0.5``. The slope of its logarithm against log
width is fitted by least squares; the interval is the central 95% of a bootstrap that draws anew,
within every width, from the draws.

    python experiments/finite_width_rate.py            # a few minutes on 2 cores
    python experiments/finite_width_rate.py --quick    # narrow, few draws; writes nothing
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import flax
import jax
import numpy as np
import tyro
from benchmarks.measuring import environment, report
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from tqdm import tqdm

import kernas.kernels as kk

IMAGES, IMAGE_SIZE, SEED = 6, 8, 0
DRAWS = {64: 96, 128: 96, 256: 64, 512: 32, 1024: 24}
"""Draws by width, the channels of every layer but the last."""
QUICK_DRAWS = {16: 4, 32: 4, 64: 4}
RESAMPLES = 10_000
HE = 2**0.5
COLORS = ("#2a6f97", "#c8553d", "#6a994e")

RESULT = Path(__file__).with_suffix(".json")
FIGURE = Path(__file__).with_suffix(".png")


def chain() -> kk.Architecture:
    """Convolutions one after the other."""
    conv = kk.Conv(3, W_std=HE, b_std=0.1)
    return kk.serial(conv, kk.Relu(), conv, kk.Relu(), kk.GlobalAvgPool(), kk.Dense())


def branches() -> kk.Architecture:
    """A skip beside a pool, then a convolution beside the ReLU of its own pool."""
    pool = kk.AvgPool(3, padding="SAME")
    return kk.serial(
        kk.Conv(3, W_std=HE),
        kk.parallel(kk.Identity(), pool),
        kk.Relu(),
        kk.Conv(3, W_std=HE),
        kk.parallel(kk.Identity(), kk.serial(pool, kk.Relu())),
        kk.Conv(1, W_std=HE),
        kk.Relu(),
        kk.GlobalAvgPool(),
        kk.Dense(),
    )


def parts() -> kk.Architecture:
    """A separable convolution beside a narrower one, concatenated, normalised over channels."""
    separable = kk.serial(kk.DepthwiseConv(3), kk.Conv(1, W_std=HE))
    return kk.serial(
        kk.Conv(3, W_std=HE),
        kk.Relu(),
        kk.parallel(separable, kk.Conv(3, padding="CIRCULAR", width=0.5), join=kk.Concat()),
        kk.LayerNorm(),
        kk.Relu(),
        kk.LocalAvgPool(2),
        kk.Dense(),
    )


NETWORKS = {
    "convolutions": chain,
    "branches that meet again": branches,
    "depthwise, Concat, LayerNorm": parts,
}


def distances(
    architecture: kk.Architecture, x: np.ndarray, width: int, draws: int, exact: kk.Kernels
) -> dict[str, np.ndarray]:
    """Relative distances ``(draws,)`` of either kernel."""
    result: dict[str, np.ndarray] = {}
    kinds: tuple[tuple[Literal["nngp", "ntk"], int | None], ...] = (("nngp", None), ("ntk", 1))
    for name, outputs in kinds:
        network = kk.finite_network(architecture, width, outputs=outputs)
        init = jax.jit(network.init)

        def apply(params: Any, images: Any, network: Any = network) -> Any:
            return network.apply({"params": params}, images)

        K = np.asarray(getattr(exact, name), float)
        found: list[float] = []
        for key in tqdm(jax.random.split(jax.random.key(SEED), draws), f"{name}, width {width}"):
            drawn = kk.EmpiricalKernel(apply, init(key, x)["params"], get=name)(x)
            found.append(float(np.linalg.norm(drawn - K) / np.linalg.norm(K)))
        result[name] = np.array(found)
    return result


def root_mean_square(values: np.ndarray) -> np.ndarray:
    """The root mean square of the last axis."""
    return np.sqrt((values**2).mean(-1))


def slope(widths: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Least squares of log ``errors``, ``(widths, …)``, against log width."""
    x = np.log(widths) - np.log(widths).mean()
    return np.tensordot(x, np.log(errors), 1) / (x**2).sum()


def rate(found: dict[int, np.ndarray]) -> dict[str, float]:
    """The slope of root mean square distances with its bootstrap interval."""
    rng, widths = np.random.default_rng(SEED), np.array(list(found), float)
    again = [
        root_mean_square(e[rng.integers(len(e), size=(RESAMPLES, len(e)))]) for e in found.values()
    ]
    low, high = np.quantile(slope(widths, np.array(again)), [0.025, 0.975])
    errors = np.array([root_mean_square(e) for e in found.values()])
    return {"value": float(slope(widths, errors)), "low": float(low), "high": float(high)}


def figure(result: dict[str, Any]) -> Figure:
    """Distance against width, log-log: a panel a kernel, a colour a network."""
    drawn = Figure(figsize=(10, 4.4), layout="constrained")
    panels = drawn.subplots(1, 2, sharey=True)
    for axes, name in zip(panels, ("nngp", "ntk"), strict=True):
        axes.set(title=name.upper(), xscale="log", yscale="log", xlabel="width")
        for place, (label, kernels) in enumerate(result["networks"].items()):
            fitted, at = kernels[name]["slope"], kernels[name]["widths"]
            widths, color = np.array([int(width) for width in at]), COLORS[place]
            for width, one in zip(widths, at.values(), strict=True):
                beside = [width * (0.94 + 0.06 * place)] * one["draws"]
                axes.plot(beside, one["distances"], ".", color=color, alpha=0.2, markersize=3)
            errors = np.array([one["root_mean_square"] for one in at.values()])
            text = f"{label}: {fitted['value']:.2f} [{fitted['low']:.2f}, {fitted['high']:.2f}]"
            axes.plot(widths, errors, "o", color=color, markersize=5, label=text.replace("-", "−"))
            root = widths**-0.5
            line = np.exp(np.log(errors / root).mean()) * root
            axes.plot(widths, line, "--", color=color, linewidth=1.2)
            axes.set_xticks(widths)
        axes.plot([], [], "--", color="#495057", linewidth=1.2, label="slope −1/2")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#d9dee3", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
        axes.set_ylim(bottom=5e-4)
    panels[0].set_ylabel("relative distance of one network")
    return drawn


def measure(draws: dict[int, int]) -> dict[str, Any]:
    """Distances and slopes of all networks."""
    start = time.perf_counter()
    train, _ = kk.load("digits", n_train=10, n_test=10, image_size=IMAGE_SIZE, seed=SEED)
    x = train.x[:IMAGES]
    result: dict[str, Any] = {
        "images": {"dataset": "digits", "n": IMAGES, "size": IMAGE_SIZE},
        "seed": SEED,
        "networks": {},
    }
    for label, make in NETWORKS.items():
        exact = kk.NeuralKernel(make())(x, get=("nngp", "ntk"))
        found = {w: distances(make(), x, w, count, exact) for w, count in draws.items()}
        result["networks"][label] = {
            name: {
                "slope": rate({width: both[name] for width, both in found.items()}),
                "widths": {
                    str(width): {
                        "draws": draws[width],
                        "root_mean_square": float(root_mean_square(both[name])),
                        "distances": both[name].tolist(),
                    }
                    for width, both in found.items()
                },
            }
            for name in ("nngp", "ntk")
        }
    return result | {
        "seconds": round(time.perf_counter() - start, 1),
        "flax": flax.__version__,
        **environment(),
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it with its figure.

    Args:
        quick: narrow networks and few draws, to see it work; writes nothing.
    """
    result = measure(QUICK_DRAWS if quick else DRAWS)
    report(result, None if quick else RESULT)
    if not quick:
        figure(result).savefig(FIGURE, dpi=130)


if __name__ == "__main__":
    tyro.cli(main)
