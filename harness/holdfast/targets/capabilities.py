"""What each target can do, as far as clauses rest on it; ``tests/test_conformance.py`` proves the embedded column."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.targets.base import Capability, Support

_PROVEN = Support(supported=True)
_DOCUMENTED = Support(supported=True, known_from="documentation")


def _missing(reason: str, *, probed: bool = True) -> Support:
    return Support(supported=False, reason=reason, known_from="probe" if probed else "documentation")


_NO_PERMISSIONS = "the emulator invokes functions whatever their resource policy says"
_NO_EXPERIMENTS = "the emulator has no AWS Fault Injection Service"
_NO_REDRIVE = "the emulator has no RedriveExecution"
_NO_INTERCEPTOR = "no interceptor sits between the functions and this target"

EMBEDDED: Mapping[Capability, Support] = {
    **dict.fromkeys(Capability, _PROVEN),
    Capability.ASYNC_RETRIES: Support(supported=True, reason="the waits between attempts are seconds, not minutes"),
    Capability.CALL_FAULTS: Support(supported=True, reason="calls that the emulator makes itself pass no interceptor"),
    Capability.INVOKE_PERMISSIONS: _missing(_NO_PERMISSIONS),
    Capability.HTTP_API_THROTTLE: _missing("the emulator keeps the limits of an HTTP API's stage and ignores them"),
    Capability.EXECUTION_REDRIVE: _missing(_NO_REDRIVE),
    Capability.TASK_ROLE_ENFORCED: _missing("the emulator invokes a task's function whatever the role may do"),
    Capability.FAULT_INJECTION_SERVICE: _missing(_NO_EXPERIMENTS),
    Capability.RULE_DEAD_LETTERS: _missing("the emulator ignores RetryPolicy and DeadLetterConfig of a rule's target"),
}

LOCALSTACK: Mapping[Capability, Support] = {
    Capability.INVOCATION_FAULTS: _missing(_NO_INTERCEPTOR),
    Capability.CALL_FAULTS: _missing(_NO_INTERCEPTOR),
    Capability.FUNCTION_THROTTLE: _PROVEN,
    Capability.FUNCTION_CONFIGURATION: _DOCUMENTED,
    Capability.INVOKE_PERMISSIONS: _missing(_NO_PERMISSIONS),
    Capability.API_THROTTLE: _missing("the community edition does not throttle stages"),
    Capability.HTTP_API_THROTTLE: _missing("the community edition has no HTTP APIs"),
    Capability.EXECUTION_REDRIVE: _missing(_NO_REDRIVE),
    Capability.TASK_ROLE_ENFORCED: _missing("the community edition does not enforce IAM"),
    Capability.FAULT_INJECTION_SERVICE: _missing("it is in the paid edition"),
    Capability.MAPPING_DISABLE: _PROVEN,
    Capability.STREAM_MAPPING_DISABLE: _missing("a mapping enabled again at LATEST skips what came meanwhile"),
    Capability.TEMPLATE_LIMITS: _missing("its CloudFormation drops ReservedConcurrentExecutions"),
    Capability.IAM_ENFORCED: _missing("the community edition does not enforce IAM"),
    Capability.QUEUE_PEEK: _PROVEN,
    Capability.SQS_PARTIAL_BATCH: _PROVEN,
    Capability.SQS_REDRIVE: _PROVEN,
    Capability.FIFO_ORDER: _PROVEN,
    Capability.ASYNC_RETRIES: _PROVEN,
    Capability.STREAM_RETRIES: Support(supported=True, reason="BisectBatchOnFunctionError is ignored"),
    Capability.RULE_DEAD_LETTERS: _missing("the dead-letter queue of a rule's target stays empty"),
    Capability.DIRECT_INTEGRATION: _PROVEN,
    Capability.BODY_UNCHANGED: _missing("a REST API's integration rewrites JSON in $input.body"),
}

LOCALSTACK_INTERCEPTED: Mapping[Capability, Support] = {
    **LOCALSTACK,
    Capability.CALL_FAULTS: Support(
        supported=True,
        reason="a key is looked for in the call itself, not in the event it is made for; calls that LocalStack "
        "makes itself pass no interceptor",
        known_from="documentation",
    ),
}
"""With the reverse proxy in front; proven by ``tests/test_interceptor_proxy.py``, not on a LocalStack yet."""

AWS: Mapping[Capability, Support] = {
    **dict.fromkeys(Capability, _DOCUMENTED),
    Capability.INVOCATION_FAULTS: _missing(_NO_INTERCEPTOR, probed=False),
    Capability.CALL_FAULTS: _missing(_NO_INTERCEPTOR, probed=False),
    Capability.QUEUE_PEEK: _missing("SQS has no way to read a message without receiving it", probed=False),
}
