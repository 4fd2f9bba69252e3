"""What each target can do, as far as clauses rest on it.

The conformance probes (``holdfast.targets.probes``) prove what is said of the emulators, also what is denied:
``tests/test_conformance.py`` on the embedded target, ``tests/test_conformance_localstack.py`` on LocalStack.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.targets.base import Capability, Support

_PROVEN = Support(supported=True)
_DOCUMENTED = Support(supported=True, known_from="documentation")


def _missing(reason: str, *, probed: bool = True) -> Support:
    return Support(supported=False, reason=reason, known_from="probe" if probed else "documentation")


_NO_PERMISSIONS = "the emulator invokes functions whatever their resource policy says"
_NO_EXPERIMENTS = "the emulator has no AWS Fault Injection Service"
_NO_INTERCEPTOR = "no interceptor sits between the functions and this target"
_NONE_YET = f"{_NO_INTERCEPTOR} (--intercept puts one there)"

EMBEDDED: Mapping[Capability, Support] = {
    **dict.fromkeys(Capability, _PROVEN),
    Capability.ASYNC_RETRIES: Support(supported=True, reason="the waits between attempts are seconds, not minutes"),
    Capability.INVOKE_PERMISSIONS: _missing(_NO_PERMISSIONS),
    Capability.HTTP_API_THROTTLE: _missing("the emulator keeps the limits of an HTTP API's stage and ignores them"),
    Capability.TASK_ROLE_ENFORCED: _missing("the emulator invokes a task's function whatever the role may do"),
    Capability.FAULT_INJECTION_SERVICE: _missing(_NO_EXPERIMENTS),
    Capability.BUCKET_POLICY: Support(supported=True, reason="the account's root user is bound by no bucket policy"),
    Capability.TABLE_POLICY: _missing("the emulator keeps a table's policy and does not apply it"),
    Capability.TABLE_THROTTLE: _missing("the emulator keeps a table's capacity and throttles nothing"),
    Capability.RULE_DEAD_LETTERS: Support(supported=True, reason="the waits between attempts are seconds, not hours"),
    Capability.SUBSCRIPTION_DEAD_LETTERS: Support(
        supported=True, reason="a delivery is given up after fifteen attempts, in seconds"
    ),
}

LOCALSTACK: Mapping[Capability, Support] = {
    Capability.INVOCATION_FAULTS: _missing(_NONE_YET),
    Capability.CALL_FAULTS: _missing(_NONE_YET),
    Capability.SERVICE_CALL_FAULTS: _missing(_NO_INTERCEPTOR),
    Capability.FUNCTION_THROTTLE: _PROVEN,
    Capability.FUNCTION_CONFIGURATION: _PROVEN,
    Capability.INVOKE_PERMISSIONS: _missing(_NO_PERMISSIONS),
    Capability.API_THROTTLE: _missing("the community edition does not throttle stages"),
    Capability.HTTP_API_THROTTLE: _missing("the community edition has no HTTP APIs"),
    Capability.TASK_ROLE_ENFORCED: _missing("the community edition does not enforce IAM"),
    Capability.FAULT_INJECTION_SERVICE: _missing("it is in the paid edition"),
    Capability.MAPPING_DISABLE: _PROVEN,
    Capability.STREAM_MAPPING_DISABLE: _missing("a mapping enabled again at LATEST skips what came meanwhile"),
    Capability.TEMPLATE_LIMITS: _missing("its CloudFormation drops ReservedConcurrentExecutions"),
    Capability.IAM_ENFORCED: _missing("the community edition does not enforce IAM"),
    Capability.QUEUE_PEEK: _PROVEN,
    Capability.SQS_PARTIAL_BATCH: _PROVEN,
    Capability.SQS_REDRIVE: _missing("a message that a task moved back keeps its receive count"),
    Capability.FIFO_ORDER: _PROVEN,
    Capability.ASYNC_RETRIES: _PROVEN,
    Capability.STREAM_RETRIES: Support(supported=True, reason="BisectBatchOnFunctionError is ignored"),
    Capability.RULE_DEAD_LETTERS: _missing("the dead-letter queue of a rule's target stays empty"),
    Capability.SUBSCRIPTION_DEAD_LETTERS: _PROVEN,
    Capability.TASK_HEARTBEAT: _PROVEN,
    Capability.EXECUTION_END: _PROVEN,
    Capability.EXECUTION_REDRIVE: _missing("RedriveExecution is not implemented"),
    Capability.DIRECT_INTEGRATION: _PROVEN,
    Capability.QUEUE_ATTRIBUTES: _PROVEN,
    Capability.QUEUE_POLICY: _missing("the community edition does not enforce queue policies"),
    Capability.QUEUE_POLICY_FOR_RULES: _missing("the community edition does not enforce queue policies"),
    Capability.BUCKET_POLICY: _missing("the community edition does not enforce bucket policies"),
    Capability.TABLE_POLICY: _missing("the community edition does not enforce a table's policy"),
    Capability.TABLE_THROTTLE: _missing("the community edition throttles no table by its capacity"),
    Capability.SUBSCRIPTION_FILTER: _PROVEN,
    Capability.RULE_DISABLE: _missing("a disabled rule still delivers"),
    Capability.ARCHIVE_REPLAY: _missing("StartReplay answers 500"),
    Capability.HTTP_API_INTEGRATION: _missing("the community edition has no HTTP APIs"),
    Capability.BODY_UNCHANGED: _missing("a REST API's integration rewrites JSON in $input.body"),
}

LOCALSTACK_DEVIATIONS: Mapping[str, str] = {
    "asynchronous.retries": "the RequestID of a dead letter is not that of the attempts",
    "functions.own_environment": "a function sees more than AWS gives it",
    "gateway.failures_hidden": "the community edition has no HTTP APIs",
    "gateway.http_api": "the community edition has no HTTP APIs",
    "gateway.refused_by_queue": "an empty body is stored",
    "gateway.template_functions": "$util.escapeJavaScript leaves slashes and non-ASCII characters as they are",
    "gateway.too_large": "a body over 10 MB is answered 500",
    "machines.missing_path": "States.ALL catches States.Runtime",
    "queues.batching_window": "a batching window is ignored",
    "queues.redelivery": "a failed batch comes back seconds after its visibility timeout",
    "streams.bisected": "BisectBatchOnFunctionError is ignored",
}
"""What LocalStack does otherwise where it has the capability, or no clause names one; by the probe that shows it."""

LOCALSTACK_INTERCEPTED: Mapping[Capability, Support] = {
    **LOCALSTACK,
    Capability.INVOCATION_FAULTS: _missing("the interceptor in front of it sees calls, not invocations"),
    Capability.CALL_FAULTS: Support(
        supported=True, reason="a key is looked for in the call itself, not in the event it is made for"
    ),
    Capability.SERVICE_CALL_FAULTS: _missing("calls that LocalStack makes itself pass no interceptor"),
}
"""With the interceptor's reverse proxy in front, and functions that run on this machine."""

LOCALSTACK_INTERCEPTED_DEVIATIONS: Mapping[str, str] = {
    "interception.other_client": "a key is looked for in the call itself, and this call carries none",
}
"""What is otherwise beside LocalStack's own deviations, where the interceptor is in front."""

AWS: Mapping[Capability, Support] = {
    **dict.fromkeys(Capability, _DOCUMENTED),
    Capability.INVOCATION_FAULTS: _missing(_NO_INTERCEPTOR, probed=False),
    Capability.CALL_FAULTS: _missing(_NO_INTERCEPTOR, probed=False),
    Capability.SERVICE_CALL_FAULTS: _missing(
        "calls between AWS' own services pass nothing that could break them for one key", probed=False
    ),
    Capability.QUEUE_PEEK: _missing("SQS has no way to read a message without receiving it", probed=False),
}
