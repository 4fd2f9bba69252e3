"""``--intercept``: what is said before a run, what is changed for its length, and that it is put back.

The embedded emulator stands in for LocalStack. That aimed faults bite behind the proxy, and decide clauses, is tested
on a real one (tests/test_localstack.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from holdfast import opening
from holdfast.doctor import Diagnosis, diagnose, examined, needed
from holdfast.errors import ExitCode, InjectionError, TargetError
from holdfast.levers import open_entries
from holdfast.levers.pointing import ENDPOINT_VARIABLE
from holdfast.opening import Options
from holdfast.permissions import Grant
from holdfast.plan import described, planned
from holdfast.suites import choose
from holdfast.targets.base import Capability, PeekedMessage, Support, Target
from holdfast.targets.capabilities import EMBEDDED, LOCALSTACK_INTERCEPTED
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import ACCOUNT, EmbeddedTarget
from holdfast.targets.localstack import LocalStackTarget
from holdfast.verdict import Verdict
from holdfast.verdict.model import ClauseVerdict
from holdfast.verification import opened
from verify_runs import copy_of, holdfast, journals

AT_CALLS = {"ES-2", "ES-3", "ES-5", "ES-9", "ES-15"}
"""What only the interceptor decides."""


class StandIn(LocalStackTarget):
    """The emulator as a LocalStack: what is its own are its account and the look into a queue."""

    behind: EmbeddedTarget

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """As the emulator does it."""
        return self.behind.peek_messages(queue_url)


@dataclass(frozen=True)
class Deployed:
    """A reference stack on the emulator, and how it is opened."""

    descriptor: Path
    emulator: EmbeddedTarget
    stack_name: str

    def target(self, *, intercept: bool = True) -> StandIn:
        """The stand-in; whoever asks closes it."""
        where = {"LOCALSTACK_ENDPOINT": self.emulator.endpoint_url or "", "AWS_REGION": self.emulator.region}
        made = StandIn.connect(environ=where, intercept=intercept)
        assert isinstance(made, StandIn)
        made.behind, made.account = self.emulator, ACCOUNT
        return made

    def options(self, folder: Path) -> Options:
        """The stack is deployed already."""
        return Options(cloudformation=self.stack_name, folder=folder, deploy=False)

    def variables(self) -> list[dict[str, str]]:
        """The environments of its functions."""
        client = self.emulator.client("lambda")
        found = [client.get_function_configuration(FunctionName=name) for name in self.functions()]
        return [dict(one["Environment"]["Variables"]) for one in found]

    def functions(self) -> list[str]:
        """The names of its functions."""
        found = self.emulator.client("cloudformation").list_stack_resources(StackName=self.stack_name)
        resources = found["StackResourceSummaries"]
        return [one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::Lambda::Function"]


@pytest.fixture(scope="module")
def deployed(embedded: EmbeddedTarget, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The stack notifications, deployed once for all tests."""
    descriptor = copy_of("notifications", tmp_path_factory.mktemp("intercepted") / "stack")
    parameters = {"WorkerTimeoutSeconds": "1", "VisibilitySeconds": "6", "MaxReceives": "3"}
    template = descriptor.parent / "template.yaml"
    with deploy(embedded, template, stack_name="intercepted", parameters=parameters) as made:
        yield Deployed(descriptor, embedded, made.stack_name)


@pytest.fixture
def intercepted(deployed: Deployed) -> Iterator[StandIn]:
    """The target with an interceptor in front."""
    target = deployed.target()
    yield target
    target.close()


def quietly(*_: object) -> None:
    """Nobody listens."""


def test_the_functions_are_pointed_for_a_run_and_put_back(
    deployed: Deployed, intercepted: StandIn, tmp_path: Path
) -> None:
    """A run points every function at the interceptor, their calls pass it, and then they are as they were found."""
    before = deployed.variables()
    assert len(before) == 3
    with opened(
        deployed.descriptor, options=deployed.options(tmp_path), ids=["ES-1", "ES-10"], target=intercepted
    ) as run:
        assert [one[ENDPOINT_VARIABLE] for one in deployed.variables()] == [intercepted.interceptor_url] * 3
        verdicts = [run.decide(*one) for one in choose(run.stack.descriptor, ["ES-1", "ES-10"])]
        assert {one.verdict for one in verdicts} == {Verdict.HOLDS}, verdicts
        assert intercepted.interceptor is not None
        assert {"SendMessage", "TransactWriteItems"} <= {one.operation for one in intercepted.interceptor.calls("")}
    assert deployed.variables() == before
    assert open_entries(tmp_path / "journal").entries == ()


def test_they_are_put_back_when_the_run_fails(deployed: Deployed, intercepted: StandIn, tmp_path: Path) -> None:
    """An error in the middle leaves the functions as they were found."""
    before = deployed.variables()
    with (
        pytest.raises(TargetError, match="gone"),
        opened(deployed.descriptor, options=deployed.options(tmp_path), ids=["ES-10"], target=intercepted),
    ):
        raise TargetError("gone")
    assert deployed.variables() == before


def test_nothing_is_pointed_where_nothing_is_provoked(deployed: Deployed, intercepted: StandIn, tmp_path: Path) -> None:
    """A clause that the configuration alone decides needs no interceptor, so the functions are left alone."""
    before = deployed.variables()
    with opened(deployed.descriptor, options=deployed.options(tmp_path), ids=["ES-14"], target=intercepted):
        assert deployed.variables() == before
    assert journals(tmp_path) == []


def test_a_function_behind_a_version_ends_the_run(deployed: Deployed, intercepted: StandIn, tmp_path: Path) -> None:
    """What cannot be pointed is told with the way out, before a command is sent; nothing is changed."""
    client, name = deployed.emulator.client("lambda"), deployed.functions()[0]
    before = deployed.variables()
    version = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    try:
        with (
            pytest.raises(InjectionError, match="cannot be pointed at the interceptor") as told,
            opened(deployed.descriptor, options=deployed.options(tmp_path), ids=["ES-10"], target=intercepted),
        ):
            pass
    finally:
        client.delete_alias(FunctionName=name, Name="live")
    assert "published version" in told.value.cause
    assert "--no-intercept" in told.value.remedy
    assert deployed.variables() == before


def decidable(diagnosis: Diagnosis) -> set[str]:
    """What can be decided."""
    return {one.id for one in diagnosis.clauses if one.decidable}


def test_doctor_says_what_it_would_decide_and_changes_nothing(
    deployed: Deployed, intercepted: StandIn, tmp_path: Path
) -> None:
    """With the interceptor more can be decided than without; for that nothing is pointed yet."""
    before = deployed.variables()
    plain = deployed.target(intercept=False)
    try:
        without, found = (
            diagnose(deployed.descriptor, options=deployed.options(tmp_path), target=target, say=quietly)
            for target in (plain, intercepted)
        )
    finally:
        plain.close()
    assert decidable(found) - decidable(without) == AT_CALLS
    (blocked,) = (one.blocked for one in without.clauses if one.id == "ES-3")
    assert "--intercept puts one there" in blocked[0]
    assert deployed.variables() == before


def test_the_plan_and_the_permissions_name_it(deployed: Deployed, intercepted: StandIn, tmp_path: Path) -> None:
    """The plan says that the functions are pointed, for how long, and what is aimed; so do the permissions."""
    options = deployed.options(tmp_path)
    plan = planned(deployed.descriptor, options=options, target=intercepted, say=quietly)
    whole, *_, last = plan.phases
    assert whole.title == "for the whole run"
    assert [fault.component for fault in whole.faults] == ["ingest", "worker", "status"]
    assert {fault.about for fault in whole.faults} == {f"{ENDPOINT_VARIABLE} points at an interceptor here"}
    (alone,) = (phase for phase in plan.phases if phase.title.startswith("one after another"))
    assert [(name, faults[0].about) for name, _, faults in alone.provocations] == [
        ("crash-sweep", "kill before and after each, AWS calls of one key each")
    ]
    assert "aftermath" in [name for name, _, _ in last.provocations]
    assert any("refuse once, AWS calls of one key each" in line for line in described(plan))
    with examined(deployed.descriptor, options=options, target=intercepted, say=quietly) as (stack, clauses):
        arns = {one.arn for one in stack.resources.values() if one.type == "function"}
        assert {Grant("lambda:UpdateFunctionConfiguration", arn) for arn in arns} <= needed(clauses)


class CallsAlone:
    """The embedded target, of whose interceptor nothing is known but that it sees the calls of functions."""

    def __init__(self, target: EmbeddedTarget) -> None:
        self._target = target

    def supports(self, capability: Capability) -> Support:
        """As the emulator, but for faults at invocations."""
        table = LOCALSTACK_INTERCEPTED if capability is Capability.INVOCATION_FAULTS else EMBEDDED
        return table[capability]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def judged(path: Path, emulator: EmbeddedTarget, ids: set[str], folder: Path) -> dict[str, ClauseVerdict]:
    """The verdicts of some clauses, decided by faults at calls."""
    options = Options(folder=folder)
    target = cast("Target", CallsAlone(emulator))
    with opened(path, options=options, ids=sorted(ids), target=target) as run:
        return {one[1].id: run.decide(*one) for one in choose(run.stack.descriptor, sorted(ids))}


def test_faults_at_calls_decide_and_accuse_nobody(deployed: Deployed, tmp_path: Path) -> None:
    """On a correct stack what is done at calls alone bites, and every clause that rests on it holds."""
    found = judged(deployed.descriptor, deployed.emulator, AT_CALLS, tmp_path)
    assert {id_: one.reason for id_, one in found.items() if one.verdict is not Verdict.HOLDS} == {}
    proofs = {id_: " ".join(one.evidence) for id_, one in found.items()}
    assert "refused an AWS call of" in proofs["ES-3"]
    assert "performed and failed" in proofs["ES-5"]
    assert "refused an AWS call of" in proofs["ES-9"]
    assert "killed dynamodb:TransactWriteItems of" in proofs["ES-15"]


@pytest.mark.parametrize(
    ("mutant", "id_", "proof"),
    [("redeliveries-skipped", "ES-3", "refused an AWS call"), ("in-progress-for-ever", "ES-15", "killed")],
)
def test_faults_at_calls_catch_mutants(
    mutant: str, id_: str, proof: str, embedded: EmbeddedTarget, tmp_path: Path
) -> None:
    """A bug that only a failing or crashing delivery shows is found, with proof, by what is done at calls alone."""
    path = copy_of("notifications", tmp_path / "stack", mutant=mutant)
    found = judged(path, embedded, {id_}, tmp_path)[id_]
    assert found.verdict is Verdict.VIOLATED
    assert f"the interceptor {proof}" in " ".join(found.evidence)


@pytest.mark.parametrize(
    ("told", "written", "expected"),
    [(None, False, False), (None, True, True), (False, True, False), (True, False, True)],
)
def test_the_command_line_comes_before_the_descriptor(
    told: bool | None, written: bool, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`intercept` in `[target]` says it for a stack; the option says otherwise for a run."""
    seen: dict[str, Any] = {}

    def open_target(kind: str, **how: Any) -> None:
        seen.update(how, kind=kind)
        raise TargetError("enough")

    monkeypatch.setattr(opening, "open_target", open_target)
    line = f"\n[target]\nintercept = {str(written).lower()}\n"
    descriptor = copy_of("notifications", tmp_path / "stack", edit=lambda text: text + line)
    with pytest.raises(TargetError, match="enough"):
        diagnose(descriptor, options=Options(target="localstack", intercept=told), say=quietly)
    assert (seen["kind"], seen["intercept"]) == ("localstack", expected)


def test_aws_has_no_interceptor(tmp_path: Path) -> None:
    """On AWS the option is refused before anything is asked: functions there cannot reach this machine."""
    descriptor = copy_of("notifications", tmp_path / "stack")
    ended = holdfast("doctor", descriptor, "--target", "aws", "--allow-aws", "--intercept", cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "--intercept is for LocalStack" in ended.err
