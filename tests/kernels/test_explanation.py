"""What a network's kernel is made of, in words."""

import numpy as np
import pytest
from oracles.numpy_kernel import Evaluation
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.errors import ArchitectureError

POOL = kk.AvgPool(3, padding="SAME")


@pytest.mark.parametrize("seed", range(8))
def test_sources_are_those_of_the_oracle(seed):
    """The oracle expands every node into matrices on its sources; zeros have none."""
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, normalize="any" if seed % 2 else None)
    reference = rng.standard_normal((3, 4, 4, 3))
    evaluation = Evaluation(architecture, reference, np.full(3, 1 / 3))
    for node in kk.explain(architecture, (4, 4, 3)).nodes:
        assert set(node.sources) == evaluation.sources(node.index), node


def test_correlated_branches_are_named():
    network = kk.serial(kk.Conv(3), kk.residual(POOL), kk.Relu(), kk.GlobalAvgPool())
    explanation = kk.explain(network, (6, 6, 1))
    assert explanation.refusal is None
    (total,) = [node for node in explanation.nodes if node.name == "Sum"]
    assert total.sources == (1,)
    assert "nodes 2 and 3 are correlated" in total.rule
    independent = kk.serial(kk.parallel(kk.Conv(3), kk.Conv(3)), kk.Flatten())
    assert not any("correlated" in n.rule for n in kk.explain(independent, (6, 6, 1)).nodes)


def test_a_refused_network_is_explained_with_the_reason():
    network = kk.serial(kk.Conv(3), kk.Relu(), POOL, kk.Relu(), kk.Flatten())
    explanation = kk.explain(network, (6, 6, 1))
    assert explanation.refusal is not None
    assert "node 4 (Relu reading 3)" in explanation.refusal
    assert str(explanation).splitlines()[-1].startswith("refused: node 4")
    with pytest.raises(ArchitectureError, match="insert Flatten"):
        kk.explain(kk.serial(kk.Conv(3), kk.Dense()), (6, 6, 1))
