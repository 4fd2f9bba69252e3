"""The plan where no interceptor sits: which lever stands for a fault, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.errors import DescriptorError
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.role import RoleDeny
from holdfast.opening import Options
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_places import saga_of
from holdfast.provocations.tracing import Trace
from holdfast.stack.configuration import Configuration, FunctionConfiguration, MachineConfiguration
from holdfast.stack.generate import Submission
from holdfast.stack.relays import Relay
from holdfast.stack.resolve import Mapping as Polls
from holdfast.stack.resources import Resource
from holdfast.sweep.judging import Judgement, Mark
from holdfast.sweep.kinds import Kind
from holdfast.sweep.levers import Means, aimed_here, means, points_told
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Caller, Callers, Point
from holdfast.sweep.running import Ran
from holdfast.sweep.surroundings import surroundings
from holdfast.sweep.sweeping import Budget, Sweep, sweep
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Capability, Support
from holdfast.targets.capabilities import AWS, EMBEDDED, LOCALSTACK
from holdfast.targets.embedded import EmbeddedTarget
from sweep_examples import case
from test_saga_provocations import situation as orders
from verify_runs import copy_of

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f-charge"
DEFINITION = """{"States": {
  "Charge": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f-charge"}},
  "Both": {"Type": "Parallel", "Branches": [{"States": {
    "Ship": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:dynamodb:putItem"},
    "Refund": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f-refund"}}}]},
  "Ask": {"Type": "Task", "Resource": "arn:aws:states:eu-west-1:123456789012:activity:ask"}}}"""
CHARGE = Point(
    caller=Caller(component="saga", type="state_machine"),
    service="lambda",
    operation="Invoke",
    state="Charge",
    about="charge",
)


def resource(component: str, kind: str, arn: str = "", role: str = "") -> Resource:
    return Resource(component=component, type=kind, name=f"f-{component}", arn=arn, role=role)


def situation(supported: Mapping[Capability, Support], kind: str = "aws") -> Situation:
    """A saga behind an API, with a queue's worker, on a target of these capabilities."""
    role = "arn:aws:iam::123456789012:role/machine"
    machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:f-saga"
    api = "arn:aws:apigateway:eu-west-1::/restapis/f-api"
    resources = {
        "api": resource("api", "api", api),
        "charge": resource("charge", "function", ARN),
        "saga": resource("saga", "state_machine", machine, role),
        "queue": resource("queue", "queue"),
    }
    target = SimpleNamespace(kind=kind, interceptor=None, supports=lambda one: supported[one])
    calls = [SimpleNamespace(api="api")]
    stack = SimpleNamespace(
        resources=resources,
        resource=resources.__getitem__,
        target=target,
        descriptor=SimpleNamespace(commands={"place": SimpleNamespace(calls=calls)}),
    )
    pattern = SimpleNamespace(command="place", ingest=[], workers=["charge"], store=None, storage_roles=[])
    polls = Polls(
        uuid="u", source_arn="arn:aws:sqs:x:y:f-queue", function_arn=ARN, enabled=True, state="", batch_size=1
    )
    configuration = Configuration(
        (),
        (FunctionConfiguration(component="charge", timeout_seconds=3, mappings=(polls,)),),
        machines=(MachineConfiguration(component="saga", arn=machine, express=False, definition=DEFINITION),),
    )
    return Situation(stack=cast("Any", stack), pattern=cast("Any", pattern), configuration=configuration)


def test_points_are_told_by_the_descriptor_and_the_definition() -> None:
    """Functions, mappings and every task, those of Parallel states too; an activity calls nothing."""
    given = situation(AWS)
    found = points_told(given, Callers.of(given.stack, given.configuration))
    assert [(point.name, point.about) for point in found] == [
        ("charge invocation #1", ""),
        ("queue → charge lambda:Invoke #1", ""),
        ("saga/Charge lambda:Invoke #1", "charge"),
        ("saga/Ship dynamodb:PutItem #1", ""),
        ("saga/Refund lambda:Invoke #1", ""),
    ]


@pytest.mark.parametrize(
    ("kind", "lever", "capability"),
    [
        (Kind.REFUSED, RoleDeny, Capability.TASK_ROLE_ENFORCED),
        (Kind.THROTTLED, FunctionThrottle, Capability.FUNCTION_THROTTLE),
    ],
)
def test_a_task_is_refused_by_its_role_and_throttled_by_its_function(
    kind: Kind, lever: type, capability: Capability
) -> None:
    """On AWS a state's call fails by a Deny on the machine's role, for that function alone, or by concurrency 0."""
    given = situation(AWS)
    found = means(CHARGE, kind, given)
    assert isinstance(found, Means)
    assert found.capability is capability
    (made,) = found.make(given.stack, "run")
    assert isinstance(made, lever)
    if isinstance(made, RoleDeny):
        assert made.resource == "arn:aws:iam::123456789012:role/machine"
        assert (made.actions, made.resources) == (("lambda:InvokeFunction",), (ARN, f"{ARN}:*"))


@pytest.mark.parametrize("kind", [one for one in Kind if one not in (Kind.REFUSED, Kind.THROTTLED)])
def test_what_no_lever_does_is_said_to_be_unreachable(kind: Kind) -> None:
    """Lost answers, kills, delays and repeats of one call have no lever, and the reason says what is missing."""
    told = means(CHARGE, kind, situation(AWS))
    assert isinstance(told, str)
    assert told.startswith("not reachable on the aws target: ")


def test_what_the_target_lacks_is_said_with_its_reason() -> None:
    """A lever that exists is not used where the target does not enforce it."""
    told = means(CHARGE, Kind.REFUSED, situation(LOCALSTACK, "localstack"))
    assert isinstance(told, str)
    assert "does not enforce IAM" in told


def test_faults_are_aimed_only_where_everything_can_be(embedded: EmbeddedTarget) -> None:
    """Without an interceptor, or with one that sees calls alone, the sweep falls back on levers."""
    assert not aimed_here(situation(AWS))
    given = situation(AWS)
    stack = SimpleNamespace(**{**vars(given.stack), "target": embedded})
    assert aimed_here(Situation(stack=cast("Any", stack), pattern=given.pattern, configuration=given.configuration))


def test_what_a_rule_passes_on_is_a_point_that_no_lever_reaches() -> None:
    """A choreography's deliveries are told as unreached, counted by what they call."""
    given = situation(AWS)
    given.stack.resources.update(events=resource("events", "rule"))
    relays = tuple(Relay(component="events", target_arn=arn) for arn in (ARN, f"{ARN}-other", "arn:aws:kinesis:x:y:z"))
    found = points_told(
        replace(given, configuration=replace(given.configuration, relays=relays)),
        Callers.of(given.stack, given.configuration),
    )
    passed_on = [point for point in found if point.caller.type == "rule"]
    assert [(point.name, point.about) for point in passed_on] == [
        ("events lambda:Invoke #1", "charge"),
        ("events lambda:Invoke #2", ""),
    ]
    assert "not reachable on the aws target" in str(means(passed_on[0], Kind.REFUSED, given))


def test_states_that_are_not_there_are_a_mistake_of_the_descriptor() -> None:
    """As the other commands do, a sweep refuses a step whose state the deployed definition does not have."""
    there = orders()
    reserve, *others = saga_of(there).steps
    pattern = there.pattern.model_copy(update={"steps": [reserve.model_copy(update={"state": "Reserv"}), *others]})
    runner = SimpleNamespace(situation=replace(there, pattern=pattern), pattern=pattern)
    with pytest.raises(DescriptorError, match="has no task Reserv"):
        Sweep(runner=cast("Any", runner), budget=Budget()).cover()


class Interrupting(SimpleNamespace):
    """A runner that is interrupted at its second lever."""

    ran = 0

    def run_alone(self) -> Ran:
        """An undisturbed command that holds."""
        return ran(Schedule())

    def run_with(self, found: Means) -> Ran:
        """The first fault holds, the second is never judged."""
        self.ran += 1
        if self.ran > 1:
            raise KeyboardInterrupt
        return ran(Schedule(faults=(found.fault,)))


def ran(schedule: Schedule) -> Ran:
    """A run that held."""
    held = Judgement(mark=Mark.HELD, why="acknowledged")
    return Ran(
        schedule=schedule,
        case=case(schedule=schedule),
        judgement=held,
        trace=Trace(),
        submission=Submission("k", "v"),
    )


def test_a_sweep_by_levers_that_is_interrupted_keeps_what_it_decided() -> None:
    """What was not visited is unreached for that reason, and nothing is left to be replayed."""
    given = situation(AWS)
    given.stack.descriptor.name, given.stack.path = "orders", Path("o.stack.toml")
    runner = Interrupting(
        situation=given,
        stack=given.stack,
        pattern=given.pattern,
        name="saga",
        seed=0,
        known=surroundings(given.configuration, given.pattern, Callers.of(given.stack, given.configuration)),
        callers=Callers.of(given.stack, given.configuration),
    )
    found = Sweep(runner=cast("Any", runner), budget=Budget(), clock=lambda: 0.0).cover()
    assert (found.interrupted, found.undisturbed.mark, found.aimed, found.decided) == (
        "SIGINT",
        Mark.HELD,
        False,
        False,
    )
    assert found.count(Mark.HELD) == 1
    assert {cell.why for cell in found.cells if "interrupted" in cell.why} == {"the sweep was interrupted"}
    assert len(found.cells) == len(found.points) * len(Kind)


def test_a_stack_is_swept_by_levers_and_healed(embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """Throttle, Deny and a disabled mapping are visited one after another and hold; all else says why it is not."""
    without = dict.fromkeys((Capability.INVOCATION_FAULTS, Capability.CALL_FAULTS), LOCALSTACK[Capability.CALL_FAULTS])
    target = AttachedTarget(
        kind="localstack",
        endpoint_url=embedded.endpoint_url,
        account=embedded.account,
        region=embedded.region,
        supported={**EMBEDDED, **without, Capability.API_THROTTLE: LOCALSTACK[Capability.API_THROTTLE]},
    )
    descriptor = copy_of("webhooks", tmp_path / "stack")
    options = Options(folder=tmp_path / "holdfast", environ={}, deploy=True)
    (found,) = sweep(descriptor, options=options, budget=Budget(), target=target).coverages
    target.close()
    held = {(cell.point.name, cell.kind) for cell in found.cells if cell.mark is Mark.HELD}
    assert {
        ("worker invocation #1", Kind.THROTTLED),
        ("queue → worker lambda:Invoke #1", Kind.REFUSED),
        ("api sqs:SendMessage #1", Kind.REFUSED),
    } <= held, [(cell.point.name, cell.kind, cell.mark, cell.why) for cell in found.cells]
    assert found.count(Mark.VIOLATED) == 0
    assert not found.decided
    assert found.undisturbed.mark is Mark.HELD
    assert all(cell.why for cell in found.cells)
    assert embedded.interceptor is not None
    assert embedded.interceptor.rules() == ()
