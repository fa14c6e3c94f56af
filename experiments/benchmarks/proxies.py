"""What all proxies of a candidate take, in forward and backward passes of it; and their programs.

Cells of NAS-Bench-201 on CIFAR-10, width 16, one network each. ``pass`` is the loss of a batch and
its gradient by the weights, by one compiled program of the template; ``twelve`` are snip,
grad_norm, l2_norm, plain, fisher, grasp, synflow, jacob_cov, naswot, epe_nas, zico and zen
together, drawing of weights and the host's part included, and the other groups what shares their
passes. All in turns, for each cell.

    python experiments/benchmarks/proxies.py          # 20 minutes on 2 idle cores
    python experiments/benchmarks/proxies.py --quick  # one cell, small images; writes nothing
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import tyro
from measuring import alternating, environment, report

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels import finite_network
from kernas.kernels.engine import compilations
from kernas.kernels.finite.convolution import convolution_for
from kernas.search.scores.base import evaluate_scores

RESULT = Path(__file__).with_suffix(".json")
GROUPS = {
    "twelve": (
        *("snip", "grad_norm", "l2_norm", "plain", "fisher", "grasp", "synflow", "jacob_cov"),
        *("naswot", "epe_nas", "zico", "zen"),
    ),
    "layers and blocks": ("meco", "near", "expressivity", "progressivity", "trainability"),
    "thin network": ("linear_regions",),
    "gradients by image": ("ntk_condition", "label_gradient_alignment"),
    "derivatives by layer": ("vkdnw", "vkdnw@entropy"),
}
WIDTH = 16


@dataclass(frozen=True)
class Setting:
    """A skeleton, its images and cells."""

    cells_a_stage: int
    side: int
    batch: int
    cells: int
    repetitions: int


SETTINGS = (
    Setting(cells_a_stage=1, side=16, batch=32, cells=10, repetitions=5),
    Setting(cells_a_stage=1, side=32, batch=64, cells=5, repetitions=3),
)
QUICK = (Setting(cells_a_stage=1, side=8, batch=8, cells=1, repetitions=2),)


def measured(setting: Setting) -> dict[str, Any]:
    """Medians over cells of the groups' seconds, of a pass's, and of their ratios."""
    space = ks.NasBench201(setting.cells_a_stage)
    cells = space.sample(setting.cells, seed=0)
    n = 2 * setting.batch
    fit, _ = kk.load("cifar10", n_train=n, n_test=1, image_size=setting.side, seed=0)
    groups = {
        group: [ks.ProxyScore(fit, name, WIDTH, setting.batch, repeats=1) for name in names]
        for group, names in GROUPS.items()
    }
    images, labels = groups["twelve"][0].source.batch(0)
    template = space.template(cells[0])
    network: Any = finite_network(
        template,
        WIDTH,
        outputs=fit.n_classes,
        parameterization="standard",
        convolution=convolution_for(jax.local_devices()[0].platform, images.shape[1:3]),
    )
    variables = network.init(jax.random.key(0), images[:2])

    @jax.jit
    def forward_backward(params: Any, choices: Any) -> Any:
        def loss(params: Any) -> Any:
            logits, _ = network.apply(
                {**variables, "params": params},
                images,
                train=True,
                choices=choices,
                mutable=["batch_stats"],
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        return jax.value_and_grad(loss)(params)

    def of(cell: ks.Candidate) -> dict[str, float]:
        choices = np.array(space.slots(cell), np.int32)
        programs: dict[str, Callable[[], Any]] = {
            "pass": lambda: jax.block_until_ready(forward_backward(variables["params"], choices))
        }
        for group, scores in groups.items():
            programs[group] = partial(evaluate_scores, cell, scores)
        seconds = alternating(programs, setting.repetitions)
        return {name: statistics.median(found) for name, found in seconds.items()}

    compiled: dict[str, int] = {}
    for group, scores in groups.items():
        before = compilations().count
        evaluate_scores(cells[0], scores)
        compiled[group] = compilations().count - before
    jax.block_until_ready(
        forward_backward(variables["params"], np.array(space.slots(cells[0]), np.int32))
    )
    before = compilations().count
    found = [of(cell) for cell in cells]
    return {
        **asdict(setting),
        "programs_of_the_first_cell": compiled,
        "programs_of_the_others": compilations().count - before,
        "seconds_of_a_pass": statistics.median(each["pass"] for each in found),
        "groups": {group: in_passes(found, group) for group in groups},
    }


def in_passes(found: list[dict[str, float]], group: str) -> dict[str, float]:
    """Seconds, and ratios to a pass of the same cell."""
    ratios = [each[group] / each["pass"] for each in found]
    return {
        "seconds": statistics.median(each[group] for each in found),
        "passes": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def main(quick: bool = False) -> None:
    """Measure and record.

    Args:
        quick: one cell, small images; writes nothing.
    """
    settings = QUICK if quick else SETTINGS
    record = {
        "proxies": GROUPS,
        "width": WIDTH,
        "settings": [measured(setting) for setting in settings],
        **environment(),
    }
    report(record, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
