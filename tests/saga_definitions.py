"""A correct travel saga as a definition, in JSONPath and JSONata, and ways to plant a bug in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from holdfast.definition import Analysis, Definition, FindingKind, SagaSteps, Step, analyse
from holdfast.definition.files import parse_text
from holdfast.verdict.model import Verdict

Document = dict[str, Any]
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:"
ALL = {"ErrorEquals": ["States.ALL"]}


def task(name: str, following: str | None, **fields: Any) -> Document:
    """A Task that calls a function of its own name; None ends the flow."""
    onward: Document = {"End": True} if following is None else {"Next": following}
    return {"Type": "Task", "Resource": FUNCTION + name, "TimeoutSeconds": 10, **onward, **fields}


def caught(target: str, *errors: str) -> Document:
    """A catcher, of States.ALL when no error is named."""
    return {"ErrorEquals": list(errors) or ["States.ALL"], "Next": target}


def step(name: str, following: str | None, undo: str) -> Document:
    """A step that is retried and whose failures are caught."""
    return task(name, following, Retry=[ALL], Catch=[caught(undo)])


def undoing(name: str, following: str) -> Document:
    """A compensation that is retried, caught and surfaced."""
    return task(name, following, Retry=[{**ALL, "MaxAttempts": 5}], Catch=[caught("Surface")])


def machine(states: dict[str, Document], start: str | None = None, **fields: Any) -> Document:
    """A machine, starting at its first state."""
    return {"StartAt": start or next(iter(states)), "States": states, **fields}


TRAVEL: Document = machine(
    {
        "ReserveFlight": step("ReserveFlight", "ReserveCar", "CancelFlight"),
        "ReserveCar": step("ReserveCar", "ChargePayment", "CancelCar"),
        "ChargePayment": step("ChargePayment", "ConfirmBooking", "RefundPayment"),
        "ConfirmBooking": task("ConfirmBooking", None, Retry=[ALL], Catch=[caught("Surface")]),
        "RefundPayment": undoing("RefundPayment", "CancelCar"),
        "CancelCar": undoing("CancelCar", "CancelFlight"),
        "CancelFlight": undoing("CancelFlight", "Failed"),
        "Surface": task("Surface", "Failed"),
        "Failed": {"Type": "Fail", "Error": "TripFailed"},
    }
)

STEPS = SagaSteps(
    steps=(
        Step(name="flight", states=("ReserveFlight",), compensations=("CancelFlight",), idempotent=True),
        Step(name="car", states=("ReserveCar",), compensations=("CancelCar",), idempotent=True),
        Step(name="payment", states=("ChargePayment",), compensations=("RefundPayment",), idempotent=True),
        Step(name="confirmation", states=("ConfirmBooking",), idempotent=True),
    ),
    pivot="payment",
)


def jsonata(document: Document) -> Document:
    """The same machine in JSONata: invoke integration, expressions for data, errors kept in variables."""
    changed: Document = copy.deepcopy(document)
    changed["QueryLanguage"] = "JSONata"
    for name, state in changed["States"].items():
        if state["Type"] == "Task":
            state["Arguments"] = {"FunctionName": state["Resource"], "Payload": "{% $states.input %}"}
            state["Resource"] = "arn:aws:states:::lambda:invoke"
            state["Output"] = "{% $states.result.Payload %}"
            if name == "ReserveCar" and "TimeoutSeconds" in state:
                state["TimeoutSeconds"] = "{% $limit %}"
            for catcher in state.get("Catch", ()):
                catcher["Assign"] = {"error": "{% $states.errorOutput %}"}
    return changed


def mutant(change: Callable[[dict[str, Document]], object], document: Document = TRAVEL) -> Document:
    """A copy whose states were changed."""
    changed: Document = copy.deepcopy(document)
    change(changed["States"])
    return changed


def text_of(document: Document) -> str:
    """The document as a file holds it."""
    return json.dumps(document, indent=2)


def defined(document: Document, *, express: bool | None = None) -> Definition:
    """The definition that a document is."""
    return parse_text(text_of(document), file="trip.asl.json", name="trip", express=express)


def judged(document: Document, steps: SagaSteps | None = STEPS, *, express: bool | None = None) -> Analysis:
    """What the analysis says of a document."""
    return analyse(defined(document, express=express), steps)


def told(analysis: Analysis) -> list[tuple[FindingKind, Verdict, str, tuple[str, ...], tuple[str, ...]]]:
    """The findings without lines and sentences: kind, verdict, state, steps and witness."""
    return [
        (finding.kind, finding.verdict, finding.state, finding.steps, finding.witness) for finding in analysis.findings
    ]


def line_of(document: Document, text: str) -> int:
    """The first line of the document's file that holds a text."""
    return next(at for at, line in enumerate(text_of(document).splitlines(), start=1) if text in line)
