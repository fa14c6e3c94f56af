"""Suites of tests for what others add to the search; nothing of the package imports them."""

from .spaces import SpaceTests as SpaceTests
