"""Families of a space: whose programs serve a candidate, and how many are compiled."""

import itertools

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.engine import compilations
from kernas.search.spaces.operations import needs, needs_of

SHAPE = (4, 4, 1)
FIXED = {"network": "plain", "window": 3, "stride": 2, "dilation": 1, "padding": "zero"}
FIXED |= {"pool": True, "skips": False, "activation": "abs", "normalize": "none", "readout": "gap"}
FIXED |= {"depth": 1, "W_std": 1.5, "b_std": 0.1}


def candidates_of(space, **varied):
    """All candidates of some values, others being those of ``FIXED``."""
    for values in itertools.product(*varied.values()):
        yield space.candidate_of({**FIXED, **dict(zip(varied, values, strict=True))})


def test_every_network_of_a_family_is_held_by_its_cover():
    """Exhaustively, of each pair of stride and pool."""
    space = ks.MacroSpace(max_depth=3)
    varied = {name: space.choices[name] for name in ("network", "depth", "skips", "normalize")}
    for stride, pool in itertools.product([1, 2], [False, True]):
        members = [
            *candidates_of(
                space, **varied, readout=["gap", "flatten"], stride=[stride], pool=[pool]
            )
        ]
        members = [member for member in members if member.genotype[0] != "dense"]
        (family,) = {member.family for member in members}
        held = needs_of(family.cover(SHAPE), SHAPE)
        assert all(needs(member.architecture, SHAPE) <= held for member in members)


def test_equal_networks_are_of_one_family_and_others_of_108_and_more():
    """Of streams there are 4 nonlinearities, 9 windows and 3 pairs of stride and pool."""
    space = ks.MacroSpace()
    names = "window", "dilation", "padding", "stride", "pool", "activation"
    varied = {name: space.choices[name] for name in names}
    members = list(candidates_of(space, **varied, network=["plain", "dense"]))
    family_of = {}
    for member in members:
        assert family_of.setdefault(member.key, member.family) == member.family
    assert len({f for f in family_of.values() if not f.dense}) == 108 + 36
    assert len({f for f in family_of.values() if f.dense}) == 4


def test_candidates_of_a_family_share_five_programs_alone_and_together():
    """One at a time and in a list, so that runs give the same digits however they are cut."""
    train, _ = kk.load("digits", n_train=16, n_test=1, seed=0, image_size=4)
    fit, validation = train.split(0.5, seed=0)
    score = ks.KernelScore(fit, validation, n_reference=4)
    space = ks.MacroSpace(max_depth=2, max_window=3)
    members = list(
        candidates_of(
            space, depth=[1, 2], network=["plain", "residual"], normalize=["batch", "layer", "none"]
        )
    )
    before = compilations().count
    alone = [ks.rank([member], score, progress=False)[0] for member in members]
    assert 0 < compilations().count - before <= 5
    others = list(candidates_of(space, activation=["relu"]))
    together = ks.rank([*others, *members], score, progress=False)
    assert together.summary["outside_cover"] == 0
    found = {row.name: row.values for row in together}
    assert {row.name: row.values for row in alone} == {row.name: found[row.name] for row in alone}
