"""Responses of images to filters that are patches of the training images."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

import numpy as np

from kernas.errors import ConfigurationError, DataError

from ..data.checks import check_integer, check_number
from .base import ImageTransformer, result_dtype
from .patches import draw_patches, variances, without_brightness, without_contrast
from .whitening import Whitening, fit_whitening
from .windows import Padding, Pair, Windows

BATCH_BYTES = 2**26
"""What the patches and responses of the images that are worked on together may take."""


class PatchFeatures(ImageTransformer):
    """Images of many channels: rectified responses to random patches of the training images.

    Every patch p of an image, d numbers, loses its brightness and contrast and is whitened,

        ``q = (p − mean p)/√(var p + c v̄)``,  ``z = (q − μ) W``,

    v̄ the mean of ``var p``, and μ and ``W = U (Λ + ε λ̄ I)^(−1/2) Uᵀ`` from the mean and the
    covariance ``U Λ Uᵀ`` of q, ``λ̄ = tr(Λ)/d``, over random patches of the training images. The
    filters w are some of these z, divided by their length. Channels k and ``n_filters + k`` are

        ``max(0, w_k·z − bias)``  and  ``max(0, −w_k·z − bias)``,

    their mean over windows where ``pool`` is more than 1. Both regularisers being relative, the
    units of the pixels do not matter, nor with ``padding="VALID"`` their origin.

    Images have shape ``(n, height, width)`` or ``(n, height, width, channels)``. A vector,
    ``(n, features)``, is an image of one row, and its patches and windows are one row high. The
    result has shape ``(n, h', w', 2·n_filters)``, float64 for float64 images, otherwise float32:
    with the defaults 1.5 MB for a 32×32 image, so pool, or take fewer filters, for many images.

    Args:
        n_filters: >= 1; the more, the more accurate, in all references.
        patch_size: side of a patch in pixels, at most the image's.
        stride: step from patch to patch in pixels, >= 1.
        padding: ``"VALID"`` for patches inside the image, ``"SAME"`` for zeros around it. A zero
            stands for a pixel of value 0; standardise before, so that this is the mean.
        bias: >= 0, in units of a whitened patch's deviation along a filter, about 1.
        pool: side of the windows that responses are averaged over, >= 1, in steps of ``stride``;
            1 for none. Windows lie inside: what is left over at the edge is not used.
        pool_stride: step from window to window, >= 1; ``None`` for ``pool``.
        contrast_regularization: c >= 0. A patch of constant pixels has q = 0 for any c.
        whitening_regularization: ε > 0. Patches without their mean do not vary in one direction,
            so 0 is not possible.
        n_patches: random patches that v̄, μ, W and the filters come from, >= ``n_filters``; all of
            them if there are fewer. They take ``8·d·n_patches`` bytes a few times over.
        seed: chooses them, >= 0.

    Attributes:
        filters_: w, whitened, of length 1, shape ``(n_filters, height, width, channels)``.
        whitening_: the fitted :class:`Whitening`: μ and W.
        contrast_: ``c v̄``, in squared units of the pixels.

    Others as for :class:`ImageTransformer`. Patches that are constant are no filters. Images are
    worked on in batches of 64 MB, or one by one where one takes more.

    Reference:
        Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning,
        AISTATS 2011, section 3: normalisation, whitening, dense extraction, and means over
        quadrants. Coates and Ng, The Importance of Encoding Versus Training with Sparse Coding and
        Vector Quantization, ICML 2011: random patches as filters, rectified in both signs. Li et
        al., Enhanced Convolutional Neural Tangent Kernels, 2019, section 6.2: as input of kernels.

        The defaults but for ``n_filters`` are those of published programs for CIFAR-10: patches of
        6×6 at stride 1, 100,000 of them for the whitening, a bias of 0.25, 10 added to the
        variance of patches of bytes, which is 0.007 of its mean there, and 0.1 to the eigenvalues,
        whose mean is 0.95. They pool by sums over windows of 14 at steps of 13, the quadrants of
        27×27 patches: ``pool=14, pool_stride=13``. What Li et al. chose was not compared.

    >>> x = np.random.default_rng(0).normal(size=(20, 8, 8, 3))
    >>> PatchFeatures(n_filters=10, patch_size=3, pool=2).fit_transform(x).shape
    (20, 3, 3, 20)
    """

    fitted: ClassVar = "filters_"
    padding: Padding
    filters_: np.ndarray
    whitening_: Whitening
    contrast_: float

    def __init__(
        self,
        n_filters: int = 256,
        patch_size: int = 6,
        *,
        stride: int = 1,
        padding: Padding = "VALID",
        bias: float = 0.25,
        pool: int = 1,
        pool_stride: int | None = None,
        contrast_regularization: float = 0.007,
        whitening_regularization: float = 0.1,
        n_patches: int = 100_000,
        seed: int = 0,
    ) -> None:
        self.n_filters = n_filters
        self.patch_size = patch_size
        self.stride = stride
        self.padding = padding
        self.bias = bias
        self.pool = pool
        self.pool_stride = pool_stride
        self.contrast_regularization = contrast_regularization
        self.whitening_regularization = whitening_regularization
        self.n_patches = n_patches
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> PatchFeatures:
        """Draw filters from training images, and what patches are whitened with.

        ``y`` is not read.

        Raises:
            ConfigurationError: an option is out of its range, a patch is larger than the images, or
                a window than their responses.
            DataError: the images are not usable, or too few of their patches are not constant.
        """
        self._check_options()
        images = _with_rows(self._training_images(X))
        self._check_windows(images)
        inside = Windows(self._patches.shape)
        rng = np.random.default_rng(self.seed)
        patches = without_brightness(draw_patches(images, inside, self.n_patches, rng))
        contrasts = variances(patches)
        chosen = np.flatnonzero(contrasts)[: self.n_filters]
        if len(chosen) < self.n_filters:
            raise DataError(
                f"n_filters={self.n_filters}, but of {len(patches)} patches drawn from the "
                f"training images only {np.count_nonzero(contrasts)} are not constant: expected "
                "one for each filter; use fewer filters, more or larger patches, or images with "
                "contrast"
            )
        self.contrast_ = float(self.contrast_regularization * contrasts.mean())
        patches = without_contrast(patches, self.contrast_)
        self.whitening_ = fit_whitening(
            patches, self.whitening_regularization, "the normalised patches"
        )
        filters = self.whitening_.apply(patches[chosen])
        filters /= np.linalg.norm(filters, axis=1, keepdims=True)
        self.filters_ = filters.reshape(-1, *inside.shape, images.shape[-1])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features, shape ``(n, h', w', 2·n_filters)``.

        Raises:
            DataError: the images are not usable, or of another shape than the training images.
        """
        x, _ = self._images(X)
        images, dtype = _with_rows(x), np.dtype(result_dtype(x))
        filters = self.filters_.reshape(len(self.filters_), -1)
        # w·(q − μ)W = (wW)·(q − μ): whitening and filters are one matrix.
        weights = self.whitening_.times(filters).T
        offset = (self.whitening_.mean @ weights).astype(dtype)
        weights = weights.astype(dtype)
        batch = max(1, BATCH_BYTES // self._bytes(images, dtype))
        parts = (images[start : start + batch] for start in range(0, len(images), batch))
        size = self._pool.places(self._patches.places(images.shape[1:3]))
        features = np.empty((len(images), *size, 2 * len(filters)), dtype)
        for i, part in enumerate(parts):
            responses = self._responses(part, weights, offset)
            features[i * batch : (i + 1) * batch] = self._pool.means(responses)
        return features

    def _responses(self, images: np.ndarray, weights: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Those to every patch, rectified in both signs, ``(n, rows, columns, 2·n_filters)``."""
        views = self._patches.views(images)
        # One product of two matrices: many small ones take ten times as long.
        patches = without_brightness(views.reshape(-1, len(weights)).astype(np.float64))
        patches = without_contrast(patches, self.contrast_).astype(weights.dtype, copy=False)
        linear = patches @ weights - offset
        rectified = np.concatenate([linear, -linear], axis=1) - linear.dtype.type(self.bias)
        np.maximum(rectified, 0, out=rectified)
        return rectified.reshape(*views.shape[:3], -1)

    # --- options and sizes -----------------------------------------------------------------------

    @property
    def _patches(self) -> Windows:
        return Windows(self._shape(self.patch_size), self.stride, self.padding)

    @property
    def _pool(self) -> Windows:
        return Windows(self._shape(self.pool), self.pool_stride or self.pool)

    def _shape(self, side: int) -> Pair:
        """Of a window: a square for images, one row for vectors."""
        return (side if len(self.input_shape_) == 3 else 1), side

    def _check_options(self) -> None:
        """Refuse options that are out of range; needs no images."""
        for name in ("n_filters", "patch_size", "stride", "pool", "n_patches"):
            check_integer(getattr(self, name), name, 1)
        if self.pool_stride is not None:
            check_integer(self.pool_stride, "pool_stride", 1)
        check_integer(self.seed, "seed", 0)
        check_number(self.bias, "bias")
        check_number(self.contrast_regularization, "contrast_regularization")
        check_number(self.whitening_regularization, "whitening_regularization", positive=True)
        if self.padding not in get_args(Padding):
            raise ConfigurationError(f"padding={self.padding!r}: expected 'VALID' or 'SAME'")
        if self.n_patches < self.n_filters:
            raise ConfigurationError(
                f"n_patches={self.n_patches} with n_filters={self.n_filters}: filters are some of "
                "the patches; use at least as many patches"
            )

    def _check_windows(self, images: np.ndarray) -> None:
        """Refuse patches that are larger than the images, and windows larger than what is left."""
        height, width = images.shape[1:3]
        what = f"images of {height}×{width} pixels"
        if len(self.input_shape_) == 1:
            what = f"vectors of {width} feature(s)"
        if min(Windows(self._patches.shape).places((height, width))) < 1:
            raise ConfigurationError(
                f"patch_size={self.patch_size} for {what}: expected patches that lie inside; use "
                "a smaller patch_size"
            )
        rows, columns = self._patches.places((height, width))
        if min(self._pool.places((rows, columns))) < 1:
            raise ConfigurationError(
                f"pool={self.pool} for {what}, which have {rows}×{columns} patches: expected "
                "windows that lie inside; use a smaller pool"
            )

    def _bytes(self, images: np.ndarray, dtype: np.dtype) -> int:
        """What one image takes: its patches three times in float64, its responses four times."""
        rows, columns = self._patches.places(images.shape[1:3])
        n_filters, *shape = self.filters_.shape
        return rows * columns * (3 * 8 * int(np.prod(shape)) + 4 * 2 * n_filters * dtype.itemsize)


def _with_rows(images: np.ndarray) -> np.ndarray:
    """NHWC; vectors as images of one row and one channel."""
    return images[:, None, :, None] if images.ndim == 2 else images
