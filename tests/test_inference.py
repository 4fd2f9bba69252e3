"""From a template to a first descriptor: what is read, what is inferred, what a person has to fill in."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.errors import DeploymentError, DescriptorError, ExitCode
from holdfast.inference import evidence
from holdfast.inference.beside import Process, channels, listens, told
from holdfast.inference.evidence import Effect, Folding, Status
from holdfast.inference.expansion import expanded, settled
from holdfast.inference.inventory import Function, Inventory, Route, Table, inventory
from holdfast.inference.learning import Laboratory, Trial, _answered
from holdfast.inference.patterns import Parts, infer, of_sidecar
from holdfast.inference.sample import Sample, filled, parse_sample
from holdfast.inference.serving import Shown, shown
from holdfast.inference.steps import Actor, FoundStep, found_steps, pivot
from holdfast.inference.toml import marked, toml
from holdfast.inference.trials import _folding
from holdfast.inference.writing import Origin, descriptor
from holdfast.stack.loading import load_descriptor
from holdfast_fixtures.catalogue import reference_stacks
from init_samples import beside
from verify_runs import holdfast

STACKS = {stack.name: stack for stack in reference_stacks()}
TEMPLATES = {name: stack.directory / "template.yaml" for name, stack in STACKS.items()}


@pytest.fixture(scope="module")
def inventories() -> dict[str, Inventory]:
    """What each reference stack consists of."""
    return {name: inventory(settled(expanded(path), {})) for name, path in TEMPLATES.items()}


def parts_of(name: str, there: Inventory) -> Parts:
    """What is inferred of a reference stack; of a sidecar, what its start commands or its function say."""
    sidecar, application = beside(STACKS[name])
    parts = of_sidecar(there, told(there, sidecar, application), "--sidecar") if sidecar else infer(there)
    assert parts is not None
    return parts


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_claimed_pattern_is_inferred(name: str, inventories: dict[str, Inventory]) -> None:
    """Every reference stack's resources speak for the pattern it claims, with its way in and its workers."""
    claimed = load_descriptor(STACKS[name].descriptor, {"ACCOUNTS_READ_MODEL_URL": "sqlite://"})
    parts = parts_of(name, inventories[name])
    assert parts.pattern in claimed.patterns
    pattern = claimed.patterns[parts.pattern]
    ids = {component: one.logical_id for component, one in claimed.components.items()}
    assert {ids[worker] for worker in pattern.workers} <= set(parts.workers)
    assert parts.ingest == tuple(ids[one] for one in pattern.ingest)
    if pattern.store is not None and parts.pattern != "saga":
        assert parts.store == ids[pattern.store]
    if pattern.dead_letters is not None:
        assert parts.dead_letters == ids[claimed.dead_letters[pattern.dead_letters].queue or ""]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_few_lines_are_left_without_a_sample(name: str, inventories: dict[str, Inventory]) -> None:
    """The template alone gives TOML with at most three lines to fill in, and one for each step of a choreography."""
    parts = parts_of(name, inventories[name])
    text = descriptor(Origin(name=name, template="template.yaml"), inventories[name], parts, None, None)
    assert 1 <= len(marked(text)) <= 3 + len(parts.steps)
    assert all(len(text.splitlines()[number - 1].split("FILL IN: ")[1]) > 10 for number in marked(text))
    assert tomllib.loads(text)["patterns"].keys() == {parts.pattern}


# -- reading ---------------------------------------------------------------------------------------------------------


def test_what_calls_feeds_and_writes_is_read() -> None:
    """Routes with their integration, mappings, redrive policies and what roles may write, by logical id."""
    template: dict[str, Any] = {
        "Resources": {
            "Api": {"Type": "AWS::ApiGateway::RestApi"},
            "Orders": {
                "Type": "AWS::ApiGateway::Resource",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                    "PathPart": "orders",
                },
            },
            "Post": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "ResourceId": {"Ref": "Orders"},
                    "HttpMethod": "POST",
                    "Integration": {
                        "Uri": {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:sqs:path/1/${Queue.QueueName}"},
                        "Credentials": {"Fn::GetAtt": "Role.Arn"},
                    },
                },
            },
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Properties": {"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dlq", "Arn"]}}},
            },
            "Dlq": {"Type": "AWS::SQS::Queue"},
            "Role": {"Type": "AWS::IAM::Role"},
            "WorkerRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "Policies": [
                        {
                            "PolicyDocument": {
                                "Statement": [
                                    {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": {"Ref": "Read"}},
                                    {"Effect": "Allow", "Action": ["dynamodb:PutItem"], "Resource": {"Ref": "Ledger"}},
                                ]
                            }
                        }
                    ]
                },
            },
            "Worker": {
                "Type": "AWS::Lambda::Function",
                "Properties": {"Role": {"Fn::GetAtt": ["WorkerRole", "Arn"]}, "Timeout": 5},
            },
            "Feed": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "FunctionName": {"Ref": "Worker"},
                },
            },
            "Ledger": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "AttributeDefinitions": [
                        {"AttributeName": "id", "AttributeType": "S"},
                        {"AttributeName": "at", "AttributeType": "N"},
                    ],
                    "KeySchema": [
                        {"AttributeName": "id", "KeyType": "HASH"},
                        {"AttributeName": "at", "KeyType": "RANGE"},
                    ],
                },
            },
        }
    }
    there = inventory(template)
    assert there.routes == (
        Route(api="Api", method="POST", path="/orders", service="sqs", targets=("Queue", "Role"), role="Role"),
    )
    assert there.feeds == (("Queue", "Worker"),)
    assert there.dead_letters == {"Queue": "Dlq"}
    assert there.functions["Worker"].writes == ("Ledger",)
    assert there.tables["Ledger"] == Table(partition="id", sort="at")
    parts = infer(there)
    assert parts is not None
    assert (parts.pattern, parts.store, parts.workers, parts.roles, parts.dead_letters) == (
        "storage-first",
        "Queue",
        ("Worker",),
        ("Role",),
        "Dlq",
    )


def test_resources_that_speak_for_nothing() -> None:
    """A table alone is no pattern."""
    assert infer(inventory({"Resources": {"T": {"Type": "AWS::DynamoDB::Table"}}})) is None


# -- samples ---------------------------------------------------------------------------------------------------------

ROUTE = Route(api="Api", method="PUT", path="/things/{id}", service="lambda", targets=())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'POST /orders/{customer} {"id": "{key}", "note": "{value}"}',
            Sample(method="POST", path="/orders/{customer}", body={"id": "{key}", "note": "{value}"}),
        ),
        ('{"id": "{key}"}', Sample(method="PUT", path="/things/{id}", body={"id": "{key}"})),
        ("DELETE /things/{key}", Sample(method="DELETE", path="/things/{key}", body=None)),
    ],
)
def test_a_sample_is_read(text: str, expected: Sample) -> None:
    """Method and path may be left out where the template shows one way in; a body may be missing."""
    assert parse_sample(text, (ROUTE,)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither a body nor METHOD"),
        ("POST /orders {'id': 1}", "its body is not JSON"),
        ('POST /orders {"id": 1}', "{key} stands nowhere"),
        ('POST /orders {"id": "{key}", "items": [{"note": null}]}', "it holds null"),
    ],
)
def test_a_sample_that_cannot_be_used(text: str, why: str) -> None:
    """What is wrong with it is said, with an example."""
    with pytest.raises(DescriptorError, match=r"sample command cannot be used") as raised:
        parse_sample(text, (ROUTE,))
    assert why in str(raised.value)
    assert "--sample 'POST /orders" in str(raised.value)


def test_placeholders_are_filled_in_everywhere() -> None:
    """Names, nested values and lists; what is not known stays."""
    template = {"{a}": ["{b}", {"c": "x{a}"}], "d": 3, "e": "{unknown}"}
    assert filled(template, {"a": "1", "b": "2"}) == {"1": ["2", {"c": "x1"}], "d": 3, "e": "{unknown}"}


# -- what trials show ------------------------------------------------------------------------------------------------

THERE = Inventory(
    types={},
    tables={
        "Ledger": Table(partition="id", sort="entry"),
        "State": Table(partition="id"),
        "Stock": Table(partition="sku"),
    },
)


def trial(number: int, *entries: str, state: str) -> Trial:
    """A saga that made these entries, in this order."""
    key = f"key-{number}"
    ledger = tuple(
        {"id": key, "entry": f"{entry}#{at}e", "at": f"2026-01-01T00:00:0{at}.5Z", "note": "v"}
        for at, entry in enumerate(entries)
    )
    return Trial(
        values={"key": key, "value": "v"},
        body='{"a": 1}',
        status=202,
        answer=None,
        rows={
            "Ledger": tuple(reversed(ledger)),
            "State": ({"id": key, "state": state, "body": '{"a": 1}'},),
            "Stock": ({"sku": "x", "free": 3},),
        },
    )


GOOD = trial(1, "flight-taken", "payment-taken", "confirmed", state="completed")
FAILED = trial(2, "flight-taken", "payment-taken", "payment-returned", "flight-returned", state="cancelled")


def ledger(name: str, prefix: str) -> Effect:
    """An effect in the ledger."""
    return Effect(name=name, table="Ledger", partition="key", prefix=prefix, value="note", order="at")


def test_effects_are_where_the_key_is() -> None:
    """Each kind of entry is an effect of its own, a table that holds no key is none, value and body are found."""
    found = evidence.effects(THERE, [GOOD, FAILED])
    assert set(found) == {
        ledger("flight_taken", "flight-taken"),
        ledger("payment_taken", "payment-taken"),
        ledger("confirmed", "confirmed"),
        ledger("payment_returned", "payment-returned"),
        ledger("flight_returned", "flight-returned"),
        Effect(name="state", table="State", partition="key", body="body"),
    }


def test_states_are_told_apart() -> None:
    """A row with a state shows how commands end, well and not."""
    assert evidence.status(THERE, GOOD, FAILED) == Status(
        table="State", attribute="state", done="completed", failed="cancelled"
    )


def test_steps_are_paired_with_their_entries() -> None:
    """Names and what only the saga that turned back left tell steps from compensations; order is by time."""
    actors = (
        Actor(name="pay", state="Pay", undo_state="Refund"),
        Actor(name="book_flight", state="BookFlight", undo_state="CancelFlight"),
        Actor(name="surface", state="Surface"),
        Actor(name="confirm", state="Confirm"),
    )
    effects = evidence.effects(THERE, [GOOD, FAILED])
    steps = found_steps(THERE, actors, effects, GOOD, FAILED)
    assert steps == (
        FoundStep(
            actor=actors[1],
            done=ledger("flight_taken", "flight-taken"),
            undone=ledger("flight_returned", "flight-returned"),
        ),
        FoundStep(
            actor=actors[0],
            done=ledger("payment_taken", "payment-taken"),
            undone=ledger("payment_returned", "payment-returned"),
        ),
        FoundStep(actor=actors[3], done=ledger("confirmed", "confirmed"), undone=None),
    )
    assert pivot(steps) == "pay"
    assert pivot(steps[:2]) == ""
    assert pivot(steps, failing="confirm") == "confirm"


def test_a_fold_is_found_from_two_events() -> None:
    """Sum, count, set and last value are told apart; what is none of them is left over."""
    events = [
        {"id": "a", "version": 1, "event_id": "e1", "amount": 12, "tag": "rent", "note": "one", "type": "deposited"},
        {"id": "a", "version": 2, "event_id": "e2", "amount": 12, "tag": "rent", "note": "two", "type": "deposited"},
    ]
    view = {"id": "a", "version": 2, "balance": 24, "entries": 2, "tags": ["rent"], "last": "two", "limit": 500}
    assert evidence.folding(events, view, sequence="version", aside=["id"]) == Folding(
        attributes={
            "balance": ("sum", "amount"),
            "entries": ("count", ""),
            "tags": ("set", "tag"),
            "last": ("last", "note"),
        },
        others=("limit",),
        version="version",
        event="event_id",
    )


def test_values_are_written_as_toml_reads_them() -> None:
    """Whatever a sample holds, TOML reads it as it was."""
    value = {"a b": ['"', "\\", "é\n"], "c": {"d": True, "e": 1.5}, "ü": []}
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value


# -- as a person runs it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--template", "none.yaml"), "the template cannot be read"),
        (("--template", "{webhooks}", "--sample", "{}"), "The sample command cannot be used."),
        (("--template", "{webhooks}", "--seed", "Nothing={}"), "Nothing is no table of the template"),
        (("--template", "{webhooks}", "--output", "stack.toml"), "is no name of a descriptor"),
        (
            ("--template", "{webhooks}", "--sample", '{"id": "{key}"}', "--parameter", "A=${NOWHERE}"),
            "--parameter A cannot",
        ),
        (("--template", "{webhooks}", "--sidecar", "python sidecar.py"), "--application is missing"),
        (("--template", "{webhooks}", "--sidecar", "'", "--application", "a"), "no closing quotation"),
        (("--template", "{webhooks}", "--sidecar", "A=1", "--application", "a"), "it names no program"),
        (("--cloudformation", "shop"), "remedy:"),
    ],
)
def test_mistakes_end_in_one_message(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Whatever is wrong with the arguments, one message says it, and nothing is written."""
    given = [str(TEMPLATES["webhooks"]) if one == "{webhooks}" else one for one in arguments]
    ended = holdfast("init", *given, cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_conditions_and_parameters_are_settled() -> None:
    """Parameters have their values, else their defaults; of a condition the first branch counts."""
    template = {
        "Parameters": {
            "Stage": {"Type": "String", "Default": "test"},
            "Size": {"Type": "Number", "Default": 1},
            "Secret": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/name/of/it"},
        },
        "Resources": {
            "A": {
                "Type": "T",
                "Properties": {
                    "Stage": {"Ref": "Stage"},
                    "Size": {"Ref": "Size"},
                    "Secret": {"Ref": "Secret"},
                    "Chosen": {"Fn::If": ["C", {"Ref": "AWS::NoValue"}, "other"]},
                    "Gone": {"Fn::If": ["C", {"Ref": "AWS::NoValue"}, {"Ref": "AWS::NoValue"}]},
                    "List": [{"Fn::If": ["C", "x", "y"]}, {"Ref": "AWS::NoValue"}, {"Ref": "Other"}],
                },
            }
        },
    }
    assert settled(template, {"Stage": "live"})["Resources"]["A"]["Properties"] == {
        "Stage": "live",
        "Size": 1,
        "Secret": {"Ref": "Secret"},
        "Chosen": "other",
        "List": ["x", {"Ref": "Other"}],
    }


SAM = "Transform: AWS::Serverless-2016-10-31\n"
WORKER = f"""{SAM}Resources:
  Requests: {{Type: AWS::SQS::Queue}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.12
      AutoPublishAlias: live
      Events: {{Requests: {{Type: SQS, Properties: {{Queue: !GetAtt Requests.Arn}}}}}}
"""


def read_from(folder: Path, text: str) -> Inventory:
    path = folder / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return inventory(settled(expanded(path), {}))


def test_an_alias_stands_for_its_function(tmp_path: Path) -> None:
    """What is mapped to an alias feeds the function, as SAM has it with AutoPublishAlias."""
    there = read_from(tmp_path, WORKER)
    assert "AWS::Lambda::Alias" in there.types.values()
    assert there.feeds == (("Requests", "Worker"),)


def test_what_is_in_no_resource_of_the_template_is_named_by_nothing() -> None:
    """Functions and APIs that parameters without a value stand for are those of another template."""
    there = inventory(
        {
            "Resources": {
                "Requests": {"Type": "AWS::SQS::Queue"},
                "Elsewhere": {
                    "Type": "AWS::Lambda::EventSourceMapping",
                    "Properties": {
                        "EventSourceArn": {"Fn::GetAtt": ["Requests", "Arn"]},
                        "FunctionName": {"Ref": "FunctionOfAnotherStack"},
                    },
                },
                "Post": {
                    "Type": "AWS::ApiGateway::Method",
                    "Properties": {
                        "RestApiId": {"Ref": "ApiOfAnotherStack"},
                        "HttpMethod": "POST",
                        "Integration": {"Uri": {"Fn::GetAtt": ["Requests", "Arn"]}},
                    },
                },
            }
        }
    )
    assert (there.feeds, there.routes) == ((), ())
    assert infer(there) is None


@pytest.mark.parametrize(
    "text",
    [
        f"{SAM}Globals:\nResources: {{F: {{Type: AWS::Serverless::Function}}}}",
        f"{SAM}Globals: {{Function: }}\nResources: {{F: {{Type: AWS::Serverless::Function}}}}",
        f"{SAM}Resources: {{F: {{Type: AWS::Serverless::Function, Properties: }}}}",
        f"{SAM}Resources: {{F: {{Type: AWS::Serverless::Function, Properties: x}}}}",
        f"Resources: {{Q: {{Type: T, Properties: {{A: {'[' * 2000}{']' * 2000}}}}}}}",
    ],
    ids=["no globals", "no globals of functions", "no properties", "properties that are a text", "nested"],
)
def test_an_odd_template_is_told(tmp_path: Path, text: str) -> None:
    """Sections that are empty, or are what they must not be, end in a message and no traceback."""
    with pytest.raises(DeploymentError):
        read_from(tmp_path, text)


def test_odd_parameters_have_no_value(tmp_path: Path) -> None:
    """Parameters that are a list, and a reference to a list, leave the resources as they are."""
    there = read_from(tmp_path, "Parameters: [a]\nResources: {Q: {Type: AWS::SQS::Queue, Properties: {A: {Ref: [a]}}}}")
    assert there.types == {"Q": "AWS::SQS::Queue"}


CONDITIONAL = Inventory(
    types={"Log": "AWS::DynamoDB::Table", "Files": "AWS::S3::Bucket", "Work": "AWS::SQS::Queue"},
    tables={"Log": Table(partition="id")},
    feeds=(("Work", "Worker"),),
)


def test_what_a_condition_keeps_from_being_made_is_told_where_it_is_needed() -> None:
    """A table, bucket or queue that was not made holds nothing; a row for it ends in a message."""
    nothing: Any = SimpleNamespace(client=lambda _: SimpleNamespace(put_item=None))
    laboratory = Laboratory(nothing, CONDITIONAL, Parts(pattern="cqrs", why="", route=None), {})
    assert laboratory._look() == ({"Log": []}, {"Files": []})
    assert not laboratory._waiting()
    with pytest.raises(DescriptorError, match="Log is not there"):
        laboratory.seed([("Log", {"id": "1"})])


def test_a_header_that_cannot_be_sent_is_told() -> None:
    """Characters that HTTP has not end in a message."""
    with pytest.raises(DescriptorError, match="does not answer the sample"):
        _answered("POST", "http://127.0.0.1:1/", "", {"X-Note": "\u2192"})


def test_a_log_without_a_sort_key_is_folded_in_the_order_of_the_samples() -> None:
    """Events that have a key each, and no place, are those of one command after another."""
    rows = ({"id": "e1", "amount": 1}, {"id": "e2", "amount": 2})
    shown = ({}, {"View": ({"account": "a", "total": 3},)})
    trials: Any = tuple(SimpleNamespace(rows={"Log": (row,), **view}) for row, view in zip(rows, shown, strict=True))
    there = replace(CONDITIONAL, tables={**CONDITIONAL.tables, "View": Table(partition="account")})
    laboratory: Any = SimpleNamespace(
        there=there, parts=Parts(pattern="cqrs", why="", route=None, store="Log", view="View")
    )
    _, found = _folding(laboratory, Sample(method="POST", path="/", body={}), trials)
    assert found is not None
    assert found.attributes == {"total": ("sum", "amount")}


# -- processes -------------------------------------------------------------------------------------------------------


def test_a_start_command_is_read_as_a_shell_has_it() -> None:
    """Assignments in front are the environment, quotes hold words together, and unknown names are channels."""
    pair = told(
        Inventory(types={}),
        "LISTEN={sidecar.address} LOG='{sidecar.folder}/a b' {python} sidecar.py --fast",
        "SIDECAR={state.url} TABLE={parcels.name} python app.py --socket {application.socket}",
    )
    application, sidecar = pair.application, pair.sidecar
    assert isinstance(application, Process)
    assert isinstance(sidecar, Process)
    assert sidecar.command == ("{python}", "sidecar.py", "--fast")
    assert sidecar.environment == {"LISTEN": "{sidecar.address}", "LOG": "{sidecar.folder}/a b"}
    assert list(channels(application, ["parcels", "application", "sidecar"])) == ["state"]
    assert (listens(sidecar, "sidecar"), listens(application, "application")) == ("port", "socket")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"id": "k", "note": "v"}, Shown(path="/k", entries="", value="note")),
        ({"entries": [{"other": 1}, {"note": "v"}]}, Shown(path="/k", entries="entries", value="note")),
        ({"parcel": {"note": "v"}}, Shown(path="/k", entries="parcel", value="note")),
        ([{"note": "v"}], Shown(path="/k", entries="", value="note")),
        ({"note": "another"}, None),
        ("v", None),
    ],
)
def test_where_an_answer_shows_the_value(document: object, expected: Shown | None) -> None:
    """In itself, in a member, or in the entries of one."""
    assert shown("/k", document, "v") == expected


def test_the_only_writer_left_did_the_only_entry_left() -> None:
    """A step whose function and entry share no word is found where there is one of each left."""
    there = replace(
        THERE, functions={"CloseFunction": Function(writes=("Ledger",)), "AcceptFunction": Function(writes=("State",))}
    )
    good = trial(1, "flight-taken", "ended", state="completed")
    actors = (
        Actor(name="flight", function="FlightFunction"),
        Actor(name="accept", function="AcceptFunction"),
        Actor(name="close", function="CloseFunction"),
    )
    steps = found_steps(there, actors, evidence.effects(there, [good]), good, None)
    assert [(step.actor.name, step.done and step.done.name) for step in steps] == [
        ("flight", "flight_taken"),
        ("close", "ended"),
    ]


def test_an_undo_that_nothing_tells_is_found_by_its_entry() -> None:
    """The task that is called like what only the saga that turned back has left undoes the step."""
    good = trial(1, "debited", "credited", state="completed")
    failed = trial(2, "debited", "returned", state="cancelled")
    actors = (Actor(name="debit", state="Debit"), Actor(name="credit", state="Credit"), Actor(name="r", state="Return"))
    steps = found_steps(THERE, actors, evidence.effects(THERE, [good, failed]), good, failed)
    assert [(step.actor.state, step.actor.undo_state) for step in steps] == [("Debit", "Return"), ("Credit", "")]
    assert pivot(steps, failing="credit") == "credit"
