"""Suites of tests for what others add to the search; nothing of the package imports them."""

from .executors import ExecutorTests as ExecutorTests
from .executors import IsolatedExecutorTests as IsolatedExecutorTests
from .scores import ScoreTests as ScoreTests
from .spaces import SpaceTests as SpaceTests
from .strategies import StrategyTests as StrategyTests
