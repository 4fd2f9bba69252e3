"""LocalStack behaves as its capability table says, probe by probe; skipped unless an endpoint is named.

Set ``HOLDFAST_TEST_LOCALSTACK=http://127.0.0.1:4566`` to a LocalStack that may be used for tests. What it lacks takes
the probes' full patience, so a run takes some minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import pytest

from holdfast.errors import TargetError
from holdfast.targets.base import Capability, Support
from holdfast.targets.capabilities import (
    LOCALSTACK,
    LOCALSTACK_DEVIATIONS,
    LOCALSTACK_INTERCEPTED,
    LOCALSTACK_INTERCEPTED_DEVIATIONS,
)
from holdfast.targets.localstack import LocalStackTarget
from holdfast.targets.probes import PROBES, Probe

ENDPOINT = os.environ.get("HOLDFAST_TEST_LOCALSTACK", "")
needs_localstack = pytest.mark.skipif(not ENDPOINT, reason="HOLDFAST_TEST_LOCALSTACK names no LocalStack endpoint")


@pytest.fixture(scope="module")
def target() -> Iterator[LocalStackTarget]:
    """The LocalStack that is named."""
    connected = LocalStackTarget.connect(environ={"LOCALSTACK_ENDPOINT": ENDPOINT})
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def intercepted() -> Iterator[LocalStackTarget]:
    """The same with the interceptor in front."""
    connected = LocalStackTarget.connect(environ={"LOCALSTACK_ENDPOINT": ENDPOINT}, intercept=True)
    yield connected
    connected.close()


AIMED = [
    one
    for one in PROBES
    if one.capability is not None and LOCALSTACK_INTERCEPTED[one.capability] != LOCALSTACK[one.capability]
]
"""The probes of what the interceptor changes."""


def lacks(probe: Probe) -> str:
    """Why a probe must fail on LocalStack; empty when it must pass."""
    return _denied(probe, LOCALSTACK, LOCALSTACK_DEVIATIONS)


def lacks_behind_interceptor(probe: Probe) -> str:
    """Why a probe must fail on LocalStack with the interceptor in front; empty when it must pass."""
    return _denied(probe, LOCALSTACK_INTERCEPTED, LOCALSTACK_INTERCEPTED_DEVIATIONS)


def _denied(probe: Probe, table: Mapping[Capability, Support], deviations: Mapping[str, str]) -> str:
    support = table[probe.capability] if probe.capability is not None else None
    if support is not None and not support.supported:
        return support.reason
    return deviations.get(probe.name, "")


@needs_localstack
@pytest.mark.parametrize("probe", [one for one in PROBES if not lacks(one)], ids=lambda probe: probe.name)
def test_it_behaves_as_declared(target: LocalStackTarget, probe: Probe) -> None:
    """What the table does not deny is there."""
    probe.run(target)


@needs_localstack
@pytest.mark.parametrize("probe", [one for one in PROBES if lacks(one)], ids=lambda probe: probe.name)
def test_it_lacks_what_is_declared_missing(target: LocalStackTarget, probe: Probe) -> None:
    """What the table denies is not there: a probe of it fails, or is refused."""
    _fails(probe, target, lacks(probe))


@needs_localstack
@pytest.mark.parametrize(
    "probe", [one for one in AIMED if not lacks_behind_interceptor(one)], ids=lambda probe: probe.name
)
def test_the_interceptor_adds_what_is_declared(intercepted: LocalStackTarget, probe: Probe) -> None:
    """With the interceptor in front, faults can be aimed at the calls of functions."""
    probe.run(intercepted)


@needs_localstack
@pytest.mark.parametrize("probe", [one for one in AIMED if lacks_behind_interceptor(one)], ids=lambda probe: probe.name)
def test_the_interceptor_adds_no_more(intercepted: LocalStackTarget, probe: Probe) -> None:
    """What the table denies even then is not there."""
    _fails(probe, intercepted, lacks_behind_interceptor(probe))


def _fails(probe: Probe, target: LocalStackTarget, why: str) -> None:
    try:
        probe.run(target)
    except TargetError:
        raise  # LocalStack itself does not answer
    except Exception:  # noqa: BLE001 - however it shows that it is missing
        return
    pytest.fail(f"{probe.name} passes, but the table says: {why}")


@pytest.mark.parametrize(
    ("table", "deviations"),
    [(LOCALSTACK, LOCALSTACK_DEVIATIONS), (LOCALSTACK_INTERCEPTED, LOCALSTACK_INTERCEPTED_DEVIATIONS)],
    ids=["localstack", "with the interceptor"],
)
def test_a_deviation_names_a_probe_of_something_supported(
    table: Mapping[Capability, Support], deviations: Mapping[str, str]
) -> None:
    """No deviation is left of a probe that is gone, or of a capability that is missing as a whole."""
    denied = {one.name for one in PROBES if one.capability is not None and not table[one.capability].supported}
    known = {one.name for one in PROBES}
    assert set(deviations) <= known - denied
