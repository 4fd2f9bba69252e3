"""What a target offers: clients, addresses, capabilities, and an interceptor where one can sit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol

from holdfast.targets.clients import Clients, Hook

TargetKind = Literal["embedded", "localstack", "aws"]
CallerKind = Literal["function", "process", "other"]
Action = Literal["fail", "throttle", "kill", "delay", "refuse", "drop", "cut", "fail-after", "duplicate"]


class Pin(Protocol):
    """The one AWS account and region that may be touched."""

    @property
    def account(self) -> str:
        """12-digit account id."""

    @property
    def region(self) -> str:
        """Region name."""

    @property
    def profile(self) -> str | None:
        """The AWS profile to use; None takes the default one."""


class Capability(StrEnum):
    """A behaviour of AWS that a clause rests on, or a way to provoke it."""

    INVOCATION_FAULTS = "a fault aimed at the invocations of one key"
    CALL_FAULTS = "a fault aimed at one AWS call of one key"
    SERVICE_CALL_FAULTS = "a fault aimed at one call of one key that a service makes by itself"
    FUNCTION_THROTTLE = "reserved concurrency 0 stops a function"
    FUNCTION_CONFIGURATION = "a changed timeout, memory or environment reaches the next invocation"
    INVOKE_PERMISSIONS = "a function's resource policy decides who may invoke it"
    API_THROTTLE = "the limits of a REST API's stage refuse requests"
    HTTP_API_THROTTLE = "the limits of an HTTP API's stage refuse requests"
    TASK_ROLE_ENFORCED = "a state machine's role decides which functions its tasks may invoke"
    FAULT_INJECTION_SERVICE = "AWS Fault Injection Service acts on functions"
    MAPPING_DISABLE = "a disabled event source mapping of a queue keeps its place"
    STREAM_MAPPING_DISABLE = "a disabled event source mapping of a stream keeps its place"
    TEMPLATE_LIMITS = "a template's reserved concurrency reaches the function"
    IAM_ENFORCED = "IAM denials take effect"
    QUEUE_PEEK = "messages can be read without receiving them"
    SQS_PARTIAL_BATCH = "ReportBatchItemFailures on queues"
    SQS_REDRIVE = "dead letters can be moved back to their queue"
    FIFO_ORDER = "a FIFO queue keeps the order of a message group through a mapping"
    ASYNC_RETRIES = "asynchronous invocations are retried and dead-lettered"
    STREAM_RETRIES = "stream mappings bound their retries and send failures on"
    RULE_DEAD_LETTERS = "a rule's target has retries and a dead-letter queue"
    SUBSCRIPTION_DEAD_LETTERS = "a topic's subscription has retries and a dead-letter queue"
    TASK_HEARTBEAT = "a task whose worker sends no heartbeat times out"
    EXECUTION_END = "an execution that is stopped or timed out does no more"
    EXECUTION_REDRIVE = "a failed execution goes on where it failed"
    DIRECT_INTEGRATION = "API Gateway stores without compute"
    QUEUE_ATTRIBUTES = "a queue's timeout, delay and redrive policy take effect when they are changed"
    QUEUE_POLICY = "a denial in a queue's policy takes effect"
    QUEUE_POLICY_FOR_RULES = "a denial in a queue's policy stops the rules that deliver to it"
    BUCKET_POLICY = "a denial in a bucket's policy takes effect"
    TABLE_POLICY = "a denial in a table's policy takes effect"
    TABLE_THROTTLE = "a table throttles what is beyond its capacity"
    SUBSCRIPTION_FILTER = "a filter policy keeps messages from a subscription"
    RULE_DISABLE = "a disabled rule delivers nothing"
    ARCHIVE_REPLAY = "the events of an archive can be sent once more"
    HTTP_API_INTEGRATION = "an HTTP API calls a service without compute"
    BODY_UNCHANGED = "a direct integration passes the body byte for byte"


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a target has a capability.

    Attributes:
        supported: whether it has it.
        reason: why not, or what is special; shown in verdicts.
        known_from: ``probe`` (verified on this emulator) or ``documentation`` (written to AWS' documentation).
    """

    supported: bool
    reason: str = ""
    known_from: Literal["probe", "documentation"] = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One aimed fault for the interceptor; empty text and 0 match anything.

    Attributes:
        id: unique; names the rule when hits are counted.
        action: ``fail`` (the invocation errs), ``throttle``, ``kill`` (SIGKILL the function's process), ``delay``,
            ``refuse`` (the AWS call answers ``error`` and is not performed), ``drop`` (performed, the answer lost),
            ``cut`` (not performed, the connection cut), ``fail-after`` (performed, but it answers ``error``),
            ``duplicate`` (performed twice, one after the other; the caller gets the first answer).
        point: ``invocation`` of a function, or one AWS ``call`` of a function while it handles the key.
        when: before or after the handler, or the call, has run.
        function: physical name of the function; name of the component of a ``process``.
        key: text that the invocation's event must contain; where there is no event, the call itself: its path, its
            query, or the first 8 MiB of its body.
        service: endpoint prefix of the call, e.g. ``dynamodb``.
        operation: operation of the call, e.g. ``PutItem``.
        resource: what the call is about: name, ARN or URL of a table, queue, bucket, function, topic...
        state: the state of a state machine that makes the call; calls over HTTP are of no state.
        caller: whose calls: those of functions, of a stack's ``process`` components, of ``other`` callers, or ``any``.
        nth: which matching invocation or call, from 1; 0 for every one.
        onwards: whether every one from the nth on is meant, and not the nth alone.
        times: how often the rule may hit; 0 for ever.
        probability: how likely a match is acted on. Which ones are depends on the seed and on the count of matches
            alone, so the same matches in the same order meet the same fate.
        seed: of the probability.
        expires_seconds: wall clock, seconds since the epoch, from which on the rule is void; 0 for never.
        error: AWS error code for ``refuse`` and ``fail-after``; error type for ``fail``.
        delay_seconds: how long ``delay`` holds; at most 900.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    id: str
    action: Action
    point: Literal["invocation", "call"] = "invocation"
    when: Literal["before", "after"] = "before"
    function: str = ""
    key: str = ""
    service: str = ""
    operation: str = ""
    resource: str = ""
    state: str = ""
    caller: CallerKind | Literal["any"] = "function"
    nth: int = 0
    onwards: bool = False
    times: int = 0
    probability: float = 1.0
    seed: int = 0
    expires_seconds: float = 0.0
    error: str = ""
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """One AWS call that a function made while it handled an event, or that somebody else made.

    Attributes:
        function: physical name of the caller, or the component that a process is; empty for others.
        request_id: the invocation it belongs to; empty when it belongs to none.
        index: position among the calls of that invocation, from 1; 0 when it belongs to none.
        service: endpoint prefix.
        operation: operation name.
        status: HTTP status answered; 0 when none was.
        resource: bare name of what it is about, e.g. a table; several are separated by commas; empty without one.
        order: position among all calls that the interceptor saw, from 1.
        state: the state of a state machine that made it; empty for calls of others.
    """

    function: str
    request_id: str
    index: int
    service: str
    operation: str
    status: int
    resource: str = ""
    order: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedInvocation:
    """One invocation of a function.

    Attributes:
        function: physical name.
        request_id: id of the invocation.
        started_seconds: wall clock, seconds since the epoch.
        ended_seconds: wall clock; 0 while it runs.
        failed: whether it ended in a function error, a throttle or a dead process.
        event: the event, JSON.
        starved: whether it or its caller ran out of time on a machine too busy to run it; no fault of the stack's.
        throttled: whether it was refused before it began.
        by_service: whether a service handled the event by itself: a rule, a topic, a mapping, no function.
    """

    function: str
    request_id: str
    started_seconds: float
    ended_seconds: float
    failed: bool
    event: str
    starved: bool = False
    throttled: bool = False
    by_service: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTotals:
    """All that passed since the interceptor began, counted; unlike the trace, nothing of it is forgotten.

    Attributes:
        calls: AWS calls of functions and services, by ``service:Operation``.
        invocations: invocations that ran, by physical name of the function.
        running_seconds: how long those that have ended ran in all, by function.
    """

    calls: Mapping[str, int]
    invocations: Mapping[str, int]
    running_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekedMessage:
    """One message of a queue, read without receiving it.

    Attributes:
        id: the message id that SQS gave.
        body: the body.
        attributes: the message attributes as text, by name; binary values in base64.
        visible: whether a consumer could receive it now.
        receive_count: how often it was received so far.
    """

    id: str
    body: str
    attributes: Mapping[str, str]
    visible: bool
    receive_count: int


class Interceptor(Protocol):
    """Puts aimed faults between functions and the emulator, counts each hit, records what passes."""

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""

    def remove(self, rule_id: str) -> None:
        """Take a rule out; unknown ids are ignored."""

    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit so far, also after it was removed."""

    def calls(self, key: str) -> tuple[TracedCall, ...]:
        """The AWS calls made by invocations whose event contains the key, and others that carry it, in order."""

    def invocations(self, function: str = "", key: str = "") -> tuple[TracedInvocation, ...]:
        """The invocations of a function whose event contains the key, in order."""

    def totals(self) -> TracedTotals:
        """How many calls and invocations passed since it began."""

    def running(self) -> int:
        """How many invocations have not ended, calls that a rule delays, and batches that wait to be tried again."""

    def working(self) -> int:
        """How many invocations of functions need a processor: not ended, and waiting for no delayed or lost answer."""


class Target(Protocol):
    """Where a stack is deployed.

    Attributes:
        kind: ``embedded``, ``localstack`` or ``aws``.
        account: 12-digit account id.
        region: region name.
        endpoint_url: the endpoint of all services; None on AWS.
        interceptor: aimed faults, where the target has them.
        interceptor_url: where functions have to be pointed at so that their calls pass the interceptor; None where they
            pass it anyway, or there is none.
    """

    kind: str
    account: str
    region: str
    endpoint_url: str | None
    interceptor: Interceptor | None
    interceptor_url: str | None

    def client(self, service: str) -> Any:
        """A boto3 client: connect and read timeouts set, SDK retries off; cached and thread-safe."""

    def clients(self, hook: Hook) -> Clients:
        """Further clients that ask before every call; the caller closes them."""

    def credentials(self) -> tuple[str, str, str | None]:
        """Access key, secret key and session token, for signing HTTP requests."""

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of a REST or HTTP API, through the endpoint, without a trailing slash."""

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Where to send a request for a function URL, and the headers it needs, through the endpoint."""

    def supports(self, capability: Capability) -> Support:
        """Whether the target has a capability."""

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """Every message of a queue, oldest first, none received (``Capability.QUEUE_PEEK``).

        Raises:
            Inconclusive: the target cannot do that.
            TargetError: the queue or the target does not answer.
        """

    def close(self) -> None:
        """End what the target started."""
