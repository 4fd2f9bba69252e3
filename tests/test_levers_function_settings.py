"""The levers on a function's configuration and resource policy, on the embedded target."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HealError, Inconclusive, InjectionError
from holdfast.history.recorder import Recorder
from holdfast.levers import FunctionMemory, FunctionTimeout, FunctionVariable, Journal, PermissionCut, Pin, pulled
from holdfast.levers.base import Lever
from holdfast.levers.healing import restore
from holdfast.targets.base import Capability
from holdfast.targets.embedded import EmbeddedTarget
from lever_bed import ACCOUNT, SECRET, Bed
from lever_bed import bed as made_bed

SLOW = """
import time

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return {"slept": True}
"""


@pytest.fixture
def bed(embedded: EmbeddedTarget) -> Iterator[Bed]:
    with made_bed(embedded) as made:
        yield made


def invoke(bed: Bed, **event: Any) -> dict[str, Any]:
    answer = bed.deployed.lambda_.invoke(FunctionName=bed.function, Payload=json.dumps(event).encode())
    return dict(json.loads(answer["Payload"].read()))


def make_slow(bed: Bed) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", SLOW)
    bed.deployed.lambda_.update_function_code(FunctionName=bed.function, ZipFile=code.getvalue())


def test_a_timeout_cut_short_ends_what_waits_and_is_counted(bed: Bed, tmp_path: Path) -> None:
    """What takes longer than a second times out while the window is open, what does not succeeds, and hits are told."""
    make_slow(bed)
    stack = bed.deployed.stack
    recorder = Recorder()
    before = bed.configuration()
    lever = FunctionTimeout.on(stack, "worker")
    with (
        Journal(tmp_path, Pin.of(stack)) as journal,
        pulled([lever], stack=stack, journal=journal, recorder=recorder) as pull,
    ):
        assert pull.proofs == (f"the timeout of {bed.function} reads back 1 s and the update is Successful",)
        assert invoke(bed) == {"slept": True}
        assert invoke(bed, sleep=6)["errorType"] == "Sandbox.Timedout"
    assert bed.configuration() == before
    assert invoke(bed, sleep=1.2) == {"slept": True}
    (window,) = recorder.history().windows
    assert (window.bit, window.hits) == (True, 1)
    assert "reads back 10 s, as found" in window.healed_proof


def test_an_overwritten_variable_is_what_the_function_sees_until_it_is_healed(bed: Bed, tmp_path: Path) -> None:
    """The function works with the wrong value, then with the old one; no value reaches the journal."""
    stack = bed.deployed.stack
    lever = FunctionVariable.on(stack, "worker", variable="DONE", value="http://127.0.0.1:9/nowhere")
    before = bed.configuration()
    assert bed.deployed.say("one") == {"sent": True}
    with (
        Journal(tmp_path, Pin.of(stack)) as journal,
        pulled([lever], stack=stack, journal=journal, recorder=Recorder()),
    ):
        assert bed.deployed.say("two") != {"sent": True}
        written = journal.path.read_text()
    assert bed.configuration() == before
    assert bed.deployed.say("three") == {"sent": True}
    for secret in (SECRET, "nowhere", bed.deployed.done):
        assert secret not in written
        assert secret not in repr(lever)


@pytest.mark.parametrize("lever", [FunctionTimeout, FunctionMemory])
def test_a_limit_that_is_as_low_already_is_not_touched(
    bed: Bed, lever: type[FunctionTimeout] | type[FunctionMemory]
) -> None:
    """What is there already was put there by somebody else, so there is nothing to restore to: refuse."""
    bed.deployed.lambda_.update_function_configuration(FunctionName=bed.function, Timeout=1, MemorySize=128)
    with pytest.raises(InjectionError, match=r"is 1(28 MB| s) already; nothing was changed"):
        lever.on(bed.stack, "worker").snapshot()


def test_a_function_that_is_called_through_a_published_version_is_inconclusive(bed: Bed) -> None:
    """A published version keeps its configuration, so a change of ``$LATEST`` would prove nothing."""
    version = bed.deployed.lambda_.publish_version(FunctionName=bed.function)["Version"]
    bed.deployed.lambda_.create_alias(FunctionName=bed.function, Name="live", FunctionVersion=version)
    for lever in levers_on_configuration(bed):
        with pytest.raises(Inconclusive, match=r"called through live \(version 1\)"):
            lever.snapshot()


def levers_on_configuration(bed: Bed) -> tuple[Lever, ...]:
    return (
        FunctionTimeout.on(bed.stack, "worker"),
        FunctionMemory.on(bed.stack, "worker"),
        FunctionVariable.on(bed.stack, "worker", variable="DONE", value="x"),
    )


def test_a_change_between_reading_and_injecting_is_not_overwritten(bed: Bed) -> None:
    """A deployment that comes between the snapshot and the fault keeps what it set."""
    for lever in levers_on_configuration(bed)[:2]:
        snapshot = lever.snapshot()
        bed.deployed.lambda_.update_function_configuration(FunctionName=bed.function, Timeout=20, MemorySize=1024)
        with pytest.raises(InjectionError, match="somebody else has just changed"):
            lever.inject(snapshot)
        assert (bed.configuration()["timeout"], bed.configuration()["memory"]) == (20, 1024)
        bed.deployed.lambda_.update_function_configuration(FunctionName=bed.function, Timeout=10, MemorySize=256)


def test_a_stale_revision_is_read_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who writes between the lever's read and its write loses nothing: the lever reads again and merges."""
    lever = FunctionVariable.on(bed.stack, "worker", variable="DONE", value="x")
    snapshot = lever.snapshot()
    client = bed.stack.target.client("lambda")
    update, meddled = client.update_function_configuration, []

    def raced(**request: Any) -> Any:
        if not meddled:
            meddled.append(True)
            bed.set_variables(FURTHER="one")
        return update(**request)

    monkeypatch.setattr(client, "update_function_configuration", raced)
    lever.inject(snapshot)
    assert bed.configuration()["variables"]["FURTHER"] == "one"
    meddled.clear()
    lever.heal(snapshot)
    assert bed.configuration()["variables"] == {"DONE": bed.deployed.done, "PASSWORD": SECRET, "FURTHER": "one"}


def test_an_environment_that_cannot_be_decrypted_is_never_written_back(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without kms:Decrypt Lambda answers no variables, and writing that back would destroy them: refuse, both ways."""
    lever = FunctionVariable.on(bed.stack, "worker", variable="DONE", value="x")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    placed = bed.configuration()
    client = bed.stack.target.client("lambda")
    read = client.get_function_configuration

    def undecrypted(**request: Any) -> Any:
        return {**read(**request), "Environment": {"Error": {"ErrorCode": "AccessDeniedException", "Message": "kms"}}}

    monkeypatch.setattr(client, "get_function_configuration", undecrypted)
    with pytest.raises(Inconclusive, match="cannot be decrypted"):
        lever.snapshot()
    with pytest.raises(HealError, match="would destroy it"):
        lever.heal(snapshot)
    monkeypatch.undo()
    assert bed.configuration() == placed


def test_a_value_found_that_somebody_removed_is_a_healing_that_failed(bed: Bed) -> None:
    """If the parked value is gone, the lever says that it cannot restore it, and what to do."""
    lever = FunctionVariable.on(bed.stack, "worker", variable="DONE", value="x")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    bed.deployed.lambda_.update_function_configuration(
        FunctionName=bed.function, Environment={"Variables": {"DONE": "x"}}
    )
    with pytest.raises(HealError, match="somebody else removed HOLDFAST_FOUND_DONE"):
        lever.heal(snapshot)


def test_an_update_that_lambda_could_not_apply_is_a_healing_that_failed(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``LastUpdateStatus`` Failed is told with its reason, however the numbers read back."""
    lever = FunctionTimeout.on(bed.stack, "worker")
    snapshot = lever.snapshot()
    client = bed.stack.target.client("lambda")
    read = client.get_function_configuration
    failed = {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no network interface"}
    monkeypatch.setattr(client, "get_function_configuration", lambda **request: {**read(**request), **failed})
    with pytest.raises(HealError, match="no network interface"):
        lever.healed_proof(snapshot)
    assert lever.proof() == ""


def test_every_statement_of_a_principal_is_cut_and_comes_back(bed: Bed, tmp_path: Path) -> None:
    """One lever for each statement that lets a caller in; all read back equal afterwards."""
    before = bed.statements()
    levers = PermissionCut.on(bed.stack, "worker", principal="apigateway.amazonaws.com")
    with (
        Journal(tmp_path, Pin.of(bed.stack)) as journal,
        pulled(levers, stack=bed.stack, journal=journal, recorder=Recorder()) as pull,
    ):
        assert [proof.split(";")[0].rsplit(" ", 1)[-1] for proof in pull.proofs] == ["api", "api-2"]
        assert bed.statements() == {}
    assert bed.statements() == before
    levers[0].inject(levers[0].snapshot())
    assert levers[0].proof().endswith(", and 1 other statements let apigateway.amazonaws.com in")
    with pytest.raises(Inconclusive, match="lets s3"):
        PermissionCut.on(bed.stack, "worker", principal="s3.amazonaws.com")


@pytest.mark.parametrize(
    "extra",
    [
        {"SourceArn": "arn:aws:s3:::uploads", "SourceAccount": ACCOUNT},
        {"Principal": "*", "PrincipalOrgID": "o-abcdefghij"},
        {"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
        {"Principal": "*", "InvokedViaFunctionUrl": True},
    ],
)
def test_a_statement_comes_back_with_all_its_conditions(bed: Bed, extra: dict[str, Any]) -> None:
    """Every condition that AddPermission can make is made again exactly."""
    request = {"Principal": "s3.amazonaws.com", "Action": "lambda:InvokeFunction", **extra}
    bed.deployed.lambda_.add_permission(FunctionName=bed.function, StatementId="it", **request)
    before = bed.statements()
    lever = PermissionCut(
        target=bed.target, component="worker", resource=bed.stack.resource("worker").arn, statement="it"
    )
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert "it" not in bed.statements()
    lever.heal(snapshot)
    assert bed.statements() == before


def test_a_permission_that_could_not_be_made_again_is_not_cut(bed: Bed) -> None:
    """An event source token is a secret that the journal must not hold, so its statement is left alone."""
    bed.deployed.lambda_.add_permission(
        FunctionName=bed.function,
        StatementId="skill",
        Action="lambda:InvokeFunction",
        Principal="alexa-appkit.amazon.com",
        EventSourceToken="amzn1.ask.skill.secret",
    )
    arn = bed.stack.resource("worker").arn
    lever = PermissionCut(target=bed.target, component="worker", resource=arn, statement="skill")
    with pytest.raises(Inconclusive, match="without keeping a secret"):
        lever.snapshot()


def test_a_stale_policy_is_read_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The revision that was read goes with every change, and one that is stale is read anew."""
    lever = PermissionCut.on(bed.stack, "worker", principal="apigateway.amazonaws.com")[0]
    client = bed.stack.target.client("lambda")
    remove, revisions = client.remove_permission, []

    def stale_once(**request: Any) -> Any:
        revisions.append(request["RevisionId"])
        if len(revisions) == 1:
            request["RevisionId"] = "stale"
            return client.update_function_configuration(FunctionName=bed.function, Timeout=9, RevisionId="stale")
        return remove(**request)

    monkeypatch.setattr(client, "remove_permission", stale_once)
    lever.inject(lever.snapshot())
    assert len(revisions) == 2
    assert all(revisions)
    assert "api" not in bed.statements()


@pytest.mark.parametrize(
    ("capability", "make"),
    [
        (Capability.FUNCTION_CONFIGURATION, lambda stack: FunctionTimeout.on(stack, "worker")),
        (
            Capability.INVOKE_PERMISSIONS,
            lambda stack: PermissionCut.on(stack, "worker", principal="apigateway.amazonaws.com")[0],
        ),
    ],
)
def test_what_a_target_cannot_do_is_inconclusive(bed: Bed, capability: Capability, make: Any) -> None:
    """A target without the capability gives its reason, and nothing is changed."""
    before = (bed.configuration(), bed.statements())
    bed.target.forget(capability)
    with pytest.raises(Inconclusive, match="for a reason"):
        make(bed.stack).snapshot()
    assert (bed.configuration(), bed.statements()) == before


def test_a_function_that_is_gone_is_healed(bed: Bed) -> None:
    """A fault ends with its function: that is told, and is no failure."""
    lever = FunctionTimeout.on(bed.stack, "worker")
    snapshot = lever.snapshot()
    lever.resource = f"{lever.resource}-gone"
    (restored,) = restore([(lever, snapshot)])
    assert "no longer exists" in restored.proof
