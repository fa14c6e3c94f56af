"""How fast the kernels of finite networks approach the exact ones: the power of the width.

Draws networks of several widths and takes the relative Frobenius distance
``e_d = ‖K_d − K‖ / ‖K‖`` of each draw's empirical kernel ``K_d`` from the exact ``K``: of the NNGP
as the mean over as many outputs as the network is wide, and of the NTK of one output. In the limit
the root mean square over draws falls as ``width ** -0.5``. The slope of its logarithm against log
width is fitted by least squares; the interval is the central 95% of a bootstrap that draws anew,
within every width, from the draws.

    python experiments/finite_width_rate.py                  # a few minutes on 2 cores
    python experiments/finite_width_rate.py --size medium    # twice as wide, more draws
    python experiments/finite_width_rate.py --size full      # four times as wide
    python experiments/finite_width_rate.py --size quick     # narrow, few draws; writes nothing

What makes this large is the networks' width and the number of draws, which the size decides;
``--n`` is the number of images.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

import flax
import jax
import numpy as np
from benchmarks.measuring import environment, report
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from running import Options, Size, command, foretell
from tqdm import tqdm

import kernas.kernels as kk

IMAGES, IMAGE_SIZE, SEED = 6, 8, 0
DRAWS = {64: 96, 128: 96, 256: 64, 512: 32, 1024: 24}
"""Draws by width, the channels of every layer but the last."""
SETTINGS: dict[Size, dict[int, int]] = {
    "quick": {16: 4, 32: 4, 64: 4},
    "small": DRAWS,
    "medium": {64: 384, 128: 384, 256: 256, 512: 128, 1024: 96, 2048: 48},
    "full": {64: 384, 128: 384, 256: 256, 512: 256, 1024: 192, 2048: 96, 4096: 48},
}
RESAMPLES = 10_000
HE = 2**0.5
COLORS = ("#2a6f97", "#c8553d", "#6a994e")


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


def measure(draws: dict[int, int], n: int) -> dict[str, Any]:
    """Distances and slopes of all networks, of ``n`` images."""
    start = time.perf_counter()
    train, _ = kk.load("digits", n_train=max(n, 10), n_test=10, image_size=IMAGE_SIZE, seed=SEED)
    x = train.x[:n]
    result: dict[str, Any] = {
        "images": {"dataset": "digits", "n": n, "size": IMAGE_SIZE},
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


def work(draws: dict[int, int], n: int) -> float:
    """Of all draws, up to a factor: the weights of wide networks, times pairs of images."""
    return n**2 * sum(count * width**2 for width, count in draws.items())


def main(options: Options) -> None:
    """Measure, print one JSON line, keep it with its figure."""
    draws, n = SETTINGS[options.size], options.n or IMAGES
    recorded = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    share = work(draws, n) / work(DRAWS, IMAGES)
    foretell(
        recorded["seconds"] * share,
        "by the recorded seconds, as weights and pairs; compiling apart",
    )
    result = measure(draws, n)
    path = options.record(__file__)
    report(result | options.asked(), path)
    if path is not None:
        figure(result).savefig(path.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    command(Options, main)
