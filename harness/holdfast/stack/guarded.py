"""The guard rail around the clients of levers and ports: a call that may not be made is refused before it is sent.

Reads pass. A call that changes something passes only if it is among `holdfast.stack.allowed_calls` and every resource
that it names is part of the resolved stack. The deployment of the template has clients of its own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from holdfast.errors import GuardRailError
from holdfast.stack.allowed_calls import Call, Named, beyond, call_of, is_read, named
from holdfast.stack.commands import EventBridgeCall
from holdfast.stack.resolve import Stack
from holdfast.stack.resources import Arn, partition
from holdfast.targets.base import Capability, Interceptor, PeekedMessage, Support, Target
from holdfast.targets.clients import Clients, Hook

_EXECUTION = re.compile(r"(?:execution|express):(?P<name>[^:]+):.+")
_PARTIAL_FUNCTION = re.compile(r"(?:(?P<account>\d{12}):function:)?(?P<name>[^:]+)(?::[^:]+)?")


def guarded(stack: Stack) -> Stack:
    """The same stack on a target that refuses every call which reaches outside of it.

    Close its target when it is no longer used; that of the given stack stays open.
    """
    return replace(stack, target=GuardedTarget(stack.target, GuardRail(stack).check))


class GuardRail:
    """Decides about calls before they are made.

    Args:
        stack: the only stack that may be changed.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._scope = Scope(stack)

    def check(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        """Let a call through, or refuse it.

        Args:
            service: service as boto3 names its client.
            operation: e.g. ``SetQueueAttributes``.
            params: its parameters by their API names.

        Raises:
            GuardRailError: it may never be made, or it names something outside the stack.
        """
        if is_read(operation):
            return
        call = call_of(service, operation)
        if call is None:
            raise GuardRailError(
                f"{service}:{operation} was refused; nothing was sent",
                cause="it is none of the calls that faults and ports need, and what it does may not be undone",
                remedy="do it outside of Holdfast; a port in Python may use a client of its own",
            )
        self._refuse_parameters(f"{service}:{operation}", call, params)
        for one in named(call, params):
            if not self._scope.holds(one):
                raise GuardRailError(
                    f"{service}:{operation} on {one.text or 'no resource'} was refused; nothing was sent",
                    cause=f"it is no {one.kind} of the stack {self._stack.descriptor.name}: "
                    "nothing outside the descriptor is ever changed",
                    remedy="name it as a component of the descriptor if it may be changed",
                )

    @staticmethod
    def _refuse_parameters(name: str, call: Call, params: Mapping[str, Any]) -> None:
        parameter = beyond(call, params)
        if parameter:
            raise GuardRailError(
                f"{name} with {parameter} was refused; nothing was sent",
                cause="faults change only what can be put back: no retention, billing mode, encryption or code",
            )


class Scope:
    """What belongs to a stack, in the ways that AWS calls name it.

    Args:
        stack: the resolved stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._mappings: set[str] = set()
        self._lock = threading.Lock()

    def holds(self, one: Named) -> bool:
        """Whether a resource belongs to the stack."""
        return bool(one.text) and bool(getattr(self, f"has_{one.kind}")(one.text))

    @cached_property
    def _arns(self) -> frozenset[str]:
        resources = self._stack.resources.values()
        return frozenset({one.arn for one in resources} | {one.role for one in resources}) - {""}

    def _arn(self, service: str, resource: str, account: str = "") -> str:
        target = self._stack.target
        return f"arn:{partition(target.region)}:{service}:{target.region}:{account or target.account}:{resource}"

    def has_any(self, arn: str) -> bool:
        """A resource by its ARN."""
        return arn in self._arns

    def _named(self, kind: str, service: str, prefix: str, text: str) -> bool:
        """A name, or an ARN of that kind."""
        arn = text if text.startswith("arn:") else self._arn(service, f"{prefix}{text}")
        return any(one.type == kind and one.arn == arn for one in self._stack.resources.values())

    def has_function(self, text: str) -> bool:
        """A function by name, ARN or partial ARN, with or without a version."""
        arn = Arn.parse(text)
        if arn is not None:
            name = arn.resource.removeprefix("function:").partition(":")[0]
            text = self._arn(arn.service, f"function:{name}", arn.account)
            return arn.region == self._stack.target.region and self._named("function", "lambda", "function:", text)
        partial = _PARTIAL_FUNCTION.fullmatch(text)
        if partial is None:
            return False
        whole = self._arn("lambda", f"function:{partial['name']}", partial["account"] or "")
        return self._named("function", "lambda", "function:", whole)

    def has_mapping(self, uuid: str) -> bool:
        """One of the stack's functions has it; asked again when it is not known, for mappings come and go."""
        with self._lock:
            if uuid not in self._mappings:
                functions = [name for name, one in self._stack.resources.items() if one.type == "function"]
                self._mappings = {mapping.uuid for name in functions for mapping in self._stack.mappings(name)}
            return uuid in self._mappings

    def has_role(self, name: str) -> bool:
        """A role by name, execution roles included."""
        resources = self._stack.resources.values()
        arns = [one.arn for one in resources if one.type == "role"] + [one.role for one in resources if one.role]
        return any(arn.rsplit("/", 1)[-1] == name for arn in arns)

    def has_queue(self, text: str) -> bool:
        """A queue by URL or ARN."""
        if text.startswith("arn:"):
            return self._named("queue", "sqs", "", text)
        owner, name = ["", "", *unquote(urlsplit(text).path).strip("/").split("/")][-2:]
        account = owner if re.fullmatch(r"\d{12}", owner) else ""
        return self._named("queue", "sqs", "", self._arn("sqs", name, account))

    def has_table(self, text: str) -> bool:
        """A table by name or ARN."""
        return self._named("table", "dynamodb", "table/", text)

    def has_bucket(self, name: str) -> bool:
        """A bucket by name or ARN."""
        return any(one.type == "bucket" and name in (one.name, one.arn) for one in self._stack.resources.values())

    def has_topic(self, arn: str) -> bool:
        """A topic by ARN."""
        return self._named("topic", "sns", "", arn)

    def has_subscription(self, arn: str) -> bool:
        """A subscription by ARN: its topic is of the stack."""
        return self._named("topic", "sns", "", arn.rpartition(":")[0])

    def has_bus(self, text: str) -> bool:
        """A bus by name or ARN; the default one only where a command sends to it."""
        if text == "default" and self._default_bus:
            return True
        return self._named("bus", "events", "event-bus/", text)

    @cached_property
    def _default_bus(self) -> bool:
        """Whether a command sends to the default bus."""
        calls = [call for command in self._stack.descriptor.commands.values() for call in command.calls]
        return any(isinstance(call, EventBridgeCall) and call.bus is None for call in calls)

    def has_rule(self, text: str) -> bool:
        """A rule by ``BUS/NAME``."""
        bus, _, name = text.rpartition("/")
        bus = bus.rpartition("event-bus/")[2]
        return self._named("rule", "events", "rule/", name if bus == "default" else f"{bus}/{name}")

    def has_archive(self, arn: str) -> bool:
        """An archive by ARN."""
        return self._named("archive", "events", "archive/", arn)

    def has_replay(self, name: str) -> bool:
        """A replay by name: its archive is of the stack."""
        found = self._stack.target.client("events").describe_replay(ReplayName=name)
        return self.has_archive(str(found.get("EventSourceArn", "")))

    def has_state_machine(self, arn: str) -> bool:
        """A state machine by ARN, with or without a version."""
        return self._named("state_machine", "states", "stateMachine:", ":".join(arn.split(":")[:7]))

    def has_execution(self, text: str) -> bool:
        """An execution by ARN: its state machine is of the stack."""
        arn = Arn.parse(text)
        found = _EXECUTION.fullmatch(arn.resource) if arn is not None else None
        if arn is None or found is None or arn.region != self._stack.target.region:
            return False
        return self.has_state_machine(self._arn("states", f"stateMachine:{found['name']}", arn.account))

    def has_stage(self, text: str) -> bool:
        """A stage by ``API/STAGE``."""
        api, _, stage = text.partition("/")
        return any(
            one.type == "api" and (one.name, one.stage) == (api, stage) for one in self._stack.resources.values()
        )

    def has_task(self, arn: str) -> bool:
        """A task of ECS by ARN: its service is of the stack."""
        components = self._stack.descriptor.components
        for name, one in self._stack.resources.items():
            if one.type != "ecs_task":
                continue
            cluster = components[name].cluster
            told = self._stack.target.client("ecs").describe_tasks(
                tasks=[arn], **({"cluster": cluster} if cluster else {})
            )
            if any(task.get("group") == f"service:{one.name}" for task in told["tasks"]):
                return True
        return False

    def has_experiment_template(self, identity: str) -> bool:
        """An experiment template by id: all its targets are of the stack."""
        found = self._stack.target.client("fis").get_experiment_template(id=identity)["experimentTemplate"]
        return self._targets_inside(found)

    def has_experiment(self, identity: str) -> bool:
        """An experiment by id: all its targets are of the stack."""
        return self._targets_inside(self._stack.target.client("fis").get_experiment(id=identity)["experiment"])

    def _targets_inside(self, found: Mapping[str, Any]) -> bool:
        targets = list((found.get("targets") or {}).values())
        arns = [arn for target in targets for arn in target.get("resourceArns") or [""]]
        tagged = any(target.get("resourceTags") or target.get("filters") for target in targets)
        return bool(arns) and not tagged and all(arn in self._arns for arn in arns)


class GuardedTarget:
    """A target with clients of its own, which ask before every call; all else is the target's.

    Args:
        target: the target.
        check: told service, operation and parameters of every call before it is made; raises to refuse it.
    """

    def __init__(self, target: Target, check: Hook) -> None:
        self._target = target
        self._clients = target.clients(check)
        self.kind = target.kind
        self.account = target.account
        self.region = target.region
        self.endpoint_url = target.endpoint_url
        self.profile: str | None = getattr(target, "profile", None)

    @property
    def interceptor(self) -> Interceptor | None:
        """The target's interceptor."""
        return self._target.interceptor

    @interceptor.setter
    def interceptor(self, interceptor: Interceptor | None) -> None:
        self._target.interceptor = interceptor

    @property
    def interceptor_url(self) -> str | None:
        """Where functions have to be pointed at."""
        return self._target.interceptor_url

    @interceptor_url.setter
    def interceptor_url(self, url: str | None) -> None:
        self._target.interceptor_url = url

    def client(self, service: str) -> Any:
        """A boto3 client that asks before every call."""
        return self._clients.get(service)

    def clients(self, hook: Hook) -> Clients:
        """Clients with another hook instead."""
        return self._target.clients(hook)

    def credentials(self) -> tuple[str, str, str | None]:
        """Access key, secret key and session token."""
        return self._target.credentials()

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of an API."""
        return self._target.api_url(api_id, stage)

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Where to send a request for a function URL, and the headers it needs."""
        return self._target.function_url(url)

    def supports(self, capability: Capability) -> Support:
        """Whether the target has a capability."""
        return self._target.supports(capability)

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """Every message of a queue, none received."""
        return self._target.peek_messages(queue_url)

    def close(self) -> None:
        """Close these clients; the target goes on."""
        self._clients.close()
