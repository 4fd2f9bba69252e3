"""Definitions are read from JSON, YAML and templates with their lines; what is wrong is an error, never a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.cli import main
from holdfast.definition import FindingKind, analyse, derive_steps, embedded, possible_pivots, read_definitions
from holdfast.definition.files import parse_text
from holdfast.definition.source import DEEPEST_NESTING, read_yaml
from holdfast.definition_lint import described
from holdfast.errors import DefinitionError
from saga_definitions import TRAVEL, Document, caught, defined, line_of, machine, mutant, step, task, text_of


def _written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _without_timeout() -> Document:
    return mutant(lambda states: states["ReserveCar"].pop("TimeoutSeconds"))


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """Each state and catcher carries the line of its key or its brace, in JSON and in YAML."""
    (definition,) = read_definitions(_written(tmp_path, "trip.asl.json", text_of(TRAVEL)))
    lines = {state.id: state.line for state in definition.flow.walk()}
    assert lines == {name: line_of(TRAVEL, f'"{name}": {{') for name in TRAVEL["States"]}
    text = yaml.safe_dump(TRAVEL, sort_keys=False)
    (definition,) = read_definitions(_written(tmp_path, "trip.asl.yaml", text))
    shown = text.splitlines()
    assert all(shown[state.line - 1] == f"  {state.id}:" for state in definition.flow.walk())


@pytest.mark.parametrize("kind", ["AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine"])
def test_definitions_inside_templates_are_found(tmp_path: Path, kind: str) -> None:
    """A definition in a template, as text in a block or as an object, keeps the template's lines and its type."""
    block = "\n".join("          " + line for line in text_of(_without_timeout()).splitlines())
    template = (
        "Resources:\n"
        "  Trip:\n"
        f"    Type: {kind}\n"
        "    Properties:\n"
        "      StateMachineType: EXPRESS\n"
        "      DefinitionString:\n"
        "        Fn::Sub: |\n"
        f"{block}\n"
        "  Plain:\n"
        f"    Type: {kind}\n"
        "    Properties:\n"
        f"      Definition: {json.dumps(TRAVEL)}\n"
        "  Short:\n"
        f"    Type: {kind}\n"
        "    Properties:\n"
        "      DefinitionString: !Sub |\n"
        f"{block}\n"
    )
    found = read_definitions(_written(tmp_path, "template.yaml", template))
    assert [(each.name, each.express) for each in found] == [("Trip", True), ("Plain", False), ("Short", False)]
    shown = template.splitlines()
    for each in (found[0], found[2]):
        for state in each.flow.walk():
            assert shown[state.line - 1].strip() == f'"{state.id}": {{'


def test_a_template_may_name_the_definition_file(tmp_path: Path) -> None:
    """SAM's DefinitionUri is followed, beside the template."""
    _written(tmp_path, "trip.asl.json", text_of(TRAVEL))
    template = {
        "Resources": {
            "Trip": {"Type": "AWS::Serverless::StateMachine", "Properties": {"DefinitionUri": "trip.asl.json"}}
        }
    }
    (found,) = read_definitions(_written(tmp_path, "template.json", json.dumps(template)))
    assert found.file == str(tmp_path / "trip.asl.json")
    assert found.express is False


def _nested(levels: int) -> str:
    return '{"StartAt": ' + "[" * levels + "]" * levels + ', "States": {}}'


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "not JSON": ("x.asl.json", '{\n "StartAt": ,\n}', "x.asl.json:2: this is not JSON"),
    "a substitution without quotes": ("x.asl.json", '{"TimeoutSeconds": ${Limit}}', "put the substitution in quotes"),
    "not UTF-8": ("x.asl.json", b"\xff\xfe\x00", "is not UTF-8 text"),
    "empty JSON": ("x.asl.json", "", "x.asl.json: the file is empty"),
    "empty YAML": ("x.asl.yaml", "", "the file is empty"),
    "not YAML": ("x.asl.yaml", "a: [", "this is not YAML"),
    "a key that is no text": ("x.asl.yaml", "? [a]\n: b\n", "x.asl.yaml:1: a key is not text"),
    "a sign that is none": ("x.asl.yaml", 'a: "\\UFFFFFFFF"', "this is not YAML"),
    "a tag that a text is none of": ("x.asl.yaml", "TimeoutSeconds: !!bool maybe\na: !!int ''\n", "x.asl.yaml"),
    "two YAML documents": ("x.asl.yaml", "a: 1\n---\nb: 2\n", "this is not YAML"),
    "a list": ("x.asl.json", "[]", "this is not a state machine's definition"),
    "another document": ("x.json", '{"a": 1}', "it has no StartAt and States"),
    "deep nesting": ("x.asl.json", _nested(DEEPEST_NESTING + 5), "nested deeper"),
    "deeper nesting": ("x.asl.json", _nested(100_000), "nested deeper"),
    "deep YAML": ("x.asl.yaml", "[" * 3000, "x.asl.yaml"),
    "a key twice": (
        "x.asl.json",
        '{"StartAt": "A",\n"States": {},\n"StartAt": "B"}',
        "x.asl.json:3: StartAt is there twice",
    ),
    "a template without machines": ("t.yaml", "Resources: {A: {Type: 'AWS::SQS::Queue'}}", "has no state machine"),
    "a definition that is not there": (
        "t.yaml",
        "Resources: {A: {Type: 'AWS::Serverless::StateMachine', Properties: {DefinitionUri: gone.asl.json}}}",
        "A has its definition in gone.asl.json, and there is no such file",
    ),
    "a type that there is not": (
        "t.yaml",
        "Resources: {A: {Type: 'AWS::Serverless::StateMachine', Properties: {Type: EXPRES}}}",
        "A has the type EXPRES",
    ),
    "a definition in S3": (
        "t.yaml",
        "Resources: {A: {Type: 'AWS::StepFunctions::StateMachine', Properties: {DefinitionS3Location: {}}}}",
        "is not in this template",
    ),
    "a definition put together": (
        "t.yaml",
        "Resources: {A: {Type: 'AWS::StepFunctions::StateMachine', Properties: {DefinitionString: !Transform x}}}",
        "put together when it is deployed",
    ),
}


def test_a_text_in_a_json_template_is_on_the_line_of_that_text(tmp_path: Path) -> None:
    """The lines inside of it are none of the file."""
    resource = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"DefinitionString": json.dumps(TRAVEL, indent=2)},
    }
    template = json.dumps({"Resources": {"Trip": resource}}, indent=1)
    (definition,) = read_definitions(_written(tmp_path, "template.json", template))
    (at,) = [number for number, line in enumerate(template.splitlines(), start=1) if "DefinitionString" in line]
    assert {state.line for state in definition.flow.walk()} == {at}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Whatever the file is, the command says what is wrong, where and what to do, and exits 2."""
    file, content, expected = BAD[name]
    assert main(["lint", str(_written(tmp_path, file, content))]) == 2
    shown = capsys.readouterr().err
    assert expected in shown
    assert "remedy:" in shown
    assert "Traceback" not in shown


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no file is told so, and the files that are there are still judged."""
    good = _written(tmp_path, "trip.asl.json", text_of(TRAVEL))
    assert main(["lint", str(tmp_path / "gone"), str(tmp_path), str(good)]) == 2
    shown = capsys.readouterr()
    assert f"There is no file {tmp_path / 'gone'}" in shown.err
    assert f"{tmp_path} is a folder" in shown.err
    assert "trip: SG-14 inconclusive" in shown.out


WRONG: dict[str, tuple[Callable[[dict[str, Document]], object], str]] = {
    "unknown type": (lambda s: s["Failed"].update(Type="Fial"), "State Failed has an unknown Type, Fial."),
    "no type": (lambda s: s["Failed"].pop("Type"), "State Failed has no Type."),
    "no Next": (lambda s: s["ReserveCar"].pop("Next"), "State ReserveCar has neither Next nor End."),
    "both": (lambda s: s["ReserveCar"].update(End=True), "State ReserveCar has both Next and End."),
    "target": (
        lambda s: s["ReserveCar"].update(Next="ChargePaymant"),
        "Next of state ReserveCar names ChargePaymant, which is no state there.",
    ),
    "catcher": (
        lambda s: s["ReserveCar"].update(Catch=[caught("Gone")]),
        "Next of a catcher of state ReserveCar names Gone, which is no state there.",
    ),
    "no errors": (
        lambda s: s["ReserveCar"].update(Catch=[{"Next": "Failed"}]),
        "A catcher of state ReserveCar has no list of names in ErrorEquals.",
    ),
    "no list": (lambda s: s["ReserveCar"].update(Catch={}), "Catch of state ReserveCar is no list."),
    "timeout": (
        lambda s: s["ReserveCar"].update(TimeoutSeconds="soon"),
        "TimeoutSeconds of state ReserveCar is no number from 1 to 1e9.",
    ),
    "no resource": (lambda s: s["ReserveCar"].pop("Resource"), "State ReserveCar has no Resource."),
    "no choices": (lambda s: s["ReserveCar"].update(Type="Choice"), "State ReserveCar has no Choices."),
    "no branches": (lambda s: s["ReserveCar"].update(Type="Parallel"), "State ReserveCar has no Branches."),
    "no items": (lambda s: s["ReserveCar"].update(Type="Map"), "State ReserveCar has no ItemProcessor."),
    "outside": (
        lambda s: s["ReserveCar"].update(Type="Map", ItemProcessor=machine({"A": task("A", "Failed")})),
        "Next of state A names Failed, which is no state there.",
    ),
    "name twice": (
        lambda s: s["ReserveCar"].update(Type="Map", ItemProcessor=machine({"Failed": task("Failed", None)})),
        "State Failed is there twice",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_language_is_told_by_line_and_state(name: str) -> None:
    """Each mistake names file, line and state, with a remedy."""
    change, expected = WRONG[name]
    with pytest.raises(DefinitionError) as caught_error:
        parse_text(text_of(mutant(change)), file="trip.asl.json", name="trip")
    shown = str(caught_error.value)
    assert expected in shown
    assert "trip.asl.json:" in shown
    assert caught_error.value.remedy


def test_all_mistakes_are_reported_at_once() -> None:
    """Several mistakes make one error that lists them by line."""
    document = mutant(lambda s: (s["ReserveCar"].pop("Next"), s["CancelCar"].update(Next="Gone")))
    with pytest.raises(DefinitionError) as caught_error:
        parse_text(text_of(document), file="trip.asl.json", name="trip")
    assert "in 2 places" in str(caught_error.value)


def test_machines_that_start_each_other_in_a_circle_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A circle of nested machines is told, not followed."""

    def starting(other: str) -> str:
        start = {
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Arguments": {"StateMachineArn": f"${{{other}}}"},
        }
        return text_of(machine({"Start" + other: {"Type": "Task", "End": True, **start}}))

    files = [
        _written(tmp_path, f"{name}.asl.json", starting(other)) for name, other in (("one", "two"), ("two", "one"))
    ]
    assert main(["lint", *map(str, files)]) == 2
    assert "one starts two starts one" in capsys.readouterr().err


def test_the_command_prints_findings_as_a_linter_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding is file, line, clause, kind and sentence; exit codes say violated, or inconclusive when strict."""
    document = _without_timeout()
    bad = _written(tmp_path, "bad.asl.json", text_of(document))
    assert main(["lint", str(bad)]) == 1
    line = line_of(document, '"ReserveCar": {')
    shown = capsys.readouterr().out
    assert f"{bad}:{line}: SG-14 missing timeout: ReserveCar has no TimeoutSeconds" in shown
    assert "ReserveFlight  undone by CancelFlight" in shown
    good = _written(tmp_path, "good.asl.json", text_of(TRAVEL))
    assert main(["lint", str(good)]) == 0
    assert main(["lint", "--strict", "--exits", str(good)]) == 3
    assert "ways to fail" in capsys.readouterr().out
    quiet = machine(
        {
            "Reserve": step("Reserve", None, "Cancel"),
            "Cancel": task("Cancel", None, Retry=[{"ErrorEquals": ["States.ALL"]}], Catch=[caught("Tell")]),
            "Tell": task("Tell", "Told"),
            "Told": {"Type": "Fail"},
        }
    )
    assert main(["lint", "--strict", str(_written(tmp_path, "quiet.asl.json", text_of(quiet)))]) == 0
    capsys.readouterr()
    assert main(["lint", "--express", "--strict", str(_written(tmp_path, "quiet.asl.json", text_of(quiet)))]) == 3
    assert "Express with a non-idempotent step (inconclusive)" in capsys.readouterr().out


def test_the_pivot_can_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be derived can be said: what follows the pivot must go forward; one that is no step is an error."""
    file = str(_written(tmp_path, "travel.asl.json", text_of(TRAVEL)))
    assert main(["lint", "--pivot", "ChargePayment", file]) == 0
    assert "pivot: ChargePayment" in capsys.readouterr().out
    assert main(["lint", "--pivot", "ReserveCar", file]) == 1
    assert "ChargePayment comes after the pivot ReserveCar" in capsys.readouterr().out
    assert main(["lint", "--pivot", "ReserveHorse", file]) == 2
    shown = capsys.readouterr()
    assert "--pivot ReserveHorse: no machine has a task of that name" in shown.err
    assert "name one of ReserveFlight, ReserveCar, ChargePayment, ConfirmBooking of travel" in shown.err
    assert shown.out == ""


def test_a_task_that_nothing_undoes_can_be_the_pivot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The usual pivot has no compensation: named, it is a step in its place, and what was open is decided."""
    file = str(_written(tmp_path, "travel.asl.json", text_of(TRAVEL)))
    assert main(["lint", file]) == 0
    assert "whether this comes after the pivot is not known" in capsys.readouterr().out
    assert main(["lint", "--pivot", "ConfirmBooking", file]) == 1
    shown = capsys.readouterr().out
    assert "When ConfirmBooking fails" in shown
    assert "whether this comes after the pivot is not known" not in shown
    assert "not decided: ConfirmBooking" not in shown
    assert shown.index("ChargePayment   undone by") < shown.index("ConfirmBooking  undone by nothing")


def test_the_pivot_is_that_of_the_machines_that_have_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several machines each is judged; one without the task named has no known pivot and is no error."""
    travel = _written(tmp_path, "travel.asl.json", text_of(TRAVEL))
    other = _written(tmp_path, "other.asl.json", text_of(machine({"Ship": task("Ship", None)})))
    assert main(["lint", "--pivot", "ChargePayment", str(travel), str(other)]) == 0
    shown = capsys.readouterr()
    assert "pivot: ChargePayment" in shown.out
    assert "other: SG-14 inconclusive" in shown.out
    assert not shown.err


def test_steps_are_in_the_order_of_the_work_and_not_of_the_text() -> None:
    """Which steps come before the pivot does not depend on where a file lists them."""
    names = sorted(TRAVEL["States"], reverse=True)
    document = {**TRAVEL, "States": {name: TRAVEL["States"][name] for name in names}}
    steps = derive_steps(defined(document), pivot="ConfirmBooking").steps
    assert [step.name for step in steps] == ["ReserveFlight", "ReserveCar", "ChargePayment", "ConfirmBooking"]


def test_what_always_follows_may_be_the_pivot_rather_than_undo() -> None:
    """A debit and the credit that always follows are two halves of the work where the credit is named as the pivot."""
    document = machine(
        {"DebitAccount": task("DebitAccount", "CreditAccount"), "CreditAccount": task("CreditAccount", None)}
    )
    assert possible_pivots(defined(document)) == ("DebitAccount", "CreditAccount")
    assert [step.name for step in derive_steps(defined(document)).steps] == ["DebitAccount"]
    (pivot,) = derive_steps(defined(document), pivot="CreditAccount").steps
    assert (pivot.name, pivot.compensations) == ("CreditAccount", ())


def test_tasks_after_the_pivot_need_no_compensation() -> None:
    """Before a named pivot, a task that nothing undoes is open; after it, nothing is owed."""
    document = machine(
        {
            "Open": task("Open", "Ship"),
            "Ship": task("Ship", "Mark"),
            "Mark": task("Mark", "ReserveGift"),
            "ReserveGift": task("ReserveGift", None, Catch=[caught("CancelGift")]),
            "CancelGift": task("CancelGift", "Failed"),
            "Failed": {"Type": "Fail"},
        }
    )
    definition = defined(document)

    def without(pivot: str | None) -> list[str]:
        found = analyse(definition, derive_steps(definition, pivot=pivot)).findings
        return [each.sentence for each in found if each.kind is FindingKind.NO_COMPENSATION]

    assert [sentence.split()[0] for sentence in without(None)] == ["Open", "Ship", "Mark"]
    assert without("Ship") == ["Open comes before the pivot Ship, but nothing that undoes it was found."]


def test_a_definition_that_the_deployment_makes_is_not_called_bad_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A DefinitionString of another resource is told as what it is, with what judges it all the same."""
    made = """\
Resources:
  Machine:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      DefinitionString: !GetAtt Other.Definition
"""
    assert main(["lint", str(_written(tmp_path, "template.yaml", made))]) == 2
    shown = capsys.readouterr().err
    assert "the definition of Machine is put together when it is deployed." in shown
    assert "holdfast verify NAME.stack.toml::SG-14" in shown


def test_a_descriptor_is_told_how_it_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who gives a descriptor to the linter is told the command that judges it."""
    file = _written(tmp_path, "shop.stack.toml", '[stack]\nname = "shop"\n')
    assert main(["lint", str(file)]) == 2
    assert f"`holdfast verify {file}::SG-14`" in capsys.readouterr().err


def test_a_long_machine_is_judged(tmp_path: Path) -> None:
    """Hundreds of states in a row, more than Python's recursion bears, are no problem."""
    states = {f"S{at}": task(f"S{at}", f"S{at + 1}") for at in range(1200)}
    states["S1200"] = {"Type": "Succeed"}
    (definition,) = read_definitions(_written(tmp_path, "long.asl.json", text_of(machine(states))), express=True)
    assert len(analyse(definition).exits) == 1200


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 500)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.sampled_from(
        ["ReserveCar", "States.ALL", "Failed", "Task", "Map", "Parallel", "Choice", "{% $x %}", "${Ref}"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Type", "Next", "Catch", "States", "StartAt", "Branches", "ErrorEquals", "Resource", "End", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        found += _places(inner, (*path, key))
    return found


SEEDS = [
    TRAVEL,
    machine(
        {
            "All": {
                "Type": "Parallel",
                "Branches": [
                    machine(
                        {
                            "ReserveCar": step("ReserveCar", None, "CancelCar"),
                            "CancelCar": task("CancelCar", "No"),
                            "No": {"Type": "Fail", "Error": "x"},
                        }
                    ),
                    machine(
                        {
                            "Each": {
                                "Type": "Map",
                                "End": True,
                                "ItemProcessor": machine({"BookSeat": task("BookSeat", None)}),
                            }
                        }
                    ),
                ],
                "Next": "Is",
                "Catch": [caught("Wait", "States.Timeout"), caught("Is")],
                "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 2.5, "MaxAttempts": 2}],
            },
            "Is": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "Wait"}],
                "Default": "Done",
            },
            "Wait": {"Type": "Wait", "Seconds": 3, "Next": "All"},
            "Done": {"Type": "Succeed"},
        }
    ),
]


@st.composite
def damaged(draw: st.DrawFn) -> Document:
    """A definition with up to three places replaced by, or filled with, something else."""
    document: Document = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(document)[1:]))
        table: Any = document
        for key in path[:-1]:
            table = table[key]
        if draw(st.booleans()):
            table[path[-1]] = draw(JSON_VALUES)
        elif isinstance(table, dict):
            table[draw(st.text(max_size=5))] = table.pop(path[-1])
        else:
            del table[path[-1]]
        if not isinstance(document, dict) or len(_places(document)) < 2:
            break
    return document


def _has_a_remedy(error: DefinitionError) -> None:
    assert error.remedy


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=damaged() | JSON_VALUES)
def test_a_damaged_definition_is_judged_or_an_error(document: Any) -> None:
    """Whatever stands in a definition, it is analysed and described, or is an error with a remedy."""
    try:
        for each in embedded([parse_text(json.dumps(document), file="x", name="ReserveCar", express=True)]):
            assert described(analyse(each, derive_steps(each)), exits=True)
    except DefinitionError as error:
        _has_a_remedy(error)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=60) | st.text(alphabet='{}[]:,"\\ \n\t-?&*!|>%@aA1.', max_size=60))
def test_any_text_is_read_or_an_error(text: str) -> None:
    """Whatever a file holds, as JSON or as YAML, it is read, or is an error with a remedy."""
    for read in (lambda: parse_text(text, file="x", name="x"), lambda: read_yaml(text, "x")):
        try:
            read()
        except DefinitionError as error:
            _has_a_remedy(error)
