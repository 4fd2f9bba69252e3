"""What a sample command leaves behind in a stack of its own: rows, objects, states, seen to the end.

Only a stack that was deployed for this, on the embedded target, is looked at like this: every table is read whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from holdfast.inference.inventory import Inventory
from holdfast.inference.patterns import Parts
from holdfast.inference.sample import FIELD_ALPHABET, FIELD_LENGTH, Sample, filled
from holdfast.ports.sources.dynamodb import plain_item
from holdfast.targets.base import Rule, Target
from holdfast.waiting import eventually

Row = Mapping[str, Any]

QUIET_SECONDS = 2.0
"""Nothing may have changed for this long before a command counts as done."""

LONGEST_SECONDS = 60.0
"""A command that is not done by then is described by what it has left so far."""

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One sample command and what it left.

    Attributes:
        values: what stood for each placeholder.
        body: the body that was sent; empty for none.
        status: HTTP status of the answer to its last call.
        answer: the JSON of the first answer; None for none.
        rows: by table, every row that was there at the end and not before, in the order in which they appeared.
        objects: by bucket, the keys of its new objects.
        states: what the status route answered, each JSON document once, in order.
        seconds: from the answer to the last change.
    """

    values: Mapping[str, str]
    body: str
    status: int
    answer: Any
    rows: Mapping[str, tuple[Row, ...]]
    objects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0


class Laboratory:
    """A deployed stack in which samples are tried.

    Args:
        target: the embedded target.
        there: what the stack consists of.
        parts: who plays which part.
        physical: physical ids by logical id.
        clock: monotonic clock, seconds.
    """

    def __init__(
        self,
        target: Target,
        there: Inventory,
        parts: Parts,
        physical: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._there = there
        self._parts = parts
        self._physical = physical
        self._clock = clock

    def machine_definition(self) -> str:
        """The definition of the deployed state machine; empty where there is none."""
        if not self._parts.machine:
            return ""
        arn = self._physical[self._parts.machine]
        return str(self._target.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])

    def seed(self, rows: Sequence[tuple[str, Row]]) -> None:
        """Put rows into tables, by logical id."""
        from holdfast.stack.seeding import dynamo_item

        for table, row in rows:
            self._target.client("dynamodb").put_item(TableName=self._physical[table], Item=dynamo_item(dict(row)))

    def attempt(
        self, sample: Sample, number: int, *, failing_state: str = "", failing_function: str = "", like: Trial | None
    ) -> Trial:
        """Send a sample and wait until nothing changes any more.

        Args:
            sample: the command.
            number: tells it from the others.
            failing_state: the state whose call is performed and then answered with an error, for good.
            failing_function: the function whose invocations end in an error after their work, for good.
            like: an earlier trial whose fields it shares.
        """
        values = {name: like.values[name] if like else _word(number, at) for at, name in enumerate(sample.fields)}
        values |= {"key": f"hf-init-{number}", "value": f"note-of-{number}"}
        rule = self._rule(values["key"], failing_state, failing_function)
        before = self._look()
        interceptor = self._target.interceptor
        assert interceptor is not None
        if rule is not None:
            interceptor.add(rule)
        try:
            answer, status, body = self._send(sample, values)
            sent = self._clock()
            seen, states, last = self._watch(values["key"])
        finally:
            if rule is not None:
                interceptor.remove(rule.id)
        rows, objects = seen
        return Trial(
            values=values,
            body=body,
            status=status,
            answer=answer,
            rows={table: tuple(row for row in found if row not in before[0][table]) for table, found in rows.items()},
            objects={name: tuple(k for k in keys if k not in before[1][name]) for name, keys in objects.items()},
            states=states,
            seconds=max(0.0, last - sent),
        )

    def _rule(self, key: str, state: str, function: str) -> Rule | None:
        if state:
            # an error that usual retriers do not name, so that the saga turns back at once
            return Rule(
                id="init", action="fail-after", point="call", state=state, key=key, caller="any",
                error="AccessDeniedException",
            )  # fmt: skip
        if function:
            return Rule(
                id="init", action="fail", when="after", function=self._physical[function], key=key, error="Refused"
            )
        return None

    def _send(self, sample: Sample, values: Mapping[str, str]) -> tuple[Any, int, str]:
        route = self._parts.route
        assert route is not None
        api = self._physical[route.api]
        base = self._target.api_url(api, self._there.stages.get(route.api, "$default"))
        body = json.dumps(filled(sample.body, values)) if sample.body is not None else ""
        answer = requests.request(
            sample.method,
            base + filled(sample.path, values),
            data=body.encode(),
            headers={"Content-Type": "application/json"},
            timeout=_ANSWER_SECONDS,
        )
        document = _json(answer.text)
        if sample.upload and isinstance(document, Mapping):
            link = upload_link(document)
            if link:
                content = filled(sample.upload, values)
                put = requests.put(
                    document[link],
                    data=content.encode(),
                    headers=dict(sample.upload_headers),
                    timeout=_ANSWER_SECONDS,
                )
                return document, put.status_code, content
        return document, answer.status_code, body

    def _watch(self, key: str) -> tuple[tuple[dict[str, list[Row]], dict[str, list[str]]], tuple[Row, ...], float]:
        """Look until nothing runs and nothing changes."""
        last_seen: list[Any] = [None]
        changed = [self._clock()]
        states: list[Row] = []
        interceptor = self._target.interceptor
        assert interceptor is not None

        def look() -> tuple[dict[str, list[Row]], dict[str, list[str]]]:
            state = self._state(key)
            if state is not None and state not in states:
                states.append(state)
            found = self._look()
            busy = interceptor.running() or self._waiting()
            if found != last_seen[0] or busy:
                last_seen[0] = found
                changed[0] = self._clock()
            return found

        waited = eventually(
            look,
            lambda _: self._clock() - changed[0] >= QUIET_SECONDS,
            deadline_seconds=LONGEST_SECONDS,
            longest_interval_seconds=0.2,
        )
        return waited.value, tuple(states), changed[0]

    def _waiting(self) -> bool:
        """Whether a queue that somebody works on holds a message."""
        worked_on = [source for source, _ in self._there.feeds if source in self._there.of_type("SQS::Queue")]
        return any(self._target.peek_messages(self._physical[queue]) for queue in worked_on)

    def _look(self) -> tuple[dict[str, list[Row]], dict[str, list[str]]]:
        dynamodb, s3 = self._target.client("dynamodb"), self._target.client("s3")
        rows: dict[str, list[Row]] = {
            table: [
                plain_item(item)
                for page in dynamodb.get_paginator("scan").paginate(TableName=self._physical[table])
                for item in page["Items"]
            ]
            for table in self._there.tables
        }
        objects: dict[str, list[str]] = {
            bucket: [one["Key"] for one in s3.list_objects_v2(Bucket=self._physical[bucket]).get("Contents", ())]
            for bucket in self._there.of_type("S3::Bucket")
        }
        return rows, objects

    def _state(self, key: str) -> Row | None:
        route = self._parts.status
        if route is None:
            return None
        base = self._target.api_url(self._physical[route.api], self._there.stages.get(route.api, "$default"))
        path = route.path.split("{")[0] + key
        answer = requests.get(base + path, timeout=_ANSWER_SECONDS)
        document = _json(answer.text) if answer.ok else None
        return document if isinstance(document, Mapping) else None


def upload_link(answer: Mapping[str, Any]) -> str:
    """The member of an answer that is a URL to upload to; empty for none."""
    return next((name for name, value in answer.items() if str(value).startswith(("http://", "https://"))), "")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _word(number: int, at: int) -> str:
    """A word of small letters, another one for every trial and field."""
    letters = FIELD_ALPHABET[number % 26] + FIELD_ALPHABET[at % 26]
    return (letters * FIELD_LENGTH)[:FIELD_LENGTH]
