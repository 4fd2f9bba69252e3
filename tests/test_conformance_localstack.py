"""LocalStack behaves as its capability table says, probe by probe; skipped unless an endpoint is named.

Set ``HOLDFAST_TEST_LOCALSTACK=http://127.0.0.1:4566`` to a LocalStack that may be used for tests. What it lacks takes
the probes' full patience, so a run takes some minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from holdfast.errors import TargetError
from holdfast.targets.capabilities import LOCALSTACK, LOCALSTACK_DEVIATIONS
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


def lacks(probe: Probe) -> str:
    """Why a probe must fail on LocalStack; empty when it must pass."""
    support = LOCALSTACK[probe.capability] if probe.capability is not None else None
    if support is not None and not support.supported:
        return support.reason
    return LOCALSTACK_DEVIATIONS.get(probe.name, "")


@needs_localstack
@pytest.mark.parametrize("probe", [one for one in PROBES if not lacks(one)], ids=lambda probe: probe.name)
def test_it_behaves_as_declared(target: LocalStackTarget, probe: Probe) -> None:
    """What the table does not deny is there."""
    probe.run(target)


@needs_localstack
@pytest.mark.parametrize("probe", [one for one in PROBES if lacks(one)], ids=lambda probe: probe.name)
def test_it_lacks_what_is_declared_missing(target: LocalStackTarget, probe: Probe) -> None:
    """What the table denies is not there: a probe of it fails, or is refused."""
    try:
        probe.run(target)
    except TargetError:
        raise  # LocalStack itself does not answer
    except Exception:  # noqa: BLE001 - however it shows that it is missing
        return
    pytest.fail(f"{probe.name} passes, but the table says: {lacks(probe)}")


def test_a_deviation_names_a_probe_of_something_supported() -> None:
    """No deviation is left of a probe that is gone, or of a capability that is missing as a whole."""
    denied = {one.name for one in PROBES if one.capability is not None and not LOCALSTACK[one.capability].supported}
    known = {one.name for one in PROBES}
    assert set(LOCALSTACK_DEVIATIONS) <= known - denied
