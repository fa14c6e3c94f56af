"""Execution in this process: the host's part of an item while the device's of the next is run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .base import Executor, Item, Result, Task


class Local(Executor):
    """The device has one item at a time, and a thread of the host the one before."""

    def map(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of the items. An interruption loses the item that is begun."""
        finishing: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(1) as host:
            try:
                for item in items:
                    finishing.append(host.submit(task.begin(item)))
                    if len(finishing) > 1:
                        yield finishing.popleft().result()
            except GeneratorExit:
                raise  # nobody takes what is left
            except BaseException:
                while finishing:
                    yield finishing.popleft().result()
                raise
            while finishing:
                yield finishing.popleft().result()
