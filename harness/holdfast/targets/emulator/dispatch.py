"""Calls that the emulator makes itself, under the interceptor's rules and in its record.

API Gateway, Step Functions, EventBridge, SNS and event source mappings call other services in-process: no HTTP passes,
so the interceptor of HTTP calls never sees them. Whatever makes such a call opens a *handling* (the caller is its
physical name: the id of an API, the name of a state machine, rule or topic, the UUID of a mapping; the event is the
payload it works on) and makes each call through :func:`call`. A rule and the trace then treat the caller as they treat
a function: ``Rule.function`` is the caller's name, ``Rule.key`` is sought in the payload, and ``Rule.resource`` is what
the call is about.

A caller without a process of its own cannot be killed: a rule that says so is not acted on, and counts no hit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from holdfast.targets.base import Rule
from holdfast.targets.emulator.interception import RULES, TRACER
from holdfast.targets.interceptor.errors import ErrorAnswer, error_answer
from holdfast.targets.interceptor.names import name_of
from holdfast.targets.interceptor.recognition import Call, Request, recognise
from holdfast.targets.interceptor.resources import resources_of
from holdfast.targets.interceptor.tracing import Invocation

T = TypeVar("T")

THROTTLED_CODE = "ThrottlingException"
REFUSED_CODE = "InternalError"
_REFUSALS = frozenset({"refuse", "throttle", "fail"})
_DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"})


class CallFailedError(Exception):
    """What a caller sees of a call that a rule broke.

    Attributes:
        code: AWS error code.
        message: what the service would say.
        status: HTTP status; 0 when no answer came.
    """

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def lost(self) -> bool:
        """Whether no answer came: the caller cannot know whether the call was performed."""
        return self.status == 0

    @property
    def throttled(self) -> bool:
        """Whether the service refused for now, because there was too much."""
        return "Throttl" in self.code or "TooMany" in self.code or self.code in ("SlowDown", "RequestLimitExceeded")

    @property
    def denied(self) -> bool:
        """Whether the caller may not do it: trying again helps nothing."""
        return self.code in _DENIALS


def as_answer(service: str, code: str, message: str, headers: Mapping[str, str] | None = None) -> ErrorAnswer:
    """An error as the service would answer it over HTTP.

    Args:
        service: endpoint prefix of the service.
        code: AWS error code.
        message: what it says.
        headers: those of the request, by lower-case name; they tell the protocol.
    """
    return error_answer(service, Request("POST", "/", "", headers or {}), code, message)


@contextmanager
def handling(caller: str, event: str, request_id: str = "") -> Iterator[Invocation]:
    """The time in which a caller works on one payload; it is in the record, and counts as running.

    Args:
        caller: physical name of what makes the calls.
        event: the payload, text.
        request_id: the id of this handling; drawn when empty.
    """
    handled = TRACER.begin(caller, request_id or str(uuid4()), event)
    handled.by_service = True
    try:
        yield handled
    except BaseException:
        handled.failed = True
        raise
    finally:
        handled.ended_seconds = time.time()


def call(
    caller: Invocation,
    service: str,
    operation: str,
    perform: Callable[[], T],
    *,
    payload: str = "",
    about: Collection[str] = (),
    state: str = "",
) -> T:
    """Make one call with the faults that are aimed at it, and record it; never on the emulator's event loop.

    Args:
        caller: the handling that makes it.
        service: endpoint prefix of the service, e.g. ``states``.
        operation: e.g. ``StartExecution``.
        perform: does it.
        payload: more text in which a rule's key may be, beside the handling's event.
        about: what the call is about: names, ARNs or URLs.
        state: the state of a state machine that makes it.

    Returns:
        What ``perform`` returned; of two, the first.

    Raises:
        CallFailedError: a rule refused it or lost its answer.
    """
    resources = tuple(dict.fromkeys(name_of(each) for each in about if each))
    faults = Faults.claim(caller, service, operation, payload, resources=resources, state=state)
    status = 0
    try:
        faults.before()
        answer = faults.perform(perform)
        status = 200
    except CallFailedError as failure:
        status = failure.status
        raise
    except Exception:
        status = 400
        raise
    else:
        return answer
    finally:
        TRACER.call(caller, service, operation, status, resources=resources, state=state)


def asked(
    service: str, method: str, path: str, headers: Mapping[str, str], content: bytes
) -> tuple[str, tuple[str, ...]]:
    """The operation that a request to a service is, and the names of what it is about.

    Args:
        service: endpoint prefix of the service.
        method: HTTP method.
        path: the path, decoded, with its query.
        headers: by lower-case name.
        content: the body.
    """
    path, _, query = path.partition("?")
    request = Request(method, path, query, headers, content)
    found = recognise(service, request)
    return found.operation, resources_of(found, request)


def about_of(service: str, operation: str, parameters: Any) -> tuple[str, ...]:
    """The names of what a call is about whose parameters a service is given by their API names.

    Args:
        service: endpoint prefix of the service.
        operation: e.g. ``SendMessage``.
        parameters: in whatever case Step Functions writes them; not always an object.
    """
    if not isinstance(parameters, dict):
        return ()
    lowered = {name[:1].lower() + name[1:]: value for name, value in parameters.items()}
    body = json.dumps({**lowered, **parameters}, default=str).encode()
    return resources_of(Call(service, operation, "json"), Request("POST", "/", "", {}, body))


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A client's request to an API.

    Attributes:
        api: id of the API.
        id: id of the request.
        event: its path, headers and body, text.
    """

    api: str
    id: str
    event: str


def call_of_api(
    request: ApiRequest, service: str, operation: str, perform: Callable[[], T], *, about: Collection[str] = ()
) -> T:
    """Make the one call of a direct integration; see :func:`call`."""
    with handling(request.api, request.event, request.id) as handled:
        return call(handled, service, operation, perform, about=about)


def invoke(caller: Invocation, function: dict[str, Any], event: Any) -> dict[str, Any]:
    """Invoke a function for a mapping; a refused call is a throttle to it, a lost answer a failure.

    Args:
        caller: the mapping's handling.
        function: the function as the emulator keeps it.
        event: what it gets.
    """
    from ministack.services import lambda_svc

    try:
        # by its name in the module: a patch replaces it
        answer = call(
            caller,
            "lambda",
            "Invoke",
            lambda: lambda_svc._execute_function(function, event),
            about=(function["config"]["FunctionName"],),
        )
        return dict(answer)
    except CallFailedError as failure:
        body = {"errorType": failure.code, "errorMessage": failure.message}
        return {"body": body, "error": True, "throttle": not failure.lost, "log": ""}


def aimed_keys(*callers: str) -> tuple[str, ...]:
    """The keys whose deliveries through these callers must travel alone."""
    return tuple(dict.fromkeys(key for caller in callers for key in RULES.aimed_keys(caller)))


class Faults:
    """The faults of one call, taken from the rule book; each is done once or given back.

    Args:
        service: endpoint prefix of the call.
        rules: the rules that it claimed.
    """

    def __init__(self, service: str, rules: tuple[Rule, ...]) -> None:
        self._service = service
        self._left = list(rules)

    @classmethod
    def claim(
        cls,
        caller: Invocation,
        service: str,
        operation: str,
        payload: str = "",
        *,
        resources: Collection[str] = (),
        state: str = "",
    ) -> Faults:
        """The faults aimed at a call."""
        event = f"{caller.event}\n{payload}" if payload else caller.event
        rules = RULES.claim_call(caller.function, event, service, operation, resources=resources, state=state)
        return cls(service, rules)

    def before(self) -> None:
        """Do what comes before the call.

        Raises:
            CallFailedError: it is refused or cut off, and must not be performed.
        """
        for rule in self._take(lambda rule: rule.action == "delay" and rule.when == "before"):
            with TRACER.holding(None):  # a service that waits takes no processor
                time.sleep(rule.delay_seconds)
        self._lose("cut", "the connection was cut")
        self._refuse(_REFUSALS)

    def perform(self, perform: Callable[[], T]) -> T:
        """Perform the call, twice where a rule says so, and do what comes after it.

        Raises:
            CallFailedError: its answer is lost, or replaced by an error.
        """
        try:
            answer = perform()
            for _ in self._take(lambda rule: rule.action == "duplicate"):
                perform()
        except Exception:
            self._after()
            raise
        self._after()
        return answer

    def _after(self) -> None:
        for rule in self._take(lambda rule: rule.action == "delay"):
            time.sleep(rule.delay_seconds)
        self._lose("drop", "the answer was lost")
        self._refuse(frozenset({"fail-after"}))
        self.release()

    def release(self) -> None:
        """Give back what was not done."""
        for rule in self._left:
            RULES.release(rule)
        self._left.clear()

    def _lose(self, action: str, what: str) -> None:
        lost = self._one(frozenset({action}))
        if lost is not None:
            raise CallFailedError("SdkClientException", f"{what} by rule {lost.id}", 0)

    def _refuse(self, actions: frozenset[str]) -> None:
        refusal = self._one(actions)
        if refusal is None:
            return
        code = refusal.error or (THROTTLED_CODE if refusal.action == "throttle" else REFUSED_CODE)
        message = f"injected by rule {refusal.id}"
        raise CallFailedError(code, message, as_answer(self._service, code, message).status)

    def _one(self, actions: frozenset[str]) -> Rule | None:
        """Take the first fault that ends the call, and give the others back; None when there is none."""
        ending = next((rule for rule in self._left if rule.action in actions), None)
        if ending is not None:
            self._take(lambda rule: rule is ending)
            self.release()
        return ending

    def _take(self, wanted: Callable[[Rule], bool]) -> list[Rule]:
        """Take faults that are done now, and count them."""
        taken = [rule for rule in self._left if wanted(rule)]
        self._left = [rule for rule in self._left if rule not in taken]
        for rule in taken:
            RULES.hit(rule)
        return taken
