"""What kernel regression learns from n inputs, predicted from eigenvalues: eigenlearning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike
from scipy.optimize import root_scalar

from kernas.errors import ConfigurationError, DataError

from ..data.checks import check_number
from ..regression.checks import check_ridge
from .spectra import KernelSpectrum

Target = ArrayLike | Mapping[int, float]
"""The power of a target in each level, ``Σ_i v_i²`` over its modes: a vector, or by level."""

Sizes = int | Sequence[int] | np.ndarray
"""One number of training inputs, or several."""

PerLevel = Float64[np.ndarray, " levels"]
"""A number for each level of a spectrum."""

PerSize = Float64[np.ndarray, " N"]
"""A number for each number of training inputs."""


@dataclass(frozen=True, eq=False)
class Generalization:
    """Predictions for kernel ridge regression on n random inputs, made by :func:`eigenlearning`.

    Means are over draws of the n inputs and of the noise; errors are squared errors, over all
    inputs. N numbers of inputs are predicted at once.

    Attributes:
        spectrum: of the kernel.
        power: of the target in each level, ``Σ_i v_i²`` over its modes, shape ``(levels,)``.
        n: numbers of training inputs, shape ``(N,)``.
        ridge: λ, relative to ``E k(x, x)``; the absolute one is ``δ = λ E k(x, x)``.
        noise: variance σ² of the noise of targets.
        effective_ridge: κ, shape ``(N,)``.
        learnabilities: ``L_k = λ_k / (λ_k + κ)`` of a mode of each level, in [0, 1], shape
            ``(N, levels)``.
        overfitting: the coefficient ``E_0 = n / (n − Σ_i L_i²) >= 1``, shape ``(N,)``.
        test_error: ``E_0 (Σ_i (1 − L_i)² v_i² + σ²)``, against noisy targets, shape ``(N,)``;
            against the target itself it is σ² less.
        train_error: ``(δ / nκ)²`` times the test error, shape ``(N,)``.
        bias: ``Σ_i (1 − L_i)² v_i²``, the squared error of the mean prediction, shape ``(N,)``.
        variance: ``Σ_i Var v̂_i``, the test error without bias and σ², shape ``(N,)``.
    """

    spectrum: KernelSpectrum = field(repr=False)
    power: PerLevel = field(repr=False)
    n: Int64[np.ndarray, " N"]
    ridge: float
    noise: float
    effective_ridge: PerSize
    learnabilities: Float64[np.ndarray, "N levels"] = field(repr=False)
    overfitting: PerSize
    test_error: PerSize
    train_error: PerSize
    bias: PerSize
    variance: PerSize

    @property
    def learned(self) -> PerSize:
        """The learnabilities of all modes together, ``n − δ/κ``: n without ridge, shape ``(N,)``.

        What one mode gains another loses. The modes of the tail have ``tail / κ``.
        """
        of_tail = self.spectrum.tail / self.effective_ridge
        return self.learnabilities @ self.spectrum.multiplicities + of_tail

    @property
    def mean_gain(self) -> Float64[np.ndarray, "N levels"]:
        """``E v̂_i / v_i = L_i``: what of a mode's coefficient the mean prediction has."""
        return self.learnabilities

    @property
    def coefficient_variance(self) -> Float64[np.ndarray, "N levels"]:
        """``Var v̂_i = L_i² E_test / n`` of a mode of each level, shape ``(N, levels)``.

        Coefficients of different modes are uncorrelated: ``Cov(v̂_i, v̂_j) = 0``.
        """
        return self.learnabilities**2 * (self.test_error / self.n)[:, None]

    def perturbed_error(self, size: float) -> PerSize:
        """Test error of predictions at perturbed inputs, against targets at the inputs themselves.

        ``E (f(x) − f̂(x'))² + σ² = Σ_i (v_i² − 2 s_i L_i v_i² + E v̂_i²) + σ²`` with ``s_i`` the
        correlation of mode i between x and x' (:meth:`KernelSpectrum.correlations`) and
        ``E v̂_i² = L_i² v_i² + Var v̂_i``. At size 0 it is the test error.

        Args:
            size: of the perturbation.

        Returns:
            Shape ``(N,)``.

        Raises:
            ConfigurationError: the inputs have no perturbation.
        """
        kept = 1 - self.spectrum.correlations(size)
        return self.test_error + 2 * self.learnabilities @ (kept * self.power)


def eigenlearning(
    spectrum: KernelSpectrum,
    target: Target,
    n: Sizes,
    *,
    ridge: float = 0.0,
    noise: float = 0.0,
) -> Generalization:
    """Predicted learning of a target by ridge regression with a kernel, from n random inputs.

    With eigenvalues ``λ_i`` of the modes, coefficients ``v_i`` of the target and the absolute ridge
    ``δ = ridge · E k(x, x)``, the effective ridge ``κ >= 0`` solves

    ``n = Σ_i λ_i / (λ_i + κ) + δ / κ``.

    A mode's learnability is ``L_i = λ_i / (λ_i + κ)``, and everything else follows from these:
    :class:`Generalization` has the formulas. They take the modes' values at the inputs for
    independent Gaussian numbers, which is exact for many inputs of many dimensions. On a circle
    without ridge the true error is larger, up to eight times for eigenvalues ``k⁻²``, since wide
    gaps between inputs decide it. Where inputs are points of a finite set, errors are means over
    all its points, those trained on among them; drawing n of M without repetition changes them by a
    part of order n/M.

    Args:
        spectrum: of the kernel, from :func:`circle_spectrum`, :func:`hypercube_spectrum`,
            :func:`hypersphere_spectrum`, :func:`gram_spectrum`, or your own.
        target: its power in each level, ``Σ_i v_i²`` over the modes of the level: a vector
            ``(levels,)``, for instance from :func:`hypercube_power`, or a dictionary by level,
            ``{3: 1.0}`` for a function of unit power in level 3. Powers of several outputs are
            added.
        n: number of training inputs, or several, whole numbers >= 1.
        ridge: λ >= 0, relative to the mean diagonal of the kernel, as everywhere in kernas.
        noise: variance σ² >= 0 of independent noise of the targets.

    Raises:
        ConfigurationError: n, the ridge or the noise is out of range, n is larger than the set of
            inputs, or, without ridge, not less than the number of modes that the kernel has.
        DataError: the target has a level that the spectrum has not, or another number of them.

    Reference:
        Simon, Dickens, Karkada and DeWeese, The eigenlearning framework: a conservation law
        perspective on kernel regression and wide neural networks, arXiv 2110.03922, section 4;
        the same error in Canatar, Bordelon and Pehlevan, Spectral bias and task-model alignment,
        Nature Communications 12, 2021.

    >>> from kernas.kernels.theory import KernelSpectrum
    >>> flat = KernelSpectrum([0, 1], [0.1, 0.1], [2, 8])  # ten equal modes
    >>> predicted = eigenlearning(flat, {1: 1.0}, [2, 5])
    >>> predicted.learnabilities[:, 0].round(6)  # share the budget n equally
    array([0.2, 0.5])
    >>> predicted.test_error.round(6)
    array([0.8, 0.5])
    """
    power = _power(target, spectrum)
    sizes = _sizes(n, spectrum)
    relative, sigma2 = check_ridge(ridge), check_number(noise, "noise")
    delta = relative * spectrum.trace
    if delta == 0 and sizes.max() >= spectrum.rank:
        raise ConfigurationError(
            f"n={sizes.max()} without ridge: the kernel has {spectrum.rank:g} modes, which so many "
            "inputs determine; use a smaller n or a ridge > 0"
        )
    kappa = np.array([_effective_ridge(spectrum, int(size), delta) for size in sizes])
    learnabilities = spectrum.values / (spectrum.values + kappa[:, None])
    overfitting = sizes / (sizes - learnabilities**2 @ spectrum.multiplicities)
    bias = (1 - learnabilities) ** 2 @ power
    test = overfitting * (bias + sigma2)
    return Generalization(
        spectrum,
        power,
        sizes,
        relative,
        sigma2,
        kappa,
        learnabilities,
        overfitting,
        test,
        (delta / (sizes * kappa)) ** 2 * test,
        bias,
        test - bias - sigma2,
    )


def _effective_ridge(spectrum: KernelSpectrum, n: int, delta: float) -> float:
    """κ > 0 with ``Σ_i λ_i/(λ_i + κ) + (δ + tail)/κ = n``, whose left side falls with κ."""
    some = spectrum.values > 0
    values, sizes = spectrum.values[some], spectrum.multiplicities[some]
    beyond = delta + spectrum.tail

    def excess(log_kappa: float) -> float:
        kappa = math.exp(log_kappa)
        return float(sizes @ (values / (values + kappa)) + beyond / kappa) / n - 1

    # λ/(λ+κ) is at most λ/κ; and were all eigenvalues the least, r λ/(λ+κ) = n is solved at once.
    high = (float(sizes @ values) + beyond) / n
    low = max(beyond / n, float(values.min()) * (float(sizes.sum()) - n) / n)
    bracket = (math.log(low) - 1e-9, math.log(high) + 1e-9)
    return math.exp(root_scalar(excess, bracket=bracket, xtol=1e-14).root)


def _power(target: Target, spectrum: KernelSpectrum) -> PerLevel:
    """The target's power in each level, as a vector."""
    if isinstance(target, Mapping):
        power = np.zeros(len(spectrum.levels))
        place = {int(level): i for i, level in enumerate(spectrum.levels)}
        for level, value in target.items():
            if level not in place:
                raise DataError(
                    f"the target has level {level!r}, outside the span of the spectrum's modes: "
                    f"expected one of {len(place)} levels, {min(place)} to {max(place)}"
                )
            power[place[level]] = value
    else:
        power = np.asarray(target, dtype=np.float64)
    if power.shape != spectrum.levels.shape:
        raise DataError(
            f"a target of shape {power.shape}: expected its power in each of the "
            f"{len(spectrum.levels)} levels of the spectrum, or a dictionary by level"
        )
    if not np.isfinite(power).all() or power.min() < 0:
        raise DataError(
            "the target's powers are sums of squared coefficients: expected finite numbers >= 0"
        )
    return power


def _sizes(n: Sizes, spectrum: KernelSpectrum) -> Int64[np.ndarray, " N"]:
    """Numbers of training inputs as a vector of integers."""
    sizes = np.atleast_1d(np.asarray(n))
    if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ConfigurationError(
            f"n={n!r:.60}: expected the number of training inputs, a whole number >= 1, or a list "
            "of them"
        )
    if spectrum.points is not None and sizes.max() > spectrum.points:
        raise ConfigurationError(
            f"n={sizes.max()} of a set of {spectrum.points} points: expected at most as many "
            "training inputs"
        )
    return sizes.astype(np.int64)
