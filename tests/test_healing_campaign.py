"""A sample of the healing campaign (``benchmarks/healing.py``), and that it can fail."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from healing_campaign import Campaign, campaign
from healing_stack import MAKERS, differences
from holdfast.levers import LEVERS
from holdfast.targets.embedded import EmbeddedTarget

ROUNDS = (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)


@pytest.fixture(scope="module")
def made() -> Iterator[Campaign]:
    with EmbeddedTarget.start() as target, campaign(target, seed=20261124) as started:
        yield started


def test_every_signal_leaves_the_stack_as_it_was(made: Campaign) -> None:
    """Signalled while they inject and heal, runs leave the configuration equal, and no entry, lock or process."""
    rounds = [made.round(number) for number in ROUNDS]
    assert [str(each) for each in rounds if not each.equal] == []
    assert any(each.in_place for each in rounds)


def test_no_lever_is_forgotten(made: Campaign) -> None:
    """Every lever of the registry is put on the stack, or is left out for the reason that it gives itself."""
    assert set(MAKERS) == set(LEVERS) == {*made.levers, *made.left_out}
    assert all(made.left_out.values())
    assert len(made.levers) > len(LEVERS) / 2


def test_a_change_that_stays_is_found(made: Campaign) -> None:
    """What a fault changes is seen in the configuration that is compared, for each lever but those named here."""
    seen = made.changes()
    # rules and loads are no configuration, a process that is gone is started again at once, and a replay ends
    assert {name for name, changed in seen.items() if not changed} <= {
        "archive-replay",
        "invocation-fault",
        "component-end",
        "component-kill",
        "component-pressure",
    }
    assert differences({"a": {"b": 1}}, {"a": {"c": 1}}) == ["/a/b was 1 and is None", "/a/c was None and is 1"]
