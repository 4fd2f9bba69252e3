"""A fault aimed at invocations or AWS calls of one function or process, or at the calls about one resource."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self
from weakref import WeakKeyDictionary

from holdfast.errors import GuardRailError, Inconclusive, InterceptorEnded
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.signals import interrupts
from holdfast.targets.base import Capability, Interceptor, Rule, Target
from holdfast.targets.interceptor.names import name_of

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack
    from holdfast.stack.running import Running

NO_RULE = Rule(id="", action="fail")

_THROTTLES = frozenset({"ProvisionedThroughputExceededException", "SlowDown", "RequestLimitExceeded"})
_DENIALS = frozenset({"AccessDenied", "AccessDeniedException"})
_CLASSES = {
    "fail": ErrorClass.FAILURE,
    "throttle": ErrorClass.THROTTLE,
    "kill": ErrorClass.CRASH,
    "delay": ErrorClass.TIMEOUT,
    "drop": ErrorClass.LOST_ANSWER,
    "fail-after": ErrorClass.LOST_ANSWER,
    "cut": ErrorClass.TIMEOUT,
    "duplicate": ErrorClass.DUPLICATE,
}
_DONE = {
    "fail": "failed",
    "throttle": "throttled",
    "kill": "killed",
    "delay": "delayed",
    "refuse": "refused",
    "drop": "lost the answer of",
    "fail-after": "performed and failed",
    "cut": "cut the connection of",
    "duplicate": "performed twice",
}
_AT_CALLS = frozenset({"refuse", "drop", "fail-after", "cut", "duplicate"})
"""Actions that are for calls alone, so their name says when they act."""


def _caller(resource: str) -> str:
    """The name under which calls are made for a resource: the last part of its ARN, the id of a mapping."""
    if ":function:" in resource:
        return resource.split(":function:", 1)[-1]
    return re.split("[:/]", resource)[-1]


def component_resource(component: str) -> str:
    """How the guard rail calls a process whose calls are aimed at, whichever process it is at the time."""
    return f"component:{component}"


class _Looks:
    """What an interceptor last said about its rules, shared by all faults on it.

    Hundreds of aimed faults are healed at once; each may rest on one look at the rules, if that look came after its own
    removal.
    """

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[Interceptor, tuple[float, frozenset[str]]] = WeakKeyDictionary()

    def rules_after(self, interceptor: Interceptor, moment_seconds: float) -> frozenset[str]:
        """Ids of the rules in force at some time after this moment."""
        last = self._last.get(interceptor)
        if last is None or last[0] <= moment_seconds:
            last = (time.monotonic(), frozenset(rule.id for rule in interceptor.rules()))
            self._last[interceptor] = last
        return last[1]


_LOOKS = _Looks()


@dataclass(slots=True, kw_only=True)
class InvocationFault:
    """A rule in the interceptor between the functions and the emulator.

    On a function it acts on its invocations or on the calls that it makes, on a process on the calls that it makes, and
    the key is looked for in these; on any other component, on the calls about
    it, whoever makes them, or on those that the service itself makes for it: a state machine, an API, a rule, a topic,
    the event source mapping of a function. It waits for its key, so it is proven by its hits when the window closes,
    not when it opens; any number may be in force side by side on one component. It lives in the interceptor alone: it
    is gone with it.

    Args:
        target: a target with an interceptor.
        component: the function, queue, table..., by its name in the descriptor.
        resource: its ARN; the id of a mapping; for a process ``component:`` and its name.
        rule: the fault; its function, or its resource, is the physical name.
        running: what the run has started; a process that the fault kills is started again when it is healed.
    """

    name: ClassVar[str] = "invocation-fault"
    permissions: ClassVar[tuple[str, ...]] = ()
    propagation_seconds: ClassVar[float] = 5.0
    aimed: ClassVar[bool] = True

    target: Target
    component: str
    resource: str
    rule: Rule
    running: Running | None = None
    _removed_at: float = field(default=0.0, init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, rule: Rule) -> Self:
        """The lever on a component of a stack; the rule's function, or the resource of its calls, is filled in.

        A rule that names another caller as its function is about the calls that a service makes for the component: the
        name of the state machine, rule or topic, the id of the API or of the function's mapping.
        """
        found = stack.resource(component)
        if found.type == "process":
            rule = replace(rule, point="call", function=component, caller="process")
            resource = component_resource(component)
            return cls(target=stack.target, component=component, resource=resource, rule=rule, running=stack.running)
        if rule.function and rule.point == "call" and (found.type, rule.function) != ("function", found.name):
            resource = rule.function if found.type == "function" else found.arn
            return cls(target=stack.target, component=component, resource=resource, rule=rule)
        if found.type == "function":
            rule = replace(rule, function=found.name)
        else:
            rule = replace(rule, point="call", resource=found.name, caller="any")
        return cls(target=stack.target, component=component, resource=found.arn, rule=rule)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        rule = replace(NO_RULE, id=snapshot.resource)
        return cls(target=target, component=snapshot.component, resource=snapshot.placed["function"], rule=rule)

    @property
    def key(self) -> str:
        """The key it is aimed at."""
        return self.rule.key

    @property
    def capability(self) -> Capability:
        """What the target must be able to do."""
        return Capability.INVOCATION_FAULTS if self.rule.point == "invocation" else Capability.CALL_FAULTS

    @property
    def error_class(self) -> ErrorClass:
        """Which code path it exercises; a refused call by the error that it answers."""
        if self.rule.action == "refuse":
            if self.rule.error in _THROTTLES or "Throttl" in self.rule.error:
                return ErrorClass.THROTTLE
            return ErrorClass.DENIED if self.rule.error in _DENIALS else ErrorClass.FAILURE
        return _CLASSES[self.rule.action]

    def snapshot(self) -> Snapshot:
        """Nothing is found: a rule is only ever added."""
        aimed, name = self.rule.function, _caller(self.resource)
        kind = "function"
        if self.rule.resource and not aimed:
            kind = "resource"
            aimed, name = name_of(self.rule.resource), name_of(self.resource)
        if aimed != name:
            raise GuardRailError(
                f"rule {self.rule.id} is for {kind} {aimed or 'any'}, not {name}; nothing was changed",
                remedy="make the fault with InvocationFault.on, which fills in the function or the resource",
            )
        support = self.target.supports(self.capability)
        if self.target.interceptor is None or not support.supported:
            why = support.reason or "it has no interceptor"
            raise Inconclusive(f"no fault can be aimed at {self.component} on the {self.target.kind} target: {why}")
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.rule.id,
            found={},
            placed={"rule": self.rule.id, "function": self.resource},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the rule says it all
        """Put the rule in force."""
        assert self.target.interceptor is not None
        with interrupts.shielded():  # a rule that is still on its way could not be taken out yet
            self.target.interceptor.add(self.rule)

    def proof(self) -> str:
        """The interceptor counted hits."""
        hits = self.hits()
        if hits == 0:
            return ""
        rule = self.rule
        what = f"the invocation of {rule.function}"
        if rule.point == "call":
            call = ":".join(part for part in (rule.service, rule.operation) if part) or "an AWS call"
            what = f"{call} of {rule.function}" if rule.function else f"{call} on {name_of(rule.resource)}"
        times = "once" if hits == 1 else f"{hits} times"
        when = "" if rule.action in _AT_CALLS else f", {rule.when} it had run"
        return f"the interceptor {_DONE[rule.action]} {what} {times}{when}"

    def hits(self) -> int:
        """Hits counted so far, also after the rule was removed."""
        return 0 if self.target.interceptor is None else self.target.interceptor.hits(self.rule.id)

    def heal(self, snapshot: Snapshot) -> None:
        """Take the rule out, unless it has ended with its interceptor."""
        if self.target.interceptor is not None:
            with suppress(InterceptorEnded):
                self.target.interceptor.remove(snapshot.placed["rule"])
        self._removed_at = time.monotonic()
        if self.running is not None and self.rule.action == "kill":
            self.running.start(self.component)

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The rule is not in force."""
        rule = snapshot.placed["rule"]
        ended = f"rule {rule} ended with its interceptor"
        if self.target.interceptor is None:
            return ended
        try:
            in_force = _LOOKS.rules_after(self.target.interceptor, self._removed_at)
        except InterceptorEnded:
            return ended
        return "" if rule in in_force else f"rule {rule} is no longer in force"

    def by_hand(self, snapshot: Snapshot) -> str:
        """There is no command: the rule dies with the target."""
        return f"end the {self.target.kind} target; rule {snapshot.placed['rule']} lives in its interceptor alone"
