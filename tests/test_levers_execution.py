"""Aborted executions, on the embedded target and on Step Functions in memory, and tasks that are denied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import GuardRailError, HealError, Inconclusive
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import ExecutionAbort, Journal, Pin, pulled, task_deny
from holdfast.levers.healing import restore
from holdfast.stack.resolve import Resource
from holdfast.targets.base import Capability
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from lever_bed import PREFIX, Bed
from lever_bed import bed as made_bed
from lever_stack import stack_of


@pytest.fixture
def bed(embedded: EmbeddedTarget) -> Iterator[Bed]:
    with made_bed(embedded) as made:
        yield made


def test_only_the_executions_of_this_run_are_aborted_and_redriven(bed: Bed, tmp_path: Path) -> None:
    """Of all that run, those whose names begin with the run's prefix abort, and go on when they are healed."""
    own = [bed.workflows.start(f"{PREFIX}-{n}") for n in range(3)]
    bed.workflows.start("somebody-elses")
    levers = ExecutionAbort.on(bed.stack, "machine", prefix=PREFIX)
    assert [lever.resource for lever in levers] == own
    recorder = Recorder()
    with (
        Journal(tmp_path, Pin.of(bed.stack)) as journal,
        pulled(levers, stack=bed.stack, journal=journal, recorder=recorder) as pull,
    ):
        assert all("reads back ABORTED by this run" in proof for proof in pull.proofs)
        assert [each["status"] for each in bed.workflows.executions.values()] == [*["ABORTED"] * 3, "RUNNING"]
    assert [each["status"] for each in bed.workflows.executions.values()] == ["RUNNING"] * 4
    window = recorder.history().windows[0]
    assert (window.error_class, window.bit, window.hits) == (ErrorClass.ABORT, True, 1)
    assert window.healed_proof == f"execution {PREFIX}-0 was redriven and is RUNNING"


@pytest.mark.parametrize("prefix", ["", "short", "another-run"])
def test_an_execution_that_this_run_did_not_start_is_never_stopped(bed: Bed, prefix: str) -> None:
    """A name that does not begin with a prefix long enough to be a run's own is refused before anything is read."""
    lever = ExecutionAbort(
        target=bed.target, component="machine", resource=bed.workflows.start("short-lived"), prefix=prefix
    )
    with pytest.raises(GuardRailError, match="was not started by this run"):
        lever.snapshot()
    assert bed.workflows.calls == []


def test_what_cannot_be_redriven_is_never_stopped(bed: Bed) -> None:
    """An Express workflow, an execution that is over and a target without redrive give their reasons."""
    arn = bed.workflows.start(f"{PREFIX}-1")
    (lever,) = ExecutionAbort.on(bed.stack, "machine", prefix=PREFIX)
    bed.workflows.type = "EXPRESS"
    with pytest.raises(Inconclusive, match="Express workflow"):
        lever.snapshot()
    bed.workflows.executions[arn]["status"] = "SUCCEEDED"
    with pytest.raises(Inconclusive, match="is SUCCEEDED, so it cannot abort"):
        lever.snapshot()
    bed.target.forget(Capability.EXECUTION_REDRIVE)
    with pytest.raises(Inconclusive, match="for a reason"):
        lever.snapshot()
    assert "StopExecution" not in bed.workflows.calls


def test_a_redrive_that_is_refused_is_told_with_its_reason(bed: Bed) -> None:
    """An execution that Step Functions does not redrive is a fault that could not be healed."""
    arn = bed.workflows.start(f"{PREFIX}-1")
    (lever,) = ExecutionAbort.on(bed.stack, "machine", prefix=PREFIX)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    reason = {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": "Execution history event limit"}
    bed.workflows.executions[arn] |= reason
    with pytest.raises(HealError, match="cannot be redriven: Execution history event limit"):
        lever.heal(snapshot)
    del bed.workflows.executions[arn]
    (restored,) = restore([(lever, snapshot)])
    assert "no longer exists" in restored.proof


def test_an_abort_on_the_emulator_is_proven_by_its_cause(bed: Bed, embedded: EmbeddedTarget) -> None:
    """The emulator's StopExecution takes the cause that tells this abort from others."""
    states = embedded.client("stepfunctions")
    definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 120, "End": True}}}
    role = bed.stack.resource("role").arn
    made = states.create_state_machine(name=bed.function, definition=json.dumps(definition), roleArn=role)
    arn = states.start_execution(stateMachineArn=made["stateMachineArn"], name=f"{PREFIX}-1")["executionArn"]
    del bed.target.fakes["stepfunctions"]
    (lever,) = ExecutionAbort.on(bed.stack, "machine", prefix=PREFIX)
    assert lever.resource == arn
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert eventually(lever.proof, bool, deadline_seconds=5).met
    assert states.describe_execution(executionArn=arn)["cause"] == lever.cause
    assert lever.healed_proof(snapshot) == ""
    assert lever.by_hand(snapshot).startswith(f"aws stepfunctions redrive-execution --execution-arn {arn} ")
    (restored,) = restore([(lever, snapshot)])
    assert restored.proof == f"execution {PREFIX}-1 was redriven and is RUNNING"
    found = states.describe_execution(executionArn=arn)
    assert (found["status"], found["redriveCount"]) == ("RUNNING", 1)
    states.stop_execution(executionArn=arn)


def test_a_denied_task_is_denied_one_function_and_no_more(bed: Bed, tmp_path: Path) -> None:
    """The state machine's role is denied to invoke that one function, its versions and aliases, for a time."""
    lever = task_deny(bed.stack, "machine", "worker", run="r1")
    arn = bed.stack.resource("worker").arn
    with (
        Journal(tmp_path, Pin.of(bed.stack)) as journal,
        pulled([lever], stack=bed.stack, journal=journal, recorder=Recorder()) as pull,
    ):
        assert "explicitDeny" in pull.proofs[0]
        (policy,) = (p for name, p in bed.deployed.configuration()["policies"].items() if name != "own")
        (statement,) = policy["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["lambda:InvokeFunction"], [arn, f"{arn}:*"])
    bed.target.forget(Capability.TASK_ROLE_ENFORCED)
    with pytest.raises(Inconclusive, match="for a reason"):
        task_deny(bed.stack, "machine", "worker")


def test_an_execution_of_another_machine_is_outside_the_guard_rail(bed: Bed, tmp_path: Path) -> None:
    """A machine whose name begins like the component's own, or whose execution is nested, is not the component."""
    machine = bed.stack.resource("machine").arn
    execution = machine.replace(":stateMachine:", ":execution:")
    stack = stack_of(
        bed.target, Resource(component="machine", type="state_machine", name=bed.function, arn=machine, role="")
    )
    foreign = (f"{execution}-2:{PREFIX}-1", f"{execution}:label:{PREFIX}-1", f"{execution}", machine + f":{PREFIX}")
    with Journal(tmp_path, Pin.of(stack)) as journal:
        for resource in foreign:
            lever = ExecutionAbort(target=bed.target, component="machine", resource=resource, prefix=PREFIX)
            window = pulled([lever], stack=stack, journal=journal, recorder=Recorder())
            with pytest.raises(GuardRailError, match="not part of component 'machine'"), window:
                pytest.fail("the window must not open")
    assert bed.workflows.calls == []
