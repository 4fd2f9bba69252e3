"""Invocations delayed, failed or answered wrongly by AWS Fault Injection Service."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from botocore.exceptions import ClientError

from holdfast.errors import Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.levers.function_configuration import function_name, variables
from holdfast.stack.aws_errors import is_missing
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

UP_SECONDS = 60.0
"""The extension has the fault by then: it asks for it every minute at most."""
DOWN_SECONDS = 20.0
"""The extension has let go of the fault by then: it asks more often while one is on."""
TAG = "holdfast-fault"
CONFIGURATION = "AWS_FIS_CONFIGURATION_LOCATION"
_OVER = frozenset({"completed", "stopped", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationAction:
    """What FIS does to invocations of a function.

    https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html#lambda-actions-reference

    Attributes:
        kind: which action.
        percentage: of the invocations, 1 to 100.
        delay_ms: for ``add-delay``: how long the start is held back.
        prevent_execution: for ``error`` and ``http-integration-response``: False runs the function all the same, so
            its effect is there while the caller sees an error.
        status: for ``http-integration-response``: the HTTP status answered.
    """

    kind: Literal["add-delay", "error", "http-integration-response"]
    percentage: int = 100
    delay_ms: int = 2000
    prevent_execution: bool = True
    status: int = 503

    @property
    def id(self) -> str:
        """The action as FIS calls it."""
        return f"aws:lambda:invocation-{self.kind}"

    @property
    def error_class(self) -> ErrorClass:
        """Which code path of the stack it exercises."""
        if self.kind == "add-delay":
            return ErrorClass.TIMEOUT
        if not self.prevent_execution:
            return ErrorClass.LOST_ANSWER
        if self.kind == "http-integration-response" and self.status < 500:
            return ErrorClass.THROTTLE if self.status == 429 else ErrorClass.DENIED
        return ErrorClass.FAILURE

    def parameters(self, duration_seconds: float) -> dict[str, str]:
        """Its parameters as FIS takes them; a duration is whole minutes."""
        duration = f"PT{max(1, math.ceil(duration_seconds / 60))}M"
        common = {"duration": duration, "invocationPercentage": str(self.percentage)}
        prevent = {"preventExecution": str(self.prevent_execution).lower()}
        if self.kind == "add-delay":
            return {**common, "startupDelayMilliseconds": str(self.delay_ms)}
        if self.kind == "error":
            return {**common, **prevent}
        return {**common, **prevent, "statusCode": str(self.status), "contentTypeHeader": "application/json"}


@dataclass(slots=True, kw_only=True)
class FunctionExperiment:
    """An experiment of AWS Fault Injection Service on one function; it ends by itself.

    FIS has no agentless fault for functions: the stack's owner must have added its extension as a layer, two
    environment variables and an S3 prefix. The template and the experiment carry a tag of the lever's, by which they
    are found again from the journal: both are made before their ids are known. Healing stops the experiment and deletes
    the template. The extension has a fault within 60 s and lets go of it within 20 s, so proofs wait that long.
    Written to the documentation: no emulator has this service.
    https://docs.aws.amazon.com/fis/latest/userguide/use-lambda-actions.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        action: what is done to its invocations; needed to inject, not to heal.
        role_arn: the role that FIS takes on to write the fault's configuration.
        expires_seconds: the fault ends by itself after this long, in whole minutes.
        stop_alarm_arn: a CloudWatch alarm that ends the experiment; empty for none.
        tag: value of the lever's tag; a fresh one for each lever.
        now: wall clock, seconds since the epoch.
    """

    name: ClassVar[str] = "function-experiment"
    permissions: ClassVar[tuple[str, ...]] = (
        "fis:CreateExperimentTemplate",
        "fis:DeleteExperimentTemplate",
        "fis:GetExperimentTemplate",
        "fis:ListExperimentTemplates",
        "fis:StartExperiment",
        "fis:StopExperiment",
        "fis:GetExperiment",
        "fis:ListExperiments",
        "fis:TagResource",
        "iam:PassRole",
        "lambda:GetFunctionConfiguration",
    )
    propagation_seconds: ClassVar[float] = 180.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.FAULT_INJECTION_SERVICE

    target: Target
    component: str
    resource: str
    action: InvocationAction = InvocationAction(kind="error")
    role_arn: str = ""
    expires_seconds: float = 900.0
    stop_alarm_arn: str = ""
    tag: str = field(default_factory=lambda: secrets.token_hex(8))
    now: Callable[[], float] = time.time
    key: str = field(default="", init=False)
    _experiment: str = field(default="", init=False)

    @classmethod
    def on(
        cls,
        stack: Stack,
        component: str,
        *,
        action: InvocationAction,
        role_arn: str,
        expires_seconds: float = 900.0,
        stop_alarm_arn: str = "",
    ) -> Self:
        """The lever on a function of a stack.

        Args:
            stack: the stack.
            component: the function.
            action: what is done to its invocations.
            role_arn: the role that FIS takes on.
            expires_seconds: the fault ends by itself after this long.
            stop_alarm_arn: a CloudWatch alarm that ends the experiment; empty for none.
        """
        return cls(
            target=stack.target,
            component=component,
            resource=stack.resource(component).arn,
            action=action,
            role_arn=role_arn,
            expires_seconds=expires_seconds,
            stop_alarm_arn=stop_alarm_arn,
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        tag = snapshot.placed["tag"]
        return cls(target=target, component=snapshot.component, resource=snapshot.resource, tag=tag)

    @property
    def error_class(self) -> ErrorClass:
        """Which code path it exercises."""
        return self.action.error_class

    def snapshot(self) -> Snapshot:
        """See that the function has the extension of FIS; nothing else is found, an experiment is only ever added.

        Raises:
            Inconclusive: the target has no FIS, or the function not its extension.
        """
        need_support(self.target, self.capability, f"FIS cannot be used on {self.component}")
        function = function_name(self.resource)
        found = self.target.client("lambda").get_function_configuration(FunctionName=function)
        if CONFIGURATION not in (variables(found) or {}):
            raise Inconclusive(
                f"{function} has no variable {CONFIGURATION}, so it has not the FIS extension (a layer, two variables "
                "and an S3 prefix, see https://docs.aws.amazon.com/fis/latest/userguide/use-lambda-actions.html)"
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={},
            placed={"tag": self.tag, "action": self.action.id},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the lever says it all
        """Make the template and start the experiment; repeated calls make no second one."""
        action, client = self.action, self._client
        alarm = {"source": "aws:cloudwatch:alarm", "value": self.stop_alarm_arn}
        template = persistently(
            lambda: client.create_experiment_template(
                clientToken=f"{self.tag}-template",
                description=f"Holdfast: {action.id} on {self.component}",
                stopConditions=[alarm if self.stop_alarm_arn else {"source": "none"}],
                targets={
                    "functions": {
                        "resourceType": "aws:lambda:function",
                        "resourceArns": [self.resource],
                        "selectionMode": "ALL",
                    }
                },
                actions={
                    "fault": {
                        "actionId": action.id,
                        "parameters": action.parameters(self.expires_seconds),
                        "targets": {"Functions": "functions"},
                    }
                },
                roleArn=self.role_arn,
                experimentOptions={"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"},
                tags={TAG: self.tag},
            ),
            deadline_seconds=20.0,
        )["experimentTemplate"]["id"]
        self._experiment = persistently(
            lambda: client.start_experiment(
                clientToken=f"{self.tag}-experiment", experimentTemplateId=template, tags={TAG: self.tag}
            ),
            deadline_seconds=20.0,
        )["experiment"]["id"]

    def proof(self) -> str:
        """The action is running for as long as the extension may need to hear of it.

        Raises:
            InjectionError: the experiment ended.
        """
        if not self._experiment:
            return ""
        found = self._client.get_experiment(id=self._experiment)["experiment"]
        state = found["state"]
        if state["status"] in _OVER:
            raise InjectionError(
                f"experiment {self._experiment} on {self.component} is {state['status']}: "
                f"{state.get('reason') or 'no reason given'}",
                remedy="see the experiment in the FIS console; its role, its alarm or its target may be the cause",
            )
        action = found["actions"]["fault"]
        if action["state"]["status"] != "running" or self.now() - action["startTime"].timestamp() < UP_SECONDS:
            return ""
        return (
            f"experiment {self._experiment} has been running {self.action.id} on {function_name(self.resource)} for "
            f"{UP_SECONDS:g} s or more; that an invocation felt it was not tried"
        )

    def hits(self) -> int:
        """FIS does not count them."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the tag says what is the lever's
        """Stop every experiment with the lever's tag and delete its template."""
        for experiment in persistently(lambda: list(self._experiments()), deadline_seconds=20.0):
            _unless_gone(self._stop, experiment["id"])
        for template in persistently(lambda: list(self._templates()), deadline_seconds=20.0):
            _unless_gone(lambda id_: self._client.delete_experiment_template(id=id_), template["id"])

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the tag says what is the lever's
        """No template has the tag, and every experiment with it has been over for as long as the extension may need."""
        if list(self._templates()):
            return ""
        experiments = [self._client.get_experiment(id=each["id"])["experiment"] for each in self._experiments()]
        for each in experiments:
            ended = each.get("endTime")
            over = each["state"]["status"] in _OVER
            if not over or (ended is not None and self.now() - ended.timestamp() < DOWN_SECONDS):
                return ""
        ends = ", ".join(f"{each['id']} is {each['state']['status']}" for each in experiments)
        return f"no template of this fault is left, and {ends or 'no experiment was started'}"

    def by_hand(self, snapshot: Snapshot) -> str:
        """The commands that find, stop and delete what was made."""
        tag = snapshot.placed["tag"]

        def listed(what: str, answer: str) -> str:
            return cli(
                self.target, "fis", what, "--query", f"{answer}[?tags.\"{TAG}\"=='{tag}'].id", "--output", "text"
            )

        stop = f'{cli(self.target, "fis", "stop-experiment")} --id "$id"'
        delete = f'{cli(self.target, "fis", "delete-experiment-template")} --id "$id"'
        return (
            f"for id in $({listed('list-experiments', 'experiments')}); do {stop}; done; "
            f"for id in $({listed('list-experiment-templates', 'experimentTemplates')}); do {delete}; done"
        )

    @property
    def _client(self) -> Any:
        return self.target.client("fis")

    def _experiments(self) -> Iterator[Mapping[str, Any]]:
        return self._tagged("list_experiments", "experiments")

    def _templates(self) -> Iterator[Mapping[str, Any]]:
        return self._tagged("list_experiment_templates", "experimentTemplates")

    def _tagged(self, operation: str, answer: str) -> Iterator[Mapping[str, Any]]:
        for page in self._client.get_paginator(operation).paginate():
            yield from (each for each in page[answer] if each.get("tags", {}).get(TAG) == self.tag)

    def _stop(self, experiment: str) -> None:
        # one that is over, or about to be, must not be stopped
        if self._client.get_experiment(id=experiment)["experiment"]["state"]["status"] not in _OVER | {"stopping"}:
            self._client.stop_experiment(id=experiment)


def _unless_gone(call: Callable[[str], object], id_: str) -> None:
    try:
        persistently(lambda: call(id_), deadline_seconds=20.0, passing=("ConflictException",))
    except ClientError as error:
        if not is_missing(error):
            raise
