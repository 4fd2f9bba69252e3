"""Submitting a command: one call or several in a row, and one operation for the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from holdfast.history.model import Outcome
from holdfast.ports.answer import Answer, Sent
from holdfast.ports.classify import classify
from holdfast.ports.context import PortContext
from holdfast.ports.expression import search
from holdfast.ports.transports import eventbridge, execution, function, http, python, s3, sns, sqs
from holdfast.ports.transports.web import LOST
from holdfast.stack.commands import Acknowledgement, Command

Transports = Mapping[str, Callable[[Any, PortContext], Sent]]

TRANSPORTS: Transports = {
    "http": http.send,
    "sqs": sqs.send,
    "sns": sns.send,
    "eventbridge": eventbridge.send,
    "lambda": function.send,
    "execution": execution.send,
    "s3": s3.send,
    "python": python.send,
}
"""What makes each kind of call: boto3 and requests."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """How one command went.

    Attributes:
        outcome: the client's view.
        answer: the answer that decided it.
        body: the exact payload of the last call; None when it was not reached or carried none.
        secrets: values in the requests that must not be recorded.
    """

    outcome: Outcome
    answer: Answer
    body: str | None
    secrets: tuple[str, ...]


def submit(command: Command, context: PortContext, transports: Transports = TRANSPORTS) -> Submitted:
    """Make the calls of a command in a row; the first that is not acknowledged ends it and decides its outcome.

    Only the last call is read by the command's own acknowledgement rule: those before it prepare it (a presigned URL)
    and are acknowledged by 2xx. With ``context.lose_answer`` the answer to the last call is lost on the way.

    Args:
        command: the command.
        context: what it carries.
        transports: what makes each kind of call.

    Raises:
        PortError: a call cannot be sent at all: the descriptor or a Python port is wrong.
        DescriptorError: a placeholder stands for nothing.
        ResourceError: a component is missing.
    """
    secrets: tuple[str, ...] = ()
    for call in command.calls[:-1]:
        sent = transports[call.kind](call, replace(context, lose_answer=False))
        secrets += sent.secrets
        outcome = classify(Acknowledgement(), sent.answer)
        if outcome is not Outcome.OK:
            return Submitted(outcome, sent.answer, None, secrets)
        document = sent.answer.document()
        saved = {name: search(expression, document) for name, expression in call.save.items()}
        missing = [name for name, value in saved.items() if value is None]
        if missing:
            answer = replace(sent.answer, error=f"the answer has no value for {', '.join(missing)}")
            return Submitted(Outcome.UNKNOWN, answer, None, secrets)
        context = replace(context, values={**context.values, **saved})
    last = command.calls[-1]
    sent = transports[last.kind](last, context)
    answer = Answer(error=LOST) if context.lose_answer and not sent.answer.error else sent.answer
    return Submitted(classify(command.acknowledgement, answer), answer, sent.body, secrets + sent.secrets)
