"""Starts of a state machine."""

from __future__ import annotations

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import json_text
from holdfast.ports.transports.aws import optional_texts, perform, success
from holdfast.stack.commands import ExecutionCall
from holdfast.stack.templates import render


def send(call: ExecutionCall, context: PortContext) -> Sent:
    """Start an execution with ``StartExecution``; a synchronous one with ``StartSyncExecution``, to its end."""
    payload = json_text(render(call.input, context.values))
    request = {
        "stateMachineArn": context.resource(call.state_machine).arn,
        "input": payload,
        **optional_texts(context, name=call.name),
    }
    client = context.client("stepfunctions")
    start = client.start_sync_execution if call.synchronous else client.start_execution
    return Sent(payload, perform(lambda: success(start(**request))))
