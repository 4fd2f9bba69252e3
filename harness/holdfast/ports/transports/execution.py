"""Starts of a state machine."""

from __future__ import annotations

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import json_text
from holdfast.ports.transports.aws import optional_texts, perform, success
from holdfast.stack.commands import ExecutionCall
from holdfast.stack.templates import render


def send(call: ExecutionCall, context: PortContext) -> Sent:
    """Start an execution with ``StartExecution``."""
    payload = json_text(render(call.input, context.values))
    request = {
        "stateMachineArn": context.resource(call.state_machine).arn,
        "input": payload,
        **optional_texts(context, name=call.name),
    }
    return Sent(payload, perform(lambda: success(context.client("stepfunctions").start_execution(**request))))
