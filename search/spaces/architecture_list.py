"""Candidates that are just architectures: a list of the user's own."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from kernas.errors import ArchitectureError
from kernas.kernels import Architecture

from .base import Candidate, Space, check_sample_size, distinct, shape_given


class ArchitectureList(Space):
    """Architectures by name; it can be enumerated, and nothing else.

    Args:
        networks: the architectures by their names.
    """

    def __init__(self, networks: Mapping[str, Architecture]) -> None:
        self.networks = dict(networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchitectureList) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _identity(self) -> str:
        """A digest of the names and the networks, which parts of the list keep."""
        networks = [[name, network.to_json()] for name, network in sorted(self.networks.items())]
        return hashlib.sha256(json.dumps(networks).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<ArchitectureList of {len(self.networks)}>"

    @property
    def name(self) -> str:
        """The name in records."""
        return "list"

    def settings(self) -> dict[str, Any]:
        """The name, and the hashes of the networks."""
        hashes = {name: network.hash for name, network in self.networks.items()}
        return {"name": self.name, "networks": hashes}

    def candidate(self, given: str) -> Candidate:
        """The architecture of a name.

        Raises:
            ArchitectureError: there is none.
        """
        if not isinstance(given, str) or given not in self.networks:
            raise ArchitectureError(
                f"{given!r:.120} is not in the list: expected one of "
                f"{', '.join(list(self.networks)[:20])}"
            )
        return Candidate(self, given, given)

    def architecture(self, genotype: str) -> Architecture:
        """The architecture of a name."""
        return self.networks[genotype]

    def with_only(self, genotype: str) -> ArchitectureList:
        """The list without the other networks; it equals the whole one."""
        _ = self._identity  # of all, which the copy has too
        part = copy.copy(self)
        part.networks = {name: net for name, net in self.networks.items() if name == genotype}
        return part

    def enumerate(self) -> Iterator[Candidate]:
        """All in their order."""
        return map(self.candidate, self.networks)

    def size(self) -> int:
        """How many there are."""
        return len(self.networks)

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Candidates of different networks in a random order.

        Raises:
            ConfigurationError: n < 1, or more than there are different networks.
        """
        check_sample_size(n, self.size())
        shuffled = list(self.enumerate())
        random.Random(seed).shuffle(shuffled)
        return distinct(shuffled, n)

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """The architectures themselves."""
        return list({network.hash: network for network in self.networks.values()}.values())

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse what is no shape; a network that does not fit says so in its row.

        Raises:
            ConfigurationError: it is none.
        """
        shape_given(image_shape)
