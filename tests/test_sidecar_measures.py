"""What a sidecar costs and how an application comes back from its faults, from literal evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from descriptor_examples import load_text
from histories import history, ok, unknown
from holdfast.history.exchanges import Exchange, Life
from holdfast.provocations.model import Evidence
from holdfast.provocations.sidecar_cost import COST_ROLE
from holdfast.provocations.sidecar_disturbed import FAULT_ROLE
from holdfast.provocations.sidecar_measures import degraded_answer_rate, measures, recovery_seconds
from holdfast.provocations.sidecar_stage import LIVENESS, RECOVERY_ROLE
from holdfast.stack.patterns import SidecarPattern
from holdfast_fixtures.catalogue import reference_stacks

PARCELS = next(one for one in reference_stacks() if one.name == "parcels").descriptor.read_text(encoding="utf-8")


@pytest.fixture
def pattern(tmp_path: Path) -> SidecarPattern:
    """The pattern of the reference stack."""
    found = load_text(PARCELS, tmp_path, {}).patterns["sidecar"]
    assert isinstance(found, SidecarPattern)
    return found


def asked(question: str, role: str, seconds: float, status: int = 200, *, degraded: bool = False) -> Exchange:
    return Exchange(
        question=question,
        role=role,
        started_seconds=1.0,
        completed_seconds=1.0 + seconds,
        status=status,
        degraded=degraded,
    )


COST = Evidence(
    history=history(),
    witnessed=(
        *(asked(LIVENESS, COST_ROLE, seconds) for seconds in (0.25, 0.5)),
        *(asked("register", COST_ROLE, seconds, 202) for seconds in (0.75, 1.5)),
        asked("register", COST_ROLE, 9.0, 503),
        asked("register", "something else", 9.0, 202),
    ),
    figures={"sidecar_rss_bytes": 5e7},
)
DEAD = Evidence(
    history=history(
        unknown("k-1", 3.0, role=RECOVERY_ROLE),
        ok("k-2", 4.0, 4.5, role=RECOVERY_ROLE),
        ok("k-0", 1.0, 1.5, role=RECOVERY_ROLE),
    ),
    witnessed=(
        Life(component="application", process="process:1:1", at_seconds=9.0),
        Life(component="sidecar", process="process:2:2", at_seconds=2.5),
        asked("shown", FAULT_ROLE, 0.1, degraded=True),
        asked("shown", FAULT_ROLE, 0.1, 503),
        asked("register", FAULT_ROLE, 0.1, 503),
        asked("shown", "calm", 0.1),
    ),
)
UNRECOVERED = Evidence(history=history(unknown("k-1", 3.0, role=RECOVERY_ROLE)))


def test_the_cost_is_what_commands_take_longer_than_answers_without_the_sidecar(pattern: SidecarPattern) -> None:
    """Refused commands and those of other roles are left out; the figures are for the scorecard."""
    assert measures(pattern, costs=[COST], faults=[]) == {
        "sidecar_added_p50_seconds": 0.5,
        "sidecar_added_p99_seconds": 1.0,
        "sidecar_rss_bytes": 50_000_000,
    }


def test_recovery_runs_from_the_sidecars_return(pattern: SidecarPattern) -> None:
    """The first acknowledgement of a command that was sent after it; the slowest of several faults is shown."""
    assert recovery_seconds(pattern, DEAD) == 2.0
    assert recovery_seconds(pattern, UNRECOVERED) is None
    assert measures(pattern, costs=[], faults=[DEAD, UNRECOVERED]) == {
        "sidecar_recovery_max_seconds": 2.0,
        "degraded_answer_rate": 0.5,
    }


def test_the_degraded_rate_is_over_reads_under_a_fault(pattern: SidecarPattern) -> None:
    """Commands and calm reads are left out."""
    assert degraded_answer_rate(pattern, DEAD, UNRECOVERED) == 0.5
    assert degraded_answer_rate(pattern, UNRECOVERED) == 0.0
