"""What the estimators share: images in, a kernel bound to them; regressions one factorisation."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from kernas.errors import ConfigurationError, DataError
from kernas.execution import Executor

from ..architecture import Architecture, Dense, Flatten, Relu, serial
from ..data.checks import check_fitted_shape, check_images
from ..interface import Get, KernelFunction, Kernels, check_finite
from ..kernel import KernelTable, NeuralKernel
from ..regression import RIDGES, Weights, choose_ridge, conjugate_gradients, decompose, factorise
from ..regression.checks import check_ridge
from .parameters import ReplacedKernel

if TYPE_CHECKING:
    from ..gram import GramStore

Ridge = float | Sequence[float] | Literal["loo", "evidence"]

Dtype = Literal["float32", "float64"]

Solver = Literal["cholesky", "cg"]

Scales = Literal["evidence", "loo_error"]

StorePath = str | os.PathLike[str]

SCALES_RIDGE = 1e-3
"""Ridge at which scales are learned where the estimator's own is chosen later, or 0."""

DIAGONAL = 16
"""Images whose kernel with themselves is taken from one small matrix."""


def diagonal(kernel: KernelFunction, x: np.ndarray, get: Get | None) -> np.ndarray:
    """The kernel of each image with itself, ``(n,)``, from small matrices."""
    parts = [x[start : start + DIAGONAL] for start in range(0, len(x), DIAGONAL)]
    found = np.concatenate([np.diag(kernel(part, get=get)) for part in parts])
    check_finite(found[:, None])
    return found


def check_one_kernel(kernel: Any, get: Get | None) -> None:
    """Refuse what is no kernel of one network, or has two without a choice.

    Raises:
        ConfigurationError: it is not to be regressed with.
    """
    if isinstance(kernel, KernelTable):
        raise ConfigurationError(
            "a KernelTable has the kernels of several networks: expected one of them, "
            "NeuralKernel(table.networks[key])"
        )
    if not isinstance(kernel, KernelFunction):
        raise ConfigurationError(
            f"kernel={kernel!r}: expected a kernel such as NeuralKernel(architecture), or "
            "None; make one of a kernel_fn of neural-tangents with as_kernel(kernel_fn)"
        )
    names = getattr(kernel, "get", None)
    if get is None and isinstance(names, tuple):
        raise ConfigurationError(
            f"the kernel has get={names!r}: say which of them to regress with, get='nngp' or "
            "get='ntk'"
        )


def default_architecture(shape: tuple[int, ...]) -> Architecture:
    """Two hidden layers of ReLU, fully connected, for images or vectors of a shape."""
    hidden = [Dense(W_std=2**0.5, b_std=0.1), Relu()]
    return serial(*([Flatten()] if len(shape) > 1 else []), *hidden, *hidden, Dense())


def takes_signals(kernel: Any) -> bool:
    """Whether a kernel is of a network of signals: three axes of arrays are not grey images'
    then."""
    network = getattr(kernel, "architecture", kernel)
    return bool(getattr(network, "takes_signals", False))


def check_sample_weight(sample_weight: Any, n: int) -> np.ndarray | None:
    """Weights of images in float64, shape ``(n,)``, or ``None`` if none are given.

    Args:
        sample_weight: finite numbers >= 0, not all zero, one for each image; or one number for all.
        n: images.

    Raises:
        DataError: the message says what was given.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"sample_weight={sample_weight!r:.80}: expected numbers >= 0, one for each image"
        ) from None
    if weights.ndim == 0:
        weights = np.full(n, weights)
    if weights.shape != (n,):
        raise DataError(
            f"sample_weight has shape {weights.shape}: expected ({n},), one number for each image"
        )
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if len(wrong):
        raise DataError(
            f"sample_weight holds {wrong[0]}, a negative number, NaN or infinity: expected finite "
            "numbers >= 0"
        )
    if not weights.any():
        raise DataError("sample_weight is zero for all samples: expected some numbers > 0")
    return weights


class ImageEstimator(ReplacedKernel, BaseEstimator):
    """What an estimator is that reads images through a kernel, whatever it fits to its matrix.

    ``kernel__W_std``, ``kernel__b_std`` and the other names of :meth:`NeuralKernel.set_params`
    are parameters too, for searches: they replace the kernel.

    Attributes after ``fit``:
        kernel_: the kernel, bound to the training images where it normalises over a batch.
        dual_coef_: the coefficients of the training images.
        n_features_in_: size of the second axis of ``x``.
    """

    kernel: KernelFunction | None
    get: Get | None
    dtype: Dtype | None
    n_reference: int
    reference_seed: int
    kernel_: Any
    dual_coef_: np.ndarray
    notes_: dict[str, Any]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one of the images that it was fitted to."""
        return self._x.shape[1:]

    def _examples(
        self, x: Any, y: Any, sample_weight: Any, **options: Any
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        """Checked images, ``(n, features)`` or NHWC, targets to fit to, and weights > 0.

        What was fitted before is forgotten: if this fit fails, nothing is fitted.
        """
        vars(self).pop("dual_coef_", None)
        with np.errstate(over="ignore", invalid="ignore"):  # of its sum, a first look for NaN
            found = validate_data(self, x, y, allow_nd=True, ensure_min_samples=2, **options)
        x, targets = cast(tuple[np.ndarray, Any], found)
        images = check_images(x, "x", signals=takes_signals(self.kernel))
        repeats = check_sample_weight(sample_weight, len(images))
        if repeats is None:
            return images, targets, np.ones(len(images))
        counted = repeats > 0
        if counted.all():
            return images, targets, repeats
        if counted.sum() < 2:
            raise DataError("sample_weight > 0 of one image: expected at least 2, of two classes")
        return images[counted], targets[counted], repeats[counted]

    def _images(self, x: Any) -> np.ndarray:
        """Checked images to predict at."""
        with np.errstate(over="ignore", invalid="ignore"):  # of its sum, a first look for NaN
            checked = cast(np.ndarray, validate_data(self, x, allow_nd=True, reset=False))
        images = check_images(checked, "x", signals=len(self.input_shape) == 2)
        check_fitted_shape(images.shape[1:], self.input_shape, type(self).__name__)
        return images

    def _given_kernel(self, x: np.ndarray) -> Any:
        """The kernel, or the default one, of one network; not bound yet."""
        kernel: Any = self.kernel
        if kernel is None:
            kernel = NeuralKernel(default_architecture(x.shape[1:]), get=self.get or "ntk")
        check_one_kernel(kernel, self.get)
        return kernel

    def _bound(self, kernel: Any, x: np.ndarray) -> KernelFunction:
        """The kernel, bound to training images if it needs to be."""
        if kernel.needs_bind:
            return kernel.bind(x, self.n_reference, self.reference_seed)
        return kernel

    def _names(self) -> Get | tuple[Get, ...] | None:
        """What the kernel is asked for."""
        return self.get

    def _keep(self, x: np.ndarray) -> None:
        """The training images as predictions need them."""
        self._x = x
        prepare = getattr(self.kernel_, "prepare", None)
        self._train = x if prepare is None else prepare(x, self._names())

    def precision(self) -> AbstractContextManager[Any]:
        """JAX in the precision that kernels are computed in."""
        dtype = self.dtype or ("float64" if self.kernel is None else None)
        if dtype not in (None, "float32", "float64"):
            raise ConfigurationError(f"dtype={dtype!r}: expected 'float32', 'float64' or None")
        return nullcontext() if dtype is None else jax.enable_x64(dtype == "float64")

    def _cross(self, x: Any) -> Any:
        """The kernel of other images with the training images, and the images.

        Raises:
            KernelRangeError: the kernel overflows.
        """
        check_is_fitted(self, "dual_coef_")
        images = self._images(x)
        with self.precision():
            kernels = self.kernel_(images, self._train, get=self._names())
        check_finite(kernels)
        return kernels, images

    def _matrix(self, kernels: Any) -> np.ndarray:
        """The matrix that the regression is made with."""
        return getattr(kernels, cast(Get, self.get)) if isinstance(kernels, Kernels) else kernels

    def __sklearn_tags__(self) -> Any:
        """Images of more than two axes are taken as well."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class KernelEstimator(ImageEstimator):
    """Ridge regression with the kernel of an infinitely wide network.

    It minimises ``Σ_i w_i |f(x_i) − y_i|² + ρ ‖f‖²``, all ``w_i = 1`` where ``fit`` is given no
    ``sample_weight``, with ``ρ = ridge · Σ_i w_i K(x_i, x_i) / Σ_i w_i``. An image of weight k is
    an image given k times: the function, the ridge that leave-one-out (which leaves out one of the
    k) or the evidence chooses, the temperature and deviations are the same. One of weight 0 is as
    one that was not given, and has no row in the attributes below. Only the reference images of a
    kernel that normalises over a batch are drawn from the images, whatever their weights.

    ``kernel__W_std``, ``kernel__b_std`` and the other names of :meth:`NeuralKernel.set_params`
    are parameters too, for searches: they replace the kernel.

    Attributes after ``fit``:
        kernel_: the kernel, bound to the training images where it normalises over a batch; with
            ``scales`` that of the network with learned scales, which a saved model carries.
        scales_: what :func:`fit_scales` returned; ``None`` without ``scales``, and of a model that
            was loaded.
        ridge_: the ridge in use, relative to the mean diagonal.
        ridge_path_: the criterion of every ridge that was tried; empty if one was given.
        dual_coef_: ``A⁻¹ Y``, shape ``(n, C)``, ``A = K + ρ W⁻¹`` (beside a jitter).
        loo_: leave-one-out predictions of the targets, shape ``(n, C)``, at this ridge; ``None``
            with ``solver="cg"``, which has no inverse.
        diagnostics_: ``ridge``, ``rho`` (absolute), ``kernel_seconds``, ``solve_seconds``,
            ``device`` and ``dtype`` of the kernel; with ``solver="cholesky"`` also ``condition``
            (an estimate of the condition number of A, with weights of ``W^{1/2} A W^{1/2}``) and
            ``jitter`` (absolute), with ``"cg"`` the relative ``residual``, the ``steps`` and the
            ``rank`` of the preconditioner.
        n_features_in_: size of the second axis of ``x``.
    """

    kernel: KernelFunction | None
    get: Get | None
    ridge: Ridge
    dtype: Dtype | None
    solver: Solver
    store: StorePath | None
    scales: Scales | None
    executor: Executor | None

    def __init__(
        self,
        kernel: KernelFunction | None = None,
        *,
        get: Get | None = None,
        ridge: Ridge = 1e-4,
        dtype: Dtype | None = None,
        n_reference: int = 32,
        reference_seed: int = 0,
        solver: Solver = "cholesky",
        store: StorePath | None = None,
        verbose: bool = False,
        scales: Scales | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.kernel = kernel
        self.get = get
        self.ridge = ridge
        self.dtype = dtype
        self.n_reference = n_reference
        self.reference_seed = reference_seed
        self.solver = solver
        self.store = store
        self.verbose = verbose
        self.scales = scales
        self.executor = executor

    # --- fitting ---------------------------------------------------------------------------------

    def check_options(self) -> None:
        """Refuse ridges, solvers and objectives that are out of range; needs no images.

        Raises:
            ConfigurationError: the message has what was given.
        """
        self._ridges()
        if self.executor is not None and self.store is None:
            raise ConfigurationError(
                f"executor={self.executor!r} without a store: others compute tiles of a store; "
                "give store='FOLDER'"
            )
        if self.scales not in (None, *get_args(Scales)):
            raise ConfigurationError(
                f"scales={self.scales!r}: expected 'evidence', 'loo_error' or None"
            )

    def _ridges(self) -> tuple[Sequence[float], Literal["loo", "evidence"] | None]:
        """The ridges that are tried and by what they are chosen; checked before any work."""
        if self.solver not in get_args(Solver):
            raise ConfigurationError(f"solver={self.solver!r}: expected 'cholesky' or 'cg'")
        ridges, criterion = self._given_ridges()
        if self.solver == "cg" and (criterion is not None or ridges[0] == 0):
            raise ConfigurationError(
                f"ridge={self.ridge!r} with solver='cg': expected one number > 0, since choosing "
                "one needs all eigenvalues; choose it with fewer images"
            )
        return ridges, criterion

    def _given_ridges(self) -> tuple[Sequence[float], Literal["loo", "evidence"] | None]:
        if isinstance(self.ridge, str):
            if self.ridge not in ("loo", "evidence"):
                raise ConfigurationError(
                    f"ridge={self.ridge!r}: expected a number >= 0, several, 'loo' or 'evidence'"
                )
            return RIDGES, cast(Literal["loo", "evidence"], self.ridge)
        if np.ndim(self.ridge) == 0:
            return [check_ridge(cast(float, self.ridge))], None
        ridges = [check_ridge(ridge) for ridge in cast(Sequence[float], self.ridge)]
        if not ridges:
            raise ConfigurationError("ridge=[]: expected at least one number >= 0")
        return ridges, "loo"

    def _bound_kernel(self, x: np.ndarray, Y: np.ndarray) -> KernelFunction:
        kernel = self._given_kernel(x)
        self.scales_ = None
        if self.scales is not None:
            kernel = self._with_learned_scales(kernel, x, Y)
        return self._bound(kernel, x)

    def _with_learned_scales(self, kernel: Any, x: np.ndarray, Y: np.ndarray) -> NeuralKernel:
        """The kernel of the network whose scales the images choose.

        Raises:
            ConfigurationError: the kernel is of no network.
        """
        from ..tuning import fit_scales

        if not isinstance(kernel, NeuralKernel):
            raise ConfigurationError(
                f"scales={self.scales!r} with {kernel!r:.80}: expected a NeuralKernel, whose "
                "network has scales to learn"
            )
        given = self.ridge if isinstance(self.ridge, int | float) else 0.0
        self.scales_ = fit_scales(
            kernel.architecture,
            x,
            self._targets_of_scales(Y),
            cast(Scales, self.scales),
            get=cast(Get, self.get or kernel.get),
            ridge=given or SCALES_RIDGE,
            n_reference=self.n_reference,
            seed=self.reference_seed,
        )
        return replace(kernel, architecture=self.scales_.architecture, _bound=None)

    def _targets_of_scales(self, Y: np.ndarray) -> np.ndarray:
        """The targets as :func:`fit_scales` takes them."""
        return Y

    def _regress(self, x: np.ndarray, Y: np.ndarray, weights: Weights) -> None:
        """Fit targets ``(n, C)``."""
        # Where all are one it is, digit by digit, the regression without.
        self._weights = None if np.all(weights.values == 1) else weights
        ridges, criterion = self._ridges()
        start = time.perf_counter()
        with self.precision():
            self.kernel_ = self._bound_kernel(x, Y)
            self._gram = self._computed_gram(x)
            self._keep(x)
        computed = time.perf_counter()
        self.ridge_path_: dict[float, float] = {}
        self.ridge_ = float(ridges[0])
        if self.solver == "cg":
            found = self._solved_in_parts(Y)
        else:
            gram = self._matrix(self._gram)
            if criterion is not None:
                chosen = choose_ridge(decompose(gram, self._weights), Y, ridges, criterion)
                self.ridge_, self.ridge_path_ = chosen
            self._factor = factorise(gram, self.ridge_, self._weights)
            self.dual_coef_ = self._factor.solve(Y)
            self.loo_ = Y - self._factor.loo_residuals(Y)
            found = {
                "condition": self._factor.condition,
                "jitter": self._factor.jitter,
                "rho": self._factor.rho,
                "dtype": str(gram.dtype),
            }
        device = jax.devices()[0]
        self.diagnostics_ = {
            "ridge": self.ridge_,
            **found,
            "kernel_seconds": computed - start,
            "solve_seconds": time.perf_counter() - computed,
            "device": f"{device.platform} ({device.device_kind})",
        }

    def _computed_gram(self, x: np.ndarray) -> Kernels | np.ndarray | GramStore:
        """The training matrix: in the store if there is one, which conjugate gradients read."""
        if self.store is None:
            return self.kernel_(x, get=self._names())
        from ..gram import compute_gram

        if not isinstance(self.kernel_, NeuralKernel):
            raise ConfigurationError(
                f"store={str(self.store)!r} with {self.kernel_!r}: expected a NeuralKernel, whose "
                "identity a store can keep"
            )
        kernel = replace(self.kernel_, get=self._names() or self.kernel_.get)
        store = compute_gram(
            kernel, x, store=self.store, progress=self.verbose, executor=self.executor
        )
        if self.solver == "cg":
            return store
        return store.kernels() if isinstance(kernel.get, tuple) else store[kernel.get]

    def _solved_in_parts(self, Y: np.ndarray) -> dict[str, Any]:
        """Solve by conjugate gradients, and what there is to say of it."""
        gram: Any = self._gram
        if self.store is None:
            parts, dtype = self._matrix(gram), self._matrix(gram).dtype
        else:
            name = self.get or gram.names[0]
            parts, dtype = gram.gram(name, executor=self.executor), gram.dtype
        solution = conjugate_gradients(parts, Y, self.ridge_, weights=self._weights)
        self.dual_coef_, self.loo_ = solution.value, None
        return {
            "residual": solution.residual,
            "steps": solution.steps,
            "rank": solution.rank,
            "rho": solution.rho,
            "dtype": str(dtype),
        }

    # --- a model's folder ------------------------------------------------------------------------

    def fitted_arrays(self) -> dict[str, np.ndarray]:
        """What ``fit`` found, as arrays: for :func:`save_model`."""
        found = {"x": self._x, "dual_coef": self.dual_coef_}
        return found if self.loo_ is None else {**found, "loo": self.loo_}

    def fitted_values(self) -> dict[str, Any]:
        """What ``fit`` found, as JSON values."""
        return {
            "diagnostics": self.diagnostics_,
            "ridge_path": list(self.ridge_path_.items()),
            "n_features_in": self.n_features_in_,
        }

    def restore(
        self,
        kernel: KernelFunction,
        arrays: Mapping[str, np.ndarray],
        values: Mapping[str, Any],
    ) -> None:
        """Take up what another estimator's ``fit`` found: for :func:`load_model`.

        Args:
            kernel: bound, if it has to be.
            arrays: of :meth:`fitted_arrays`.
            values: of :meth:`fitted_values`.
        """
        self.kernel_, self.scales_ = kernel, None
        self._keep(arrays["x"])
        self.dual_coef_, self.loo_ = arrays["dual_coef"], arrays.get("loo")
        self.diagnostics_ = dict(values["diagnostics"])
        self.ridge_ = float(self.diagnostics_["ridge"])
        self.ridge_path_ = dict(values["ridge_path"])
        self.n_features_in_ = values["n_features_in"]
