"""What several test modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.targets.embedded import EmbeddedTarget


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedTarget]:
    """One emulator for all tests of a process that only need a target."""
    with EmbeddedTarget.start() as target:
        yield target
