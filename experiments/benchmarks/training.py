"""Seconds of a training step: cells by the program that they share, and by modules of their own.

Cells of ``nasbench201:cells=1,reduction=pool`` on ``digits_hard``, width 8, batches of 50, 3 seeds.

- ``ways``: the first cells of a sample in every combination of convolution (XLA's own, or gathered
  patches and a matrix product) and seeds (side by side, or one after another), in turns.
- ``plain``: the first cell as a flax module that is written out by hand, as flax's users do, with
  XLA's convolution and mapped over seeds; the same optimiser and batches.
- ``many``: 200 cells, a few steps each on few images: compilations, and the process's memory at its
  largest after the first 20 and after all.

Compilation is told apart: it is the first call's time beyond that of the second.

    python experiments/benchmarks/training.py          # 10 minutes on 2 idle cores
    python experiments/benchmarks/training.py --quick  # 2 cells, few steps; writes nothing
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import tyro
from measuring import environment, report

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.engine import compilations
from kernas.search.spaces.cell_strings import EDGES
from kernas.search.training import TrainingSettings, programs, train
from kernas.search.training.batches import batches
from kernas.search.training.programs import Ways

RESULT = Path(__file__).with_suffix(".json")
SPACE = "nasbench201:cells=1,reduction=pool"
RECIPE = TrainingSettings(width=8, learning_rate=0.1, batch_size=50, steps=200)
SEEDS = 3
FULL, QUICK = (5, 200, 200), (2, 20, 5)
"""Cells of every way, their steps, and cells of ``many``."""
FEW_STEPS = 5

Pair = tuple[kk.Dataset, kk.Dataset]


def took(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def by_ways(cells: list[ks.Candidate], data: Pair, recipe: TrainingSettings) -> dict[str, Any]:
    """Each way's seconds, the ways in turns for each cell."""
    ways = [Ways(name, together) for name, together in product(("patches", "lax"), (False, True))]
    kept = {way: lru_cache(programs._programs.__wrapped__) for way in ways}

    def trained(cell: ks.Candidate, way: Ways) -> float:
        with (
            mock.patch.object(programs, "ways_for", return_value=way),
            mock.patch.object(programs, "_programs", kept[way]),
        ):
            return took(lambda: train(cell, *data, settings=recipe, seeds=SEEDS))

    first = {way: trained(cells[0], way) for way in ways}
    seconds: dict[Ways, list[float]] = {way: [] for way in ways}
    for cell in cells:
        for way in ways:
            seconds[way].append(trained(cell, way))
    return {
        f"{way.convolution}, seeds {'side by side' if way.side_by_side else 'in turn'}": {
            "seconds_a_cell": statistics.median(seconds[way]),
            "milliseconds_a_step": 1e3
            * statistics.median(seconds[way])
            / recipe.steps_for(data[0]),
            "seconds_of_the_first_call": first[way],
        }
        for way in ways
    }


class PlainCell(nn.Module):
    """The network of a cell in flax's own layers, written out."""

    operations: tuple[str, ...]
    width: int
    classes: int

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        def norm(x: Any) -> Any:
            return nn.BatchNorm(not train, momentum=0.9, use_bias=False, use_scale=False)(x)

        def conv(x: Any, channels: int, window: int) -> Any:
            return norm(nn.Conv(channels, (window, window), use_bias=False)(x))

        x = conv(x, self.width, 3)
        for stage, channels in enumerate((self.width, 2 * self.width, 4 * self.width)):
            if stage:
                x = conv(nn.avg_pool(x, (2, 2), (2, 2)), channels, 1)
            values = {0: x}
            for (source, target), operation in zip(EDGES, self.operations, strict=True):
                y = values[source]
                if operation == "none":
                    y = jnp.zeros_like(x)
                elif operation == "avg_pool_3x3":
                    y = nn.avg_pool(y, (3, 3), (1, 1), "SAME", count_include_pad=False)
                elif operation != "skip_connect":
                    y = conv(nn.relu(y), channels, 1 if operation == "nor_conv_1x1" else 3)
                values[target] = values.get(target, 0) + y
            x = values[3]
        return nn.Dense(self.classes, use_bias=False)(nn.relu(norm(x)).mean((1, 2)))


def plain(cell: ks.Candidate, data: Pair, recipe: TrainingSettings) -> dict[str, Any]:
    """The module of one cell in a loop of jitted steps."""
    fit, _ = data
    steps = recipe.steps_for(fit)
    network = PlainCell(cell.genotype, recipe.width, fit.n_classes)
    optimizer = optax.chain(
        optax.add_decayed_weights(recipe.weight_decay),
        optax.sgd(
            optax.cosine_decay_schedule(recipe.learning_rate, steps), recipe.momentum, nesterov=True
        ),
    )

    def loss(params: Any, rest: Any, x: Any, y: Any) -> Any:
        logits, moved = network.apply(
            {"params": params, **rest}, x, train=True, mutable=["batch_stats"]
        )
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), moved

    def step(params: Any, rest: Any, moments: Any, x: Any, y: Any) -> Any:
        gradients, rest = jax.grad(loss, has_aux=True)(params, rest, x, y)
        updates, moments = optimizer.update(gradients, moments, params)
        return optax.apply_updates(params, updates), rest, moments

    keys = jax.random.split(jax.random.key(0), SEEDS)
    start = jax.vmap(lambda key: network.init(key, fit.x[:2], train=False))(keys)
    drawn = batches(0, steps, range(SEEDS), len(fit), recipe.batch_size, fit.input_shape).images
    compiled = jax.jit(jax.vmap(step))

    def run() -> None:
        state = start["params"], {"batch_stats": start["batch_stats"]}
        state = (*state, jax.vmap(optimizer.init)(start["params"]))
        for images in drawn:
            state = compiled(*state, fit.x[images], fit.y[images])
        jax.block_until_ready(state)

    first, again = took(run), took(run)
    return {
        "seconds_of_the_cell": again,
        "milliseconds_a_step": 1e3 * again / steps,
        "seconds_of_the_first_call": first,
    }


def many(cells: list[ks.Candidate], data: Pair, recipe: TrainingSettings) -> dict[str, Any]:
    """Compilations and memory of many cells."""
    before, memory = compilations().count, []
    programs._programs.cache_clear()
    short = replace(recipe, steps=FEW_STEPS)
    few = (data[0].subset(500), data[1].subset(250))
    for place, cell in enumerate(cells, start=1):
        train(cell, *few, settings=short, seeds=SEEDS)
        if place in (min(20, len(cells)), len(cells)):
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {
        "cells": len(cells),
        "compilations": compilations().count - before,
        "megabytes": {"after 20": memory[0], "after all": memory[-1]},
    }


def measure(n_cells: int, steps: int, n_many: int) -> dict[str, Any]:
    """All of it."""
    data = kk.load("digits_hard")
    cells = ks.space_from_text(SPACE).sample(max(n_cells, n_many), seed=0)
    recipe = replace(RECIPE, steps=steps)
    return {
        "space": SPACE,
        "image_shape": list(data[0].input_shape),
        "settings": recipe.settings(),
        "seeds": SEEDS,
        "cells": n_cells,
        "many": many(cells[:n_many], data, recipe),
        "ways": by_ways(cells[:n_cells], data, recipe),
        "plain": {"cell": cells[0].name, **plain(cells[0], data, recipe)},
        **environment(),
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: few cells and steps, to see it work; writes nothing.
    """
    report(measure(*(QUICK if quick else FULL)), None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
