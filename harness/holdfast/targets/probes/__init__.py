"""Conformance probes: small experiments that show whether a target behaves as AWS documents.

Each takes a target, cleans up after itself and raises ``ProbeFailedError`` with what it saw. They prove the table of
the embedded target (``holdfast.targets.capabilities``) and each of its patches, and can be run against LocalStack
too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.targets.base import Capability, Target
from holdfast.targets.probes import (
    asynchronous,
    deliveries,
    dispatch,
    enforcement,
    functions,
    gateway,
    http_apis,
    integrations,
    interception,
    machines,
    queues,
    settings,
    streams,
    templates,
)
from holdfast.targets.probes.bench import ProbeFailedError

__all__ = ["PROBES", "Probe", "ProbeFailedError"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One experiment.

    Attributes:
        run: makes it.
        capability: the capability it proves; None for a behaviour that no clause names.
    """

    run: Callable[[Target], None]
    capability: Capability | None = None

    @property
    def name(self) -> str:
        """A short unique name."""
        return f"{self.run.__module__.rpartition('.')[2]}.{self.run.__name__}"


PROBES: tuple[Probe, ...] = (
    Probe(functions.handled_error),
    Probe(functions.exit_error),
    Probe(functions.timeout),
    Probe(functions.own_environment),
    Probe(functions.silent_handler),
    Probe(functions.configuration_changed, Capability.FUNCTION_CONFIGURATION),
    Probe(functions.throttle, Capability.FUNCTION_THROTTLE),
    Probe(queues.peek, Capability.QUEUE_PEEK),
    Probe(queues.redelivery),
    Probe(queues.throttled_mapping, Capability.FUNCTION_THROTTLE),
    Probe(queues.throttle_released, Capability.FUNCTION_THROTTLE),
    Probe(queues.partial_batch, Capability.SQS_PARTIAL_BATCH),
    Probe(queues.bad_identifier, Capability.SQS_PARTIAL_BATCH),
    Probe(queues.redrive, Capability.SQS_REDRIVE),
    Probe(queues.chained_dead_letters),
    Probe(queues.batching_window),
    Probe(queues.fifo_order, Capability.FIFO_ORDER),
    Probe(queues.mapping_disabled, Capability.MAPPING_DISABLE),
    Probe(queues.limits),
    Probe(queues.nothing_lost),
    Probe(streams.retries_bounded, Capability.STREAM_RETRIES),
    Probe(streams.bisected, Capability.STREAM_RETRIES),
    Probe(streams.partial_batch, Capability.STREAM_RETRIES),
    Probe(streams.slow_stream),
    Probe(streams.mapping_disabled, Capability.STREAM_MAPPING_DISABLE),
    Probe(asynchronous.retries, Capability.ASYNC_RETRIES),
    Probe(asynchronous.from_eventbridge, Capability.ASYNC_RETRIES),
    Probe(asynchronous.from_sns, Capability.ASYNC_RETRIES),
    Probe(deliveries.rule_dead_letter, Capability.RULE_DEAD_LETTERS),
    Probe(deliveries.rule_denied, Capability.QUEUE_POLICY_FOR_RULES),
    Probe(deliveries.subscription_dead_letter, Capability.SUBSCRIPTION_DEAD_LETTERS),
    Probe(deliveries.subscription_denied, Capability.IAM_ENFORCED),
    Probe(deliveries.topic_order),
    Probe(machines.heartbeat, Capability.TASK_HEARTBEAT),
    Probe(machines.activity_heartbeat, Capability.TASK_HEARTBEAT),
    Probe(machines.callback_failed),
    Probe(machines.throttled_function),
    Probe(machines.timed_out, Capability.EXECUTION_END),
    Probe(machines.stopped, Capability.EXECUTION_END),
    Probe(machines.redriven, Capability.EXECUTION_REDRIVE),
    Probe(machines.started_twice),
    Probe(machines.history),
    Probe(machines.retry_delays),
    Probe(machines.missing_path),
    Probe(enforcement.invoke_permission, Capability.INVOKE_PERMISSIONS),
    Probe(enforcement.task_role, Capability.TASK_ROLE_ENFORCED),
    Probe(enforcement.table_policy, Capability.TABLE_POLICY),
    Probe(enforcement.table_throttled, Capability.TABLE_THROTTLE),
    Probe(enforcement.fault_injection_service, Capability.FAULT_INJECTION_SERVICE),
    Probe(http_apis.stage_throttled, Capability.HTTP_API_THROTTLE),
    Probe(http_apis.to_queue, Capability.HTTP_API_INTEGRATION),
    Probe(http_apis.to_queue_denied, Capability.IAM_ENFORCED),
    Probe(http_apis.to_bus, Capability.HTTP_API_INTEGRATION),
    Probe(http_apis.to_machine, Capability.HTTP_API_INTEGRATION),
    Probe(gateway.body_unchanged, Capability.BODY_UNCHANGED),
    Probe(gateway.refused_by_queue, Capability.DIRECT_INTEGRATION),
    Probe(gateway.too_large, Capability.DIRECT_INTEGRATION),
    Probe(gateway.request_id, Capability.DIRECT_INTEGRATION),
    Probe(gateway.template_functions, Capability.DIRECT_INTEGRATION),
    Probe(gateway.request_parameters, Capability.DIRECT_INTEGRATION),
    Probe(gateway.imported, Capability.DIRECT_INTEGRATION),
    Probe(gateway.passthrough, Capability.DIRECT_INTEGRATION),
    Probe(gateway.to_bucket, Capability.DIRECT_INTEGRATION),
    Probe(gateway.to_bucket_denied, Capability.IAM_ENFORCED),
    Probe(integrations.to_table, Capability.DIRECT_INTEGRATION),
    Probe(integrations.to_topic, Capability.DIRECT_INTEGRATION),
    Probe(integrations.to_bus, Capability.DIRECT_INTEGRATION),
    Probe(integrations.to_machine, Capability.DIRECT_INTEGRATION),
    Probe(integrations.denied, Capability.IAM_ENFORCED),
    Probe(gateway.role_denied, Capability.IAM_ENFORCED),
    Probe(gateway.denial_expires, Capability.IAM_ENFORCED),
    Probe(gateway.http_api),
    Probe(gateway.stage_throttled, Capability.API_THROTTLE),
    Probe(gateway.failures_hidden),
    Probe(templates.properties_kept, Capability.TEMPLATE_LIMITS),
    Probe(gateway.function_url),
    Probe(settings.visibility, Capability.QUEUE_ATTRIBUTES),
    Probe(settings.delay, Capability.QUEUE_ATTRIBUTES),
    Probe(settings.early_dead_letters, Capability.QUEUE_ATTRIBUTES),
    Probe(settings.queue_policy, Capability.QUEUE_POLICY),
    Probe(settings.bucket_policy, Capability.BUCKET_POLICY),
    Probe(settings.filtered_subscription, Capability.SUBSCRIPTION_FILTER),
    Probe(settings.disabled_rule, Capability.RULE_DISABLE),
    Probe(settings.replayed_archive, Capability.ARCHIVE_REPLAY),
    Probe(interception.killed_before_call, Capability.CALL_FAULTS),
    Probe(interception.killed_after_call, Capability.CALL_FAULTS),
    Probe(interception.dropped_answer, Capability.CALL_FAULTS),
    Probe(interception.refused_call, Capability.CALL_FAULTS),
    Probe(interception.refused_after_effect, Capability.CALL_FAULTS),
    Probe(interception.cut_before_effect, Capability.CALL_FAULTS),
    Probe(interception.duplicated_call, Capability.CALL_FAULTS),
    Probe(interception.aimed_at_resource, Capability.CALL_FAULTS),
    Probe(interception.nth_call, Capability.CALL_FAULTS),
    Probe(interception.other_client, Capability.CALL_FAULTS),
    Probe(dispatch.rest_api_calls, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.rest_api_to_services, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.http_api_calls, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.machine_to_function, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.machine_to_services, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.rule_to_targets, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.rule_gives_up, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.topic_to_subscriptions, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.topic_gives_up, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.queue_mapping_calls, Capability.SERVICE_CALL_FAULTS),
    Probe(dispatch.stream_mapping_calls, Capability.SERVICE_CALL_FAULTS),
    Probe(interception.invocation_faults, Capability.INVOCATION_FAULTS),
    Probe(interception.redelivered_after_effect, Capability.INVOCATION_FAULTS),
    Probe(interception.aimed_alone, Capability.INVOCATION_FAULTS),
    Probe(interception.aimed_alone_in_order, Capability.INVOCATION_FAULTS),
    Probe(interception.aimed_alone_in_stream, Capability.INVOCATION_FAULTS),
)
