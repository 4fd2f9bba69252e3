"""Direct invocations of a function."""

from __future__ import annotations

from holdfast.ports.answer import Answer, Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import encoded, json_text
from holdfast.ports.transports.aws import perform, success
from holdfast.stack.commands import LambdaCall
from holdfast.stack.templates import render


def send(call: LambdaCall, context: PortContext) -> Sent:
    """Invoke with ``Invoke``; a function error is no acknowledgement and no refusal: it may have taken effect."""
    payload = json_text(render(call.payload, context.values))
    return Sent(payload, perform(lambda: _invoke(call, context, payload)))


def _invoke(call: LambdaCall, context: PortContext, payload: str) -> Answer:
    response = context.client("lambda").invoke(
        FunctionName=context.resource(call.function).name,
        InvocationType="Event" if call.asynchronous else "RequestResponse",
        Payload=encoded(payload),
    )
    text = response["Payload"].read().decode("utf-8", "replace")
    answer = success(response, text)
    if "FunctionError" not in response:
        return answer
    return Answer(status=answer.status, code="FunctionError", headers=answer.headers, text=text)
