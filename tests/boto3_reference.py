"""What the cheap client is compared with: boto3 and requests behind the same interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore import xform_name

from holdfast.ports.answer import Answer
from holdfast.ports.transports.aws import perform, success
from holdfast.ports.transports.web import WebClient, prepare
from holdfast.targets.base import Target
from holdfast_load.client.operations import FUNCTION_ERROR

READ_SECONDS = 30.0


class Boto3Client:
    """Makes calls with boto3, one attempt each.

    Args:
        target: where to.
        read_seconds: how long the answer to an HTTP request may take; the target's clients bound AWS calls.
    """

    def __init__(self, target: Target, *, read_seconds: float = READ_SECONDS) -> None:
        self._target = target
        self._read_seconds = read_seconds
        self._web = WebClient()

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """Make one AWS call (`LoadClient.call`)."""
        method = getattr(self._target.client(service), xform_name(operation))
        return perform(lambda: _answer(method(**parameters)))

    def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sign_for: str = "",
        read_seconds: float | None = None,
    ) -> Answer:
        """Make one HTTP request (`LoadClient.http`)."""
        sign = (sign_for, self._target) if sign_for else None
        request = prepare(method, url, headers=headers or {}, body=body or None, sign_for=sign)
        return self._web.send(request, self._read_seconds if read_seconds is None else read_seconds)

    def close(self) -> None:
        """Close idle connections."""
        self._web.close()


def _answer(response: Mapping[str, Any]) -> Answer:
    if "Payload" not in response:
        return success(response)
    answer = success(response, response["Payload"].read().decode("utf-8", "replace"))
    code = FUNCTION_ERROR if "FunctionError" in response else ""
    return Answer(status=answer.status, code=code, headers=answer.headers, text=answer.text)
