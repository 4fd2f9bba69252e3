"""What a template tells of a saga without a sample, and of one that no API leads to."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import ExitCode
from holdfast.inference.toml import marked
from holdfast.stack.loading import load_descriptor
from verify_runs import holdfast

TASK = {"Type": "Task", "Resource": "${Function}"}
UNDONE = {
    "StartAt": "BookHotel",
    "States": {
        "BookHotel": {**TASK, "Next": "Confirm"},
        "Confirm": {**TASK, "End": True, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "CancelHotel"}]},
        "CancelHotel": {**TASK, "Next": "Cancelled"},
        "Cancelled": {"Type": "Fail"},
    },
}
BUS = {
    "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}},
    "Rule": {"Type": "AWS::Events::Rule", "Properties": {"Targets": []}},
    "FlightFunction": {"Type": "AWS::Lambda::Function", "Properties": {}},
    "FlightUndoFunction": {"Type": "AWS::Lambda::Function", "Properties": {}},
}


def machine(definition: object) -> dict[str, Any]:
    """The resources of a saga that only a start of its state machine begins."""
    body = {"DefinitionString": json.dumps(definition)}
    return {"Saga": {"Type": "AWS::StepFunctions::StateMachine", "Properties": body}}


def made_of(folder: Path, resources: object, *more: str) -> tuple[str, str]:
    """What init writes and what it says on standard error."""
    (folder / "saga.json").write_text(json.dumps({"Resources": resources}))
    ended = holdfast("init", "--template", "saga.json", "--no-doctor", *more, cwd=folder)
    assert ended.code == ExitCode.HELD, ended.text
    return (folder / "saga.stack.toml").read_text(encoding="utf-8"), ended.err


@pytest.mark.parametrize("given", ['POST /trips {"trip": "{key}"}', '{"trip": "{key}"}'])
def test_without_an_api_a_sample_starts_the_state_machine(tmp_path: Path, given: str) -> None:
    """Nothing is sent, which is said; the body of the sample is the input of an execution, and its name the key."""
    text, err = made_of(tmp_path, machine(UNDONE), "--sample", given)
    assert "no API of the template is seen to lead to Saga" in err
    command = load_descriptor(tmp_path / "saga.stack.toml", {}).commands["submit"]
    (call,) = tomllib.loads(text)["commands"]["submit"]["calls"]
    assert call == {"kind": "execution", "state_machine": "saga", "name": "{key}", "input": {"trip": "{key}"}}
    assert command.idempotency is not None
    assert command.idempotency.key_in == "execution_name"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--sample", "DELETE /trips/{key}"), "shows no {key}"),
        (("--sample", '{"trip": "{key}"}', "--header", "Key={key}"), "nothing to send headers or an upload to"),
    ],
)
def test_what_an_execution_cannot_take_is_refused(tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    """A path and headers say nothing to a state machine."""
    (tmp_path / "saga.json").write_text(json.dumps({"Resources": machine(UNDONE)}))
    ended = holdfast("init", "--template", "saga.json", *more, cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert said in ended.err


def test_without_an_api_a_sample_is_an_event_of_the_choreography(tmp_path: Path) -> None:
    """The body is the detail of an event; its source and detail-type are marked, since no template tells them."""
    text, err = made_of(tmp_path, BUS, "--sample", '{"trip": "{key}"}')
    assert "no API of the template is seen to lead to Bus" in err
    load_descriptor(tmp_path / "saga.stack.toml", {})
    (call,) = tomllib.loads(text)["commands"]["submit"]["calls"]
    assert (call["kind"], call["bus"], call["detail"]) == ("eventbridge", "bus", {"trip": "{key}"})
    assert {"source", "detail_type"} <= {text.splitlines()[at - 1].split()[0] for at in marked(text)}


def test_steps_of_a_definition_are_written_for_a_person_to_complete(tmp_path: Path) -> None:
    """They are comments under a mark, and steps once the # is gone; what is not told is named."""
    text, _ = made_of(tmp_path, machine(UNDONE))
    assert load_descriptor(tmp_path / "saga.stack.toml", {}).patterns["saga"].of_steps == ()  # type: ignore[attr-defined]
    _, mark, block = text.partition("# FILL IN: the definition tells these steps")
    assert mark
    commented = [line.removeprefix("# ") for line in block.splitlines()[1:] if line.startswith("# ")]
    told = "\n".join(line for line in commented if not line.startswith("not told"))
    (step,) = tomllib.loads(told)["patterns"]["saga"]["steps"]
    assert step == {
        "name": "book_hotel",
        "effect": "",
        "state": "BookHotel",
        "compensation": {"state": "CancelHotel"},
    }
    assert "# not told whether these are steps: Confirm" in text


def test_a_definition_that_tells_no_steps_leaves_a_mark(tmp_path: Path) -> None:
    """Without steps nothing is judged, so a line says that they are missing."""
    text, _ = made_of(tmp_path, machine({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}))
    assert any("[[patterns.saga.steps]]" in text.splitlines()[at - 1] for at in marked(text))


def test_steps_of_a_choreography_are_written_and_can_be_loaded(tmp_path: Path) -> None:
    """Each step has its function and who undoes it; what counts it is marked."""
    text, _ = made_of(tmp_path, BUS)
    load_descriptor(tmp_path / "saga.stack.toml", {})
    (step,) = tomllib.loads(text)["patterns"]["saga"]["steps"]
    assert step["name"] == "flight"
    assert step["compensation"]["function"] != step["function"]
    assert any("counts this step" in text.splitlines()[at - 1] for at in marked(text))


def test_a_choreography_on_the_default_bus_is_no_pattern(tmp_path: Path) -> None:
    """What is missing is said: a bus of its own."""
    resources = {name: one for name, one in BUS.items() if name != "Bus"}
    (tmp_path / "saga.json").write_text(json.dumps({"Resources": resources}))
    ended = holdfast("init", "--template", "saga.json", cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "no bus of its own with functions that undo each other" in " ".join(ended.err.split())
