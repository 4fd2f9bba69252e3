"""Functions are pointed at the reverse proxy for a while, and whatever happens they are pointed back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import InjectionError
from holdfast.history.recorder import Recorder
from holdfast.levers import Journal, Pin, open_entries
from holdfast.levers.pointing import ENDPOINT_VARIABLE, pointed
from holdfast.targets.base import Rule
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.interceptor.process import ProxyProcess
from lever_stack import Deployed, deploy


@pytest.fixture(scope="module")
def deployed(embedded: EmbeddedTarget) -> Deployed:
    """A function that sends what it is told to a queue."""
    return deploy(embedded)


@pytest.fixture(scope="module")
def proxy(embedded: EmbeddedTarget) -> Iterator[ProxyProcess]:
    """A reverse proxy in front of the emulator, as it would be in front of any other endpoint."""
    assert embedded.endpoint_url is not None
    with ProxyProcess(embedded.endpoint_url) as process:
        yield process


@pytest.fixture
def recorder() -> Recorder:
    """Takes the windows."""
    return Recorder()


@pytest.fixture
def journal(deployed: Deployed, tmp_path: Path) -> Iterator[Journal]:
    """A journal pinned to the stack."""
    with Journal(tmp_path, Pin.of(deployed.stack)) as opened:
        yield opened


def _variables(deployed: Deployed) -> dict[str, str]:
    found = deployed.lambda_.get_function_configuration(FunctionName=deployed.function)
    return dict(found["Environment"]["Variables"])


def test_calls_go_through_the_proxy_and_then_no_more(
    deployed: Deployed, proxy: ProxyProcess, journal: Journal, recorder: Recorder
) -> None:
    """Inside the block the function's calls pass the proxy and its rules; after it the environment is as found."""
    before = _variables(deployed)
    with pointed(deployed.stack, proxy.url, journal=journal, recorder=recorder) as components:
        assert components == ("worker",)
        assert _variables(deployed)[ENDPOINT_VARIABLE] == proxy.url
        [entry] = open_entries(journal.directory).entries
        assert (entry.snapshot.lever, entry.snapshot.component) == ("function-variable", "worker"), "not journalled"
        deployed.say("through-the-proxy")
        calls = proxy.interceptor.calls("through-the-proxy")
        # the emulator forks its functions from one process, so their environment does not name them to others
        queue = deployed.done.rpartition("/")[2]
        assert [(call.service, call.operation, call.resource) for call in calls] == [("sqs", "SendMessage", queue)]
        rule = Rule(
            id="p", action="refuse", point="call", caller="any", resource=queue, key="refused", error="AccessDenied"
        )
        proxy.interceptor.add(rule)
        assert "AccessDenied" in str(deployed.say("refused"))
        assert proxy.interceptor.hits("p") == 1
        proxy.interceptor.remove("p")
    assert _variables(deployed) == before
    deployed.say("past-the-proxy")
    assert proxy.interceptor.calls("past-the-proxy") == ()


def test_a_failing_block_points_back(
    deployed: Deployed, proxy: ProxyProcess, journal: Journal, recorder: Recorder
) -> None:
    """An exception in the block leaves the functions as they were found."""
    before = _variables(deployed)
    with (
        pytest.raises(ZeroDivisionError),
        pointed(deployed.stack, proxy.url, journal=journal, recorder=recorder),
    ):
        _ = 1 / 0
    assert _variables(deployed) == before


def test_pointing_twice_is_refused(
    deployed: Deployed, proxy: ProxyProcess, journal: Journal, recorder: Recorder
) -> None:
    """A function that is pointed there already is left alone, so that nobody's own endpoint is taken for ours."""
    with (
        pointed(deployed.stack, proxy.url, journal=journal, recorder=recorder),
        pytest.raises(InjectionError),
        pointed(deployed.stack, proxy.url, journal=journal, recorder=recorder),
    ):
        pass
