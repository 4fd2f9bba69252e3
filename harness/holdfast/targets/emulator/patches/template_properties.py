"""Templates' reserved concurrency, dead-letter queues and validators are not dropped; a deleted stack runs no more.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html
(``ReservedConcurrentExecutions``, ``DeadLetterConfig``),
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-method.html
(``RequestValidatorId``) and
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-requestvalidator.html.
MiniStack's provisioners pass none of the three on and make no validators, so a limit that a stack sets would look
absent and what its model forbids would be let in. And when it deletes a stack it forgets the functions and the state
machines, but lets their processes and executions run on, so that whoever waits for silence waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway_v1, lambda_svc, stepfunctions
from ministack.services.cloudformation import provisioners

from holdfast.errors import TargetError

Properties = dict[str, Any]


def apply() -> None:
    """Wrap what creates and updates functions and methods.

    Raises:
        TargetError: the emulator has other provisioners than those known.
    """
    handlers = provisioners._RESOURCE_HANDLERS
    function, method = handlers["AWS::Lambda::Function"], handlers["AWS::ApiGateway::Method"]
    known = (
        provisioners._lambda_create,
        provisioners._lambda_update,
        provisioners._lambda_delete,
        provisioners._apigw_method_create,
        provisioners._apigw_request_validator_create,
        provisioners._sfn_state_machine_delete,
    )
    validator, machine = handlers["AWS::ApiGateway::RequestValidator"], handlers["AWS::StepFunctions::StateMachine"]
    found = (
        function["create"],
        function["update"],
        function["delete"],
        method["create"],
        validator["create"],
        machine["delete"],
    )
    if found != known:
        raise TargetError("the emulator provisions functions and methods in a way that the patch does not know")
    machine["delete"] = _delete_machine
    function["create"] = _then(provisioners._lambda_create, 1, _complete_function)
    function["update"] = _then(provisioners._lambda_update, 2, _complete_function)
    function["delete"] = _delete_function
    method["create"] = _then(provisioners._apigw_method_create, 1, _complete_method)
    method["update"] = _then(provisioners._apigw_method_update, 2, _complete_method)
    validator["create"] = _then(provisioners._apigw_request_validator_create, 1, _complete_validator)
    validator["update"] = _then(provisioners._apigw_request_validator_update, 2, _complete_validator)
    validator["delete"] = _delete_validator


def _then(
    provision: Callable[..., Any], position: int, complete: Callable[[str, Properties], None]
) -> Callable[..., Any]:
    """The same provisioner, completed with the properties at a position of its arguments."""

    def provisioned(*arguments: Any, **named: Any) -> Any:
        made = provision(*arguments, **named)
        complete(made[0], arguments[position])
        return made

    return provisioned


def _complete_function(name: str, properties: Properties) -> None:
    function = lambda_svc._functions[name]
    reserved = properties.get("ReservedConcurrentExecutions")
    function["concurrency"] = None if reserved is None else int(reserved)
    if properties.get("DeadLetterConfig"):
        function["config"]["DeadLetterConfig"] = dict(properties["DeadLetterConfig"])
    else:
        function["config"].pop("DeadLetterConfig", None)


def _delete_function(name: str, properties: Properties) -> None:
    provisioners._lambda_delete(name, properties)
    lambda_runtime.invalidate_worker(name, account=get_account_id(), region=get_region())


def _delete_machine(arn: str, properties: Properties) -> None:
    for execution in tuple(stepfunctions._executions.values()):
        if execution.get("stateMachineArn") == arn and execution["status"] == "RUNNING":
            stopped = {"executionArn": execution["executionArn"], "cause": "its state machine was deleted"}
            stepfunctions._stop_execution(stopped)
    provisioners._sfn_state_machine_delete(arn, properties)


def _complete_method(_: str, properties: Properties) -> None:
    resource = apigateway_v1._resources.get(properties.get("RestApiId", ""), {}).get(
        properties.get("ResourceId", ""), {}
    )
    method = resource.get("resourceMethods", {}).get(properties.get("HttpMethod", "ANY"))
    if method is not None:
        method["requestValidatorId"] = properties.get("RequestValidatorId")


def _complete_validator(identity: str, properties: Properties) -> None:
    validators = apigateway_v1._request_validators.setdefault(properties.get("RestApiId", ""), {})
    validators[identity] = {
        "id": identity,
        "name": properties.get("Name", ""),
        "validateRequestBody": _true(properties.get("ValidateRequestBody")),
        "validateRequestParameters": _true(properties.get("ValidateRequestParameters")),
    }


def _delete_validator(identity: str, properties: Properties) -> None:
    apigateway_v1._request_validators.get(properties.get("RestApiId", ""), {}).pop(identity, None)


def _true(value: Any) -> bool:
    """Whether a template's boolean, which may be written as text, is true."""
    return str(value).lower() == "true"
