"""Every proxy by its name: what it is, its direction, what it needs and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import activations, blocks, information, jacobians, saliency, tangents
from .probed import Need, Probed


@dataclass(frozen=True)
class Proxy:
    """A number of a network that is not trained.

    Attributes:
        name: as in ``--score``; ``NAME@VARIANT`` where code or print departs from the definition.
        text: what it is, in a few words.
        higher_is_better: its direction, that of its authors.
        needs: what is computed for it.
        compute: its formula; raises :class:`UnscoredError`.
        reference: where it comes from.
    """

    name: str
    text: str
    higher_is_better: bool
    needs: tuple[Need, ...]
    compute: Callable[[Probed], float] = field(repr=False)
    reference: str


ABDELFATTAH = "Abdelfattah et al. 2021, section 3"
AZ_NAS = "Lee and Ham 2024, AZ-NAS, section 3.1"
VKDNW = "Tybl and Neumann 2025, VKDNW, section 3"

PROXIES: Mapping[str, Proxy] = {
    proxy.name: proxy
    for proxy in (
        Proxy(
            "snip",
            "change of the loss without each weight, magnitudes added",
            True,
            ("weights", "first_order"),
            saliency.snip,
            "Lee et al. 2019, SNIP, section 4",
        ),
        Proxy(
            "grasp",
            "change of the gradient's norm without each weight, added",
            True,
            ("weights", "curvature"),
            saliency.grasp,
            "Wang et al. 2020, GraSP, equation 8",
        ),
        Proxy(
            "synflow",
            "logarithm of the flow through all weights' magnitudes, no data",
            True,
            ("flow",),
            saliency.synflow,
            "Tanaka et al. 2020, SynFlow, equation 2",
        ),
        Proxy(
            "fisher",
            "change of the loss without each channel, squared and added",
            True,
            ("weights", "first_order"),
            saliency.fisher,
            "Turner et al. 2020, BlockSwap, equation 4",
        ),
        Proxy(
            "fisher@code",
            "fisher with each channel as often as it has weights, as its code has it",
            True,
            ("weights", "first_order"),
            saliency.fisher_of_code,
            "Abdelfattah et al. 2021, code",
        ),
        Proxy(
            "grad_norm",
            "norms of the layers' gradients, added",
            True,
            ("first_order",),
            saliency.grad_norm,
            ABDELFATTAH,
        ),
        Proxy(
            "l2_norm",
            "norms of the layers' weights, added; no data",
            True,
            ("weights",),
            saliency.l2_norm,
            ABDELFATTAH,
        ),
        Proxy(
            "plain",
            "products of weights and their gradients, added",
            True,
            ("weights", "first_order"),
            saliency.plain,
            ABDELFATTAH,
        ),
        Proxy(
            "jacob_cov",
            "how little the outputs' gradients by images correlate",
            True,
            ("first_order",),
            jacobians.jacob_cov,
            "Mellor et al. 2020, version 1, section 3",
        ),
        Proxy(
            "epe_nas",
            "how little they correlate within the classes",
            True,
            ("first_order",),
            jacobians.epe_nas,
            "Lopes et al. 2021, EPE-NAS, section 3",
        ),
        Proxy(
            "naswot",
            "log-determinant of how alike the images' activation codes are",
            True,
            ("first_order",),
            activations.naswot,
            "Mellor et al. 2021, NASWOT, equation 2",
        ),
        Proxy(
            "naswot_euclidean",
            "naswot with the square root of the Hamming distance",
            True,
            ("first_order",),
            activations.naswot_euclidean,
            "Mellor et al. 2021, varied",
        ),
        Proxy(
            "naswot@printed",
            "naswot with an inner product in place of the distance",
            True,
            ("first_order",),
            activations.naswot_printed,
            "Mellor et al. 2021, varied",
        ),
        Proxy(
            "naswot@printed_sign",
            "the sign of that determinant",
            True,
            ("first_order",),
            activations.naswot_printed_sign,
            "Mellor et al. 2021, varied",
        ),
        Proxy(
            "swap",
            "number of different sets of images for which units are active",
            True,
            ("first_order",),
            activations.swap,
            "Peng et al. 2024, SWAP-NAS, definition 3.2",
        ),
        Proxy(
            "zen",
            "how far features move with noise, times the normalisations' scales",
            True,
            ("perturbed",),
            activations.zen,
            "Lin et al. 2021, Zen-NAS, algorithm 1",
        ),
        Proxy(
            "zen@code",
            "zen with sums of magnitudes and running averages, as its code has it",
            True,
            ("perturbed",),
            activations.zen_of_code,
            "Lin et al. 2021, code",
        ),
        Proxy(
            "ntk_condition",
            "condition number of the drawn network's tangent kernel",
            False,
            ("tangent",),
            tangents.ntk_condition,
            "Chen et al. 2021, TE-NAS, section 3.1.1",
        ),
        Proxy(
            "label_gradient_alignment",
            "alignment of that kernel with the labels",
            True,
            ("tangent",),
            tangents.label_gradient_alignment,
            "Mok et al. 2022, section 5",
        ),
        Proxy(
            "zico",
            "gradients' means over their deviations between batches",
            True,
            ("first_order", "second_batch"),
            saliency.zico,
            "Li et al. 2023, ZiCo, equation 13",
        ),
        Proxy(
            "meco",
            "least eigenvalues of the correlations of the layers' channels, added",
            True,
            ("inside",),
            blocks.meco,
            "Jiang et al. 2023, MeCo, section 3",
        ),
        Proxy(
            "near",
            "effective ranks of the layers' outputs, added",
            True,
            ("inside",),
            blocks.near,
            "Husistein et al. 2024, NEAR, section 2",
        ),
        Proxy(
            "expressivity",
            "entropies of the principal components of the blocks, added",
            True,
            ("inside",),
            blocks.expressivity,
            AZ_NAS,
        ),
        Proxy(
            "progressivity",
            "least increase of that entropy from block to block",
            True,
            ("inside",),
            blocks.progressivity,
            AZ_NAS,
        ),
        Proxy(
            "trainability",
            "how near the blocks' Jacobians are to keeping lengths",
            True,
            ("inside",),
            blocks.trainability,
            AZ_NAS,
        ),
        Proxy(
            "linear_regions",
            "different activation codes of many small images in a thin network",
            True,
            ("regions",),
            activations.linear_regions,
            "Chen et al. 2021, TE-NAS, section 3.1.2",
        ),
        Proxy(
            "vkdnw",
            "layers, and how even the Fisher information of a weight of each is",
            True,
            ("weights", "information"),
            information.vkdnw,
            VKDNW,
        ),
        Proxy(
            "vkdnw@entropy",
            "the second part of vkdnw alone",
            True,
            ("information",),
            information.vkdnw_entropy,
            VKDNW,
        ),
    )
}
