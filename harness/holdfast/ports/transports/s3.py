"""Objects put into a bucket, by the API or through a presigned URL."""

from __future__ import annotations

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import encoded
from holdfast.ports.transports.aws import message_text, perform, success
from holdfast.ports.transports.http import dispatch
from holdfast.ports.transports.web import prepare
from holdfast.stack.commands import S3Call
from holdfast.stack.templates import render_text

_PRESIGNED_SECONDS = 300


def send(call: S3Call, context: PortContext) -> Sent:
    """Put one object with ``PutObject``, or with an HTTP PUT to a presigned URL made here."""
    body = message_text(call.json_body, call.body, context)
    payload = encoded(body)
    request = {
        "Bucket": context.resource(call.bucket).name,
        "Key": render_text(call.object_key, context.values),
        "ContentType": render_text(call.content_type, context.values),
    }
    client = context.client("s3")
    if call.presigned:
        url = client.generate_presigned_url("put_object", Params=request, ExpiresIn=_PRESIGNED_SECONDS)
        put = prepare("PUT", url, headers={"Content-Type": request["ContentType"]}, body=payload)
        return dispatch(put, payload, context)
    return Sent(body, perform(lambda: success(client.put_object(Body=payload, **request))))
