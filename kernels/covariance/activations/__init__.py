r"""Dual activations: second moments of nonlinearities of Gaussian variables.

For ``(u, v)`` centred Gaussian with variances ``a, b`` and covariance ``k``, the dual of φ and ψ is
``E[φ(u) ψ(v)]``, and ``E[φ'(u) ψ'(v)]`` multiplies the tangent kernel (Jacot et al. 2018,
theorem 1; Daniely et al. 2016 for the name). The formulas, each with its source:

=====================  ================================================
``piecewise.py``       ReLU, leaky ReLU, abs, sign, and all pairs
``error_function.py``  erf; GELU
``trigonometric.py``   sin, cos, sinusoids, and all pairs
``exponential.py``     exponentials; Gaussian bells
``exponential_linear.py``  ELU, SELU, and their pairs with ReLU, leaky ReLU and abs
``polynomial.py``      monomials, Hermite polynomials, and all pairs
``series.py``          any smooth function, and any other two that meet
=====================  ================================================

``families.py`` says which is used for which; ``accuracy.py`` how exact the series is.
"""

from .accuracy import check_accuracy as check_accuracy
from .accuracy import check_smooth as check_smooth
from .accuracy import quadrature_error as quadrature_error
from .families import Dual as Dual
from .families import formula_of as formula_of
from .families import has_closed_form as has_closed_form
from .families import largest_variance as largest_variance
from .families import stein_slopes as stein_slopes
