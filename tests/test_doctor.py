"""What `holdfast doctor` and `verify --dry-run` say, and that they change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.stub import Stubber

from holdfast.cli import main
from holdfast.doctor import Decidable, Diagnosis, decidable, described, needed, needed_under_load
from holdfast.errors import ExitCode
from holdfast.opening import Options, resolved
from holdfast.permissions import Grant, of_lever, policy
from holdfast.plan import planned
from holdfast.provocations.model import Window
from holdfast.provocations.requirements import Situation
from holdfast.simulation import Permitted, permitted
from holdfast.stack.configuration import read_configuration
from holdfast.stack.loading import load_descriptor
from holdfast.suites import clauses_of
from holdfast.targets.base import Capability, Support, Target
from holdfast.targets.capabilities import AWS, LOCALSTACK, LOCALSTACK_INTERCEPTED
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verification import opened
from lever_stack import deploy as deploy_levers
from recording_proxy import recording
from test_decoy import changes, operation
from verify_runs import copy_of, holdfast, journals, substituted, verify


class Poorer:
    """A deployed stack's target that can do what another kind of target can."""

    def __init__(self, target: Target, kind: str, capabilities: Any) -> None:
        self._target = target
        self.kind = kind
        self.interceptor = None
        self._capabilities = capabilities

    def supports(self, capability: Capability) -> Support:
        """As the other kind says."""
        return cast("Support", self._capabilities[capability])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


@pytest.fixture(scope="module")
def situation(embedded: EmbeddedTarget, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stack webhooks as it is deployed."""
    path = copy_of("webhooks", tmp_path_factory.mktemp("doctor") / "stack")
    descriptor = load_descriptor(path, {})
    assert descriptor.deploy is not None
    with (
        deploy(
            embedded, path.parent / "template.yaml", stack_name="doctor", parameters=descriptor.deploy.parameters
        ) as deployed,
        resolved(
            path,
            descriptor,
            options=Options(cloudformation=deployed.stack_name),
            target=embedded,
            say=lambda *_: None,
        ) as stack,
    ):
        yield Situation(
            stack=stack, pattern=descriptor.patterns["storage-first"], configuration=read_configuration(stack)
        )


def judged(situation: Situation, denied: frozenset[Grant] = frozenset()) -> dict[str, Decidable]:
    """Every clause of the stack by its id."""
    return {clause.id: decidable(clause, situation, denied) for _, clause in clauses_of(situation.stack.descriptor)}


def on(situation: Situation, kind: str, capabilities: Any) -> Situation:
    """The same stack on another kind of target."""
    target = cast("Target", Poorer(situation.stack.target, kind, capabilities))
    return replace(situation, stack=replace(situation.stack, target=target))


def test_everything_can_be_decided_on_the_embedded_target(situation: Situation) -> None:
    """A whole descriptor leaves nothing open there, and what its clauses rest on is known."""
    found = judged(situation)
    assert {id_ for id_, one in found.items() if one.waived} == {"SF-6", "SF-7"}
    assert all(one.decidable for one in found.values())
    assert Capability.FUNCTION_THROTTLE in found["SF-1"].rests_on
    assert Capability.IAM_ENFORCED in found["SF-2"].rests_on
    assert found["SF-9"].rests_on == ()


def test_another_target_says_why_it_cannot(situation: Situation) -> None:
    """On LocalStack and AWS each clause that cannot be decided has its reason, and the others stay decidable."""
    poorer = judged(on(situation, "localstack", LOCALSTACK))
    assert not poorer["SF-2"].decidable
    assert poorer["SF-2"].blocked == (
        "no right can be taken from a role on the localstack target: the community edition does not enforce IAM",
    )
    assert any("no fault can be aimed" in reason for reason in poorer["SF-5"].blocked)
    assert poorer["SF-8"].open == (
        "nobody sees how many workers run at once: the localstack target has no interceptor, so no fault can be aimed "
        "at one command (--intercept puts one in front)",
    )
    assert poorer["XX-2"].open
    assert poorer["SF-1"].decidable
    assert poorer["SF-9"].decidable
    assert poorer["XX-1"].decidable
    assert any(reason.startswith("failed-deliveries: ") for reason in poorer["XX-1"].without)
    real = judged(on(situation, "aws", AWS))
    assert real["SF-2"].decidable
    assert not real["SF-5"].decidable


def test_an_interceptor_that_sees_calls_decides_what_can_be_done_at_calls(situation: Situation) -> None:
    """In front of LocalStack it decides what a broken call can provoke; what takes an invocation has its reason."""
    intercepted = on(situation, "localstack", LOCALSTACK_INTERCEPTED)
    found = judged(intercepted)
    assert not judged(on(situation, "localstack", LOCALSTACK))["SF-10"].decidable
    assert found["SF-10"].decidable
    assert Capability.CALL_FAULTS in found["SF-10"].rests_on
    assert found["SF-5"].blocked == (
        "no fault can be aimed at the invocations of one command on the localstack target: "
        "the interceptor in front of it sees calls, not invocations",
    )
    assert not any(reason.startswith("failed-deliveries: ") for reason in found["XX-1"].without)
    grouped = tuple(
        replace(one, mappings=tuple(replace(mapping, response_types=()) for mapping in one.mappings))
        for one in intercepted.configuration.functions
    )
    whole = replace(intercepted, configuration=replace(intercepted.configuration, functions=grouped))
    assert judged(whole)["SF-10"].blocked == (
        "worker is given batches and reports no single failures, so a fault at the calls of one request would befall "
        "its neighbours",
    )
    assert judged(replace(whole, stack=situation.stack))["SF-10"].decidable, "elsewhere aimed deliveries travel alone"


def test_what_the_descriptor_leaves_out_is_said(situation: Situation) -> None:
    """A part that the descriptor does not name blocks the clauses that need it, and no others."""
    pattern = situation.pattern.model_copy(update={"storage_roles": [], "dead_letters": None, "workers": []})
    found = judged(replace(situation, pattern=pattern))
    assert found["SF-2"].blocked == (
        "the descriptor does not say which role stores requests where (store, storage_roles)",
    )
    assert "the descriptor names no workers for this pattern" in found["SF-1"].blocked
    assert "the descriptor names no dead_letters port for this pattern" in found["SF-10"].blocked
    assert found["SF-4"].decidable
    assert found["SF-9"].decidable


def test_a_permission_that_is_missing_blocks_its_clauses(situation: Situation) -> None:
    """A clause whose lever the caller may not pull cannot be decided, and the action and resource are named."""
    worker = situation.stack.resource("worker").arn
    found = judged(situation, frozenset({Grant("lambda:PutFunctionConcurrency", worker)}))
    assert found["SF-1"].blocked == (f"the caller may not lambda:PutFunctionConcurrency on {worker}",)
    assert found["SF-2"].decidable
    assert found["SF-9"].decidable


def test_what_was_verified_is_kept_apart_from_what_was_read() -> None:
    """Capabilities known from probes and those known from documentation stand under headings of their own."""
    diagnosis = Diagnosis(
        stack="s",
        target="aws",
        place="account 1, region r",
        clauses=(Decidable(id="SF-1", text="It holds."), Decidable(id="SF-2", text="", blocked=("no", "never"))),
        capabilities={
            Capability.QUEUE_PEEK: Support(supported=True),
            Capability.IAM_ENFORCED: Support(supported=False, reason="who knows", known_from="documentation"),
        },
        permitted=Permitted(denied=frozenset({Grant("a:B", "arn:c")}), caller="me"),
    )
    lines = list(described(diagnosis))
    assert not diagnosis.complete
    assert "1 of 2 clauses can be decided" in lines[0]
    verified, written = lines.index("verified on the emulator:"), lines.index("written to the documentation:")
    assert lines[verified + 1] == "  yes  messages can be read without receiving them"
    assert lines[written + 1] == "  no   IAM denials take effect: who knows"
    assert lines[-1] == "  a:B on arn:c"


# -- permissions -----------------------------------------------------------------------------------------------------


def test_the_policy_names_what_the_chosen_clauses_pull_and_no_more(situation: Situation) -> None:
    """Each lever's permissions are there on its resource, for clauses that need it; a waived one takes none."""
    clauses = {clause.id: (clause, situation) for _, clause in clauses_of(situation.stack.descriptor)}
    worker, role = situation.stack.resource("worker").arn, situation.stack.resource("gateway_role").arn
    throttle, deny = Grant("lambda:PutFunctionConcurrency", worker), Grant("iam:PutRolePolicy", role)
    assert {throttle} == needed([clauses["SF-1"]]) & {throttle, deny}
    assert {deny} == needed([clauses["SF-2"]]) & {throttle, deny}
    assert not needed([clauses["SF-9"], clauses["SF-7"]]) & {throttle, deny}
    (mapping,) = situation.stack.mappings("worker")
    switch = Grant(
        "lambda:UpdateEventSourceMapping",
        f"arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:{mapping.uuid}",
    )
    assert switch in needed([clauses["SF-1"]])
    assert Grant("lambda:ListEventSourceMappings", "*") in needed([clauses["SF-1"]])


def test_a_policy_has_one_statement_for_each_set_of_resources() -> None:
    """Actions on the same resources stand together, in a stable order; an action on anything needs no further ARN."""
    grants = [Grant("b:Two", "arn:x"), Grant("a:One", "arn:x"), Grant("a:One", "arn:y"), Grant("b:Two", "arn:y")]
    grants += [Grant("c:Any", "*"), Grant("c:Any", "arn:x")]
    assert policy(grants) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["a:One", "b:Two"], "Resource": ["arn:x", "arn:y"]},
            {"Effect": "Allow", "Action": ["c:Any"], "Resource": ["*"]},
        ],
    }


def test_what_only_a_load_run_takes_stands_apart(situation: Situation) -> None:
    """The scan of the effects is in statements whose ids say so, unless no clause that load decides was asked for."""
    clauses = {clause.id: (clause, situation) for _, clause in clauses_of(situation.stack.descriptor)}
    table = situation.stack.resource("ledger").arn
    assert needed_under_load([clauses["SF-1"]]) == {Grant("dynamodb:Scan", table)}
    assert needed_under_load([clauses["SF-9"]]) == frozenset()
    assert "dynamodb:Scan" not in {grant.action for grant in needed(clauses.values())}
    query = Grant("dynamodb:Query", table)
    assert policy([query], [query, Grant("dynamodb:Scan", table)])["Statement"] == [
        {"Effect": "Allow", "Action": ["dynamodb:Query"], "Resource": [table]},
        {"Sid": "LoadRun1", "Effect": "Allow", "Action": ["dynamodb:Scan"], "Resource": [table]},
    ]


def test_an_action_of_another_service_is_not_tied_to_the_resource(embedded: EmbeddedTarget) -> None:
    """Where an ARN is not of the action's service, the action is allowed on anything: on it, it would allow nothing."""
    deployed = deploy_levers(embedded)

    class Lever:
        name = "lever"
        resource = deployed.stack.resource("worker").arn
        permissions = ("lambda:PutFunctionConcurrency", "cloudwatch:GetMetricData")

    grants = set(of_lever(cast("Any", Lever), deployed.stack))
    assert grants == {Grant("lambda:PutFunctionConcurrency", Lever.resource), Grant("cloudwatch:GetMetricData", "*")}


class Simulated:
    """AWS as far as its simulator goes, written to the documentation."""

    kind = "aws"

    def __init__(self) -> None:
        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")
        self.made: dict[str, Any] = {"sts": session.client("sts"), "iam": session.client("iam")}
        self.stubs = {name: Stubber(client) for name, client in self.made.items()}
        for stub in self.stubs.values():
            stub.activate()

    def client(self, service: str) -> Any:
        """A stubbed client."""
        return self.made[service]


def test_the_caller_is_asked_for_by_its_role() -> None:
    """A session's permissions are those of its role, looked up with its path; what IAM denies is told."""
    aws = Simulated()
    aws.stubs["sts"].add_response(
        "get_caller_identity",
        {"Account": "123456789012", "UserId": "u", "Arn": "arn:aws:sts::123456789012:assumed-role/chaos/me"},
    )
    role = {
        "Path": "/team/",
        "RoleName": "chaos",
        "RoleId": "AROAEXAMPLEEXAMPLE",
        "Arn": "arn:aws:iam::123456789012:role/team/chaos",
        "CreateDate": "2026-01-01T00:00:00Z",
    }
    aws.stubs["iam"].add_response("get_role", {"Role": role}, {"RoleName": "chaos"})
    aws.stubs["iam"].add_response(
        "simulate_principal_policy",
        {
            "EvaluationResults": [
                {"EvalActionName": "a:One", "EvalDecision": "allowed"},
                {"EvalActionName": "a:Two", "EvalDecision": "implicitDeny"},
            ]
        },
        {"PolicySourceArn": role["Arn"], "ActionNames": ["a:One", "a:Two"], "ResourceArns": ["arn:x"]},
    )
    found = permitted(cast("Target", aws), [Grant("a:Two", "arn:x"), Grant("a:One", "arn:x")])
    assert (found.denied, found.unknown) == (frozenset({Grant("a:Two", "arn:x")}), "")


def test_a_simulator_that_may_not_be_asked_is_told() -> None:
    """Without the right to simulate, the permissions are unknown: nobody is told that they suffice."""
    aws = Simulated()
    aws.stubs["sts"].add_response(
        "get_caller_identity", {"Account": "1", "UserId": "u", "Arn": "arn:aws:iam::123456789012:user/me"}
    )
    aws.stubs["iam"].add_client_error("simulate_principal_policy", "AccessDenied")
    found = permitted(cast("Target", aws), [Grant("a:One", "*")])
    assert "AccessDenied" in found.unknown
    assert found.denied == frozenset()


# -- the command line ------------------------------------------------------------------------------------------------


def test_doctor_exits_3_when_something_cannot_be_decided_and_that_is_asked_for(tmp_path: Path) -> None:
    """Clause by clause on the terminal: exit 0, with --strict 3 where a clause cannot be decided; nothing is left."""
    whole = copy_of("webhooks", tmp_path / "whole")
    partly = copy_of("webhooks", tmp_path / "partly", edit=substituted("storage_roles = .*", ""))
    ended = holdfast("doctor", "--strict", whole, cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    assert "12 of 12 clauses can be decided" in ended.out
    lenient, strict = holdfast("doctor", partly, cwd=tmp_path), holdfast("doctor", "--strict", partly, cwd=tmp_path)
    assert (lenient.code, strict.code) == (ExitCode.HELD, ExitCode.INCONCLUSIVE)
    assert "11 of 12 clauses can be decided" in strict.out
    assert "SF-2   undecidable  the descriptor does not say which role stores requests where" in strict.out
    assert holdfast("doctor", "--strict", f"{partly}::SF-1", cwd=tmp_path).code == ExitCode.HELD
    assert not (tmp_path / ".holdfast").exists()


def test_the_policy_of_the_command_line_is_json_alone(tmp_path: Path) -> None:
    """`doctor --iam` prints a policy that can be given to IAM as it is."""
    ended = holdfast("doctor", "--iam", f"{copy_of('webhooks', tmp_path / 'stack')}::SF-2", cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    document = json.loads(ended.out)
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    assert {"iam:PutRolePolicy", "iam:DeleteRolePolicy", "cloudformation:CreateStack", "dynamodb:Query"} <= actions
    assert "lambda:PutFunctionConcurrency" not in actions
    assert [one["Action"] for one in document["Statement"] if one.get("Sid") == "LoadRun1"] == [["dynamodb:Scan"]]
    assert all(
        resource == "*" or resource.startswith("arn:") for s in document["Statement"] for resource in s["Resource"]
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("doctor",), "No stack descriptor was named.\n  remedy: holdfast doctor NAME.stack.toml"),
        (("doctor", "nope.stack.toml"), "There is no file nope.stack.toml."),
    ],
)
def test_mistakes_exit_2(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A mistake is told with its remedy."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_a_dry_run_sends_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    """`verify --dry-run` prints phases, faults with their resources, bounds and commands, and leaves no file."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = verify(descriptor, "--dry-run", "-k", "SF-2 or SF-3 or SF-8", cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    assert "3 clauses, 64 commands or more" in ended.out
    assert "judged: SF-2, SF-3, SF-8" in ended.out
    assert "command place_order: POST api/orders" in ended.out
    lines = [line.strip() for line in ended.out.splitlines()]
    denied = lines.index("fault window: the right to store is denied")
    dead = lines.index("fault window: every worker throttled to zero and detached")
    assert denied < dead
    assert lines[denied + 1].startswith("fault role-deny on gateway_role (arn:aws:iam::123456789012:role/")
    assert lines[dead + 1].startswith("fault mapping-disable on worker (")
    assert lines[dead + 2].startswith("fault function-throttle on worker (arn:aws:lambda:")
    assert "burst: 40 commands" in lines
    assert "drain_seconds = " in ended.out
    assert journals(tmp_path) == []
    assert not (tmp_path / ".holdfast").exists()


def test_a_dry_run_over_workers_prints_the_plan_all_the_same(tmp_path: Path) -> None:
    """With `-n`, as users of xdist have it in their settings, the plan is printed by the one process that collects."""
    ended = verify(copy_of("webhooks", tmp_path / "stack"), "--dry-run", "-k", "SF-9", "-n", "2", cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    assert "judged: SF-9" in ended.out


def test_a_dry_run_says_what_is_wrong_with_the_stack(tmp_path: Path) -> None:
    """A stack that cannot be found exits 2 with its cause."""
    ended = verify(copy_of("webhooks", tmp_path / "stack"), "--dry-run", "--no-deploy", cwd=tmp_path)
    assert ended.code == ExitCode.USAGE, ended.text
    assert "is found in a CloudFormation stack, and none is named" in ended.text
    assert "Traceback" not in ended.text


def test_looking_changes_nothing(situation: Situation, embedded: EmbeddedTarget) -> None:
    """Neither a diagnosis nor a plan makes a single call that changes something."""
    from urllib.parse import urlsplit

    from holdfast.doctor import diagnose

    with recording(embedded.endpoint_url or "") as seen:
        through = EmbeddedTarget(embedded._process, embedded.directory, urlsplit(seen.url).port or 0, embedded.region)
        options = Options(cloudformation=situation.stack.cloudformation, deploy=False)
        path = situation.stack.path
        assert diagnose(path, options=options, target=through, say=lambda *_: None).complete
        plan = planned(path, options=options, target=through, say=lambda *_: None)
        through._clients.close()
        through._http.close()
    assert plan.sent > 100
    assert len(seen.requests) > 20
    assert [operation(request) for request in changes(seen.requests)] == []


def test_the_plan_is_what_is_done(situation: Situation, embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """The commands that the plan announces are sent, and its phases are the windows of the run, in order."""
    options = Options(cloudformation=situation.stack.cloudformation, deploy=False, folder=tmp_path)
    path, ids = situation.stack.path, ("SF-1", "SF-2", "SF-3", "XX-1")
    plan = planned(path, options=options, ids=ids, target=embedded, say=lambda *_: None)
    with opened(path, options=options, ids=ids, target=embedded) as verification:
        for _, clause in clauses_of(situation.stack.descriptor):
            if clause.id in ids:
                verification.decide("storage-first", clause)
        (campaign,) = verification._campaigns.values()
        history = campaign.recorder.history()
    counted = {
        name: len([one for one in history.operations if one.provocation == name])
        for phase in plan.phases
        for name, _, _ in phase.provocations
    }
    assert counted == {name: count for phase in plan.phases for name, count, _ in phase.provocations}
    windows = [
        (one.lever, one.component) for one in history.windows if one.provocation in ("STORAGE_DENIED", "COMPUTE_DEAD")
    ]
    assert windows == [(fault.lever, fault.component) for phase in plan.phases for fault in phase.faults]


def test_a_window_of_two_patterns_strikes_what_both_name(embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """A plan of two patterns tells the faults that each of them has in a window."""
    second = (
        '\n[patterns.storage-first]\ncommand = "notify"\neffect = "delivered"\nworkers = ["status"]\n'
        'store = "queue"\nstorage_roles = ["ingest_role"]\n'
    )
    path = copy_of("notifications", tmp_path / "stack", edit=lambda text: text + second)
    plan = planned(path, options=Options(folder=tmp_path), target=embedded, say=lambda *_: None)
    (dead,) = (one.faults for one in plan.phases if one.title == f"fault window: {Window.COMPUTE_DEAD}")
    assert sorted({fault.component for fault in dead}) == ["status", "worker"]
