"""The embedded target behaves as AWS documents, probe by probe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.targets.base import Capability
from holdfast.targets.capabilities import AWS, EMBEDDED, LOCALSTACK
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.probes import PROBES, Probe


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """One emulator for all probes."""
    with EmbeddedTarget.start() as started:
        yield started


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probe(target: EmbeddedTarget, probe: Probe) -> None:
    """The behaviour that the probe's docstring states is there."""
    probe.run(target)


def test_every_supported_capability_has_a_probe() -> None:
    """The embedded target claims no capability that no probe proves."""
    claimed = {capability for capability, support in EMBEDDED.items() if support.supported}
    assert claimed == {probe.capability for probe in PROBES} - {None}


@pytest.mark.parametrize("table", [EMBEDDED, LOCALSTACK, AWS], ids=["embedded", "localstack", "aws"])
def test_every_capability_is_answered(table: dict[Capability, object]) -> None:
    """Each target says of each capability whether it has it, and why not."""
    assert set(table) == set(Capability)
    assert all(support.supported or support.reason for support in table.values())  # type: ignore[attr-defined]
