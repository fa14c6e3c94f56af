"""Patches of images: drawn at random, and without their brightness and contrast."""

from __future__ import annotations

import numpy as np

from .windows import Windows


def draw_patches(
    images: np.ndarray, windows: Windows, n_patches: int, rng: np.random.Generator
) -> np.ndarray:
    """Patches at random places, no place twice, in random order.

    Args:
        images: NHWC.
        windows: the places.
        n_patches: >= 1; all patches if there are fewer.
        rng: chooses them.

    Returns:
        Float64, shape ``(n_patches, height·width·channels)``.
    """
    views = windows.views(images)
    places = views.shape[:3]
    total = int(np.prod(places))
    chosen = rng.choice(total, min(n_patches, total), replace=False)
    patches = views[np.unravel_index(chosen, places)]
    return patches.reshape(len(chosen), -1).astype(np.float64)


def variances(centred: np.ndarray) -> np.ndarray:
    """Mean square of vectors ``(…, d)``, shape ``(…)``."""
    return np.einsum("...i,...i->...", centred, centred) / centred.shape[-1]


def without_brightness(patches: np.ndarray) -> np.ndarray:
    """``p − mean p`` for patches ``(…, d)`` in float64; exactly 0 where they are constant.

    Constant is a patch whose deviation is at most 1e-12 of its mean: what is left of equal numbers
    is rounding, which must not be blown up to noise.
    """
    mean = patches.mean(axis=-1, keepdims=True)
    centred = patches - mean
    constant = np.sqrt(variances(centred)) <= 1e-12 * np.abs(mean[..., 0])
    centred[constant] = 0.0
    return centred


def without_contrast(centred: np.ndarray, rho: float) -> np.ndarray:
    """``p/√(var p + ρ)`` for patches ``(…, d)`` without their mean; 0 where p is 0."""
    scale = np.sqrt(variances(centred) + rho)[..., None]
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 0)
