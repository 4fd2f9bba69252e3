"""What a sample command leaves behind in a stack of its own: rows, objects, states, seen to the end.

Only a stack that was deployed for this, on the embedded target, is looked at like this: every table is read whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import requests

from holdfast.errors import DescriptorError
from holdfast.inference.inventory import Inventory, Route
from holdfast.inference.patterns import Parts
from holdfast.inference.sample import FIELD_ALPHABET, FIELD_LENGTH, Sample, filled
from holdfast.ports.sources.dynamodb import plain_item
from holdfast.stack.running import Running
from holdfast.targets.base import Rule, Target
from holdfast.waiting import eventually

Row = Mapping[str, Any]

QUIET_SECONDS = 2.0
"""Nothing may have changed for this long before a command counts as done."""

LONGEST_SECONDS = 60.0
"""A command that is not done by then is described by what it has left so far."""

_ANSWER_SECONDS = 30.0
_SENDING = ("events", "sqs", "sns", "states")
"""Services by whose calls a function passes a command on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a saga is made to turn back with, at one of its steps, for good.

    Attributes:
        step: name of the step.
        state: the state of the state machine whose call fails; empty in a choreography.
        function: the function that fails; empty in a state machine.
        when: the state's call fails ``after`` or ``before`` it was performed; the function fails ``before`` it has
            run, or its word to the next one is refused ``after`` it has done its own part.
    """

    step: str
    state: str = ""
    function: str = ""
    when: Literal["before", "after"]


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
        failing: the step that was made to fail; empty for none.
    """

    values: Mapping[str, str]
    body: str
    status: int
    answer: Any
    rows: Mapping[str, tuple[Row, ...]]
    objects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    failing: str = ""


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
        self.target = target
        self.there = there
        self.parts = parts
        self._physical = physical
        self._clock = clock
        self.running: Running | None = None
        """The processes beside the functions, once they run."""

    def base_url(self, route: Route) -> str:
        """What the path of a route is appended to."""
        if self.running is not None and route.api in self.running.order:
            return str(self.running.addresses[f"{route.api}.url"])
        return self.target.api_url(self._made(route.api), self.there.stages.get(route.api, "$default"))

    def machine_definition(self) -> str:
        """The definition of the deployed state machine; empty where there is none."""
        if not self.parts.machine:
            return ""
        arn = self._made(self.parts.machine)
        return str(self.target.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])

    def seed(self, rows: Sequence[tuple[str, Row]]) -> None:
        """Put rows into tables, by logical id."""
        from holdfast.stack.seeding import dynamo_item

        for table, row in rows:
            self.target.client("dynamodb").put_item(TableName=self._made(table), Item=dynamo_item(dict(row)))

    def attempt(self, sample: Sample, number: int, *, fault: Fault | None = None, like: Trial | None = None) -> Trial:
        """Send a sample and wait until nothing changes any more.

        Args:
            sample: the command.
            number: tells it from the others.
            fault: what goes wrong with it; None for nothing.
            like: an earlier trial whose fields it shares.

        Raises:
            DescriptorError: the stack does not answer.
        """
        values = {name: like.values[name] if like else _word(number, at) for at, name in enumerate(sample.fields)}
        values |= {"key": f"hf-init-{number}", "value": f"note-of-{number}"}
        rules = tuple(self._rules(values["key"], fault)) if fault is not None else ()
        before = self._look()
        interceptor = self.target.interceptor
        assert interceptor is not None
        for rule in rules:
            interceptor.add(rule)
        try:
            answer, status, body = self._send(sample, values)
            sent = self._clock()
            seen, states, last = self._watch(values["key"])
        finally:
            for rule in rules:
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
            failing=fault.step if fault is not None else "",
        )

    def _rules(self, key: str, fault: Fault) -> Iterator[Rule]:
        if fault.state:
            # an error that usual retriers do not name, so that the saga turns back at once
            yield Rule(
                id="init", action="refuse" if fault.when == "before" else "fail-after", point="call",
                state=fault.state, key=key, caller="any", error="AccessDeniedException",
            )  # fmt: skip
        elif fault.when == "before":
            yield Rule(id="init", action="fail", function=self._made(fault.function), key=key, error="Refused")
        else:
            for service in _SENDING:
                yield Rule(
                    id=f"init-{service}", action="refuse", point="call", service=service,
                    function=self._made(fault.function), key=key, error="AccessDeniedException",
                )  # fmt: skip

    def _send(self, sample: Sample, values: Mapping[str, str]) -> tuple[Any, int, str]:
        route = self.parts.route
        assert route is not None
        body = json.dumps(filled(sample.body, values)) if sample.body is not None else ""
        url = self.base_url(route) + filled(sample.path, values)
        headers = {"Content-Type": "application/json", **filled(sample.headers, values)}
        answer = _answered(sample.method, url, body, headers)
        document = _json(answer.text)
        if sample.upload and isinstance(document, Mapping):
            link = upload_link(document)
            if link:
                content = filled(sample.upload, values)
                put = _answered("PUT", document[link], content, sample.upload_headers)
                return document, put.status_code, content
        return document, answer.status_code, body

    def _watch(self, key: str) -> tuple[tuple[dict[str, list[Row]], dict[str, list[str]]], tuple[Row, ...], float]:
        """Look until nothing runs and nothing changes."""
        last_seen: list[Any] = [None]
        changed = [self._clock()]
        states: list[Row] = []
        interceptor = self.target.interceptor
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
        worked_on = [source for source, _ in self.there.feeds if source in self.there.of_type("SQS::Queue")]
        return any(self.target.peek_messages(self._physical[queue]) for queue in worked_on if queue in self._physical)

    def _look(self) -> tuple[dict[str, list[Row]], dict[str, list[str]]]:
        """What all tables and buckets hold; nothing where a condition of the template keeps one from being made."""
        dynamodb, s3 = self.target.client("dynamodb"), self.target.client("s3")
        rows: dict[str, list[Row]] = {
            table: [
                plain_item(item)
                for page in dynamodb.get_paginator("scan").paginate(TableName=self._physical[table])
                for item in page["Items"]
            ]
            if table in self._physical
            else []
            for table in self.there.tables
        }
        objects: dict[str, list[str]] = {
            bucket: [one["Key"] for one in s3.list_objects_v2(Bucket=self._physical[bucket]).get("Contents", ())]
            if bucket in self._physical
            else []
            for bucket in self.there.of_type("S3::Bucket")
        }
        return rows, objects

    def _made(self, name: str) -> str:
        """The physical id of a resource that is needed."""
        try:
            return self._physical[name]
        except KeyError:
            raise DescriptorError(
                f"{name} is not there.",
                cause="a condition of the template keeps it from being made",
                remedy="give the parameter with which it is made: --parameter NAME=VALUE",
            ) from None

    def ask(self, route: Route, path: str) -> Any:
        """The JSON that a path of an API answers; None for none."""
        try:
            answer = requests.get(self.base_url(route) + path, timeout=_ANSWER_SECONDS)
        except requests.RequestException:
            return None
        return _json(answer.text) if answer.ok else None

    def _state(self, key: str) -> Row | None:
        route = self.parts.status
        if route is None:
            return None
        document = self.ask(route, route.path.split("{")[0] + key)
        return document if isinstance(document, Mapping) else None


def _answered(method: str, url: str, body: str, headers: Mapping[str, str]) -> requests.Response:
    try:
        return requests.request(method, url, data=body.encode(), headers=dict(headers), timeout=_ANSWER_SECONDS)
    except (requests.RequestException, UnicodeError) as error:  # a header of characters that HTTP does not have
        raise DescriptorError(
            "The stack does not answer the sample.",
            cause=f"{method} {url}: {type(error).__name__}",
            remedy="correct method, path and headers of the sample",
        ) from error


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
