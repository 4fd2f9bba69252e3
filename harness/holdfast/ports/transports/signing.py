"""Signature Version 4, by botocore's own signer, on the request exactly as it will be sent."""

from __future__ import annotations

import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from holdfast.targets.base import Target


def sign(request: requests.PreparedRequest, service: str, target: Target) -> None:
    """Add the signature headers.

    Args:
        request: a finished request; only its headers change.
        service: signing name, e.g. ``execute-api`` or ``lambda``.
        target: whose credentials and region sign.
    """
    access_key, secret_key, token = target.credentials()
    signed = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
        # Other headers may be changed on the way by proxies; signing them makes requests fail for no gain.
        if name.lower() in {"host", "content-type"} or name.lower().startswith("x-amz-")
    }
    plain = AWSRequest(method=request.method, url=request.url, data=request.body or b"", headers=signed)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(access_key, secret_key, token), service, target.region).add_auth(plain)
    request.headers.update(dict(plain.headers.items()))
