"""Where proxies come from: the finite networks of a candidate at the start, one for each seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from kernas.kernels import Architecture, Dataset
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.finite.filling import filled_variables
from kernas.kernels.finite.network import BATCHNORM_MOMENTUM
from kernas.kernels.regression import ScoreValue

from ...spaces import Candidate
from ...training.trained import WhatIsTrained, what_is_trained
from ..base import Cost, Evaluation, Score, Source
from ..trained import training_key
from .cost import cost_of
from .probed import Inside, Need, Perturbed, Probed, UnscoredError
from .probes import SMALL_IMAGES, Probes, Variables, probes_of
from .table import PROXIES

STEP = 1e-2
"""ε of the noise that features are moved by: Lin et al. 2021."""


@dataclass(frozen=True, eq=False)
class ProxySource(Source):
    """Probes the networks of a candidate; its fields are those of :class:`ProxyScore`.

    All proxies that need the same passes share them: one forward and two backward passes serve
    those of first order, one more of each ``zico``, three or so ``grasp``, two forward passes
    ``zen``, one of a single image ``synflow``, a backward pass for each image those of the tangent
    kernel, one forward and backward pass those of layers and blocks, a forward derivative for each
    layer ``vkdnw``, and a forward pass of a thin network ``linear_regions``.
    """

    fit: Dataset
    width: int
    batch_size: int
    repeats: int
    seed: int
    W_std: float | None

    @property
    def name(self) -> str:
        """``proxies``."""
        return "proxies"

    def settings(self) -> dict[str, Any]:
        """The fields, and the data's fingerprint."""
        return {
            "width": self.width,
            "batch_size": self.batch_size,
            "repeats": self.repeats,
            "seed": self.seed,
            "W_std": self.W_std,
            "fit": self.fit.fingerprint,
        }

    def work_key(self, candidate: Candidate) -> str:
        """Of the network as it is built and of the slots that it fills."""
        return training_key(candidate)

    def cost(self, candidate: Candidate, scores: Sequence[Score]) -> Cost:
        """The passes of all networks, and the programs of the template."""
        what = what_is_trained(candidate)
        return cost_of(
            what.network,
            with_gains(what.template, 1.0),
            needs_of(scores),
            image_shape=self.fit.input_shape,
            n_classes=self.fit.n_classes,
            width=self.width,
            batch_size=self.batch_size,
            repeats=self.repeats,
        )

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        """The passes of all networks; the host's part computes every proxy that they serve."""
        needs = needs_of(scores)
        what = what_is_trained(candidate)
        template = what.template if self.W_std is None else with_gains(what.template, self.W_std)
        probes = probes_of(
            template, self.fit.input_shape, self.fit.n_classes, self.width, self.batch_size
        )
        seeds = range(self.seed, self.seed + self.repeats)
        found = [self._probed(what, template, probes, needs, seed) for seed in seeds]
        names = [name for name, proxy in PROXIES.items() if needs.issuperset(proxy.needs)]
        return partial(_means, found, names)

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of a batch, from 0."""
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        return np.asarray(self.fit.x[part], np.float32), np.asarray(self.fit.y[part], np.int32)

    def _crops(self, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Random parts of this shape of random images, ``SMALL_IMAGES`` of them."""
        rng = np.random.default_rng([seed, 8])
        images = np.asarray(self.fit.x, np.float32)
        chosen = images[rng.integers(0, len(images), SMALL_IMAGES)]
        for axis, side in enumerate(shape[:-1], start=1):
            corner = rng.integers(0, chosen.shape[axis] - side + 1, SMALL_IMAGES)
            places = corner[:, None] + np.arange(side)
            places = places.reshape(-1, *(side if i == axis else 1 for i in range(1, 4)))
            chosen = np.take_along_axis(chosen, places, axis)
        return chosen

    def _probed(
        self,
        what: WhatIsTrained,
        template: Architecture,
        probes: Probes,
        needs: set[Need],
        seed: int,
    ) -> Probed:
        """What the programs find of the network of a seed."""
        choices = np.array(what.slots, np.int32)
        images, labels = self.batch(0)
        variables = probes.start(template, seed)

        def of_layers(collections: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
            """Collections of the template as those of the candidate's network, on the host."""
            filled = filled_variables(what.template, what.slots, collections)
            return {name: jax.device_get(layers) for name, layers in filled.items()}

        def kernels(params: Any) -> dict[str, np.ndarray]:
            layers = of_layers({"params": params}).get("params", {})
            return {name: parts["kernel"] for name, parts in layers.items()}

        weights = kernels(variables["params"])
        found: dict[str, Any] = {}
        if "first_order" in needs:
            first = probes.first_order(variables, choices, images, labels)
            inside = of_layers({"gates": first["gates"], "codes": first["codes"]})
            found["gradients"] = kernels(first["gradients"])
            found["gates"], found["codes"] = inside.get("gates", {}), inside.get("codes", {})
            found["jacobian"] = np.asarray(first["jacobian"]).reshape(len(images), -1)
        if "second_batch" in needs:
            second = probes.first_order(variables, choices, *self.batch(1))
            found["other_gradients"] = kernels(second["gradients"])
        if "curvature" in needs:
            found["curvature"] = kernels(probes.curvature(variables, choices, images, labels))
        if "tangent" in needs:
            found["tangent"] = np.asarray(probes.tangent(variables, choices, images))
        if "flow" in needs:
            magnitudes = {name: np.abs(kernel) for name, kernel in weights.items()}
            found["flow"] = magnitudes, kernels(probes.flow(variables, choices))
        if "perturbed" in needs:
            found["perturbed"] = _perturbed(probes, choices, images.shape, seed, of_layers)
        if "inside" in needs:
            rng = np.random.default_rng([seed, 7])
            signs = {
                name: rng.integers(0, 2, shape, np.int8) * 2 - 1
                for name, shape in probes.ends.items()
            }
            within = jax.device_get(probes.inside(variables, choices, images, signs))
            values = of_layers({"values": within["values"]}).get("values", {})
            later = list(probes.ends)[1:]
            found["inside"] = Inside(
                values,
                [within["spreads"][name] for name in probes.ends],
                [within["passages"][name] for name in later],
                [bool(within["identities"][name]) for name in later],
            )
        if "information" in needs:
            places = kernels(probes.places)
            every = np.zeros(len(jax.tree.leaves(probes.places)), np.int32)
            every[: len(places)] = list(places.values())
            logits, slopes = probes.information(variables, choices, images, every, len(places))
            by_layer = zip(places, np.asarray(slopes), strict=False)
            found["information"] = np.asarray(logits), dict(by_layer)
        if "regions" in needs and probes.small_shape is not None:
            thin = probes.thin(template, seed)
            lit = probes.regions(thin, choices, self._crops(probes.small_shape, seed))
            found["regions"] = of_layers({"codes": lit}).get("codes", {})
        return Probed(labels, self.fit.n_classes, weights, **found)


def needs_of(scores: Sequence[Score]) -> set[Need]:
    """What has to be computed for some proxies."""
    return {need for score in scores for need in PROXIES[score.name].needs}


def _perturbed(
    probes: Probes,
    choices: np.ndarray,
    shape: tuple[int, ...],
    seed: int,
    of_layers: Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]],
) -> Perturbed | None:
    """Features of noise; ``None`` of a network that has none."""
    if probes.perturbed is None:
        return None
    rng = np.random.default_rng([seed, 5])
    noise, other = rng.standard_normal((2, *shape)).astype(np.float32)
    variables: Variables = probes.normal(seed)
    one, moved, after, both = probes.perturbed(variables, choices, noise, noise + STEP * other)

    def squares(statistics: Any) -> dict[str, np.ndarray]:
        layers = of_layers({"batch_stats": statistics}).get("batch_stats", {})
        return {
            name: np.asarray(parts.get("var", parts.get("mean_square")), np.float64)
            for name, parts in layers.items()
        }

    kept = BATCHNORM_MOMENTUM
    return Perturbed(
        np.asarray(one),
        np.asarray(moved),
        {name: values / (1 - kept) for name, values in squares(after).items()},
        {name: values + kept**2 for name, values in squares(both).items()},
    )


def _means(networks: Sequence[Probed], names: Sequence[str]) -> Evaluation:
    """Over the networks, of each proxy that all have; the reason of the first that has it not."""
    values: dict[str, ScoreValue] = {}
    degenerate: dict[str, str] = {}
    for name in names:
        try:
            each = np.array([PROXIES[name].compute(network) for network in networks])
        except UnscoredError as error:
            degenerate[name] = str(error)
            continue
        wrong = each[~np.isfinite(each)]
        if wrong.size:
            degenerate[name] = f"it is {wrong[0]} of one of {len(networks)} networks"
            continue
        n = len(each)
        error = float(each.std(ddof=1)) / math.sqrt(n) if n > 1 else None
        values[name] = ScoreValue(float(each.mean()), error)
    return Evaluation(values, degenerate)
