"""Networks with one template of two slots, or of more, whose branches are few and cheap."""

from __future__ import annotations

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.architecture import Slot

BRANCHES = (
    kk.serial(kk.Identity()),
    kk.serial(kk.Relu(), kk.Conv(3), kk.Normalize()),
    kk.serial(kk.Relu(), kk.Conv(1)),
)


def network(*parts: kk.Architecture | Slot) -> kk.Architecture:
    return kk.serial(
        *(kk.Conv(3), kk.Normalize(), *parts, kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    )


def built(**chosen: int) -> kk.Architecture:
    return network(*(BRANCHES[number] for number in chosen.values()))


class TwoSlots(ks.ChoiceSpace):
    """A slot for each choice."""

    def template(self, candidate: ks.Candidate) -> kk.Architecture:
        return network(*(Slot(BRANCHES, place) for place in range(len(self.choices))))

    def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
        return tuple(candidate.genotype)


SPACE = TwoSlots(built, {"first": [0, 1, 2], "second": [0, 1, 2]})
FOUR = TwoSlots(built, {name: [0, 1, 2] for name in ("first", "second", "third", "fourth")})
TEMPLATE = SPACE.template(SPACE.sample(1)[0])
