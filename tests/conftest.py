"""What several test modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.levers.signals import interrupts
from holdfast.targets.embedded import EmbeddedTarget


@pytest.fixture(autouse=True)
def no_signal_left() -> Iterator[None]:
    """Each test begins without a signal: one that a test sent tells the threads of its process until the next run."""
    yield
    interrupts.event.clear()


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedTarget]:
    """One emulator for all tests of a process that only need a target."""
    with EmbeddedTarget.start() as target:
        yield target


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """An emulator for the tests of one module, where they would meet others' on a shared one."""
    with EmbeddedTarget.start() as started:
        yield started
