"""Retries against the declared policy: literal histories, and executions drawn from policies and bent afterwards."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from histories import history, ok
from holdfast.checkers import retries
from holdfast.checkers.retries import Policy, Retrier
from holdfast.history.executions import Attempt, Execution, ExecutionStatus, Visit
from holdfast.verdict.model import Finding

START = ok("k")
ONCE_TWICE = Policy(
    retriers=(
        Retrier(errors=("Never",), most_retries=0),
        Retrier(errors=("States.ALL",), interval_seconds=1.0, most_retries=2, backoff_rate=2.0),
    ),
    top=True,
)


def attempts(*told: tuple[float, float, str]) -> tuple[Attempt, ...]:
    """Attempts from when to when, with what error."""
    return tuple(Attempt(started_seconds=began, ended_seconds=ended, error=error) for began, ended, error in told)


def stay(*told: tuple[float, float, str], state: str = "Pay", **options: Any) -> Visit:
    """A visit of a task with these attempts, left when the last one ended."""
    exited = {"exited_seconds": told[-1][1], **options}
    return Visit(state=state, entered_seconds=told[0][0], attempts=attempts(*told), **exited)


def execution(*visits: Visit, status: ExecutionStatus = ExecutionStatus.FAILED, redrives: int = 0) -> Execution:
    """An execution of key ``k``."""
    return Execution(key="k", arn="a:k", status=status, started_seconds=0.0, visits=visits, redrives=redrives)


def found(*visits: Visit, policy: Policy = ONCE_TWICE, **options: Any) -> tuple[Finding, ...]:
    """What is found about an execution of these visits."""
    return retries.as_declared([execution(*visits, **options)], history(START), {"Pay": policy})


def told(*visits: Visit, title: str = "retried otherwise", **options: Any) -> list[str]:
    """The same in sentences, each under this title."""
    problems = found(*visits, **options)
    assert all(one.title == title and one.witness == (START,) for one in problems)
    return [one.sentence for one in problems]


@pytest.mark.parametrize(
    "visit",
    [
        stay((0, 1, "")),
        stay((0, 1, "Oops"), (2.0, 3, "Oops"), (5.02, 6, "")),
        stay((0, 1, "Oops"), (2.0, 3, "Oops"), (5.0, 6, "Oops")),
        stay((0, 1, "Never")),
        stay((0, 1, "States.Runtime")),
        stay((0, 1, "Oops"), (7.5, 8, "")),
        Visit(state="Other", entered_seconds=0, attempts=attempts((0, 1, "Oops"), (1, 2, "Oops"))),
        stay((0, 1, "Oops"), (1, 2, "Oops"), clear=False),
        stay((0, 1, "Oops"), (1, 2, "Oops"), redriven=True),
    ],
    ids=["success", "late success", "used up", "never", "runtime", "busy", "no policy", "unclear", "redriven"],
)
def test_what_the_policy_declares_is_kept(visit: Visit) -> None:
    """Attempts as declared, and those of which nothing may be said."""
    assert told(visit) == []


def test_other_attempts_than_declared_are_told() -> None:
    """Too many, too few, too early, too late, and retries of what is never to be retried."""
    failed = "Key k: state Pay failed with"
    assert told(stay((0, 1, "Oops"), (2, 3, "Oops"), (5, 6, "Oops"), (10, 11, ""))) == [
        f"{failed} Oops at attempt 3 and was tried again, expected at most 2 times."
    ]
    assert told(stay((0, 1, "Oops"), (2, 3, "Oops"))) == [
        f"{failed} Oops at attempt 2 and was not tried again after 1 time, expected up to 2 times."
    ]
    assert told(stay((0, 1, "Oops"), (1.2, 2, ""))) == [
        f"{failed} Oops at attempt 1 and was tried again after 0.20 s, expected 1 s or more."
    ]
    # the title of its own is for what a busy machine may have made late
    assert told(stay((0, 1, "Oops"), (20, 21, "")), title="retried late") == [
        f"{failed} Oops at attempt 1 and was tried again after 19.00 s, expected 1 s."
    ]
    assert told(stay((0, 1, "Never"), (2, 3, ""))) == [
        f"{failed} Never at attempt 1 and was tried again, expected at most 0 times."
    ]


def test_what_was_cut_off_is_not_tried_again() -> None:
    """A stopped execution retries nothing, and one that was redriven counts anew."""
    cut = Visit(state="Pay", entered_seconds=0, attempts=attempts((0, 1, "Oops")))
    assert told(cut, status=ExecutionStatus.ABORTED) == []
    assert told(cut, status=ExecutionStatus.FAILED) != []
    assert told(cut, redrives=1) == []


def test_a_catcher_that_leads_back_retries_outside_the_policy() -> None:
    """A state that is entered again after its retries were used up is retried as nobody declared."""
    used_up = stay((0, 1, "Oops"), (2, 3, "Oops"), (5, 6, "Oops"))
    again = stay((10, 11, ""))
    (sentence,) = told(used_up, again)
    assert sentence == (
        "Key k: state Pay was entered 2 times with 4 attempts after its retries had been used up, expected no other"
        " retries than those of its policy."
    )
    assert told(used_up, again, policy=Policy(retriers=ONCE_TWICE.retriers, top=False)) == []


@pytest.mark.parametrize("error", ["", "Never", "States.Runtime"], ids=["success", "never", "not named"])
def test_a_state_that_is_entered_again_without_a_retry_is_a_loop(error: str) -> None:
    """After a success, or an error that is never retried, a state that is entered again does other work."""
    assert told(stay((0, 1, error)), stay((5, 6, ""))) == []


SILENT_TWICE = Retrier(errors=("States.HeartbeatTimeout",), most_retries=2, backoff_rate=1.0)


@pytest.mark.parametrize("error", ["States.Timeout", "States.HeartbeatTimeout"])
def test_a_missed_heartbeat_may_be_told_as_a_timeout(error: str) -> None:
    """What a history calls a timeout is judged as either, and is red only where no reading of it explains it."""
    silent = Policy(retriers=(SILENT_TWICE,), top=True)
    attempt = (0, 1, error), (2, 3, error), (4, 5, error), (6, 7, error)
    assert told(stay(*attempt[:3]), policy=silent) == []
    assert told(stay(*attempt), policy=silent) == [
        f"Key k: state Pay failed with {error} at attempt 3 and was tried again, expected at most 2 times."
    ]
    assert bool(told(stay(*attempt[:1]), policy=silent)) is (error == "States.HeartbeatTimeout")
    timeouts = Policy(retriers=(SILENT_TWICE, Retrier(errors=("States.ALL",), most_retries=1)), top=True)
    assert told(stay(*attempt[:2]), policy=timeouts) == (
        []
        if error == "States.Timeout"
        else [
            f"Key k: state Pay failed with {error} at attempt 2 and was not tried again after 1 time, expected up to 2"
            " times."
        ]
    )


def test_a_definition_tells_the_policies_of_all_its_tasks() -> None:
    """Nested states have theirs, with the language's defaults; what is no definition has none."""
    task = {"Type": "Task", "Resource": "x"}
    retrier = {"ErrorEquals": ["A"], "IntervalSeconds": 3, "MaxDelaySeconds": 9, "JitterStrategy": "FULL"}
    definition = {
        "States": {
            "Outer": {**task, "Retry": [{"ErrorEquals": ["States.ALL"]}]},
            "Both": {"Type": "Parallel", "Branches": [{"States": {"Inner": {**task, "Retry": [retrier]}}}]},
            "Each": {"Type": "Map", "ItemProcessor": {"States": {"Item": task}}},
        }
    }
    assert retries.policies_of(json.dumps(definition)) == {
        "Outer": Policy(retriers=(Retrier(errors=("States.ALL",)),), top=True),
        "Inner": Policy(
            retriers=(Retrier(errors=("A",), interval_seconds=3.0, longest_seconds=9.0, full_jitter=True),), top=False
        ),
        "Item": Policy(retriers=(), top=False),
    }
    assert retries.policies_of("no JSON") == {}
    assert retries.policies_of("[]") == {}


@pytest.mark.parametrize(
    ("names", "error", "matched"),
    [
        ("States.ALL", "Oops", True),
        ("States.ALL", "States.Timeout", True),
        ("States.ALL", "States.Runtime", False),
        ("States.TaskFailed", "Oops", True),
        ("States.TaskFailed", "States.Timeout", False),
        ("States.TaskFailed", "States.Permissions", True),
        ("States.TaskFailed", "States.Http.StatusCode.500", True),
        ("States.TaskFailed", "States.Runtime", False),
        ("States.Timeout", "States.Timeout", True),
        ("States.Timeout", "States.HeartbeatTimeout", True),
        ("States.HeartbeatTimeout", "States.HeartbeatTimeout", True),
        ("States.HeartbeatTimeout", "States.Timeout", False),
        ("Oops", "Ouch", False),
    ],
)
def test_reserved_names_stand_for_many_errors(names: str, error: str, matched: bool) -> None:
    """As the language defines them."""
    assert Retrier(errors=(names,)).names(error) is matched


def test_executions_drawn_from_a_policy_keep_it_and_bent_ones_do_not() -> None:
    """An oracle that runs the policy: what it makes is accepted, and a wait cut short or an attempt too many is not."""
    chance = random.Random(7)
    for _ in range(2_000):
        retrier = Retrier(
            errors=("Oops",),
            interval_seconds=float(chance.randint(1, 4)),
            most_retries=chance.randint(1, 4),
            backoff_rate=chance.choice((1.0, 1.5, 2.0)),
            longest_seconds=chance.choice((None, 3.0)),
            full_jitter=chance.random() < 0.3,
        )
        policy = Policy(retriers=(retrier,), top=True)
        failures = chance.randint(1, retrier.most_retries)
        at, made = 0.0, []
        for failed in range(failures):
            made.append((at, at + 1, "Oops"))
            full = min(retrier.interval_seconds * retrier.backoff_rate**failed, retrier.longest_seconds or 1e9)
            at += 1 + (chance.uniform(0, full) if retrier.full_jitter else full + chance.uniform(0, 0.5))
        made.append((at, at + 1, ""))
        assert told(stay(*made), policy=policy) == []
        if not retrier.full_jitter:
            bent = [
                (began - 0.5, ended - 0.5, error) if index == failures else (began, ended, error)
                for index, (began, ended, error) in enumerate(made)
            ]
            early = bent[-1][0] - bent[-2][1] < retrier.wait_seconds(failures - 1) - retries.EARLY_SECONDS
            assert bool(told(stay(*bent), policy=policy)) is early
        too_few = Policy(retriers=(Retrier(errors=("Oops",), most_retries=failures - 1),), top=True)
        assert found(stay(*made), policy=too_few)
