"""The clock of tests in which time is part of what is tested."""

from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)
