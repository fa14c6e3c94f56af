"""Proxies that are read from what layers and blocks make of the images.

Layers are those with weights and the activations; blocks, such as cells, follow one another.
"""

from __future__ import annotations

import numpy as np

from .probed import Inside, Probed, UnscoredError, entropy


def meco(probed: Probed) -> float:
    """``Σ_l λ_min(P_l)`` with P_l the correlations of a layer's channels over the pixels of one
    image, 0 where a channel is constant: Jiang et al. 2023, MeCo, section 3. Of the first image of
    the batch and all layers; layers without pixels have none. Its code also counts the modules that
    layers are in, and draws the image."""
    total, counted = 0.0, False
    for values in _inside(probed).values.values():
        image = np.asarray(values[0], np.float64)
        if image.ndim < 3:
            continue
        columns = image.reshape(-1, image.shape[-1])
        columns = columns - columns.mean(axis=0)
        norms = np.linalg.norm(columns, axis=0)
        columns = np.divide(columns, norms, out=np.zeros_like(columns), where=norms > 0)
        total += float(np.linalg.eigvalsh(columns.T @ columns)[0])
        counted = True
    if not counted:
        raise UnscoredError("no layer has pixels, over which channels could correlate")
    return total


def near(probed: Probed) -> float:
    """``Σ_l exp(−Σ_k p_k log p_k)``, the effective ranks of the layers' outputs before and after
    their activations: p are the singular values over their sum of a square matrix with a row for
    each channel's values at a pixel, of as many pixels as there are channels: Husistein, Reiher and
    Eckhoff 2024, NEAR, section 2. The pixels are the first ones of the batch; its code takes them
    from a random row on."""
    return sum(
        _effective_rank(np.asarray(values, np.float64))
        for values in _inside(probed).values.values()
    )


def expressivity(probed: Probed) -> float:
    """``Σ_b s_b`` with ``s_b = −Σ_k p_k log p_k`` of the eigenvalues p over their sum of the
    covariance of the channels that block b makes: Lee and Ham 2024, AZ-NAS, section 3.1."""
    return sum(_entropies(probed))


def progressivity(probed: Probed) -> float:
    """``min_b s_(b+1) − s_b``: Lee and Ham 2024, AZ-NAS, section 3.1."""
    entropies = _entropies(probed)
    if len(entropies) < 2:
        raise UnscoredError("the network has a single block, which follows none")
    return float(np.diff(entropies).min())


def trainability(probed: Probed) -> float:
    """``mean_b −σ_b − 1/σ_b + 2`` with σ_b the largest singular value of the mean over pixels of
    ``G_in ⊗ G_out``, G_out random signs at what block b makes and G_in what comes back of them to
    what it reads: Lee and Ham 2024, AZ-NAS, section 3.1. The blocks are those from the second on; a
    network with one that hands on what it reads is the last, as in its code."""
    found: list[float] = []
    for passage, same in zip(_inside(probed).passages, _inside(probed).identities, strict=True):
        if same:
            raise UnscoredError("a block hands on what it reads, unchanged")
        sigma = float(np.linalg.norm(np.asarray(passage, np.float64), 2))
        if sigma == 0:
            raise UnscoredError("a block hands nothing on")
        found.append(2 - sigma - 1 / sigma)
    if not found:
        raise UnscoredError("the network has a single block, which follows none")
    return float(np.mean(found))


def _inside(probed: Probed) -> Inside:
    assert probed.inside is not None
    return probed.inside


def _effective_rank(values: np.ndarray) -> float:
    """Of the first pixels; 0 where all values are."""
    rows = values.reshape(-1, values.shape[-1])[: values.shape[-1]]
    found = np.linalg.svd(rows, compute_uv=False)
    return float(np.exp(entropy(found))) if found[0] > 0 else 0.0


def _entropies(probed: Probed) -> list[float]:
    """Of the blocks."""
    spreads = _inside(probed).spreads
    if not spreads:
        raise UnscoredError("the network has neither blocks nor activations")
    found: list[float] = []
    for spread in spreads:
        values = np.linalg.eigvalsh(np.asarray(spread, np.float64))
        if not values.sum() > 0:
            raise UnscoredError("what a block makes does not depend on the images")
        found.append(entropy(values))
    return found
