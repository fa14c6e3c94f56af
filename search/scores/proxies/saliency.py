"""Proxies that are read from weights and their gradients.

θ_l are the weights (no biases) of layer l, L is the mean cross-entropy of the batch and ⊙ the
elementwise product. Sums are taken in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .probed import ByLayer, Probed, logarithm

UNREACHED = "no weight lies on a way from the images to the output"


def snip(probed: Probed) -> float:
    """``Σ |∂L/∂θ ⊙ θ|``: Lee, Ajanthan and Torr 2019, section 4; Abdelfattah et al. 2021,
    equation 2."""
    return sum(float(np.abs(g * w).sum()) for g, w in _pairs(probed.gradients, probed.weights))


def plain(probed: Probed) -> float:
    """``Σ ∂L/∂θ ⊙ θ``: Mozer and Smolensky 1989; Abdelfattah et al. 2021, section 5."""
    return sum(float((g * w).sum()) for g, w in _pairs(probed.gradients, probed.weights))


def grad_norm(probed: Probed) -> float:
    """``Σ_l ‖∂L/∂θ_l‖``, of each layer's gradients together: Abdelfattah et al. 2021, section 3."""
    return _norms(probed.gradients)


def l2_norm(probed: Probed) -> float:
    """``Σ_l ‖θ_l‖``, of each layer's weights together: Abdelfattah et al. 2021's code."""
    return _norms(probed.weights)


def grasp(probed: Probed) -> float:
    """``−Σ H ∂L/∂θ ⊙ θ`` with H the Hessian of L: Wang, Zhang and Grosse 2020, equation 8;
    Abdelfattah et al. 2021, equation 2."""
    return -sum(float((h * w).sum()) for h, w in _pairs(probed.curvature, probed.weights))


def synflow(probed: Probed) -> float:
    """``log Σ |θ| ⊙ ∂R/∂|θ|``, R the sum of the logits of an image of ones in the network of the
    magnitudes |θ|, without normalisation: Tanaka et al. 2020, equation 2; Abdelfattah et al. 2021,
    section 3. R is that of all logits there, and its order is the same without the logarithm.
    """
    weights, slopes = probed.flow
    total = sum(float(np.abs(s * w).sum()) for s, w in _pairs(slopes, weights))
    return logarithm(total, "the flow", UNREACHED)


def fisher(probed: Probed) -> float:
    """``Σ_l Σ_c ½ mean_i (Σ_pixels z ∂L/∂z)²`` of the outputs z of each layer, image i and channel
    c: Theis et al. 2018, equation 6; Turner et al. 2020, equation 4. The sum over pixels comes
    before the square."""
    return sum(float(saliency.sum()) for saliency in _of_channels(probed).values())


def fisher_of_code(probed: Probed) -> float:
    """The same, with every channel as often as it has weights: its code gives each weight the value
    of its channel before all are added (Abdelfattah et al. 2021, code; NAS-Bench-Suite-Zero)."""
    return sum(
        float(saliency.sum()) * probed.weights[layer].size / len(saliency)
        for layer, saliency in _of_channels(probed).items()
    )


def zico(probed: Probed) -> float:
    """``Σ_l log Σ_θ_l mean|g| / std(g)`` over the batches' gradients g of each weight, weights of
    which they are equal left out, and layers without any other: Li et al. 2023, equation 13. Of two
    batches."""
    total = 0.0
    counted = False
    for one, other in _pairs(probed.gradients, probed.other_gradients):
        both = np.stack([one, other])
        deviation = both.std(axis=0)
        moving = deviation > 0
        ratio = np.abs(both).mean(axis=0)[moving] / deviation[moving]
        if ratio.size:
            total += float(np.log(ratio.sum()))
            counted = True
    return total if counted else logarithm(0.0, "the gradients' variation", UNREACHED)


def _of_channels(probed: Probed) -> dict[str, np.ndarray]:
    """By layer the saliency of each channel."""
    found: dict[str, np.ndarray] = {}
    for layer, gates in probed.gates.items():
        if layer in probed.weights:
            flat = np.asarray(gates, np.float64).reshape(len(gates), -1)
            found[layer] = (flat**2).mean(axis=0) / 2
    return found


def _pairs(first: ByLayer, second: ByLayer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Arrays of the same layers, in float64."""
    for layer, values in first.items():
        yield np.asarray(values, np.float64), np.asarray(second[layer], np.float64)


def _norms(arrays: ByLayer) -> float:
    return sum(float(np.linalg.norm(np.asarray(a, np.float64).ravel())) for a in arrays.values())
