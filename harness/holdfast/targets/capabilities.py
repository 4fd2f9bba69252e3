"""What each target can do, as far as clauses rest on it; ``tests/test_conformance.py`` proves the embedded column."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.targets.base import Capability, Support

_PROVEN = Support(supported=True)
_DOCUMENTED = Support(supported=True, known_from="documentation")


def _missing(reason: str, *, probed: bool = True) -> Support:
    return Support(supported=False, reason=reason, known_from="probe" if probed else "documentation")


_NO_INTERCEPTOR = "no interceptor sits between the functions and this target"

EMBEDDED: Mapping[Capability, Support] = {
    **dict.fromkeys(Capability, _PROVEN),
    Capability.ASYNC_RETRIES: Support(supported=True, reason="the waits between attempts are seconds, not minutes"),
    Capability.CALL_FAULTS: Support(supported=True, reason="calls that the emulator makes itself pass no interceptor"),
    Capability.RULE_DEAD_LETTERS: _missing("the emulator ignores RetryPolicy and DeadLetterConfig of a rule's target"),
    Capability.QUEUE_POLICY_FOR_RULES: _missing("the emulator's rules deliver to a queue whatever its policy says"),
    Capability.BUCKET_POLICY: Support(supported=True, reason="the account's root user is bound by no bucket policy"),
    Capability.TABLE_POLICY: _missing("the emulator keeps a table's policy and does not apply it"),
    Capability.TABLE_THROTTLE: _missing("the emulator keeps a table's capacity and throttles nothing"),
    Capability.ARCHIVE_REPLAY: Support(supported=True, reason="every rule of the bus gets the events, named or not"),
}

LOCALSTACK: Mapping[Capability, Support] = {
    Capability.INVOCATION_FAULTS: _missing(_NO_INTERCEPTOR),
    Capability.CALL_FAULTS: _missing(_NO_INTERCEPTOR),
    Capability.FUNCTION_THROTTLE: _PROVEN,
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
    Capability.QUEUE_ATTRIBUTES: _DOCUMENTED,
    Capability.QUEUE_POLICY: _missing("the community edition does not enforce queue policies"),
    Capability.QUEUE_POLICY_FOR_RULES: _missing("the community edition does not enforce queue policies"),
    Capability.BUCKET_POLICY: _missing("the community edition does not enforce bucket policies"),
    Capability.TABLE_POLICY: _missing("the community edition does not enforce a table's policy"),
    Capability.TABLE_THROTTLE: _missing("the community edition throttles no table by its capacity"),
    Capability.SUBSCRIPTION_FILTER: _DOCUMENTED,
    Capability.RULE_DISABLE: _missing("a disabled rule still delivers"),
    Capability.ARCHIVE_REPLAY: _missing("StartReplay answers 500"),
    Capability.BODY_UNCHANGED: _missing("a REST API's integration rewrites JSON in $input.body"),
}

AWS: Mapping[Capability, Support] = {
    **dict.fromkeys(Capability, _DOCUMENTED),
    Capability.INVOCATION_FAULTS: _missing(_NO_INTERCEPTOR, probed=False),
    Capability.CALL_FAULTS: _missing(_NO_INTERCEPTOR, probed=False),
    Capability.QUEUE_PEEK: _missing("SQS has no way to read a message without receiving it", probed=False),
}
