"""Probes of the calls that services make themselves: refused, performed twice, and performed with the answer lost.

A *path* is one such call: who makes it, what sets it off for a key, and how often it has taken effect. Each probe says
how many effects the three faults leave on its path: 1 or 0 where nobody tries again, more where the caller does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.targets.base import Action, Interceptor, Rule, Target
from holdfast.targets.probes.bench import Bench, Queue, bench, check, wait_for
from holdfast.targets.probes.gateway import SEND_BODY, rest_api
from holdfast.targets.probes.http_apis import http_api
from holdfast.targets.probes.integrations import DirectApi
from holdfast.targets.probes.machines import Machine, machine, states

_SECONDS = 20.0
_ERROR = "ServiceUnavailable"


@dataclass(frozen=True, slots=True)
class _Path:
    """One call that a service makes itself.

    Attributes:
        caller: physical name of what makes it.
        service: endpoint prefix.
        operation: name of the operation.
        begin: sets it off for a key; what it returns is checked by the probe.
        effects: how often the call has taken effect for a key.
    """

    caller: str
    service: str
    operation: str
    begin: Callable[[str], object]
    effects: Callable[[str], int]


def _break(on: Bench, path: _Path, action: Action, effects: int, *, times: int = 1) -> object:
    """Break the path's call for one key, and see its effects, its hit and its record; what ``begin`` returned."""
    interceptor = on.target.interceptor
    assert interceptor is not None
    key = on.name()
    rule = Rule(
        id=key,
        action=action,
        point="call",
        function=path.caller,
        service=path.service,
        operation=path.operation,
        key=key,
        times=times,
        error=_ERROR if action == "refuse" else "",
    )
    interceptor.add(rule)
    try:
        begun = path.begin(key)
        what = f"{path.service}:{path.operation} of {path.caller}, {action}"
        wait_for(lambda: interceptor.hits(key) == times, f"{what}: the rule was not hit", seconds=_SECONDS)
        wait_for(lambda: path.effects(key) >= effects, f"{what}: fewer than {effects} effects", seconds=_SECONDS)
        wait_for(lambda: _at_rest(interceptor, path, key), f"{what}: it did not come to rest", seconds=_SECONDS)
        check(path.effects(key) == effects, f"{what}: {path.effects(key)} effects instead of {effects}")
        calls = [
            call
            for call in interceptor.calls(key)
            if (call.function, call.service, call.operation) == (path.caller, path.service, path.operation)
        ]
        seen = {"refuse": 503, "drop": 0, "duplicate": 200}[action]
        check(seen in [call.status for call in calls], f"{what}: the trace says {calls}")
        check(all(call.resource for call in calls), f"{what}: the trace does not say about what: {calls}")
    finally:
        interceptor.remove(key)
    other = on.name()
    path.begin(other)
    wait_for(lambda: path.effects(other) == 1, f"{what}: another key was harmed", seconds=_SECONDS)
    return begun


def _at_rest(interceptor: Interceptor, path: _Path, key: str) -> bool:
    """Whether every handling of the key by the path's caller has ended."""
    handlings = interceptor.invocations(path.caller, key)
    return bool(handlings) and all(one.ended_seconds for one in handlings)


def _in_queue(on: Bench, queue: Queue) -> Callable[[str], int]:
    return lambda key: sum(key in body for body in on.bodies(queue))


def rest_api_calls(target: Target) -> None:
    """REST API to SQS: refused as the service's error, stored twice, stored although the client sees a failure."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        path = _Path(
            api.id, "sqs", "SendMessage", lambda key: api.post(f'{{"id": "{key}"}}').status, _in_queue(on, api.queue)
        )
        check(_break(on, path, "refuse", 0) == 500, "the refused request was not answered 500")
        check(_break(on, path, "duplicate", 2) == 202, "the duplicated request was not accepted")
        check(_break(on, path, "drop", 1) == 504, "the request whose answer was lost was not answered 504")


def rest_api_to_services(target: Target) -> None:
    """REST API to DynamoDB and Step Functions: refused, stored although the client sees a failure, started twice."""
    with bench(target) as on:
        table, _ = on.table()
        item = {"pk": {"S": "$input.path('$.id')"}, "sk": {"S": "0"}}
        put = json.dumps({"TableName": table, "Item": item})
        api = DirectApi(on, "dynamodb:action/PutItem", "dynamodb:PutItem", put, _JSON)
        path = _Path(
            api.id, "dynamodb", "PutItem", lambda key: api.post(f'{{"id": "{key}"}}'), lambda key: on.puts(table, key)
        )
        check(_break(on, path, "refuse", 0) == 500, "the refused item was not answered 500")
        check(_break(on, path, "drop", 1) == 504, "the item whose answer was lost was not answered 504")
        made = machine(on, states(("Done", {"Type": "Pass"})))
        begin = f'{{"stateMachineArn": "{made.arn}", "input": "$util.escapeJavaScript($input.body)"}}'
        starter = DirectApi(on, "states:action/StartExecution", "states:StartExecution", begin, _JSON)
        path = _Path(
            starter.id,
            "states",
            "StartExecution",
            lambda key: starter.post(f'{{"id": "{key}"}}'),
            lambda key: _started(on, made, key),
        )
        check(_break(on, path, "refuse", 0) == 500, "the refused execution was not answered 500")
        check(_break(on, path, "duplicate", 2) == 202, "the duplicated execution was not accepted")


_JSON = "application/x-amz-json-1.0"


def _started(on: Bench, made: Machine, key: str) -> int:
    """How many executions have a key in their input."""
    client = on.target.client("stepfunctions")
    listed = client.list_executions(stateMachineArn=made.arn)["executions"]
    return sum(key in client.describe_execution(executionArn=one["executionArn"])["input"] for one in listed)


def http_api_calls(target: Target) -> None:
    """HTTP API to SQS: refused, stored twice, stored although the client sees a failure."""
    with bench(target) as on:
        queue = on.queue()
        api = http_api(on, "SQS-SendMessage", {"QueueUrl": queue.url, "MessageBody": "$request.body"})
        path = _Path(api.id, "sqs", "SendMessage", lambda key: api.post(key).status, _in_queue(on, queue))
        check(_break(on, path, "refuse", 0) == 503, "the refused request was not answered 503")
        check(_break(on, path, "duplicate", 2) == 200, "the duplicated request was not accepted")
        check(_break(on, path, "drop", 1) == 503, "the request whose answer was lost was not answered 503")


_TASK_FAULTS: tuple[tuple[Action, int, str], ...] = (
    ("refuse", 0, _ERROR),
    ("duplicate", 2, ""),
    ("drop", 1, "SdkClientException"),
)
"""The fault, how many effects it leaves, and the error that the task sees."""


def _run(on: Bench, task: dict[str, object], service: str, operation: str, effects: Callable[[str], int]) -> None:
    """Break one task's call: it fails with the error's name, takes effect twice, takes effect and fails."""
    made: Machine = machine(on, states(("Call", {"Type": "Task", **task})))
    path = _Path(made.name, service, operation, lambda key: made.run({"key": key, "put": key}), effects)
    for action, expected, error in _TASK_FAULTS:
        done = _break(on, path, action, expected)
        assert isinstance(done, dict)
        found = str(done.get("error", "")).rpartition(".")[2]
        check(found == error, f"{service}:{operation}, {action}: the execution ended with {done.get('error')!r}")


def machine_to_function(target: Target) -> None:
    """A state machine's invocation of a function, named by its ARN and through the optimised integration."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        on.invoke(function, {})
        optimised = {
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload.$": "$"},
        }
        for task in (optimised, {"Resource": on.function_arn(function)}):
            _run(on, dict(task), "lambda", "Invoke", lambda key: on.puts(table, key))


def machine_to_services(target: Target) -> None:
    """A state machine's optimised and SDK integrations of SQS, DynamoDB and Step Functions."""
    with bench(target) as on:
        queue = on.queue()
        table, _ = on.table()
        message = {"QueueUrl": queue.url, "MessageBody.$": "$.key"}
        update = {
            "TableName": table,
            "Key": {"pk": {"S.$": "$.key"}, "sk": {"S": "0"}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        inner = machine(
            on,
            states(("Send", {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": message})),
        )
        start = {"StateMachineArn": inner.arn, "Input.$": "$"}
        prefix = "arn:aws:states:::"

        def added(key: str) -> int:
            place = {"pk": {"S": key}, "sk": {"S": "0"}}
            found = target.client("dynamodb").get_item(TableName=table, Key=place, ConsistentRead=True)
            return int(found.get("Item", {}).get("n", {}).get("N", 0))

        _run(
            on,
            {"Resource": f"{prefix}sqs:sendMessage", "Parameters": message},
            "sqs",
            "SendMessage",
            _in_queue(on, queue),
        )
        _run(on, {"Resource": f"{prefix}dynamodb:updateItem", "Parameters": update}, "dynamodb", "UpdateItem", added)
        _run(
            on,
            {"Resource": f"{prefix}aws-sdk:dynamodb:updateItem", "Parameters": update},
            "dynamodb",
            "UpdateItem",
            added,
        )
        _run(
            on,
            {"Resource": f"{prefix}states:startExecution", "Parameters": start},
            "states",
            "StartExecution",
            _in_queue(on, queue),
        )


def rule_to_targets(target: Target) -> None:
    """A rule's deliveries to a queue, a function and a state machine: tried again after a refusal and a lost answer."""
    with bench(target) as on:
        queue = on.queue()
        table, _ = on.table()
        function = on.function(table=table)
        on.allow(queue, "events.amazonaws.com")
        inner = machine(on, states(("Send", _send(queue))))
        for arn, service, operation, effects in (
            (queue.arn, "sqs", "SendMessage", _in_queue(on, queue)),
            (on.function_arn(function), "lambda", "Invoke", lambda key: on.puts(table, key)),
            (inner.arn, "states", "StartExecution", _in_queue(on, queue)),
        ):
            source = on.name()
            rule = on.rule(source, arn, RoleArn=on.role()[1]) if service == "states" else on.rule(source, arn)
            path = _Path(
                rule,
                service,
                operation,
                lambda key, source=source: on.put_event(source, {"put": key, "key": key}),  # type: ignore[misc]
                effects,
            )
            _break(on, path, "refuse", 1, times=2)
            _break(on, path, "duplicate", 2)
            _break(on, path, "drop", 2)


def _send(queue: Queue) -> dict[str, object]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": queue.url, "MessageBody.$": "$.detail.key"},
    }


def rule_gives_up(target: Target) -> None:
    """A rule's target that is refused as often as its retry policy allows goes to the dead-letter queue."""
    with bench(target) as on:
        queue, dead = on.queue(), on.queue()
        on.allow(queue, "events.amazonaws.com")
        on.allow(dead, "events.amazonaws.com")
        source, key = on.name(), on.name()
        rule = on.rule(source, queue.arn, RetryPolicy={"MaximumRetryAttempts": 2}, DeadLetterConfig={"Arn": dead.arn})
        interceptor = target.interceptor
        assert interceptor is not None
        interceptor.add(Rule(id=key, action="throttle", point="call", function=rule, key=key))
        try:
            on.put_event(source, {"key": key})
            wait_for(lambda: on.bodies(dead), "no dead letter came", seconds=_SECONDS)
            check(interceptor.hits(key) == 3, f"{interceptor.hits(key)} attempts instead of 3")
        finally:
            interceptor.remove(key)
        told = target.peek_messages(dead.url)[0].attributes
        found = {name: told.get(name) for name in ("ERROR_CODE", "EXHAUSTED_RETRY_CONDITION", "RETRY_ATTEMPTS")}
        expected = {
            "ERROR_CODE": "THROTTLING",
            "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
            "RETRY_ATTEMPTS": "2",
        }
        check(found == expected, f"the attributes are {told}")
        check(not on.bodies(queue), "a refused event was delivered")


def topic_to_subscriptions(target: Target) -> None:
    """A topic's deliveries to a queue and a function: tried again after a refusal and a lost answer."""
    with bench(target) as on:
        queue = on.queue()
        table, _ = on.table()
        function = on.function(table=table)
        on.allow(queue, "sns.amazonaws.com")
        for protocol, endpoint, service, operation, effects in (
            ("sqs", queue.arn, "sqs", "SendMessage", _in_queue(on, queue)),
            ("lambda", on.function_arn(function), "lambda", "Invoke", lambda key: on.puts(table, key)),
        ):
            topic = on.topic()
            on.subscribe(topic, protocol, endpoint)

            def publish(key: str, topic: str = topic) -> None:
                target.client("sns").publish(TopicArn=topic, Message=json.dumps({"put": key}))

            path = _Path(topic.rpartition(":")[2], service, operation, publish, effects)
            _break(on, path, "refuse", 1, times=4)
            _break(on, path, "duplicate", 2)
            _break(on, path, "drop", 2)


def topic_gives_up(target: Target) -> None:
    """A notification that is refused again and again goes to the subscription's dead-letter queue."""
    with bench(target) as on:
        queue, dead = on.queue(), on.queue()
        for one in (queue, dead):
            on.allow(one, "sns.amazonaws.com")
        topic, key = on.topic(), on.name()
        on.subscribe(topic, "sqs", queue.arn, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
        interceptor = target.interceptor
        assert interceptor is not None
        interceptor.add(Rule(id=key, action="throttle", point="call", function=topic.rpartition(":")[2], key=key))
        try:
            target.client("sns").publish(TopicArn=topic, Message=key)
            found = wait_for(lambda: on.bodies(dead), "no dead letter came", seconds=_SECONDS)
        finally:
            interceptor.remove(key)
        check(json.loads(found[0])["Message"] == key, f"the dead letter is {found}")
        check(not on.bodies(queue), "a refused notification was delivered")


def queue_mapping_calls(target: Target) -> None:
    """A queue's mapping: receive, invoke and delete are refused, doubled and lost; nothing is lost by it."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue(VisibilityTimeout="1")
        function = on.function(table=table)
        on.invoke(function, {})
        uuid = on.mapping(function, queue.arn)

        def send(key: str) -> None:
            on.send(queue, {"put": key})

        for service, operation, refused, doubled, lost in (
            ("sqs", "ReceiveMessage", 1, 2, 1),
            ("lambda", "Invoke", 1, 2, 2),
            ("sqs", "DeleteMessage", 2, 1, 1),
        ):
            path = _Path(uuid, service, operation, send, lambda key: on.puts(table, key))
            _break(on, path, "refuse", refused)
            _break(on, path, "duplicate", doubled)
            _break(on, path, "drop", lost)
        wait_for(lambda: not on.bodies(queue), "a message stayed in the queue")


def stream_mapping_calls(target: Target) -> None:
    """A stream's mapping: read and invoke are refused, doubled and lost; the shard goes on."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        function = on.function(table=effects)
        on.invoke(function, {})
        uuid = on.mapping(function, stream, StartingPosition="TRIM_HORIZON")

        def put(key: str) -> None:
            order = {"S": json.dumps({"put": key})}
            target.client("dynamodb").put_item(
                TableName=source, Item={"pk": {"S": key}, "sk": {"S": "0"}, "order": order}
            )

        for service, operation, refused, doubled, lost in (
            ("dynamodb", "GetRecords", 1, 1, 1),
            ("lambda", "Invoke", 1, 2, 2),
        ):
            path = _Path(uuid, service, operation, put, lambda key: on.puts(effects, key))
            _break(on, path, "refuse", refused)
            _break(on, path, "duplicate", doubled)
            _break(on, path, "drop", lost)
