"""Objects put into a bucket, by the API or through a presigned URL."""

from __future__ import annotations

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import encoded
from holdfast.ports.transports.aws import AwsRequest, made, message_text
from holdfast.ports.transports.http import dispatch
from holdfast.ports.transports.web import prepare
from holdfast.stack.commands import S3Call
from holdfast.stack.templates import render_text

_PRESIGNED_SECONDS = 300


def request(call: S3Call, context: PortContext) -> AwsRequest:
    """One object by ``PutObject``."""
    body = message_text(call.json_body, call.body, context)
    parameters = {
        "Bucket": context.resource(call.bucket).name,
        "Key": render_text(call.object_key, context.values),
        "ContentType": render_text(call.content_type, context.values),
        "Body": encoded(body),
    }
    return AwsRequest("s3", "PutObject", parameters, body)


def send(call: S3Call, context: PortContext) -> Sent:
    """Put one object with ``PutObject``, or with an HTTP PUT to a presigned URL made here."""
    asked = request(call, context)
    if not call.presigned:
        return made(asked, context)
    signed = {name: value for name, value in asked.parameters.items() if name != "Body"}
    url = context.client("s3").generate_presigned_url("put_object", Params=signed, ExpiresIn=_PRESIGNED_SECONDS)
    put = prepare("PUT", url, headers={"Content-Type": signed["ContentType"]}, body=asked.parameters["Body"])
    return dispatch(put, asked.parameters["Body"], context)
