"""The event source mappings of all accounts and regions, and the loop that serves them.

"Lambda polls the queue and invokes your function" (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html)
continuously; MiniStack looks once a second for messages that become visible again, and pauses a mapping for a second
after a failure. Here the loop wakes when the next message becomes visible or the next retry is due, and every batch
runs beside the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ministack.core.arn import ArnParseError, parse_arn
from ministack.services import lambda_svc

from holdfast.targets.emulator.known import require

_LONGEST_WAIT_SECONDS = 1.0
_PAUSE_SECONDS = 0.005
_LOG = logging.getLogger("holdfast.mappings")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One enabled mapping whose function exists.

    Attributes:
        id: its UUID.
        account: the account it is in.
        region: the region it is in.
        source: ARN of the queue or stream.
        function: physical name of the function.
        target: the function as the emulator keeps it.
        record: the mapping as the emulator keeps it.
    """

    id: str
    account: str
    region: str
    source: str
    function: str
    target: dict[str, Any]
    record: dict[str, Any]

    def target_now(self) -> dict[str, Any]:
        """The function as it is now: its concurrency or code may have changed since the batch was received."""
        with self.scope():
            found, _ = lambda_svc._get_func_record_for_qualifier(self.function, self.record.get("Qualifier"))
        return found or self.target

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Act as this mapping's account in its region."""
        account = lambda_svc._request_account_id.set(self.account)
        region = lambda_svc._request_region.set(self.region)
        try:
            yield
        finally:
            lambda_svc._request_account_id.reset(account)
            lambda_svc._request_region.reset(region)


def mappings(service: str) -> Iterator[Mapping]:
    """The enabled mappings whose source is of a service."""
    for account, region, record in lambda_svc._iter_all_esms():
        source = record.get("EventSourceArn", "")
        try:
            spec = parse_arn(source)
        except ArnParseError:
            continue
        if not record.get("Enabled", True) or (spec.service, spec.account_id, spec.region) != (
            service,
            account,
            region,
        ):
            continue
        name = record["FunctionName"]
        mapping = Mapping(record["UUID"], account, region, source, name, {}, record)
        with mapping.scope():
            target, _ = lambda_svc._get_func_record_for_qualifier(name, record.get("Qualifier"))
        if target is not None:
            yield Mapping(mapping.id, account, region, source, name, target, record)


def apply() -> None:
    """Replace the loop."""
    require(lambda_svc._poll_loop, "6a443090919a", "lambda_svc._poll_loop")
    lambda_svc._poll_loop = _loop


def _loop() -> None:
    """Serve mappings for ever."""
    from holdfast.targets.emulator.patches import queue_mapping, stream_mapping

    while True:
        lambda_svc._esm_wake.clear()
        busy = False
        for poll in (lambda_svc._poll_sqs, lambda_svc._poll_kinesis, lambda_svc._poll_dynamodb_streams):
            try:
                busy = bool(poll()) or busy
            except Exception:  # noqa: BLE001 - one broken mapping must not stop the others
                _LOG.exception("a mapping could not be served")
                time.sleep(_PAUSE_SECONDS)
        if not busy:
            due = [_LONGEST_WAIT_SECONDS, queue_mapping.seconds_until_due(), stream_mapping.seconds_until_due()]
            lambda_svc._esm_wake.wait(max(_PAUSE_SECONDS, min(seconds for seconds in due if seconds is not None)))
            time.sleep(_PAUSE_SECONDS)  # what arrives together is delivered together, and a busy source costs no core
