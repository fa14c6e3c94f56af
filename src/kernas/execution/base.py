"""What an executor does: it runs a task on items and hands back results as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_in = TypeVar("Item_in", contravariant=True)
Result_out = TypeVar("Result_out", covariant=True)


class Task(Protocol[Item_in, Result_out]):
    """What is done with an item. It can be pickled, where executors have other processes."""

    def begin(self, item: Item_in) -> Callable[[], Result_out]:
        """The device's part; what is returned does the host's, perhaps in another thread.

        Raises:
            Exception: what is not a result of the item; it ends the whole execution.
        """
        ...

    def failed(self, item: Item_in, message: str) -> Result_out:
        """The result of an item that cannot be run, because what ran it died."""
        ...


@dataclass
class WorkerRate:
    """What a worker has done.

    Attributes:
        node: the address of its node.
        items: that it has run.
        seconds: that they took.
    """

    node: str
    items: int = 0
    seconds: float = 0.0


class Executor(ABC):
    """Runs a task on items. ``kernas.search.testing.ExecutorTests`` checks what is asked for here.

    Results come in any order, each as soon as it is there. Items are taken from their iterator when
    something is free to run one, and no sooner. An item whose process dies is run once more, and
    then :meth:`Task.failed`. What is finished when an interruption or an exception comes is still
    handed back, before that is raised.
    """

    @abstractmethod
    def map(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """The result of every item.

        Args:
            task: what is done with each.
            items: in the order in which they are begun.

        Raises:
            Exception: what the task raised.
        """

    def session(self) -> AbstractContextManager[object]:
        """What surrounds preparations and calls of :meth:`map` that belong together: who runs items
        stays from one call to the next of the same task, and ends with the session."""
        return nullcontext()

    @property
    def rates(self) -> Sequence[WorkerRate]:
        """What each worker has done; empty for those that keep no count."""
        return ()
