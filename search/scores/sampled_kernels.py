"""Scores of kernels that are sampled: those of finite networks, averaged over their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels import Architecture, Dataset, finite_network
from kernas.kernels.architecture import Dense
from kernas.kernels.architecture.counts import count
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.architecture.slots import filled
from kernas.kernels.architecture.widths import check_count, weight_deviations
from kernas.kernels.finite.convolution import convolution_for
from kernas.kernels.finite.drawing import draw_variables
from kernas.kernels.finite.filling import filled_variables
from kernas.kernels.finite.network import BATCHNORM_MOMENTUM, Parameterization
from kernas.kernels.regression import METRICS, DegenerateKernelError, ScoreValue, score_each

from ..spaces import Candidate
from ..training.trained import WhatIsTrained, what_is_trained
from .base import Cost, Evaluation, Score, Source, check_seed
from .counts import DEFAULT_WIDTH
from .kernel_source import KernelName, check_regression
from .trained import check_validation, training_key

SampledName = Literal["nngp_mc", "ntk_mc"]

OF: Mapping[SampledName, KernelName] = {"nngp_mc": "nngp", "ntk_mc": "ntk"}
"""The kernels, and which exact one each tends to."""

BLOCK = 32
"""Images whose features or gradients are computed at a time."""

LARGEST = 2**33
"""Bytes of all images' gradients that are held."""

KEPT = 8
"""Templates whose programs stay in memory."""

OPERATIONS_A_SECOND = 5e9
GRADIENT_PASSES = 4.0
"""Forward passes of an image that its gradient takes."""


@dataclass(frozen=True)
class _Programs:
    """What is compiled for a template; all read ``choices``, which fill the slots.

    Attributes:
        shapes: of the variables of the network.
        settle: ``(variables, choices, reference) ->`` the statistics of the reference images.
        features: ``(variables, choices, images) -> (n, features)``: what the last layer reads.
        gradients: ``(variables, choices, images) ->`` of each image the gradient of the output by
            the parameters, a tree of ``(n, …)``.
    """

    shapes: Mapping[str, Any]
    settle: Callable[..., Any]
    features: Callable[..., Array]
    gradients: Callable[..., Any]


@lru_cache(maxsize=KEPT)
def _programs(template: Architecture, image_shape: tuple[int, ...], width: int) -> _Programs:
    """Of a template whose gains are 1."""
    if not isinstance(template.nodes[-1].layer, Dense):
        raise ArchitectureError(
            f"the network ends in {template.describe(template.output)}: expected Dense(), whose "
            "weights a sampled kernel averages over; append it"
        )
    common: Mapping[str, Any] = {
        "parameterization": "standard",
        "convolution": convolution_for(jax.local_devices()[0].platform, image_shape[:-1]),
    }
    network: Any = finite_network(template, width, outputs=1, **common)
    body: Any = finite_network(Architecture(template.nodes[:-1]), width, outputs=None, **common)
    example = jax.ShapeDtypeStruct((1, *image_shape), np.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x), example)

    def settle(variables: Mapping[str, Any], choices: Array, reference: Array) -> Any:
        nothing = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
        _, moved = network.apply(
            {**variables, "batch_stats": nothing},
            reference,
            train=True,
            choices=choices,
            mutable=["batch_stats"],
        )
        return jax.tree.map(lambda value: value / (1 - BATCHNORM_MOMENTUM), moved["batch_stats"])

    def features(variables: Any, choices: Array, images: Array) -> Array:
        return body.apply(variables, images, choices=choices)

    def gradients(variables: Any, choices: Array, images: Array) -> Any:
        rest = dict(variables)
        params = rest.pop("params")

        def output(params: Any, image: Array) -> Array:
            given = {**rest, "params": params}
            return network.apply(given, image[None], choices=choices)[0, 0]

        return jax.vmap(jax.grad(output), (None, 0))(params, images)

    return _Programs(shapes, jax.jit(settle), jax.jit(features), jax.jit(gradients))


@dataclass(frozen=True, eq=False)
class SampledKernelSource(Source):
    """Samples the kernels of a candidate; its fields are those of :class:`SampledKernelScore`."""

    fit: Dataset
    validation: Dataset | None
    ridge: float
    width: int
    repeats: int
    seed: int
    n_reference: int
    parameterization: Parameterization

    @property
    def name(self) -> str:
        """``sampled kernels``."""
        return "sampled kernels"

    def settings(self) -> dict[str, Any]:
        """The fields, and the data's fingerprints."""
        other = self.validation
        return {
            "fit": self.fit.fingerprint,
            "validation": None if other is None else other.fingerprint,
            "ridge": self.ridge,
            "width": self.width,
            "repeats": self.repeats,
            "seed": self.seed,
            "n_reference": self.n_reference,
            "parameterization": self.parameterization,
        }

    def work_key(self, candidate: Candidate) -> str:
        """Of the network as it is built and of the slots that it fills."""
        return training_key(candidate)

    def cost(self, candidate: Candidate, scores: Sequence[SampledKernelScore]) -> Cost:
        """Of the passes of all images and networks; compilation is not known."""
        what = what_is_trained(candidate)
        counted = count(what.network, self.fit.input_shape, width=self.width, outputs=1)
        images = len(self.fit) + (0 if self.validation is None else len(self.validation))
        passes, products = 1.0, 0.0
        if any(score.get == "ntk_mc" for score in scores):
            passes += GRADIENT_PASSES
            products = 2.0 * images * len(self.fit) * counted.params
        operations = 2 * counted.flops * images * passes + products / 5
        return Cost(seconds=self.repeats * operations / OPERATIONS_A_SECOND)

    def begin(
        self, candidate: Candidate, scores: Sequence[SampledKernelScore]
    ) -> Callable[[], Evaluation]:
        """The kernels of all networks; the host's part regresses with their mean."""
        what = what_is_trained(candidate)
        programs = _programs(with_gains(what.template, 1.0), self.fit.input_shape, self.width)
        gets: list[SampledName] = list(dict.fromkeys(score.get for score in scores))
        n = len(self.fit)
        given = [self.fit.x] + ([] if self.validation is None else [self.validation.x])
        images = np.concatenate([np.asarray(x, np.float32) for x in given])
        total: dict[SampledName, np.ndarray] = {get: np.zeros((len(images), n)) for get in gets}
        for seed in range(self.seed, self.seed + self.repeats):
            found = self._sampled(what, programs, gets, images, seed)
            for get in gets:
                total[get] += found[get] / self.repeats
        return partial(self._evaluated, total)

    def _sampled(
        self,
        what: WhatIsTrained,
        programs: _Programs,
        gets: Sequence[SampledName],
        images: np.ndarray,
        seed: int,
    ) -> dict[SampledName, np.ndarray]:
        """The kernels ``(images, n)`` of the network of a seed."""
        choices = np.array(what.slots, np.int32)
        rng = np.random.default_rng([seed, 9])
        variables = draw_variables(what.template, programs.shapes, rng)
        n = len(self.fit)
        if "batch_stats" in variables:
            reference = images[:n][: self.n_reference]
            settled = programs.settle(variables, choices, reference)
            variables = {**variables, "batch_stats": settled}
        features = _by_blocks(partial(programs.features, variables, choices), images)
        features = np.asarray(features, np.float64).reshape(len(images), -1)
        last = cast(Any, what.template.nodes[-1].layer)
        nngp = last.W_std**2 * (features @ features[:n].T) / features.shape[1] + last.b_std**2
        if "ntk_mc" not in gets:
            return {"nngp_mc": nngp}
        self._check_size(variables["params"], len(images))
        gradients = _by_blocks(partial(programs.gradients, variables, choices), images)
        own = filled_variables(what.template, what.slots, {"params": gradients}).get("params", {})
        network = filled(what.template, what.slots)
        ntk = np.zeros_like(nngp)
        for name, parts in own.items():
            layer: Any = network.nodes[int(name.rpartition("_")[2])].layer
            scales = weight_deviations(layer, parts["kernel"].shape[1:])
            for part, rows in parts.items():
                flat = np.asarray(rows).reshape(len(images), -1)
                scale = scales[part] ** 2 if self.parameterization == "ntk" else 1.0
                ntk += scale * (flat @ flat[:n].T)
        return {"nngp_mc": nngp, "ntk_mc": ntk}

    def _check_size(self, params: Any, images: int) -> None:
        """Refuse gradients that memory may not hold.

        Raises:
            ConfigurationError: the message says how large they are.
        """
        size = images * sum(leaf.nbytes for leaf in jax.tree.leaves(params))
        if size > LARGEST:
            raise ConfigurationError(
                f"the gradients of {images} images take {size / 2**30:.0f} GiB with {self.width} "
                f"channels: expected {LARGEST // 2**30} GiB at most; give a smaller width, or "
                "fewer images"
            )

    def _evaluated(self, kernels: Mapping[SampledName, np.ndarray]) -> Evaluation:
        """All metrics of the kernels."""
        values: dict[str, ScoreValue] = {}
        degenerate: dict[str, str] = {}
        n, other = len(self.fit), self.validation
        metrics = [
            name for name, m in METRICS.items() if other is not None or not m.needs_validation
        ]
        for get, kernel in kernels.items():
            if not np.isfinite(kernel).all():
                reason = "a network's output or gradient is not finite"
                degenerate |= {f"{get}:{metric}": reason for metric in metrics}
                continue
            scored = score_each(
                kernel[:n],
                self.fit.y,
                ridge=self.ridge,
                metrics=metrics,
                K_validation=None if other is None else kernel[n:],
                y_validation=None if other is None else other.y,
                n_classes=len(self.fit.classes),
            )
            for metric, value in scored.items():
                if isinstance(value, ScoreValue):
                    values[f"{get}:{metric}"] = value
                elif isinstance(value, DegenerateKernelError):
                    degenerate[f"{get}:{metric}"] = str(value)
        return Evaluation(values, degenerate)


@dataclass(frozen=True)
class SampledKernelScore(Score):
    """Kernel regression with the mean kernel of finite networks at the start of their training.

    With φ what the last layer reads in a network of ``width`` channels, P entries, and θ all
    parameters,

        nngp_mc(x, x') = mean_i W_std² ⟨φ_i(x), φ_i(x')⟩ / P + b_std²,
        ntk_mc(x, x')  = mean_i ⟨∂f_i(x)/∂θ, ∂f_i(x')/∂θ⟩

    over ``repeats`` networks i with an output f, drawn anew: a Monte-Carlo estimate of the exact
    NNGP and NTK, which it tends to with the width; with ``repeats=1`` the kernels of one finite
    network. Normalisations divide by the statistics of the first ``n_reference`` images, which stay
    fixed in the gradient. The gradients of all images are held at a time; a candidate of which
    they would take more than 8 GiB fails.

    Args:
        fit: labelled images of the regression.
        validation: other labelled images, needed by the validation metrics.
        get: ``"nngp_mc"`` or ``"ntk_mc"``.
        metric: a name of ``kernas.kernels.regression.METRICS``.
        ridge: relative to the mean diagonal, > 0.
        width: channels of a weight layer of relative width 1.
        repeats: networks, >= 1.
        seed: of the first of them, >= 0; each of the others has the next one.
        n_reference: images that the statistics of ``Normalize`` come from.
        parameterization: of the gradients, as in :func:`kernas.kernels.finite_network`: with
            ``"standard"`` a layer counts by its number of inputs more.

    Raises:
        ConfigurationError: an argument is out of its range, or validation images are missing.
        DataError: the two data sets do not belong together.

    References:
        Park et al. 2020, Towards NNGP-guided neural architecture search, section 3: the validation
        accuracy of ``nngp_mc``.
    """

    fit: Dataset
    validation: Dataset | None = None
    get: SampledName = "nngp_mc"
    metric: str = "validation_accuracy"
    ridge: float = 1e-2
    width: int = DEFAULT_WIDTH
    repeats: int = 3
    seed: int = 0
    n_reference: int = 32
    parameterization: Parameterization = "ntk"

    def __post_init__(self) -> None:
        for field, known in (
            ("get", tuple(OF)),
            ("metric", tuple(METRICS)),
            ("parameterization", ("ntk", "standard")),
        ):
            if getattr(self, field) not in known:
                raise ConfigurationError(
                    f"{field}={getattr(self, field)!r}: expected one of {', '.join(known)}"
                )
        for field in ("width", "repeats", "n_reference"):
            check_count(getattr(self, field), field)
        check_seed(self.seed)
        if METRICS[self.metric].needs_validation:
            way_out = "validation=…, or another metric, such as loo_accuracy"
            check_validation(self.name, self.validation, way_out)
        check_regression(self.ridge, self.fit, self.validation)

    @property
    def name(self) -> str:
        """For example ``nngp_mc:validation_accuracy``."""
        return f"{self.get}:{self.metric}"

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value promises a better architecture."""
        return METRICS[self.metric].higher_is_better

    @property
    def source(self) -> SampledKernelSource:
        """What samples the kernels."""
        return SampledKernelSource(
            self.fit,
            self.validation,
            self.ridge,
            self.width,
            self.repeats,
            self.seed,
            self.n_reference,
            self.parameterization,
        )


def _by_blocks(function: Callable[[np.ndarray], Any], images: np.ndarray) -> Any:
    """A function of images, for ``BLOCK`` of them at a time; its arrays, joined on the host."""
    more = -len(images) % BLOCK
    padded = np.concatenate([images, np.repeat(images[-1:], more, axis=0)])
    found = [
        jax.device_get(function(padded[start : start + BLOCK]))
        for start in range(0, len(padded), BLOCK)
    ]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(images)], *found)
