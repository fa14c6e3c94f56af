"""What every executor has to do, as tests: derive a class from :class:`ExecutorTests` in yours."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernas.errors import GramStoreError
from kernas.execution import Executor


@dataclass(frozen=True)
class Squares:
    """A task that squares numbers; negative ones are what may happen.

    Attributes:
        folder: where items leave their traces, so that other processes' are seen.
    """

    folder: Path

    def begin(self, item: int) -> Callable[[], str]:
        """−1 raises, −2 kills its process, −3 only the first time."""
        trace = self.folder / str(item)
        again = trace.exists()
        trace.write_text(str(os.getpid()))
        if item == -1:
            raise GramStoreError("the store\ncannot be written")
        if item == -2 or (item == -3 and not again):
            os.kill(os.getpid(), signal.SIGKILL)
        return lambda: str(item * item)

    def failed(self, item: int, message: str) -> str:
        """What died, and why."""
        return f"{item} failed: {message}"


class ExecutorTests:
    """Tests of an executor, which the fixture ``executor`` gives.

    Example::

        class TestMyExecutor(ExecutorTests):
            @pytest.fixture
            def executor(self):
                return MyExecutor(3)
    """

    @pytest.fixture
    def executor(self) -> Executor:
        """The executor; override it."""
        raise NotImplementedError("override the fixture executor")

    def test_every_item_has_its_result(self, executor: Executor, tmp_path: Path) -> None:
        found = sorted(executor.map(Squares(tmp_path), range(10)), key=int)
        assert found == [str(n * n) for n in range(10)]
        assert list(executor.map(Squares(tmp_path), [])) == []

    def test_items_are_taken_when_there_is_room(self, executor: Executor, tmp_path: Path) -> None:
        taken: list[int] = []

        def items() -> Iterator[int]:
            for n in range(40):
                taken.append(n)
                yield n

        results = executor.map(Squares(tmp_path), items())
        first = next(results)
        assert len(taken) < 40
        assert sorted([first, *results], key=int) == [str(n * n) for n in range(40)]

    def test_an_exception_ends_it_and_what_is_finished_comes_before(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        found: list[str] = []
        results = executor.map(Squares(tmp_path), self._after(3, tmp_path, then=-1))
        with pytest.raises(GramStoreError, match="cannot be written"):
            found.extend(results)
        assert found == ["9"]

    def test_an_interruption_ends_it_and_what_is_finished_comes_before(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        found: list[str] = []
        results = executor.map(Squares(tmp_path), self._after(2, tmp_path, then=None))
        with pytest.raises(KeyboardInterrupt):
            found.extend(results)
        assert found == ["4"]

    def _after(self, item: int, folder: Path, then: int | None) -> Iterator[int]:
        """An item, and once it has run another, or an interruption."""
        yield item
        while not (folder / str(item)).exists():
            time.sleep(0.01)
        time.sleep(0.5)  # to finish it
        if then is None:
            raise KeyboardInterrupt
        yield then


class IsolatedExecutorTests(ExecutorTests):
    """The same of one whose items run in processes of their own, which may die."""

    def test_who_runs_items_stays_for_the_next_call_of_the_session(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        rounds: list[set[str]] = []
        with executor.session():
            for _ in range(6):
                assert len(list(executor.map(Squares(tmp_path), range(6)))) == 6
                rounds.append({(tmp_path / str(item)).read_text() for item in range(6)})
        assert len(set[str]().union(*rounds)) < sum(map(len, rounds))  # as processes have numbers

    def test_an_abandoned_call_leaves_nothing_to_the_next(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        with executor.session():
            next(executor.map(Squares(tmp_path), range(20)))
            found = sorted(executor.map(Squares(tmp_path), range(100, 105)), key=int)
        assert found == [str(n * n) for n in range(100, 105)]

    def test_what_dies_is_run_once_more_and_then_fails(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        found = list(executor.map(Squares(tmp_path), [1, -2, 2, -3, 3]))
        failed = [result for result in found if not result.isdecimal()]
        assert sorted(set(found) - set(failed), key=int) == ["1", "4", "9"]
        assert len(found) == 5
        (message,) = failed
        assert message.startswith("-2 failed: ")
        assert "died 2 times" in message
