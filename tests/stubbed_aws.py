"""AWS as its documentation has it, in memory: real boto3 clients whose calls and answers are checked and never sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters

from holdfast.targets.base import Capability, Interceptor, PeekedMessage, Support
from holdfast.targets.capabilities import AWS
from holdfast.targets.clients import Clients, Credentials, isolated_session

ACCOUNT, REGION = "123456789012", "eu-west-1"
SESSION = {
    "Account": ACCOUNT,
    "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/harness",
    "UserId": "AROAEXAMPLE:harness",
}


class RefusedError(Exception):
    """AWS answers an error."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class StubbedAws:
    """A target of kind ``aws``; calls are answered by operation name, e.g. ``UpdateTable``.

    Attributes:
        calls: every call made: the operation and its parameters.
    """

    kind = "aws"
    account = ACCOUNT
    region = REGION
    endpoint_url: str | None = None
    interceptor: Interceptor | None = None
    interceptor_url: str | None = None

    def __init__(self, answers: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
        self._answers = {"GetCallerIdentity": lambda _: SESSION, **answers}
        self._clients = Clients(isolated_session(REGION, Credentials("AKIAEXAMPLE", "secret")))
        self._prepared: set[str] = set()
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str) -> Any:
        client = self._clients.get(service)
        if service not in self._prepared:
            self._prepared.add(service)
            client.meta.events.register_first("before-parameter-build", self._asked)
            client.meta.events.register("before-call", self._answer)
        return client

    def made(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of one operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    def supports(self, capability: Capability) -> Support:
        return AWS[capability]

    def credentials(self) -> tuple[str, str, str | None]:
        return "AKIAEXAMPLE", "secret", None

    def api_url(self, api_id: str, stage: str) -> str:
        raise NotImplementedError

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        raise NotImplementedError

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        raise NotImplementedError

    def close(self) -> None:
        self._clients.close()

    def _asked(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, dict(params)))

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        name, parameters = self.calls[-1]
        assert name == model.name
        try:
            answer = self._answers[name](parameters)
        except RefusedError as refused:
            told = {"Code": refused.code, "Message": "as documented"}
            return self._http(refused.status), {
                "Error": told,
                "ResponseMetadata": {"HTTPStatusCode": refused.status},
            }
        if model.output_shape is not None:
            validate_parameters(answer, model.output_shape)
        return self._http(200), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}

    @staticmethod
    def _http(status: int) -> AWSResponse:
        return AWSResponse("https://aws.invalid", status, {}, None)
