"""Clients in memory for services that no emulator has; requests and answers are held to botocore's models."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

_SESSION = botocore.session.Session()


class ModelledClient:
    """Calls the method ``on_OPERATION`` of its subclass, after and before a check against the service's model."""

    service: str

    def __init__(self) -> None:
        self.model = _SESSION.get_service_model(self.service)
        self.calls: list[str] = []
        self._operations = {xform_name(name): name for name in self.model.operation_names}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = self.model.operation_model(self._operations[name])
        answering = object.__getattribute__(self, f"on_{name}")

        def call(**request: Any) -> Any:
            self.calls.append(operation.name)
            self._check(request, operation.input_shape)
            answer = answering(**request)
            if operation.output_shape is not None:
                self._check(answer, operation.output_shape)
            return answer

        return call

    def get_paginator(self, name: str) -> Any:
        """Two pages at most, so that a lever that looks at the first one only is found out."""
        client = self

        class Paginator:
            def paginate(self, **request: Any) -> Iterator[Any]:
                page = getattr(client, name)(**request)
                (listed,) = [key for key, value in page.items() if isinstance(value, list)]
                half = len(page[listed]) // 2
                yield {**page, listed: page[listed][:half]}
                yield {**page, listed: page[listed][half:]}

        return Paginator()

    def refuse(self, operation: str, code: str, message: str = "") -> ClientError:
        """The exception a client raises for an error code."""
        response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return ClientError(response, operation)

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _check(value: Any, shape: Any) -> None:
        report = ParamValidator().validate(value, shape)
        assert not report.has_errors(), report.generate_report()


class Workflows(ModelledClient):
    """Step Functions, with executions that run until they are stopped."""

    service = "stepfunctions"

    def __init__(self, machine: str) -> None:
        super().__init__()
        self.machine = machine
        self.type = "STANDARD"
        self.executions: dict[str, dict[str, Any]] = {}

    def start(self, name: str) -> str:
        """A running execution."""
        arn = f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}"
        self.executions[arn] = {
            "executionArn": arn,
            "stateMachineArn": self.machine,
            "name": name,
            "status": "RUNNING",
            "startDate": datetime.now(UTC),
            "redriveCount": 0,
            "redriveStatus": "NOT_REDRIVABLE",
        }
        return arn

    def on_list_executions(self, stateMachineArn: str, statusFilter: str) -> Any:  # noqa: N803
        """Those of the machine with that status."""
        names = ("executionArn", "stateMachineArn", "name", "status", "startDate")
        found = [each for each in self.executions.values() if each["status"] == statusFilter]
        assert stateMachineArn == self.machine
        return {"executions": [{name: each[name] for name in names} for each in found]}

    def on_describe_state_machine(self, stateMachineArn: str) -> Any:  # noqa: N803
        """The machine."""
        return {
            "stateMachineArn": stateMachineArn,
            "name": "machine",
            "definition": "{}",
            "roleArn": "arn:aws:iam::123456789012:role/machine",
            "type": self.type,
            "creationDate": datetime.now(UTC),
        }

    def on_describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        """One execution."""
        if executionArn not in self.executions:
            raise self.refuse("DescribeExecution", "ExecutionDoesNotExist")
        return self.executions[executionArn]

    def on_stop_execution(self, executionArn: str, error: str, cause: str) -> Any:  # noqa: N803
        """Abort one."""
        self.executions[executionArn] |= {
            "status": "ABORTED",
            "error": error,
            "cause": cause,
            "redriveStatus": "REDRIVABLE",
        }
        return {"stopDate": datetime.now(UTC)}

    def on_redrive_execution(self, executionArn: str, clientToken: str) -> Any:  # noqa: N803
        """Let one go on."""
        found = self.executions[executionArn]
        if found["redriveStatus"] != "REDRIVABLE":
            raise self.refuse("RedriveExecution", "ExecutionNotRedrivable")
        found |= {"status": "RUNNING", "redriveCount": found["redriveCount"] + 1, "redriveStatus": "NOT_REDRIVABLE"}
        del found["cause"], found["error"]
        return {"redriveDate": datetime.now(UTC)}


class Experiments(ModelledClient):
    """AWS Fault Injection Service on a clock of its own."""

    service = "fis"

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_800_000_000.0
        self.templates: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self._by_token: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    def now(self) -> float:
        """Seconds since the epoch; each look takes a while, so that waits end."""
        self.seconds += 25.0
        return self.seconds

    @property
    def moment(self) -> datetime:
        """The time as an answer has it."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def on_create_experiment_template(self, clientToken: str, **request: Any) -> Any:  # noqa: N803
        """A template; the same one for the same token."""
        self.requests.append(request)
        made = self._by_token.get(clientToken)
        if made is None:
            made = {
                "id": f"EXT{next(self._numbers)}",
                "description": request["description"],
                "tags": request.get("tags", {}),
                "creationTime": self.moment,
                "actions": request["actions"],
                "targets": request.get("targets", {}),
            }
            self._by_token[clientToken] = made
            self.templates[made["id"]] = made
        return {"experimentTemplate": made}

    def on_start_experiment(self, clientToken: str, experimentTemplateId: str, tags: dict[str, str]) -> Any:  # noqa: N803
        """A running experiment; the same one for the same token."""
        made = self._by_token.get(clientToken)
        if made is None:
            action = {"state": {"status": "running"}, "startTime": self.moment}
            template = self.templates[experimentTemplateId]
            made = {
                "id": f"EXP{next(self._numbers)}",
                "experimentTemplateId": experimentTemplateId,
                "state": {"status": "running"},
                "actions": dict.fromkeys(template["actions"], action),
                "targets": template["targets"],
                "tags": tags,
            }
            self._by_token[clientToken] = made
            self.experiments[made["id"]] = made
        return {"experiment": made}

    def on_get_experiment_template(self, id: str) -> Any:  # noqa: A002
        """One template."""
        if id not in self.templates:
            raise self.refuse("GetExperimentTemplate", "ResourceNotFoundException")
        return {"experimentTemplate": self.templates[id]}

    def on_get_experiment(self, id: str) -> Any:  # noqa: A002
        """One experiment."""
        return {"experiment": self.experiments[id]}

    def on_stop_experiment(self, id: str) -> Any:  # noqa: A002
        """End one."""
        if self.experiments[id]["state"]["status"] != "running":
            raise self.refuse("StopExperiment", "ConflictException")
        self.experiments[id] |= {"state": {"status": "stopped"}, "endTime": self.moment}
        return {"experiment": self.experiments[id]}

    def on_delete_experiment_template(self, id: str) -> Any:  # noqa: A002
        """Remove one."""
        if id not in self.templates:
            raise self.refuse("DeleteExperimentTemplate", "ResourceNotFoundException")
        return {"experimentTemplate": self.templates.pop(id)}

    def on_list_experiments(self) -> Any:
        """All experiments."""
        names = ("id", "experimentTemplateId", "state", "tags")
        return {"experiments": [{name: each[name] for name in names} for each in self.experiments.values()]}

    def on_list_experiment_templates(self) -> Any:
        """All templates."""
        names = ("id", "description", "creationTime", "tags")
        return {"experimentTemplates": [{name: each[name] for name in names} for each in self.templates.values()]}
