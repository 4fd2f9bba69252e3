"""Starts of a state machine."""

from __future__ import annotations

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import json_text
from holdfast.ports.transports.aws import AwsRequest, made, optional_texts
from holdfast.stack.commands import ExecutionCall
from holdfast.stack.templates import render


def request(call: ExecutionCall, context: PortContext) -> AwsRequest:
    """One start by ``StartExecution``, or ``StartSyncExecution``."""
    payload = json_text(render(call.input, context.values))
    parameters = {
        "stateMachineArn": context.resource(call.state_machine).arn,
        "input": payload,
        **optional_texts(context, name=call.name),
    }
    operation = "StartSyncExecution" if call.synchronous else "StartExecution"
    return AwsRequest("stepfunctions", operation, parameters, payload)


def send(call: ExecutionCall, context: PortContext) -> Sent:
    """Start an execution with ``StartExecution``; a synchronous one with ``StartSyncExecution``, to its end."""
    return made(request(call, context), context)
