"""Experiments of AWS Fault Injection Service, on a service in memory that is held to botocore's model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from botocore.exceptions import ReadTimeoutError

from holdfast.errors import Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import FunctionExperiment, InvocationAction, Journal, Pin, Snapshot, heal_all, open_entries, pulled
from holdfast.levers.experiment import DOWN_SECONDS, UP_SECONDS
from holdfast.targets.base import Capability, Target
from holdfast.targets.embedded import EmbeddedTarget
from lever_bed import FIS_ROLE, SECRET, Bed
from lever_bed import bed as made_bed


@pytest.fixture
def bed(embedded: EmbeddedTarget) -> Iterator[Bed]:
    with made_bed(embedded) as made:
        made.set_variables(AWS_FIS_CONFIGURATION_LOCATION="arn:aws:s3:::faults/config/")
        yield made


def experiment(bed: Bed, **action: Any) -> FunctionExperiment:
    lever = FunctionExperiment.on(
        bed.stack, "worker", action=InvocationAction(**{"kind": "error", **action}), role_arn=FIS_ROLE
    )
    lever.now = bed.experiments.now
    return lever


def test_an_experiment_is_started_watched_stopped_and_deleted(bed: Bed, tmp_path: Path) -> None:
    """The fault is proven once the extension must have it, and gone once it must have let go of it."""
    recorder = Recorder()
    lever = experiment(bed, kind="add-delay", delay_ms=5000, percentage=50)
    with (
        Journal(tmp_path, Pin.of(bed.stack)) as journal,
        pulled([lever], stack=bed.stack, journal=journal, recorder=recorder) as pull,
    ):
        (running,) = bed.experiments.experiments.values()
        assert running["state"]["status"] == "running"
        assert "has been running aws:lambda:invocation-add-delay" in pull.proofs[0]
        assert bed.experiments.seconds - running["actions"]["fault"]["startTime"].timestamp() >= UP_SECONDS
        assert SECRET not in journal.path.read_text()
    assert bed.experiments.templates == {}
    (ended,) = bed.experiments.experiments.values()
    assert ended["state"]["status"] == "stopped"
    assert bed.experiments.seconds - ended["endTime"].timestamp() >= DOWN_SECONDS
    (window,) = recorder.history().windows
    assert (window.error_class, window.bit) == (ErrorClass.TIMEOUT, True)
    assert window.healed_proof == f"no template of this fault is left, and {ended['id']} is stopped"


@pytest.mark.parametrize(
    ("action", "parameters", "error_class"),
    [
        (
            {"kind": "add-delay", "delay_ms": 1500},
            {"duration": "PT15M", "invocationPercentage": "100", "startupDelayMilliseconds": "1500"},
            ErrorClass.TIMEOUT,
        ),
        (
            {"kind": "error", "percentage": 25},
            {"duration": "PT15M", "invocationPercentage": "25", "preventExecution": "true"},
            ErrorClass.FAILURE,
        ),
        (
            {"kind": "error", "prevent_execution": False},
            {"duration": "PT15M", "invocationPercentage": "100", "preventExecution": "false"},
            ErrorClass.LOST_ANSWER,
        ),
        (
            {"kind": "http-integration-response", "status": 429},
            {
                "duration": "PT15M",
                "invocationPercentage": "100",
                "preventExecution": "true",
                "statusCode": "429",
                "contentTypeHeader": "application/json",
            },
            ErrorClass.THROTTLE,
        ),
    ],
)
def test_a_template_names_one_function_and_one_action(
    bed: Bed, action: dict[str, Any], parameters: dict[str, str], error_class: ErrorClass
) -> None:
    """What FIS is asked for is the documented action with its parameters, on the component's ARN and nothing else."""
    lever = experiment(bed, **action)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    (request,) = bed.experiments.requests
    assert request["targets"] == {
        "functions": {
            "resourceType": "aws:lambda:function",
            "resourceArns": [bed.stack.resource("worker").arn],
            "selectionMode": "ALL",
        }
    }
    (made,) = request["actions"].values()
    assert made["actionId"] == f"aws:lambda:invocation-{action['kind']}"
    assert made["parameters"] == parameters
    assert lever.error_class is error_class


def test_a_duration_is_whole_minutes_and_an_alarm_may_end_it(bed: Bed) -> None:
    """A fault lasts at least as long as asked, in whole minutes; an alarm of the user's is its stop condition."""
    alarm = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors"
    lever = FunctionExperiment.on(
        bed.stack,
        "worker",
        action=InvocationAction(kind="error"),
        role_arn=FIS_ROLE,
        expires_seconds=61,
        stop_alarm_arn=alarm,
    )
    lever.inject(lever.snapshot())
    (request,) = bed.experiments.requests
    assert request["actions"]["fault"]["parameters"]["duration"] == "PT2M"
    assert request["stopConditions"] == [{"source": "aws:cloudwatch:alarm", "value": alarm}]


def test_a_lost_answer_makes_no_second_experiment(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls carry a token, so one that is repeated because its answer was lost changes nothing more."""
    made = bed.experiments.on_start_experiment
    lost: list[bool] = []

    def losing(**request: Any) -> Any:
        answer = made(**request)
        if not lost:
            lost.append(True)
            raise ReadTimeoutError(endpoint_url="https://fis.eu-west-1.amazonaws.com")
        return answer

    monkeypatch.setattr(bed.experiments, "on_start_experiment", losing)
    lever = experiment(bed)
    lever.inject(lever.snapshot())
    assert (lost, len(bed.experiments.experiments), len(bed.experiments.templates)) == ([True], 1, 1)


def test_an_experiment_that_ends_by_itself_is_not_felt(bed: Bed) -> None:
    """A failed experiment is told with the reason that FIS gives, and does not wait for the deadline."""
    lever = experiment(bed)
    assert lever.proof() == ""
    lever.inject(lever.snapshot())
    (running,) = bed.experiments.experiments.values()
    running["state"] = {"status": "failed", "reason": "Target resolution returned empty set"}
    with pytest.raises(InjectionError, match="is failed: Target resolution returned empty set"):
        lever.proof()


@pytest.mark.parametrize("started", [True, False])
def test_what_a_killed_run_left_is_found_by_its_tag(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    """A run that died after the experiment, or between the template and it, is healed from its journal alone."""

    class OnItsClock(FunctionExperiment):
        @classmethod
        def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
            made = super().restoring(target, snapshot)
            made.now = bed.experiments.now
            return made

    def killed(**request: Any) -> Any:
        raise KeyboardInterrupt

    lever = experiment(bed)
    with Journal(tmp_path, Pin.of(bed.stack)) as journal:
        snapshot = lever.snapshot()
        journal.planned([snapshot])
        if started:
            lever.inject(snapshot)
        else:
            monkeypatch.setattr(bed.experiments, "on_start_experiment", killed)
            with pytest.raises(KeyboardInterrupt):
                lever.inject(snapshot)
    assert len(bed.experiments.templates) == 1
    (result,) = heal_all(tmp_path, lambda entry: bed.target, levers={OnItsClock.name: OnItsClock})
    assert result.outcome == "healed"
    assert ("EXP2 is stopped" if started else "no experiment was started") in result.proof
    assert bed.experiments.templates == {}
    assert open_entries(tmp_path).entries == ()


def test_what_is_not_prepared_for_fis_is_inconclusive(bed: Bed) -> None:
    """A function without the extension, and a target without the service, give their reasons; nothing is made."""
    bed.target.forget(Capability.FAULT_INJECTION_SERVICE)
    with pytest.raises(Inconclusive, match="for a reason"):
        experiment(bed).snapshot()
    assert bed.experiments.calls == []


def test_a_function_without_the_extension_is_inconclusive(embedded: EmbeddedTarget) -> None:
    """FIS would start an experiment that nobody feels."""
    with made_bed(embedded) as bare:
        with pytest.raises(Inconclusive, match="has not the FIS extension"):
            experiment(bare).snapshot()
        assert bare.experiments.calls == []


def test_healing_by_hand_stops_and_deletes_what_has_the_tag(bed: Bed) -> None:
    """The command finds both by the lever's tag and needs no id."""
    lever = experiment(bed)
    command = lever.by_hand(lever.snapshot())
    for word in ("list-experiments", "stop-experiment", "list-experiment-templates", "delete-experiment-template"):
        assert f"aws fis {word}" in command
    assert command.count(lever.tag) == 2
