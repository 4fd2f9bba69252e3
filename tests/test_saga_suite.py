"""What the clauses about sagas conclude from literal evidence."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from histories import history, ok, seen
from holdfast.campaign import Campaign
from holdfast.clause import Violated
from holdfast.history.executions import EXECUTION
from holdfast.history.model import DeadLetterSeen, ErrorClass, FaultWindow, Observation
from holdfast.provocations.model import Evidence, Provocation
from holdfast.provocations.saga_failures import AFTER_PIVOT_DEAD, COMPENSATION_DEAD
from holdfast.provocations.saga_starts import SAGA_LOAD
from holdfast.stack.generate import Submission
from holdfast_suites import test_saga as suite
from test_checkers_saga import ORDERS, read
from test_saga_provocations import situation


def evidence(key: str, *reads: Observation, surfaced: bool) -> Evidence:
    """A saga that was struck, and surfaced or not."""
    struck = FaultWindow(
        lever="invocation-fault",
        component="ship",
        error_class=ErrorClass.FAILURE,
        started_seconds=0.0,
        ended_seconds=8.0,
        proof="hit",
        key=key,
    )
    return Evidence(
        history=replace(history(ok(key), *reads), windows=(struck,)),
        submissions={key: Submission(key=key, fields={}, value="")},
        dead_letters=(DeadLetterSeen(key=key, original=None, body="", port="stuck"),) if surfaced else (),
    )


def campaign(found: dict[str, Evidence]) -> Campaign:
    """A campaign that has run these provocations, by their names."""
    there = situation()
    pattern = ORDERS.model_copy(update={"command": "place_order", "state_machine": "saga"})

    def has(one: Provocation) -> bool:
        return one.name in found

    return cast(
        "Campaign",
        SimpleNamespace(
            situation=replace(there, pattern=pattern),
            stack=there.stack,
            bounds=SimpleNamespace(saga_seconds=60.0),
            has=has,
            evidence=lambda one: found[one.name],
            dead_letter_keys=frozenset,
        ),
    )


@pytest.mark.parametrize("surfaced", [True, False])
def test_a_step_after_the_pivot_that_fails_for_good_is_surfaced(surfaced: bool) -> None:
    """SG-10 asks it of a saga that cannot go forward as of one that cannot be undone."""
    over = [seen(key, 1, 9.8, port=EXECUTION, state="FAILED") for key in ("c", "p")]
    there = campaign(
        {
            COMPENSATION_DEAD.name: evidence("c", *read("c", 1, 0, 0, 0, 0), over[0], surfaced=True),
            AFTER_PIVOT_DEAD.name: evidence("p", *read("p", 1, 0, 1, 0, 0), over[1], surfaced=surfaced),
        }
    )
    if surfaced:
        assert suite.test_sg_10(there).reason == (
            "2 sagas ended within 60 s; 2 that could be neither undone nor completed are dead letters with their input"
        )
        return
    with pytest.raises(Violated) as violated:
        suite.test_sg_10(there)
    assert [one.sentence for one in violated.value.findings] == [
        "Key p left reserve 1, pay 1, ship 0 for good and has 0 dead letters, expected 1 with its input."
    ]


@pytest.mark.parametrize(
    ("state", "true"), [("SUCCEEDED", False), ("FAILED", True), ("TIMED_OUT", True), ("ABORTED", True)]
)
def test_without_a_status_an_execution_reports_by_how_it_ends(state: str, true: bool) -> None:
    """SG-15: one that undid all and then succeeded says that it is done."""
    ended = seen("u", 1, 9.8, port=EXECUTION, state=state)
    there = campaign({SAGA_LOAD.name: evidence("u", *read("u", 1, 1, 0, 0, 0), ended, surfaced=False)})
    if true:
        assert suite.test_sg_15(there).reason.startswith("what 1 sagas report is what has become of them")
        return
    with pytest.raises(Violated) as violated:
        suite.test_sg_15(there)
    assert [one.sentence for one in violated.value.findings] == [
        "Key u is compensated (reserve 1-1, pay 0, ship 0) and 'execution' says 'SUCCEEDED' at t=+9.800s, expected that"
        " it is undone."
    ]
