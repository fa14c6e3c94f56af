"""What the transformers share: images are checked, and are those that they were fitted to."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import DTypeLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from kernas.errors import DataError

from ..data.checks import check_fitted_shape, check_images


class ImageTransformer(TransformerMixin, BaseEstimator):
    """Images in, images out, in float64 where they come in float64 and in float32 otherwise.

    Attributes after ``fit``:
        input_shape_: shape of one training image, ``(height, width, channels)`` or ``(features,)``.
        n_features_in_: size of the second axis of ``X``.
    """

    input_shape_: tuple[int, ...]

    fitted: ClassVar[str]
    """The attribute that ``fit`` sets last."""

    def _training_images(self, X: Any, n_min: int = 1) -> np.ndarray:
        """Checked images to fit to, at least ``n_min``: ``(n, features)`` or NHWC.

        What was fitted before is forgotten: if this fit fails, nothing is fitted.
        """
        vars(self).pop(self.fitted, None)
        checked = validate_data(
            self, X, allow_nd=True, ensure_all_finite=False, ensure_min_samples=n_min
        )
        images = check_images(cast(np.ndarray, checked), "X")
        self.input_shape_ = images.shape[1:]
        return images

    def _images(self, X: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        """Checked images to transform, of the shape that was fitted; and the shape of X."""
        check_is_fitted(self, self.fitted)
        checked = check_array(
            X, allow_nd=True, ensure_all_finite=False, estimator=self, input_name="X"
        )
        images = check_images(checked, "X")
        if images.ndim == 2 and len(self.input_shape_) == 1:
            # scikit-learn compares the number and the names of columns, and words the refusal.
            validate_data(self, X, reset=False, skip_check_array=True)
        check_fitted_shape(images.shape[1:], self.input_shape_, type(self).__name__)
        return images, checked.shape

    def __sklearn_tags__(self) -> Any:
        """Images of more than two axes are taken as well; float32 stays float32."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class ShapeKeeper(OneToOneFeatureMixin, ImageTransformer):
    """A transformer whose result has the shape of its input."""

    @abstractmethod
    def _transformed(self, images: np.ndarray) -> np.ndarray:
        """Checked images transformed, in float64; of any shape with as many numbers."""

    def transform(self, X: Any) -> np.ndarray:
        """Transformed images, of the shape of X.

        Raises:
            DataError: the images are not usable, or of another shape than the training images.
        """
        images, shape = self._images(X)
        return self._transformed(images).astype(result_dtype(images), copy=False).reshape(shape)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the columns of vectors, which are those that came in.

        Raises:
            DataError: it was fitted to images, which have no columns.
        """
        check_is_fitted(self, self.fitted)
        if len(self.input_shape_) > 1:
            raise DataError(
                f"{type(self).__name__} was fitted to images of {self.input_shape_}, which have no "
                "columns to name; expected vectors (n, features)"
            )
        return super().get_feature_names_out(input_features)


def result_dtype(x: np.ndarray) -> DTypeLike:
    """Of what is made of x: float64 for float64, float32 for all else."""
    return np.float64 if x.dtype == np.float64 else np.float32
