"""Images with what a kernel needs of each by itself."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from kernas.errors import DataError

from ..backends import Backend, Work
from ..engine import Images, Request


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """Images with everything a kernel needs of each by itself; see :meth:`NeuralKernel.prepare`.

    Where the kernel is augmented they have several views, the images themselves and their mirror
    images.
    """

    views: tuple[Images, ...]
    _work: Work
    _backend: Backend

    def __len__(self) -> int:
        return len(self.views[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the images and of what was computed of each."""
        return sum(view.nbytes for view in self.views)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """``(height, width, channels)`` or ``(features,)``."""
        return self._work.program.image_shape

    def check_fit(self, backend: Backend, work: Work, *, views: int) -> None:
        """Refuse them for another kernel than the one that prepared them.

        Args:
            backend: of the kernel that they are given to.
            work: that it does with them.
            views: images that stand for one.

        Raises:
            DataError: another kernel prepared them, or not for the tangent kernel, or JAX computed
                in another precision then.
        """
        mine = self._work
        if (
            mine.program != work.program
            or mine.statistics is not work.statistics
            or len(self.views) != views
            or self._backend != backend
        ):
            raise DataError(
                "these images were prepared by another kernel; prepare them with this one"
            )
        if work.tangent and not mine.tangent:
            raise DataError(
                "these images were prepared without the tangent kernel; prepare them with "
                'get=("nngp", "ntk")'
            )
        check_precision(self.views[0], "these images were prepared")


Inputs = np.ndarray | PreparedImages


def check_precision(images: Images, done: str) -> None:
    """Refuse records of another precision than the one that JAX computes in.

    Raises:
        DataError: the message says what was ``done`` in the other one.
    """
    then, now = np.dtype(images.pixels.dtype), np.dtype(jnp.result_type(float))
    if then != now:
        raise DataError(
            f"{done} in {then}, and JAX computes in {now} now: expected one precision; do it again "
            f"in this one, or call with jax.enable_x64({then == np.float64})"
        )


def request_of(left: PreparedImages, right: PreparedImages | None, *, both: bool) -> Request:
    """The matrix of prepared images, the mean over the views of the right ones or of ``both``."""
    rows = left.views if both else left.views[:1]
    columns = left.views if right is None else right.views
    return Request(rows, columns, right is None)
