"""The interface of clients: AWS calls and HTTP requests, one attempt each, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from holdfast.ports.answer import Answer
from holdfast.ports.classify import classify
from holdfast.stack.commands import Acknowledgement
from holdfast_load.recorder import Reply

_USUAL = Acknowledgement()


class LoadClient(Protocol):
    """Makes calls; the cheap client and the boto3 reference give the same outcomes."""

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """Make one AWS call.

        Args:
            service: as boto3 names it, e.g. ``dynamodb``, ``stepfunctions``.
            operation: as AWS names it, e.g. ``PutItem``.
            parameters: as boto3 takes them.

        Raises:
            PortError: it cannot be sent at all: parameters or credentials are wrong.
        """

    def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = ...,
        body: bytes = ...,
        sign_for: str = ...,
        read_seconds: float | None = ...,
    ) -> Answer:
        """Make one HTTP request; no redirect is followed.

        Args:
            method: HTTP method.
            url: the whole URL, percent-encoded.
            headers: sent as they are.
            body: sent as it is.
            sign_for: signing name of a service, e.g. ``execute-api``; empty sends it unsigned.
            read_seconds: how long the answer may take; None for as long as the client says.

        Raises:
            PortError: the URL, a header or the credentials are wrong.
        """


def reply(answer: Answer, rule: Acknowledgement = _USUAL) -> Reply:
    """What the history keeps of an answer.

    Args:
        answer: what came back.
        rule: which answers acknowledge and which refuse, as in a descriptor.
    """
    return Reply(classify(rule, answer), answer.summary(), answered=bool(answer.status) and not answer.error)
