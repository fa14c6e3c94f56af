"""Training for a time: predictions of infinitely wide networks under gradient descent.

Outputs ``f`` at the training images move as the tangent kernel Θ says, and those at others follow:

``ḟ = −η Θ ∇L(f)``,  ``ḟ_x = −η Θ_x ∇L(f)``,

with the loss L a function of all outputs (Lee et al. 2019, equations 3 to 8). For
``L = ‖f − Y‖² / 2nC`` every eigenvector of ``A = Θ + ρI`` moves by itself. The names are those of
``neural_tangents.predict``, so that whoever knows them finds them; ``docs/time.md`` has the map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError

from .checks import check_cross, check_gram, check_ridge, check_targets
from .errors import NotConvergedError
from .ridge import decompose, flowed
from .shapes import CrossBlock, PerImage, Predictions, Targets

Loss = Callable[[Any, Any], Any] | str
"""``loss(f, Y)`` of all outputs ``(n, C)``, a number for JAX to differentiate, or its name."""

TOLERANCE = 1e-9
"""Relative error of a step of the differential equation's solver."""

FLAT = 1e-7
"""Below this ``ω² (s² + 1/γ²)`` a mode with momentum moves as if its eigenvalue were 0: what the
limit leaves out and what division by ω² loses are both of the size of 1e-8 then."""


@dataclass(frozen=True)
class Trajectory:
    """Predictions during training.

    Attributes:
        times: as they were given, shape ``(T,)``.
        train: outputs at the training images, shape ``(T, n, C)``.
        test: at the others, ``(T, m, C)``; ``None`` without ``K_cross``.
        train_loss: the loss at the training images, ``(T,)``.
        test_loss: at the others; ``None`` without their targets.
    """

    times: Float64[np.ndarray, " T"]
    train: Float64[np.ndarray, "T n C"]
    test: Float64[np.ndarray, "T m C"] | None
    train_loss: Float64[np.ndarray, " T"]
    test_loss: Float64[np.ndarray, " T"] | None


@dataclass(frozen=True)
class Ensemble:
    """Mean and covariance over networks that begin with random weights, at some times.

    Attributes:
        times: as they were given, shape ``(T,)``.
        mean: shape ``(T, m, C)``.
        covariance: of two images, alike for all outputs, ``(T, m, m)``; ``None`` where
            ``K_test`` was not given.
    """

    times: Float64[np.ndarray, " T"]
    mean: Float64[np.ndarray, "T m C"]
    covariance: Float64[np.ndarray, "T m m"] | None


def gradient_descent_mse(
    K: ArrayLike,
    Y: ArrayLike,
    times: ArrayLike | float,
    *,
    K_cross: ArrayLike | None = None,
    f_train: ArrayLike | float = 0.0,
    f_test: ArrayLike | float = 0.0,
    Y_test: ArrayLike | None = None,
    ridge: float = 0.0,
    learning_rate: float = 1.0,
    momentum: float | None = None,
    discrete: bool = False,
) -> Trajectory:
    r"""Training on the mean squared error ``‖f − Y‖² / 2nC``, solved exactly at every time.

    With ``A = Θ + ρI``, ``f(t) = Y + c(A) (f(0) − Y)`` and
    ``f_x(t) = f_x(0) − Θ_x A⁻¹ (I − c(A)) (f(0) − Y)``, where for an eigenvalue a of A, with
    ``λ = a / nC``,

    - of gradient flow ``c = exp(−η t λ)``;
    - after k steps of gradient descent ``c = (1 − η λ)ᵏ``;
    - with momentum μ, in continuous time, ``c`` solves ``c̈ + γ ċ + λ c = 0`` from ``c = 1`` at
      rest, ``γ = (1 − μ)/√η``, at ``s = √η t``: the limit of ``v ← μ v − η ∇L``, ``f ← f + v``;
    - with momentum after k steps of it, that recursion for each eigenvector.

    Nothing is divided by eigenvalues that are nearly zero.

    Args:
        K: Θ (or any kernel) of the training images, shape ``(n, n)``.
        Y: targets, shape ``(n, C)``.
        times: t >= 0, one or several, ``inf`` for the end; in steps (not whole ones only, unless
            ``discrete``), so that the time of the flow is η t.
        K_cross: Θ of the others with the training images, ``(m, n)``.
        f_train: outputs before training, ``(n, C)`` or a number.
        f_test: likewise of the others, ``(m, C)``.
        Y_test: targets of the others, for the loss.
        ridge: λ >= 0, relative to the mean diagonal of K.
        learning_rate: η > 0.
        momentum: μ from 0 on, below 1; ``None`` for none.
        discrete: whole steps of descent in place of the flow.

    Returns:
        A :class:`Trajectory`, in float64.

    Raises:
        ConfigurationError: a time is negative, or no whole number of steps; another number is out
            of its range.
        DataError: shapes do not fit.
        NotPositiveDefiniteError: A is singular at ``t = inf`` with ``K_cross``.

    Reference:
        Lee et al., Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient
        Descent, NeurIPS 2019, equations 8 to 11; Qian, On the momentum term in gradient descent
        learning algorithms, 1999, for the equation of momentum.
    """
    targets, when = check_targets(Y, len(check_gram(K))), _times(times, discrete)
    spectrum = decompose(K)
    _check_rates(learning_rate, momentum)
    outputs, others, cross = _start(targets, f_train, f_test, K_cross)
    a = np.maximum(spectrum.values + spectrum.rho(check_ridge(ridge)), 0.0)
    per_output = targets.size
    if momentum is None:
        moved, rate = _descended if discrete else _flowed, learning_rate / per_output
        shares = [moved(a, rate, t) for t in when]
    elif discrete:
        shares = _momentum_steps(a, learning_rate / per_output, momentum, when)
    else:
        friction = (1 - momentum) / learning_rate**0.5
        shares = [_momentum_flow(a, per_output, friction, learning_rate**0.5 * t) for t in when]
    modes = spectrum.vectors.T @ (outputs - targets)
    train, test = [], []
    for t, share in zip(when, shares, strict=True):
        train.append(outputs - spectrum.vectors @ ((share * a)[:, None] * modes))
        if cross is not None:
            if np.isinf(t):
                spectrum.shifted(ridge)  # refused where it is singular
            test.append(others - cross @ (spectrum.vectors @ (share[:, None] * modes)))
    return _trajectory("mse", when, train, test if cross is not None else None, targets, Y_test)


def gradient_descent(
    loss: Loss,
    K: ArrayLike,
    Y: ArrayLike,
    times: ArrayLike | float,
    *,
    K_cross: ArrayLike | None = None,
    f_train: ArrayLike | float = 0.0,
    f_test: ArrayLike | float = 0.0,
    Y_test: ArrayLike | None = None,
    learning_rate: float = 1.0,
    momentum: float | None = None,
    discrete: bool = False,
) -> Trajectory:
    """Training on any loss, by the differential equation of the outputs, or step by step.

    ``ḟ = −η Θ ∇L(f)``; with momentum ``f̈ = −Θ ∇L(f) − γ ḟ`` at ``s = √η t``, as for
    :func:`gradient_descent_mse`. What is integrated is ``α = ∫ ∇L``, from which
    ``f = f(0) − Θ α`` and ``f_x = f_x(0) − Θ_x α``: the others cost nothing. The solver is
    ``scipy.integrate.solve_ivp`` (DOP853) at a relative error of 1e-9 a step; long times at large
    rates are stiff, and take as many steps as ``η t w_max / nC`` says.

    Args:
        loss: ``"cross_entropy"``, ``−Σ Y log softmax(f) / nC``; ``"mse"``, ``‖f − Y‖² / 2nC``; or
            a function ``loss(f, Y)`` of arrays ``(n, C)`` that JAX differentiates.
        K, Y, K_cross, f_train, f_test, Y_test, learning_rate, momentum, discrete: as for
            :func:`gradient_descent_mse`.
        times: t >= 0, finite, in any order.

    Returns:
        A :class:`Trajectory`, in float64.

    Raises:
        ConfigurationError, DataError: as for :func:`gradient_descent_mse`.
        NotConvergedError: the solver failed.

    Reference:
        Lee et al. 2019, equations 3 to 5, and section 2.4 for momentum.
    """
    gram, when = check_gram(K), _times(times, discrete)
    targets = check_targets(Y, len(gram))
    if np.isinf(when).any():
        raise ConfigurationError(
            "times hold inf: the equation of a general loss is integrated to finite times; use "
            "gradient_descent_mse for the end of training on the squared error"
        )
    _check_rates(learning_rate, momentum)
    outputs, others, cross = _start(targets, f_train, f_test, K_cross)
    gradient = _gradient_of(loss)

    def slope(alpha: Targets) -> Targets:
        return gradient(outputs - gram @ alpha, targets)

    follow = _stepped if discrete else _integrated
    alphas = follow(slope, targets.shape, when, learning_rate, momentum)
    train = [outputs - gram @ alpha for alpha in alphas]
    test = None if cross is None else [others - cross @ alpha for alpha in alphas]
    return _trajectory(loss, when, train, test, targets, Y_test)


def gradient_descent_mse_ensemble(
    get: str,
    Y: ArrayLike,
    times: ArrayLike | float = float("inf"),
    *,
    K: ArrayLike | None = None,
    K_cross: ArrayLike | None = None,
    K_test: ArrayLike | None = None,
    T: ArrayLike | None = None,
    T_cross: ArrayLike | None = None,
    T_test: ArrayLike | None = None,
    ridge: float = 0.0,
    learning_rate: float = 1.0,
) -> Ensemble:
    """Mean and covariance of infinitely wide networks, trained on the squared error for a time.

    Networks begin as draws of the Gaussian process with kernel ``K`` (the NNGP) and follow gradient
    flow. With ``A`` the kernel of the training images plus ρI and ``c = exp(−η t A / nC)``:

    - ``"ntk"``, all weights are trained: ``B = Θ_x A⁻¹ (I − c)``, ``A = Θ + ρI``, mean ``B Y``,
      covariance ``K_xx + B K Bᵀ − B K_xᵀ − K_x Bᵀ``;
    - ``"nngp"``, the last layer is: mean ``K_x A⁻¹ (I − c) Y``, covariance
      ``K_xx − K_x A⁻¹ (I − c²) K_xᵀ``, which at ``t = inf`` is the posterior of the process;
    - ``"ntkgp"``, at ``t = inf``: the posterior of a process with kernel Θ.

    Args:
        get: which of them.
        Y: targets, shape ``(n, C)``.
        times: t >= 0, one or several, ``inf`` for the end, in units of the learning rate.
        K, K_cross, K_test: NNGP of the training images ``(n, n)``, of the others with them
            ``(m, n)`` and of the others ``(m, m)``; the last for the covariance only.
        T, T_cross, T_test: NTK likewise; ``T_test`` for ``"ntkgp"``.
        ridge: λ >= 0, relative to the mean diagonal of the kernel that is inverted.
        learning_rate: η > 0.

    Returns:
        An :class:`Ensemble`.

    Raises:
        ConfigurationError: a time or another number is out of its range, or a kernel that is needed
            is missing.
        DataError: shapes do not fit.
        NotPositiveDefiniteError: A is singular at ``t = inf``.

    Reference:
        Lee et al. 2019, equations 13 to 16; He, Lakshminarayanan and Teh, Bayesian deep ensembles
        via the neural tangent kernel, 2020, for ``"ntkgp"``.
    """
    if get not in ("nngp", "ntk", "ntkgp"):
        raise ConfigurationError(f"get={get!r}: expected 'nngp', 'ntk' or 'ntkgp'")
    when = _times(times, False)
    _check_rates(learning_rate, None)
    if get == "ntkgp" and np.isfinite(when).any():
        raise ConfigurationError("get='ntkgp' is a posterior: expected times=inf")
    nngp = get == "nngp"
    gram, across = (K, K_cross) if nngp else (T, T_cross)
    final = T_test if get == "ntkgp" else K_test
    needed = {"K" if nngp else "T": gram, "K_cross" if nngp else "T_cross": across}
    if get == "ntk" and final is not None:
        needed |= {"K": K, "K_cross": K_cross}
    missing = [name for name, given in needed.items() if given is None]
    if missing or gram is None or across is None:
        raise ConfigurationError(
            f"get={get!r} without {' and '.join(missing)}: expected the kernels that its formula "
            "reads; compute both with NeuralKernel(architecture, get=('nngp', 'ntk'))"
        )
    spectrum = decompose(gram)
    targets = check_targets(Y, spectrum.n)
    cross = check_cross(across, spectrum.n)
    a = np.maximum(spectrum.values + spectrum.rho(check_ridge(ridge)), 0.0)
    projected = cross @ spectrum.vectors
    means, covariances = [], []
    for t in when:
        if np.isinf(t):
            spectrum.shifted(ridge)  # refused where it is singular
        share = flowed(a, learning_rate / targets.size * t)
        B = (projected * share) @ spectrum.vectors.T
        means.append(B @ targets)
        if final is None:
            continue
        prior = _square(final, len(cross))
        if get == "ntk":
            assert K is not None
            assert K_cross is not None
            own = check_cross(K_cross, spectrum.n)
            mixed = B @ own.T
            covariances.append(prior + B @ check_gram(K) @ B.T - mixed - mixed.T)
        else:
            twice = flowed(a, learning_rate / targets.size * 2 * t)
            covariances.append(prior - (projected * twice) @ projected.T)
    covariance = None if final is None else np.stack(covariances)
    return Ensemble(when, np.stack(means), covariance)


def gp_inference(get: str, Y: ArrayLike, *, ridge: float = 0.0, **kernels: Any) -> Ensemble:
    """:func:`gradient_descent_mse_ensemble` at the end of training, ``times=inf``.

    Args:
        get, Y, ridge: as there.
        kernels: ``K``, ``K_cross``, ``K_test``, ``T``, ``T_cross``, ``T_test``, as there.

    Returns:
        An :class:`Ensemble` at one time.
    """
    return gradient_descent_mse_ensemble(get, Y, float("inf"), ridge=ridge, **kernels)


def max_learning_rate(K: ArrayLike, n_outputs: int, *, momentum: float = 0.0) -> float:
    """The largest rate at which gradient descent on the squared error does not diverge.

    ``η = 2 (1 + μ) nC / w_max`` with w_max the largest eigenvalue of the tangent kernel.

    Args:
        K: of the training images, shape ``(n, n)``.
        n_outputs: C >= 1.
        momentum: μ from 0 on, below 1.

    Raises:
        ConfigurationError: a number is out of its range.

    Reference:
        Goh, Why momentum really works, Distill 2017, section "The dynamics of momentum".
    """
    if not isinstance(n_outputs, int) or n_outputs < 1:
        raise ConfigurationError(f"n_outputs={n_outputs!r}: expected an integer >= 1")
    _check_rates(1.0, momentum)
    gram = check_gram(K)
    largest = float(np.linalg.eigvalsh(gram)[-1])
    return 2 * (1 + momentum) * len(gram) * n_outputs / largest


# --- how far a mode has come: (1 − c) / a --------------------------------------------------------


def _flowed(a: PerImage, rate: float, t: float) -> PerImage:
    """Of gradient flow, ``rate = η / nC``."""
    return flowed(a, rate * t)


def _descended(a: PerImage, rate: float, steps: float) -> PerImage:
    """Of gradient descent."""
    if np.isinf(steps):
        return flowed(a, steps)
    x = a * rate
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slow = -np.expm1(steps * np.log1p(-np.minimum(x, 0.5))) / a
        moved = np.where(x < 0.5, slow, (1 - (1 - x) ** steps) / a)
    return np.where(a > 0, moved, rate * steps)


def _momentum_flow(a: PerImage, per_output: int, friction: float, s: float) -> PerImage:
    """Of momentum in continuous time: a damped oscillator, or an overdamped one."""
    if np.isinf(s):
        return flowed(a, s)
    square = a / per_output
    root = np.sqrt((friction**2 / 4 - square).astype(np.complex128))
    root = np.where(root == 0, 1e-12, root)  # critical: sinh(root s) / root is s
    slow, fast = root - friction / 2, -root - friction / 2
    up, down = np.exp(slow * s), np.exp(fast * s)
    c = ((up + down) / 2 + friction / 4 * (up - down) / root).real
    flat = square * (s**2 + 1 / friction**2) < FLAT
    limit = (s - -np.expm1(-friction * s) / friction) / friction / per_output
    return np.where(flat, limit, (1 - c) / np.where(flat, 1, a))


def _momentum_steps(
    a: PerImage, rate: float, momentum: float, when: Float64[np.ndarray, " T"]
) -> list[PerImage]:
    """Of ``v ← μ v − η ∇L``, step by step for all modes."""
    share, speed = np.zeros_like(a), np.zeros_like(a)
    wanted: dict[float, PerImage] = {0.0: share}
    last = max((t for t in when if np.isfinite(t)), default=0.0)
    for step in range(1, int(last) + 1):
        speed = momentum * speed + rate * (1 - a * share)
        share = share + speed
        if step in when:
            wanted[float(step)] = share
    return [flowed(a, t) if np.isinf(t) else wanted[t] for t in when]


# --- other losses --------------------------------------------------------------------------------

Slope = Callable[[Targets], Targets]


def _gradient_of(loss: Loss) -> Callable[[Targets, Targets], Targets]:
    """``∇L`` by the outputs, in float64."""
    derivative = jax.jit(jax.grad(_loss_of(loss)))

    def gradient(outputs: Targets, targets: Targets) -> Targets:
        with jax.enable_x64(True):
            return np.asarray(derivative(outputs, targets), np.float64)

    return gradient


def _loss_of(loss: Loss) -> Callable[[Any, Any], Any]:
    if loss == "mse":
        return lambda f, Y: jnp.mean((f - Y) ** 2) / 2
    if loss == "cross_entropy":
        return lambda f, Y: -jnp.mean(jax.nn.log_softmax(f) * Y)
    if not callable(loss):
        raise ConfigurationError(
            f"loss={loss!r}: expected 'mse', 'cross_entropy' or a function loss(f, Y)"
        )
    return loss


def _integrated(
    slope: Slope,
    shape: tuple[int, ...],
    when: Float64[np.ndarray, " T"],
    rate: float,
    momentum: float | None,
) -> list[Targets]:
    """``α`` at the times, by the differential equation."""
    from scipy.integrate import solve_ivp  # which takes a third of a second to load

    size = int(np.prod(shape))
    unit = rate if momentum is None else rate**0.5
    friction = 0.0 if momentum is None else (1 - momentum) / unit

    def move(_: float, state: np.ndarray) -> np.ndarray:
        pushed = slope(state[:size].reshape(shape)).ravel()
        if momentum is None:
            return pushed
        return np.concatenate([state[size:], pushed - friction * state[size:]])

    state = np.zeros(size if momentum is None else 2 * size)
    asked, order = np.unique(unit * when, return_inverse=True)
    end = float(asked[-1])
    if end == 0:
        return [np.zeros(shape) for _ in when]
    solved: Any = solve_ivp(
        move, (0.0, end), state, "DOP853", t_eval=asked, rtol=TOLERANCE, atol=TOLERANCE / 1000
    )
    if not solved.success:
        raise NotConvergedError(
            f"the equation was not solved to t={end / unit:g}: {solved.message}; lower "
            "learning_rate or the times"
        )
    return [solved.y[:size, place].reshape(shape) for place in order]


def _stepped(
    slope: Slope,
    shape: tuple[int, ...],
    when: Float64[np.ndarray, " T"],
    rate: float,
    momentum: float | None,
) -> list[Targets]:
    """``α`` after whole steps."""
    alpha, speed = np.zeros(shape), np.zeros(shape)
    kept = {0: alpha}
    for step in range(1, int(when.max()) + 1):
        speed = (momentum or 0.0) * speed + rate * slope(alpha)
        alpha = alpha + speed
        if step in when:
            kept[step] = alpha
    return [kept[int(t)] for t in when]


# --- what is given -------------------------------------------------------------------------------


def _times(times: ArrayLike | float, discrete: bool) -> Float64[np.ndarray, " T"]:
    """Times as a vector.

    Raises:
        ConfigurationError: one is negative, no number, or no whole number of steps.
    """
    when = np.atleast_1d(np.asarray(times, np.float64))
    if when.ndim != 1 or not len(when):
        raise ConfigurationError(f"times of shape {when.shape}: expected one time or several")
    wrong = when[~(when >= 0)]
    if len(wrong):
        raise ConfigurationError(f"times hold {wrong[0]:g}: expected numbers >= 0, or inf")
    finite = when[np.isfinite(when)]
    if discrete and (finite != np.round(finite)).any():
        raise ConfigurationError(
            "times of discrete steps: expected whole numbers; leave out discrete for the flow"
        )
    return when


def _check_rates(learning_rate: float, momentum: float | None) -> None:
    if not 0 < learning_rate < float("inf"):
        raise ConfigurationError(f"learning_rate={learning_rate!r}: expected a finite number > 0")
    if momentum is not None and not 0 <= momentum < 1:
        raise ConfigurationError(f"momentum={momentum!r}: expected a number from 0 on, below 1")


def _start(
    targets: Targets,
    f_train: ArrayLike | float,
    f_test: ArrayLike | float,
    K_cross: ArrayLike | None,
) -> tuple[Targets, Predictions, CrossBlock | None]:
    """Outputs before training, and the cross block."""
    outputs = _outputs(f_train, targets.shape, "f_train")
    if K_cross is None:
        return outputs, np.zeros((1, targets.shape[1])), None
    cross = check_cross(K_cross, len(targets))
    return outputs, _outputs(f_test, (len(cross), targets.shape[1]), "f_test"), cross


def _outputs(
    values: ArrayLike | float, shape: tuple[int, ...], name: str
) -> Float64[np.ndarray, "_ _"]:
    found = np.asarray(values, np.float64)
    if found.shape not in ((), shape) or not np.isfinite(found).all():
        raise DataError(f"{name} has shape {found.shape}: expected finite numbers {shape}, or one")
    return np.broadcast_to(found, shape)


def _square(K: ArrayLike, m: int) -> Float64[np.ndarray, "{m} {m}"]:
    matrix = np.asarray(K, np.float64)
    if matrix.shape != (m, m) or not np.isfinite(matrix).all():
        raise DataError(
            f"the kernel of the other images has shape {matrix.shape}: expected finite numbers "
            f"({m}, {m}); evaluate kernel(x_other)"
        )
    return matrix


def _trajectory(
    loss: Loss,
    when: Float64[np.ndarray, " T"],
    train: list[Targets],
    test: list[Predictions] | None,
    targets: Targets,
    Y_test: ArrayLike | None,
) -> Trajectory:
    value = jax.jit(_loss_of(loss))

    def losses(outputs: list[Any], of: Any) -> Float64[np.ndarray, " T"]:
        with jax.enable_x64(True):
            return np.array([float(value(f, of)) for f in outputs])

    test_loss = None
    if Y_test is not None:
        if test is None:
            raise ConfigurationError("Y_test without K_cross: expected both, or neither")
        test_loss = losses(test, check_targets(Y_test, len(test[0])))
    others = None if test is None else np.stack(test)
    return Trajectory(when, np.stack(train), others, losses(train, targets), test_loss)
