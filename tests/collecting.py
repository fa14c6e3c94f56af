"""What a session collected."""

import pytest

COLLECTED: pytest.StashKey[list[pytest.Item]] = pytest.StashKey()
"""All tests of a session, those too that it does not run: see ``conftest.py``."""
