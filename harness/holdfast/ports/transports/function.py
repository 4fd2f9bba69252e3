"""Direct invocations of a function."""

from __future__ import annotations

from holdfast.ports.answer import Answer, Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import encoded, json_text
from holdfast.ports.transports.aws import AwsRequest, perform, success
from holdfast.stack.commands import LambdaCall
from holdfast.stack.templates import render


def request(call: LambdaCall, context: PortContext) -> AwsRequest:
    """One invocation by ``Invoke``."""
    payload = json_text(render(call.payload, context.values))
    parameters = {
        "FunctionName": context.resource(call.function).name,
        "InvocationType": "Event" if call.asynchronous else "RequestResponse",
        "Payload": encoded(payload),
    }
    return AwsRequest("lambda", "Invoke", parameters, payload)


def send(call: LambdaCall, context: PortContext) -> Sent:
    """Invoke with ``Invoke``; a function error is no acknowledgement and no refusal: it may have taken effect."""
    asked = request(call, context)
    return Sent(asked.body, perform(lambda: _invoke(asked, context)))


def _invoke(asked: AwsRequest, context: PortContext) -> Answer:
    response = context.client("lambda").invoke(**asked.parameters)
    text = response["Payload"].read().decode("utf-8", "replace")
    answer = success(response, text)
    if "FunctionError" not in response:
        return answer
    return Answer(status=answer.status, code="FunctionError", headers=answer.headers, text=text)
