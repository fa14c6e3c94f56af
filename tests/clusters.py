"""A Ray cluster of several nodes on this machine, some of which are lost, and a task for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernas.execution import RayExecutor
from kernas.files import Location

QUICK_TO_MISS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}
"""So that a node that was killed is missed after seconds."""


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """A head that computes nothing, and so many nodes with a core each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK_TO_MISS}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


class Losing(RayExecutor):
    """One that loses a node at random and gets another, each time that some results have come.

    Ray's handlers of signals want the main thread, so it happens there, between two results; what
    the other nodes are at goes on, and what the lost one was at is lost.

    Args:
        cluster: whose nodes.
        every: results between two losses, on average.
        most: losses.
        seed: of who is lost, and when.
    """

    def __init__(self, cluster: Any, every: int, most: int, seed: int = 0) -> None:
        super().__init__(cluster.address)
        self.cluster, self.every, self.most = cluster, every, most
        self.random = random.Random(seed)
        self.lost = 0

    def map(self, task: Any, items: Iterable[Any]) -> Iterator[Any]:
        """The same, and nodes come and go."""
        for result in super().map(task, items):
            yield result
            if self.lost < self.most and self.random.random() < 1 / self.every:
                node = self.random.choice(list(self.cluster.worker_nodes))
                self.cluster.remove_node(node, allow_graceful=False)
                self.cluster.add_node(num_cpus=1, wait=False)
                self.lost += 1


@dataclass(frozen=True)
class Slow:
    """A task that takes a tenth of a second and leaves a trace.

    Attributes:
        folder: of the traces.
    """

    folder: Path

    @property
    def folders(self) -> tuple[Location, ...]:
        """What all who run it write into."""
        return (self.folder,)

    def begin(self, item: int) -> Callable[[], int]:
        with (self.folder / str(item)).open("a") as trace:
            trace.write("begun\n")
        time.sleep(0.1)
        return lambda: item

    def failed(self, item: int, message: str) -> int:
        raise AssertionError(message)


@dataclass(frozen=True)
class Elsewhere(Slow):
    """The same, whose items are to write into another place.

    Attributes:
        place: a folder, or a URL.
    """

    place: Location

    @property
    def folders(self) -> tuple[Location, ...]:
        """That place."""
        return (self.place,)
