"""Static clauses: what the deployed configuration says, judged without traffic."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.stack.configuration import Configuration, FunctionConfiguration, QueueConfiguration
from holdfast.verdict.model import Finding

VISIBILITY_FACTOR = 6
"""AWS: "set the source queue's visibility timeout to at least six times the function timeout"
(docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html)."""

STREAM_RETENTION_SECONDS = 86_400
"""A DynamoDB stream keeps its records for 24 hours
(docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html)."""

API_TIMEOUT_SECONDS = 29
"""API Gateway ends an integration after 29 seconds by default
(docs.aws.amazon.com/apigateway/latest/developerguide/limits.html)."""


def queue_processing(configuration: Configuration, workers: Sequence[str]) -> tuple[Finding, ...]:
    """ES-14: redrive policy, retention of the dead-letter queue, visibility timeout and partial batch answers."""
    findings: list[Finding] = []
    for function, queue, batch_size, response_types in _polled(configuration, workers):
        name = queue.component
        if not queue.dead_letter_arn:
            findings.append(
                _finding("no redrive policy", f"queue {name} has no redrive policy, so poison returns for ever")
            )
        elif queue.dead_letter_arn in configuration.absent:
            findings.append(_gone(f"queue {name}", queue.dead_letter_arn))
        else:
            dead = configuration.queue(queue.dead_letter_arn)
            if dead is not None and dead.retention_seconds < queue.retention_seconds:
                findings.append(
                    _finding(
                        "dead letters expire first",
                        f"dead-letter queue {dead.component} keeps messages {dead.retention_seconds} s, less than the "
                        f"{queue.retention_seconds} s of its source {name}; age counts from the first queue",
                    )
                )
        needed = VISIBILITY_FACTOR * function.timeout_seconds
        if queue.visibility_seconds < needed:
            findings.append(
                _finding(
                    "visibility timeout too short",
                    f"queue {name} hides a message {queue.visibility_seconds} s, less than {VISIBILITY_FACTOR} times "
                    f"the {function.timeout_seconds} s timeout of {function.component} ({needed} s)",
                )
            )
        if batch_size > 1 and "ReportBatchItemFailures" not in response_types:
            findings.append(
                _finding(
                    "whole batches fail",
                    f"the mapping from {name} to {function.component} takes batches of {batch_size} without "
                    f"ReportBatchItemFailures, so one failing record repeats its neighbours",
                )
            )
    return tuple(findings)


def outlives_outage(configuration: Configuration, outage_seconds: float) -> tuple[Finding, ...]:
    """SF-9: every hop keeps a request longer than the longest outage declared, and has somewhere to put what fails.

    A queue that no function of the stack polls is somebody else's inbox: they decide what becomes of failures.
    """
    findings: list[Finding] = []
    polled = {mapping.source_arn for function in configuration.functions for mapping in function.mappings}
    for queue in configuration.queues:
        if queue.retention_seconds < outage_seconds:
            findings.append(
                _finding(
                    "retention shorter than an outage",
                    f"queue {queue.component} keeps messages {queue.retention_seconds} s, less than the longest outage "
                    f"declared ({outage_seconds:g} s)",
                )
            )
        if queue.arn in polled and not queue.holds_dead_letters and not queue.dead_letter_arn:
            findings.append(_finding("no dead-letter queue", f"queue {queue.component} has no dead-letter queue"))
        if queue.dead_letter_arn in configuration.absent:
            findings.append(_gone(f"queue {queue.component}", queue.dead_letter_arn))
    findings += _relays_outlive(configuration, outage_seconds)
    for function in configuration.functions:
        if function.asynchronous_callers and function.event_age_seconds < outage_seconds:
            findings.append(
                _finding(
                    "events expire in an outage",
                    f"asynchronous events of {function.component} live {function.event_age_seconds} s, less than the "
                    f"longest outage (bounds.longest_outage_seconds: {outage_seconds:g})",
                )
            )
        for mapping in function.mappings:
            if "/stream/" not in mapping.source_arn and ":kinesis:" not in mapping.source_arn:
                continue
            if ":dynamodb:" in mapping.source_arn and outage_seconds > STREAM_RETENTION_SECONDS:
                findings.append(
                    _finding(
                        "stream shorter than an outage",
                        f"the stream behind {function.component} keeps records {STREAM_RETENTION_SECONDS} s, less than "
                        f"the longest outage (bounds.longest_outage_seconds: {outage_seconds:g})",
                    )
                )
            if not mapping.on_failure_arn:
                findings.append(
                    _finding(
                        "no failure destination",
                        f"the stream mapping of {function.component} has no failure destination for what it gives up",
                    )
                )
    return tuple(findings)


def dead_lettered_in_time(configuration: Configuration) -> tuple[Finding, ...]:
    """SF-10: a queue gives a failing message to its dead-letter queue before the message expires.

    A message is moved when it has been received more than ``maxReceiveCount`` times, hidden in between, and deleted
    when it is older than the retention period, whichever comes first
    (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html).
    """
    return tuple(
        _finding(
            "expires before it is dead-lettered",
            f"queue {queue.component} delivers a failing message {queue.maximum_receives} times, "
            f"{queue.visibility_seconds} s apart, but deletes it after {queue.retention_seconds} s: it never "
            "reaches the dead-letter queue",
        )
        for queue in configuration.queues
        if queue.dead_letter_arn and queue.maximum_receives * queue.visibility_seconds >= queue.retention_seconds
    )


def _relays_outlive(configuration: Configuration, outage_seconds: float) -> list[Finding]:
    findings: list[Finding] = []
    for relay in configuration.relays:
        where = f"{relay.component} to {relay.target_arn}"
        if not relay.dead_letter_arn:
            findings.append(_finding("no dead-letter queue", f"the delivery from {where} has no dead-letter queue"))
        if relay.event_age_seconds is not None and relay.event_age_seconds < outage_seconds:
            findings.append(
                _finding(
                    "events expire in an outage",
                    f"the delivery from {where} is tried {relay.event_age_seconds} s, less than the longest outage "
                    f"declared ({outage_seconds:g} s)",
                )
            )
    findings += [
        _finding(
            "archive shorter than an outage",
            f"archive {archive.component} keeps events {archive.retention_seconds} s, less than the longest outage "
            f"declared ({outage_seconds:g} s)",
        )
        for archive in configuration.archives
        if archive.retention_seconds is not None and archive.retention_seconds < outage_seconds
    ]
    return findings


def functions_bounded(
    configuration: Configuration, *, workers: Sequence[str], worker_concurrency: int | None
) -> tuple[Finding, ...]:
    """XX-2: timeouts, failure destinations on asynchronous paths, and a bound where a downstream limit is declared."""
    findings: list[Finding] = []
    for function in configuration.functions:
        if function.behind_api and function.timeout_seconds > API_TIMEOUT_SECONDS:
            findings.append(
                _finding(
                    "timeout longer than the API's",
                    f"function {function.component} may run {function.timeout_seconds} s, but API Gateway answers 504 "
                    f"after {API_TIMEOUT_SECONDS} s while it goes on",
                )
            )
        if function.asynchronous_callers and not function.failure_destination:
            findings.append(
                _finding(
                    "no failure destination",
                    f"function {function.component} is invoked asynchronously by "
                    f"{', '.join(function.asynchronous_callers)} and has no dead-letter queue or failure destination",
                )
            )
        if (
            worker_concurrency is not None
            and function.component in workers
            and not _bounded(function, worker_concurrency)
        ):
            findings.append(
                _finding(
                    "no concurrency limit",
                    f"function {function.component} must not exceed {worker_concurrency} invocations at once, but "
                    f"neither reserved concurrency nor a mapping's maximum concurrency says so",
                )
            )
    return tuple(findings)


def _bounded(function: FunctionConfiguration, limit: int) -> bool:
    if function.reserved_concurrency is not None and function.reserved_concurrency <= limit:
        return True
    bounds = [mapping.maximum_concurrency for mapping in function.mappings]
    return bool(bounds) and all(bound is not None and bound <= limit for bound in bounds)


def _polled(
    configuration: Configuration, workers: Sequence[str]
) -> list[tuple[FunctionConfiguration, QueueConfiguration, int, tuple[str, ...]]]:
    return [
        (function, queue, mapping.batch_size, mapping.response_types)
        for function in configuration.functions
        if function.component in workers
        for mapping in function.mappings
        for queue in [configuration.queue(mapping.source_arn)]
        if queue is not None
    ]


def _gone(source: str, dead_letter_arn: str) -> Finding:
    return _finding(
        "dead-letter queue gone",
        f"{source} redrives to {dead_letter_arn}, which does not exist: what fails there is lost",
    )


def _finding(title: str, sentence: str) -> Finding:
    return Finding(title=title, sentence=sentence)
