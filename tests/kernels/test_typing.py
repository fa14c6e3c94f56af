"""What the type checker knows of a call of a kernel; pyright reads ``assert_type``."""

from typing import Any, assert_type

import numpy as np

import kernas.kernels as kk


def test_a_call_has_the_type_of_what_was_asked_for():
    network = kk.serial(kk.Dense(), kk.Relu(), kk.Dense())
    x = np.eye(3)[:2]
    one, both = kk.NeuralKernel(network), kk.NeuralKernel(network, get=("nngp", "ntk"))
    matrix, kernels = assert_type(one(x), np.ndarray), assert_type(both(x), kk.Kernels)
    named = assert_type(both(x, x, get="ntk"), np.ndarray)
    several = assert_type(one(x, get=("nngp", "ntk")), kk.Kernels)
    bound = assert_type(both.bind(x)(x), kk.Kernels)
    assert_type(both.set_params(get="ntk"), kk.NeuralKernel[Any])
    for found in (matrix, named, kernels.ntk, several.ntk, bound.ntk):
        np.testing.assert_allclose(found, matrix, rtol=1e-6)
    assert all(isinstance(of, kk.Kernels) for of in (kernels, several, bound))
