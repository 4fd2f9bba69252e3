"""CQ-11: the stream between a log and its projectors keeps, bounds and surfaces what they cannot take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.stack.configuration import Configuration
from holdfast.stack.resources import Mapping
from holdfast.verdict.model import Finding


def bounded(configuration: Configuration, workers: Sequence[str], outage_seconds: float) -> tuple[Finding, ...]:
    """Every stream mapping of a projector bounds its retries, and gives nothing up within the longest outage.

    Without a bound a record that cannot be projected blocks its shard until it expires
    (docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html). How long a DynamoDB stream and a
    queue keep what they hold is judged with the other hops (`configuration.outlives_outage`).

    Args:
        configuration: the deployment.
        workers: the projectors.
        outage_seconds: the longest outage of a projector that is declared.
    """
    found: list[Finding] = []
    for worker, mapping in _stream_mappings(configuration, workers):
        attempts, age_seconds = mapping.maximum_retry_attempts, mapping.maximum_record_age_seconds
        limits = [limit for limit in (attempts, age_seconds) if limit is not None and limit >= 0]
        if not limits:
            found.append(
                _finding(
                    "retries without bound",
                    f"the stream mapping of {worker} bounds neither retries nor the age of records: one that cannot be"
                    " projected blocks those behind it until it expires",
                )
            )
        if age_seconds is not None and 0 <= age_seconds < outage_seconds:
            found.append(
                _finding(
                    "given up in an outage",
                    f"the stream mapping of {worker} gives up records older than {age_seconds} s, less than the longest"
                    f" outage (bounds.longest_outage_seconds: {outage_seconds:g})",
                )
            )
        stream = configuration.stream(mapping.source_arn)
        if stream is not None and stream.retention_seconds < outage_seconds:
            found.append(
                _finding(
                    "stream shorter than an outage",
                    f"the stream {stream.component} behind {worker} keeps records {stream.retention_seconds} s, less"
                    f" than the longest outage (bounds.longest_outage_seconds: {outage_seconds:g})",
                )
            )
    return tuple(found)


def unknown(configuration: Configuration, workers: Sequence[str]) -> tuple[str, ...]:
    """Kinesis streams whose retention nobody has read."""
    return tuple(
        f"how long {mapping.source_arn} keeps records is not known: name it as a component of type stream"
        for _, mapping in _stream_mappings(configuration, workers)
        if ":kinesis:" in mapping.source_arn and configuration.stream(mapping.source_arn) is None
    )


def _stream_mappings(configuration: Configuration, workers: Sequence[str]) -> Iterator[tuple[str, Mapping]]:
    for worker in workers:
        function = configuration.function(worker)
        for mapping in function.mappings if function is not None else ():
            if "/stream/" in mapping.source_arn or ":kinesis:" in mapping.source_arn:
                yield worker, mapping


def _finding(title: str, sentence: str) -> Finding:
    return Finding(title=title, sentence=sentence)
