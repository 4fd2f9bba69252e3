"""What every lever owes: it heals from its journal entry alone, twice harmlessly, and leaves what others changed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import GuardRailError
from holdfast.levers import (
    ComponentKill,
    ComponentStop,
    ExecutionAbort,
    FunctionExperiment,
    FunctionMemory,
    FunctionTimeout,
    FunctionVariable,
    HttpApiThrottle,
    InvocationAction,
    Journal,
    PermissionCut,
    Pin,
    RestApiThrottle,
    Snapshot,
    task_deny,
)
from holdfast.levers.base import Lever
from holdfast.levers.guard import allow
from holdfast.levers.healing import Restored, restore
from holdfast.levers.registry import restoring
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from lever_bed import ACCOUNT, FIS_ROLE, PREFIX, REGION, SECRET, Bed
from lever_bed import bed as made_bed


@dataclass(frozen=True)
class Case:
    """One lever on the bed.

    Attributes:
        lever: makes it.
        read: all that it may change.
        meddle: what somebody else does while the fault is in place.
        prepare: how the bed is before.
        restart: what a supervisor does once the fault is in place.
    """

    lever: Callable[[Bed], Lever]
    read: Callable[[Bed], Any]
    meddle: Callable[[Bed], object]
    prepare: Callable[[Bed], object] = lambda bed: None
    restart: Callable[[Bed], object] = lambda bed: None


def set_memory(bed: Bed) -> None:
    bed.deployed.lambda_.update_function_configuration(FunctionName=bed.function, MemorySize=512)


def set_timeout(bed: Bed) -> None:
    bed.deployed.lambda_.update_function_configuration(FunctionName=bed.function, Timeout=7)


def other_permission(bed: Bed) -> None:
    bed.deployed.lambda_.add_permission(
        FunctionName=bed.function, StatementId="api", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
    )


def abort_again(bed: Bed) -> None:
    (arn,) = bed.workflows.executions
    bed.workflows.redrive_execution(executionArn=arn, clientToken="somebody")
    bed.workflows.stop_execution(executionArn=arn, error="Operator", cause="somebody else")


def other_experiment(bed: Bed) -> None:
    action = {"actionId": "aws:lambda:invocation-error"}
    made = bed.experiments.create_experiment_template(
        clientToken="other",
        description="theirs",
        stopConditions=[{"source": "none"}],
        actions={"fault": action},
        roleArn=FIS_ROLE,
    )
    template = made["experimentTemplate"]["id"]
    bed.experiments.start_experiment(clientToken="theirs", experimentTemplateId=template, tags={"team": "theirs"})


def experiments_at_work(bed: Bed) -> Any:
    running = [each for each in bed.experiments.experiments.values() if each["state"]["status"] == "running"]
    return {f"{','.join(each['tags'])} {each['id']}": "" for each in (*bed.experiments.templates.values(), *running)}


def executions(bed: Bed) -> Any:
    return [(each["status"], each.get("cause")) for each in bed.workflows.executions.values()]


def other_process(bed: Bed) -> None:
    bed.kill_processes()
    bed.start_process().send_signal(signal.SIGSTOP)
    assert eventually(bed.running, lambda states: states == ["stopped"], deadline_seconds=5).met


def other_policy(bed: Bed) -> None:
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    bed.deployed.iam.put_role_policy(
        RoleName=bed.deployed.role,
        PolicyName="theirs",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )


def experiment(bed: Bed) -> Lever:
    action = InvocationAction(kind="error")
    lever = FunctionExperiment.on(bed.stack, "worker", action=action, role_arn=FIS_ROLE)
    lever.now = bed.experiments.now
    return lever


def with_extension(bed: Bed) -> None:
    bed.set_variables(AWS_FIS_CONFIGURATION_LOCATION="arn:aws:s3:::faults/config/")


CASES = {
    "function-timeout": Case(lambda bed: FunctionTimeout.on(bed.stack, "worker"), Bed.configuration, set_timeout),
    "function-memory": Case(lambda bed: FunctionMemory.on(bed.stack, "worker"), Bed.configuration, set_memory),
    "function-variable, overwritten": Case(
        lambda bed: FunctionVariable.on(bed.stack, "worker", variable="PASSWORD", value="wrong"),
        Bed.configuration,
        lambda bed: bed.set_variables(PASSWORD="new", FURTHER="one"),
    ),
    "function-variable, added": Case(
        lambda bed: FunctionVariable.on(
            bed.stack, "worker", variable="AWS_ENDPOINT_URL_S3", value="http://127.0.0.1:9"
        ),
        Bed.configuration,
        lambda bed: bed.set_variables(AWS_ENDPOINT_URL_S3="http://127.0.0.1:10"),
    ),
    "permission-cut": Case(
        lambda bed: PermissionCut.on(bed.stack, "worker", principal="apigateway.amazonaws.com")[0],
        Bed.statements,
        other_permission,
    ),
    "rest-api-throttle, no limits before": Case(
        lambda bed: RestApiThrottle.on(bed.stack, "rest"),
        Bed.rest_settings,
        lambda bed: bed.limit_rest("*/*", "50", "20"),
    ),
    "rest-api-throttle, limits before": Case(
        lambda bed: RestApiThrottle.on(bed.stack, "rest"),
        Bed.rest_settings,
        lambda bed: (bed.limit_rest("*/*", "50", "20"), bed.limit_rest("orders/POST", "51", "21")),
        prepare=lambda bed: (bed.limit_rest("*/*", "10.5", "3"), bed.limit_rest("orders/POST", "11", "4")),
    ),
    "http-api-throttle, no limits before": Case(
        lambda bed: HttpApiThrottle.on(bed.stack, "http"),
        Bed.http_settings,
        lambda bed: bed.limit_http(ThrottlingRateLimit=50.0, ThrottlingBurstLimit=20),
        prepare=lambda bed: bed.limit_http(DetailedMetricsEnabled=True),
    ),
    "http-api-throttle, limits before": Case(
        lambda bed: HttpApiThrottle.on(bed.stack, "http"),
        Bed.http_settings,
        lambda bed: bed.limit_http(ThrottlingRateLimit=50.0, ThrottlingBurstLimit=20),
        prepare=lambda bed: bed.limit_http(
            ThrottlingRateLimit=9.5, ThrottlingBurstLimit=2, DetailedMetricsEnabled=True
        ),
    ),
    "execution-abort": Case(
        lambda bed: ExecutionAbort.on(bed.stack, "machine", prefix=PREFIX)[0],
        executions,
        abort_again,
        prepare=lambda bed: bed.workflows.start(f"{PREFIX}-1"),
    ),
    "task-deny": Case(
        lambda bed: task_deny(bed.stack, "machine", "worker"),
        lambda bed: bed.deployed.configuration()["policies"],
        other_policy,
    ),
    "function-experiment": Case(experiment, experiments_at_work, other_experiment, prepare=with_extension),
    "component-stop": Case(lambda bed: ComponentStop.on(bed.stack, "sidecar"), Bed.running, other_process),
    "component-kill": Case(
        lambda bed: ComponentKill.on(bed.stack, "sidecar"), Bed.running, other_process, restart=Bed.start_process
    ),
}


@pytest.fixture
def bed(embedded: EmbeddedTarget) -> Iterator[Bed]:
    with made_bed(embedded) as made:
        yield made


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, bed: Bed) -> Case:
    chosen = CASES[request.param]
    chosen.prepare(bed)
    return chosen


def injected(case: Case, bed: Bed) -> Snapshot:
    """Put the fault in place, see it proven, and return its undo record as it comes back from disk."""
    lever = case.lever(bed)
    snapshot = lever.snapshot()
    written = json.dumps(asdict(snapshot))
    assert SECRET not in written
    lever.inject(snapshot)
    proven = eventually(lever.proof, bool, deadline_seconds=10)
    assert proven.met
    assert SECRET not in proven.value + lever.by_hand(snapshot)
    return Snapshot(**json.loads(written))


def healed(bed: Bed, snapshot: Snapshot) -> Restored:
    """Heal with nothing but the undo record, behind the guard rail as at the end of a window."""
    lever = restoring(bed.stack.target, snapshot)
    if isinstance(lever, FunctionExperiment):
        lever.now = bed.experiments.now
    (restored,) = restore([(lever, snapshot)])
    return restored


def test_a_lever_heals_from_its_journal_entry_alone(case: Case, bed: Bed) -> None:
    """The fault changes what it should, and the undo record brings all of it back as it was."""
    before = case.read(bed)
    snapshot = injected(case, bed)
    assert case.read(bed) != before
    case.restart(bed)
    restored = healed(bed, snapshot)
    assert (bool(restored.proof), restored.reason) == (True, "")
    assert case.read(bed) == before


def test_healing_twice_is_harmless(case: Case, bed: Bed) -> None:
    """A second healing of the same entry finds nothing to do, and says that the fault is gone."""
    before = case.read(bed)
    snapshot = injected(case, bed)
    case.restart(bed)
    assert healed(bed, snapshot).proof
    assert healed(bed, snapshot).proof
    assert case.read(bed) == before


def test_healing_what_was_never_injected_is_harmless(case: Case, bed: Bed) -> None:
    """A run that was killed between its journal and its fault leaves an entry that changes nothing."""
    before = case.read(bed)
    snapshot = case.lever(bed).snapshot()
    assert healed(bed, snapshot).proof
    assert case.read(bed) == before


def test_what_somebody_else_changed_meanwhile_is_left_alone(case: Case, bed: Bed) -> None:
    """Healing is compare-and-set: what another put there stays, and nothing of the lever's is left beside it."""
    unfaulted = case.read(bed)
    snapshot = injected(case, bed)
    case.meddle(bed)
    theirs = without_own(case.read(bed))
    assert theirs != unfaulted
    assert healed(bed, snapshot).proof
    assert without_own(case.read(bed)) == theirs
    assert "holdfast" not in json.dumps(case.read(bed)).lower()


def test_a_lever_reaches_its_component_and_nothing_else(case: Case, bed: Bed, tmp_path: Path) -> None:
    """The guard rail lets it through to what the descriptor resolves to, and to nothing whose name is only like it."""
    lever = case.lever(bed)
    own = lever.resource
    other = own.replace(bed.function, f"{bed.function}-other") if bed.function in own else f"{own}-other"
    elsewhere = (own.replace(ACCOUNT, "999999999999"), own.replace(f":{REGION}:", ":us-east-1:"))
    with Journal(tmp_path, Pin.of(bed.stack)) as journal:
        allow(lever, bed.stack, journal)
        for foreign in {other, *elsewhere} - {own}:
            lever.resource = foreign  # type: ignore[misc]
            with pytest.raises(GuardRailError, match="nothing was changed"):
                allow(lever, bed.stack, journal)


def without_own(read: Any) -> Any:
    """What was read, without what a lever is seen to have added."""
    if isinstance(read, dict):
        return {name: without_own(value) for name, value in read.items() if not name.lower().startswith("holdfast")}
    return read
