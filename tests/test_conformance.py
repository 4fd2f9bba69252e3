"""The embedded target behaves as AWS documents, probe by probe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.targets.base import Capability, Support
from holdfast.targets.capabilities import AWS, EMBEDDED, LOCALSTACK, LOCALSTACK_INTERCEPTED
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.probes import PROBES, Probe, ProbeFailedError
from holdfast.targets.table import page

TARGETS = ["embedded", "localstack", "localstack with the interceptor", "aws"]


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """One emulator for all probes."""
    with EmbeddedTarget.start() as started:
        yield started


def denied(probe: Probe) -> bool:
    """Whether the table says that the embedded target lacks what a probe shows."""
    return probe.capability is not None and not EMBEDDED[probe.capability].supported


@pytest.mark.parametrize("probe", [one for one in PROBES if not denied(one)], ids=lambda probe: probe.name)
def test_probe(target: EmbeddedTarget, probe: Probe) -> None:
    """The behaviour that the probe's docstring states is there."""
    probe.run(target)


@pytest.mark.parametrize("probe", [one for one in PROBES if denied(one)], ids=lambda probe: probe.name)
def test_it_lacks_what_is_declared_missing(target: EmbeddedTarget, probe: Probe) -> None:
    """What the table denies is not there: a probe of it sees so, and is not merely broken."""
    with pytest.raises(ProbeFailedError):
        probe.run(target)


def test_every_capability_has_a_probe() -> None:
    """Nothing is claimed or denied that no probe tries, on whatever target it can be run."""
    assert {probe.capability for probe in PROBES} - {None} == set(Capability)


@pytest.mark.parametrize("table", [EMBEDDED, LOCALSTACK, LOCALSTACK_INTERCEPTED, AWS], ids=TARGETS)
def test_every_capability_is_answered(table: dict[Capability, Support]) -> None:
    """Each target says of each capability whether it has it, and why not."""
    assert set(table) == set(Capability)
    assert all(support.supported or support.reason for support in table.values())


@pytest.mark.parametrize("table", [EMBEDDED, LOCALSTACK, LOCALSTACK_INTERCEPTED], ids=TARGETS[:-1])
def test_an_emulator_is_known_from_probes(table: dict[Capability, Support]) -> None:
    """What is said of an emulator has been tried on it; only AWS is written to the documentation."""
    assert {support.known_from for support in table.values()} == {"probe"}
    assert {support.known_from for support in AWS.values()} == {"documentation"}


def test_the_documentation_shows_the_tables() -> None:
    """docs/targets.md is what `python -m holdfast.targets.table` writes."""
    written = Path(__file__).parents[1] / "docs" / "targets.md"
    assert written.read_text(encoding="utf-8") == page(), "python -m holdfast.targets.table > docs/targets.md"
