"""API Gateway keeps a function's failure to itself: 502 for an error, 500 when the function could not be invoked.

https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html#services-apigateway-errors: "If the Lambda API
rejects the invocation request, API Gateway returns a 500 error code. If the function runs but returns an error, or
returns a response in the wrong format, API Gateway returns a 502. In both cases, the body of the response from API
Gateway is {"message": "Internal server error"}." MiniStack answers 429, or the error's JSON.
"""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc

from holdfast.targets.emulator.known import require

Response = tuple[dict[str, Any] | None, str | None]


def apply() -> None:
    """Replace what a failed invocation becomes."""
    known = lambda_svc.lambda_execute_result_to_api_proxy_response
    require(
        lambda_svc.lambda_execute_result_to_api_proxy_response,
        "36f0ed215e85",
        "lambda_execute_result_to_api_proxy_response",
    )

    def response(result: dict[str, Any]) -> Response:
        if result.get("throttle") or result.get("error"):
            status = 500 if result.get("throttle") else 502
            headers = {"Content-Type": "application/json"}
            return {"statusCode": status, "headers": headers, "body": '{"message": "Internal server error"}'}, None
        answer: Response = known(result)
        return answer

    lambda_svc.lambda_execute_result_to_api_proxy_response = response
