"""Each lever on the embedded target: it bites, it is healed, and it heals exactly."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from holdfast.errors import GuardRailError, Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import (
    FunctionThrottle,
    InvocationFault,
    Journal,
    MappingDisable,
    Pin,
    RoleDeny,
    open_entries,
    pulled,
)
from holdfast.levers.base import Lever
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Rule
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from lever_stack import Deployed, deploy


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    with EmbeddedTarget.start() as started:
        yield started


@pytest.fixture
def deployed(target: EmbeddedTarget) -> Deployed:
    return deploy(target)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def journal(tmp_path: Path, deployed: Deployed) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", Pin.of(deployed.stack)) as opened:
        yield opened


def code_of_invoking(deployed: Deployed) -> str:
    try:
        deployed.say("hello")
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "accepted"


@pytest.mark.parametrize("reserved", [None, 5])
def test_a_throttled_function_refuses_and_gets_its_limit_back(
    target: EmbeddedTarget, tmp_path: Path, recorder: Recorder, reserved: int | None
) -> None:
    """A throttled function answers 429, and its limit reads back as found: absent, or the number it was."""
    deployed = deploy(target, reserved=reserved)
    before = deployed.configuration()
    lever = FunctionThrottle.on(deployed.stack, "worker", canary_safe=True)
    with (
        Journal(tmp_path, Pin.of(deployed.stack)) as journal,
        pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder, provocation="SF-1") as pull,
    ):
        assert "refused with 429" in pull.proofs[0]
        assert code_of_invoking(deployed) == "TooManyRequestsException"
    assert deployed.configuration() == before
    assert code_of_invoking(deployed) == "accepted"
    (window,) = recorder.history().windows
    assert (window.lever, window.component, window.error_class) == ("function-throttle", "worker", ErrorClass.THROTTLE)
    assert (window.bit, window.provocation) == (True, "SF-1")
    assert "as found" in window.healed_proof
    assert window.ended_seconds > window.started_seconds


def test_without_a_canary_the_throttle_is_proven_by_its_read_back_and_the_invocations_seen(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """The proof says that the limit reads back 0 and that no invocation succeeded, and claims nothing more."""
    deployed.say("warm")
    lever = FunctionThrottle.on(deployed.stack, "worker")
    with pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder) as pull:
        assert "reads back 0 and none of its 0 invocations since then succeeded" in pull.proofs[0]
    assert deployed.concurrency() is None


def test_a_limit_that_somebody_else_set_meanwhile_is_left_alone(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """Restoring is compare-and-set: another value than the lever's own stays, is told, and proves nothing."""
    lever = FunctionThrottle.on(deployed.stack, "worker", canary_safe=True)
    with pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder):
        deployed.lambda_.put_function_concurrency(FunctionName=deployed.function, ReservedConcurrentExecutions=7)
    assert deployed.concurrency() == 7
    (window,) = recorder.history().windows
    assert "is 7: somebody else changed it" in window.healed_proof
    assert not window.bit
    assert open_entries(journal.directory).entries == ()


def test_a_function_that_is_throttled_already_is_not_touched(
    target: EmbeddedTarget, tmp_path: Path, recorder: Recorder
) -> None:
    """What is 0 already was put there by somebody else, so there is nothing to restore to: refuse."""
    deployed = deploy(target, reserved=0)
    lever = FunctionThrottle.on(deployed.stack, "worker")
    with (
        Journal(tmp_path, Pin.of(deployed.stack)) as journal,
        pytest.raises(InjectionError, match="already throttled"),
        pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder),
    ):
        pytest.fail("the window must not open")
    assert deployed.concurrency() == 0
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_disabled_mapping_keeps_messages_until_it_is_healed(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """Messages sent while the mapping is off wait in their queue, and are delivered once it is on again."""
    before = deployed.configuration()
    (lever,) = MappingDisable.on(deployed.stack, "worker")
    with pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder) as pull:
        assert pull.proofs == (f"event source mapping {lever.resource} reads back Disabled",)
        deployed.send("kept")
        assert deployed.said("kept", within_seconds=1.5) == 0
        assert MappingDisable.on(deployed.stack, "worker") == ()
    assert deployed.configuration() == before
    assert deployed.said("kept", within_seconds=20) == 1
    assert recorder.history().windows[0].healed_proof.endswith("reads back Enabled, as found")


def test_a_denied_role_gets_access_denied_and_keeps_its_other_policies(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """The denial is felt by the function, and healing deletes the lever's own policy and no other."""
    before = deployed.configuration()
    lever = RoleDeny.on(deployed.stack, "role", actions=("sqs:SendMessage",), run=journal.run)
    with pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder) as pull:
        assert "explicitDeny" in pull.proofs[0]
        assert deployed.say("no")["error"] in ("AccessDenied", "AccessDeniedException")
        (own,) = set(deployed.configuration()["policies"]) - {"own"}
        assert own.startswith(f"holdfast-{journal.run}-")
    assert deployed.configuration() == before
    assert deployed.say("yes") == {"sent": True}


def test_the_execution_role_of_a_function_can_be_denied(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """A function's role belongs to the stack even where the descriptor does not name it."""
    lever = RoleDeny.on(deployed.stack, "worker", actions=("sqs:SendMessage",))
    with pulled([lever], stack=deployed.stack, journal=journal, recorder=recorder):
        assert "error" in deployed.say("no")
    assert deployed.say("yes") == {"sent": True}


def test_a_denial_ends_by_itself(deployed: Deployed) -> None:
    """A denial that nobody heals is over when its time is, and is then no longer proven."""
    lever = RoleDeny.on(deployed.stack, "role", actions=("sqs:SendMessage",), expires_seconds=2)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert lever.proof()
    assert "error" in deployed.say("no")
    assert eventually(lambda: deployed.say("yes"), lambda answer: answer == {"sent": True}, deadline_seconds=10).met
    assert lever.proof() == ""
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot)


@pytest.mark.parametrize("action", ["sqs:ReceiveMessage", "sqs:*", "SQS:Delete*"])
@pytest.mark.parametrize("component", ["role", "worker"])
def test_what_a_mapping_polls_with_is_not_denied(deployed: Deployed, component: str, action: str) -> None:
    """A role whose mapping may no longer poll can leave it disabled after the denial is gone, so that is refused."""
    lever = RoleDeny.on(deployed.stack, component, actions=("sqs:SendMessage", action))
    with pytest.raises(InjectionError, match=re.escape(f"{action} cannot be denied")) as refused:
        lever.snapshot()
    assert "mapping-disable" in refused.value.remedy
    (mapping,) = deployed.stack.mappings("worker")
    assert mapping.uuid in refused.value.cause


def test_a_denial_of_another_run_is_no_state_to_restore_to(deployed: Deployed) -> None:
    """A role that another run denies, wherever it runs, is refused until that denial is gone or has ended by itself."""
    first = RoleDeny.on(deployed.stack, "role", actions=("sqs:SendMessage",), expires_seconds=2)
    snapshot = first.snapshot()
    first.inject(snapshot)
    second = RoleDeny.on(deployed.stack, "role", actions=("s3:PutObject",))
    with pytest.raises(InjectionError, match=f"already has the inline policy {first.policy}"):
        second.snapshot()
    assert eventually(first.proof, lambda proof: not proof, deadline_seconds=10).met
    assert second.snapshot()
    first.heal(snapshot)


@pytest.mark.parametrize(
    ("decision", "proof"),
    [
        ("explicitDeny", "IAM's own evaluation answers explicitDeny"),
        ("implicitDeny", "whether IAM applies it yet was not tried"),
        ("allowed", ""),
        ("", "whether IAM applies it yet was not tried"),
    ],
)
def test_the_proof_of_a_denial_claims_what_iam_answered_and_no_more(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, decision: str, proof: str
) -> None:
    """Only an explicitDeny counts as IAM's word; a simulator that may not be asked leaves the read-back alone."""
    lever = RoleDeny.on(deployed.stack, "role", actions=("sqs:SendMessage",))
    snapshot = lever.snapshot()
    assert lever.proof() == ""
    lever.inject(snapshot)

    def simulated(**request: object) -> dict[str, object]:
        if not decision:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SimulatePrincipalPolicy")
        return {"EvaluationResults": [{"EvalDecision": decision}]}

    monkeypatch.setattr(deployed.iam, "simulate_principal_policy", simulated)
    assert lever.proof().endswith(proof)
    assert bool(lever.proof()) == bool(proof)
    lever.heal(snapshot)
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot)


def test_a_failed_delivery_is_counted_and_delivered_again(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """An invocation fault hits its key alone, is proven by its hits, and the message is redelivered."""
    faults = [
        InvocationFault.on(deployed.stack, "worker", Rule(id="fail-me", action="fail", key="break-me", times=1)),
        InvocationFault.on(deployed.stack, "worker", Rule(id="idle", action="kill", key="never-sent")),
    ]
    with pulled(faults, stack=deployed.stack, journal=journal, recorder=recorder) as pull:
        assert pull.proofs == ("", "")
        deployed.send("break-me")
        deployed.send("spare-me")
        assert deployed.said("spare-me", within_seconds=20) == 1
        assert deployed.said("break-me", within_seconds=30) == 1
    assert deployed.stack.target.interceptor is not None
    assert deployed.stack.target.interceptor.rules() == ()
    failing, idle = recorder.history().windows
    assert (failing.hits, failing.key, failing.error_class) == (1, "break-me", ErrorClass.FAILURE)
    assert failing.proof == f"the interceptor failed the invocation of {deployed.function} once, before it had run"
    assert (idle.hits, idle.bit) == (0, False)
    assert "no longer in force" in idle.healed_proof


def test_hundreds_of_aimed_faults_share_their_syncs_and_their_look_at_the_rules(
    deployed: Deployed, journal: Journal, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred faults cost a handful of disk syncs and one look at the rules, not one each."""
    interceptor = deployed.stack.target.interceptor
    assert interceptor is not None
    syncs: list[int] = []
    looks: list[int] = []
    sync, rules = os.fsync, interceptor.rules

    def synced(file: int) -> None:
        syncs.append(file)
        sync(file)

    def looked() -> tuple[Rule, ...]:
        looks.append(1)
        return rules()

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(interceptor, "rules", looked)
    faults = [
        InvocationFault.on(deployed.stack, "worker", Rule(id=f"r{n}", action="fail", key=f"k{n}")) for n in range(200)
    ]
    with pulled(faults, stack=deployed.stack, journal=journal, recorder=recorder):
        assert len(rules()) == 200
    assert rules() == ()
    assert len(syncs) <= 5
    assert len(looks) == 1
    assert len(recorder.history().windows) == 200


@pytest.mark.parametrize(
    ("rule", "error_class"),
    [
        (Rule(id="1", action="fail"), ErrorClass.FAILURE),
        (Rule(id="1", action="throttle"), ErrorClass.THROTTLE),
        (Rule(id="1", action="kill"), ErrorClass.CRASH),
        (Rule(id="1", action="delay"), ErrorClass.TIMEOUT),
        (Rule(id="1", action="drop"), ErrorClass.LOST_ANSWER),
        (Rule(id="1", action="refuse", error="AccessDeniedException"), ErrorClass.DENIED),
        (Rule(id="1", action="refuse", error="ThrottlingException"), ErrorClass.THROTTLE),
        (Rule(id="1", action="refuse", error="InternalServerError"), ErrorClass.FAILURE),
    ],
)
def test_a_rule_names_the_code_path_it_exercises(deployed: Deployed, rule: Rule, error_class: ErrorClass) -> None:
    """Nobody reads an AccessDenied as an outage: each rule has the error class of what the function sees."""
    assert InvocationFault.on(deployed.stack, "worker", rule).error_class is error_class


def test_a_rule_that_is_not_for_its_function_is_refused(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """A rule without a function would hit every function, so it is never put in force."""
    fault = InvocationFault.on(deployed.stack, "worker", Rule(id="wide", action="kill"))
    fault.rule = replace(fault.rule, function="")
    window = pulled([fault], stack=deployed.stack, journal=journal, recorder=recorder)
    with pytest.raises(GuardRailError, match="is for function any"), window:
        pytest.fail("the window must not open")
    assert deployed.stack.target.interceptor is not None
    assert deployed.stack.target.interceptor.rules() == ()


def test_what_a_target_cannot_do_is_inconclusive(deployed: Deployed) -> None:
    """Without an interceptor, or where IAM is not enforced, a lever gives its reason and changes nothing."""
    elsewhere = AttachedTarget(
        kind="localstack", endpoint_url=deployed.stack.target.endpoint_url, account="123456789012", region="eu-west-1"
    )
    function, role = deployed.stack.resource("worker").arn, deployed.stack.resource("role").arn
    rule = Rule(id="1", action="fail", function=deployed.function)
    before = deployed.configuration()
    levers: list[Lever] = [
        InvocationFault(target=elsewhere, component="worker", resource=function, rule=rule),
        RoleDeny(target=elsewhere, component="role", resource=role, actions=("sqs:SendMessage",)),
    ]
    for lever, reason in zip(levers, ("no interceptor", "does not enforce IAM"), strict=True):
        with pytest.raises(Inconclusive, match=reason):
            lever.snapshot()
    elsewhere.close()
    assert deployed.configuration() == before


def test_the_secrets_of_a_function_never_reach_the_journal(
    deployed: Deployed, journal: Journal, recorder: Recorder
) -> None:
    """The journal of every kind of fault holds neither the function's environment nor a credential."""
    levers: list[Lever] = [
        FunctionThrottle.on(deployed.stack, "worker", canary_safe=True),
        *MappingDisable.on(deployed.stack, "worker"),
        RoleDeny.on(deployed.stack, "role", actions=("sqs:SendMessage",)),
        InvocationFault.on(deployed.stack, "worker", Rule(id="one", action="fail", key="nobody")),
    ]
    before = deployed.configuration()
    with pulled(levers, stack=deployed.stack, journal=journal, recorder=recorder) as pull:
        written = journal.path.read_text()
        assert all(pull.proofs[:3])
    assert written.count('"planned"') == written.count('"injected"') == 4
    assert "the-secret-of-the-function" not in written
    assert "Environment" not in written
    secret = deployed.stack.target.credentials()[1]
    assert f'"{secret}"' not in written
    assert deployed.configuration() == before
