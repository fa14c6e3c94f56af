"""Executors: the suite for each of ours, and one that is wrong."""

from collections.abc import Iterator

import pytest

import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.search.testing import ExecutorTests, IsolatedExecutorTests


class TestLocal(ExecutorTests):
    @pytest.fixture
    def executor(self):
        return ks.Local()


class TestProcesses(IsolatedExecutorTests):
    @pytest.fixture
    def executor(self):
        return ks.Processes(2)


class TestOneProcess(IsolatedExecutorTests):
    @pytest.fixture
    def executor(self):
        return ks.Processes(1)


class Greedy(ks.Executor):
    """Takes all items before it runs any, and hands nothing back once one has raised."""

    def map(self, task, items) -> Iterator:
        yield from [task.begin(item)() for item in items]


@pytest.mark.parametrize(
    "test",
    [
        "test_items_are_taken_when_there_is_room",
        "test_an_exception_ends_it_and_what_is_finished_comes_before",
        "test_an_interruption_ends_it_and_what_is_finished_comes_before",
    ],
)
def test_a_wrong_executor_fails_where_it_is_wrong(test, tmp_path):
    suite = ExecutorTests()
    suite.test_every_item_has_its_result(Greedy(), tmp_path / "..")
    with pytest.raises(AssertionError):
        getattr(suite, test)(Greedy(), tmp_path)


@pytest.mark.parametrize("workers", [0, -1, True, 1.5])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(ConfigurationError, match="expected an integer >= 1"):
        ks.Processes(workers)
