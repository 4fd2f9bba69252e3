"""Probes of the interceptor: aimed faults, their hits, and the trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from botocore.exceptions import ClientError

from holdfast.targets.base import Interceptor, Rule, Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for

CALLER = '''"""Makes the calls that the event names, and says how each ended."""
import json
import os
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})


def call(step):
    service, operation, arguments = step
    if service == "raw":
        urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_ministack/health").read()
        return "ok"
    try:
        getattr(boto3.client(service, config=config), operation)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except BotoCoreError as error:
        return type(error).__name__
    return "ok"


def handler(event, context):
    return [call(step) for step in event["steps"]]
'''


@contextmanager
def _rules(target: Target, *rules: Rule) -> Iterator[Interceptor]:
    assert target.interceptor is not None
    for rule in rules:
        target.interceptor.add(rule)
    try:
        yield target.interceptor
    finally:
        for rule in rules:
            target.interceptor.remove(rule.id)


def _put(table: str, key: str) -> list[object]:
    return ["dynamodb", "put_item", {"TableName": table, "Item": {"pk": {"S": key}, "sk": {"S": "0"}}}]


def killed_before_call(target: Target) -> None:
    """A process killed before a call has not made it, and dies as Runtime.ExitError."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        rule = Rule(id=key, action="kill", point="call", key=key, service="dynamodb", operation="PutItem", times=1)
        with _rules(target, rule) as interceptor:
            _, answer = on.invoke(function, {"steps": [_put(table, key)]})
            check(answer["errorType"] == "Runtime.ExitError", f"the answer is {answer}")
            check(on.puts(table, key) == 0, "the call took effect")
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")
            check(on.invoke(function, {"steps": [_put(table, key)]})[1] == ["ok"], "the rule hit more than once")


def killed_after_call(target: Target) -> None:
    """A process killed after a call has made it and never learns so."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        rule = Rule(id=key, action="kill", point="call", when="after", key=key, operation="PutItem", times=1)
        with _rules(target, rule) as interceptor:
            _, answer = on.invoke(function, {"steps": [_put(table, key), _put(table, f"{key}-second")]})
            check(answer["errorType"] == "Runtime.ExitError", f"the answer is {answer}")
            check(on.puts(table, key) == 1, "the call took no effect")
            check(on.puts(table, f"{key}-second") == 0, "the process went on")
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")
            traced = [(call.operation, call.status) for call in interceptor.calls(key)]
            check(traced == [("PutItem", 0)], f"the trace is {traced}")


def dropped_answer(target: Target) -> None:
    """A dropped answer: the call took effect, its caller saw a broken connection."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        with _rules(target, Rule(id=key, action="drop", point="call", key=key, operation="PutItem")) as interceptor:
            _, answer = on.invoke(function, {"steps": [_put(table, key)]})
            check(answer == ["ConnectionClosedError"], f"the caller saw {answer}")
            check(on.puts(table, key) == 1, "the call took no effect")
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")


def refused_call(target: Target) -> None:
    """A refused call is not performed and gives the AWS error in the service's own protocol."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        topic = f"arn:aws:sns:{target.region}:{target.account}:{key}"
        queue = on.queue()
        # each carries the key itself: behind a reverse proxy nobody knows the event that a call is made for
        steps = [
            _put(table, key),
            ["s3", "put_object", {"Bucket": key, "Key": "a/b", "Body": "x"}],
            ["sns", "publish", {"TopicArn": topic, "Message": "x"}],
            ["sqs", "send_message", {"QueueUrl": queue.url, "MessageBody": key}],
            ["lambda", "invoke", {"FunctionName": function, "Payload": json.dumps(key)}],
            ["events", "put_events", {"Entries": [{"Source": key, "DetailType": "x", "Detail": "{}"}]}],
            ["stepfunctions", "start_execution", {"stateMachineArn": topic}],
        ]
        with _rules(target, Rule(id=key, action="refuse", point="call", key=key, error="SlowDown")) as interceptor:
            _, answer = on.invoke(function, {"steps": steps})
            check(answer == ["SlowDown"] * len(steps), f"the caller saw {answer}")
            check(on.puts(table, key) == 0, "the refused call took effect")
            check(not on.bodies(queue), "the refused message was stored")
            named = [f"{call.service}.{call.operation}" for call in interceptor.calls(key)]
            expected = [
                "dynamodb.PutItem",
                "s3.PutObject",
                "sns.Publish",
                "sqs.SendMessage",
                "lambda.Invoke",
                "events.PutEvents",
                "states.StartExecution",
            ]
            check(named == expected, f"the trace is {named}")
            check([call.index for call in interceptor.calls(key)] == list(range(1, 8)), "the trace is out of order")


def refused_after_effect(target: Target) -> None:
    """A call that is performed but answered with an error has its effect, and its caller the error."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        rule = Rule(
            id=key, action="fail-after", point="call", key=key, operation="PutItem", error="InternalServerError"
        )
        with _rules(target, rule) as interceptor:
            _, answer = on.invoke(function, {"steps": [_put(table, key)]})
            check(answer == ["InternalServerError"], f"the caller saw {answer}")
            check(on.puts(table, key) == 1, "the call took no effect")
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")


def cut_before_effect(target: Target) -> None:
    """A connection that is cut before the call leaves no effect, whatever the method: HEAD has no body to cut."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        steps = [_put(table, key), ["s3", "head_object", {"Bucket": key, "Key": "a"}]]
        with _rules(target, Rule(id=key, action="cut", point="call", key=key)) as interceptor:
            _, answer = on.invoke(function, {"steps": steps})
            check(answer == ["ConnectionClosedError"] * 2, f"the caller saw {answer}")
            check(on.puts(table, key) == 0, "the call took effect")
            check(interceptor.hits(key) == 2, f"{interceptor.hits(key)} hits")


def duplicated_call(target: Target) -> None:
    """A duplicated call is performed twice, and its caller sees one answer."""
    with bench(target) as on:
        queue = on.queue()
        function, key = on.function(code=CALLER), on.name()
        send = ["sqs", "send_message", {"QueueUrl": queue.url, "MessageBody": key}]
        with _rules(target, Rule(id=key, action="duplicate", point="call", key=key, times=1)) as interceptor:
            _, answer = on.invoke(function, {"steps": [send]})
            check(answer == ["ok"], f"the caller saw {answer}")
            check(on.bodies(queue) == [key, key], f"the queue holds {on.bodies(queue)}")
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")
            traced = [(call.operation, call.resource) for call in interceptor.calls(key)]
            check(traced == [("SendMessage", queue.url.rpartition("/")[2])], f"the trace is {traced}")


def aimed_at_resource(target: Target) -> None:
    """A rule that names a resource acts on the calls about it alone, however they name it."""
    with bench(target) as on:
        table, other = on.table()[0], on.table()[0]
        function, key = on.function(code=CALLER), on.name()
        arn = f"arn:aws:dynamodb:{target.region}:{target.account}:table/{table}"
        steps = [_put(other, key), _put(table, key), _put(arn, key)]
        rule = Rule(id=key, action="throttle", point="call", key=key, resource=arn)
        with _rules(target, rule) as interceptor:
            _, answer = on.invoke(function, {"steps": steps})
            check(answer == ["ok", "ThrottlingException", "ThrottlingException"], f"the caller saw {answer}")
            traced = [call.resource for call in interceptor.calls(key)]
            check(traced == [other, table, table], f"the trace is {traced}")


def nth_call(target: Target) -> None:
    """``nth`` counts the matching calls of one key over all its invocations."""
    with bench(target) as on:
        table, _ = on.table()
        function, key = on.function(code=CALLER), on.name()
        steps = {"steps": [_put(table, f"{key}-{at}") for at in range(2)]}
        rule = Rule(id=key, action="refuse", point="call", key=key, nth=3, error="InternalServerError")
        with _rules(target, rule) as interceptor:
            answers = [on.invoke(function, steps)[1] for _ in range(2)]
            check(answers == [["ok", "ok"], ["InternalServerError", "ok"]], f"the answers are {answers}")
            on.invoke(function, {"steps": [_put(table, "other")]})
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")


def other_client(target: Target) -> None:
    """A call by a plain HTTP client is found by its connection while a rule about calls is in force."""
    with bench(target) as on:
        function, key = on.function(code=CALLER), on.name()
        rule = Rule(id=key, action="delay", point="call", key=key)
        with _rules(target, rule) as interceptor:
            on.invoke(function, {"steps": [["raw", key, {}]]})
            check(interceptor.hits(key) == 1, f"{interceptor.hits(key)} hits")


def invocation_faults(target: Target) -> None:
    """Invocations of one key fail, are throttled or die, before or after the handler; others do not."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(code=CALLER)
        on.invoke(function, {"steps": []})
        for action, when, effects in _INVOCATION_FAULTS:
            key = on.name()
            rule = Rule(id=key, action=action, when=when, key=key, function=function, times=1)
            with _rules(target, rule) as interceptor:
                seen = _outcome(on, function, {"steps": [_put(table, key)]})
                expected = {
                    "fail": "InjectedFault",
                    "throttle": "TooManyRequestsException",
                    "kill": "Runtime.ExitError",
                }
                check(seen == expected[action], f"{action} {when} gave {seen}")
                check(on.puts(table, key) == effects, f"{action} {when}: {on.puts(table, key)} effects")
                check(interceptor.hits(key) == 1, f"{action} {when}: {interceptor.hits(key)} hits")
                check(_outcome(on, function, {"steps": [_put(table, key)]}) == "", f"{action} {when} hit twice")
                traced = [invocation.failed for invocation in interceptor.invocations(function, key)]
                check(traced == [True, False], f"{action} {when}: the trace says failed: {traced}")


_Action = Literal["fail", "throttle", "kill"]
_INVOCATION_FAULTS: tuple[tuple[_Action, Literal["before", "after"], int], ...] = (
    ("fail", "before", 0),
    ("fail", "after", 1),
    ("throttle", "before", 0),
    ("kill", "before", 0),
    ("kill", "after", 1),
)


def _outcome(on: Bench, function: str, order: dict[str, object]) -> str:
    try:
        kind, answer = on.invoke(function, order)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return str(answer["errorType"]) if kind else ""


def redelivered_after_effect(target: Target) -> None:
    """A message whose handler ran but whose answer is replaced by an error is delivered again."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue(VisibilityTimeout="1")
        function, key = on.function(table=table), on.name()
        with _rules(target, Rule(id=key, action="fail", when="after", key=key, function=function, times=1)):
            on.mapping(function, queue.arn)
            on.send(queue, {"put": key})
            wait_for(lambda: on.puts(table, key) == 2, "it was not delivered again")
            wait_for(lambda: not on.bodies(queue), "the message stayed")


def aimed_alone(target: Target) -> None:
    """A message at which a fault is aimed is delivered by itself; its neighbours come once, in a batch of their own."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue(VisibilityTimeout="1")
        function, key = on.function(table=table), on.name()
        keys = [f"{key}-{at}" for at in range(5)]
        with _rules(target, Rule(id=key, action="fail", key=keys[2], function=function, times=2)) as interceptor:
            on.send_all(queue, [{"put": one} for one in keys])
            on.mapping(function, queue.arn, BatchSize=10)
            wait_for(lambda: on.puts(table, keys[2]) == 1, "the aimed message did not recover")
            check([on.puts(table, one) for one in keys] == [1] * 5, "a neighbour came twice or never")
            batches = [len(json.loads(one.event)["Records"]) for one in interceptor.invocations(function)]
            check(sorted(batches) == [1, 1, 1, 4], f"the batches had {batches} messages")
            counts = {
                record["attributes"]["ApproximateReceiveCount"]
                for one in interceptor.invocations(function)
                for record in json.loads(one.event)["Records"]
                if keys[2] not in record["body"]
            }
            check(counts == {"1"}, f"the neighbours' receive counts are {counts}")


def aimed_alone_in_order(target: Target) -> None:
    """In a FIFO queue an aimed message is alone and the order of its group stays."""
    with bench(target) as on:
        queue = on.queue(FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="1")
        function, key = on.function(), on.name()
        with _rules(target, Rule(id=key, action="fail", key=f"{key}-2", function=function, times=1)) as interceptor:
            for at in range(5):
                on.send(queue, {"log": f"{key}-{at}"}, MessageGroupId="one")
            on.mapping(function, queue.arn, BatchSize=10)
            wait_for(lambda: not on.bodies(queue), "not all were delivered")
            done = [one for one in interceptor.invocations(function) if not one.failed]
            order = [json.loads(record["body"])["log"] for one in done for record in json.loads(one.event)["Records"]]
            check(order == [f"{key}-{at}" for at in range(5)], f"the order was {order}")
            failed = [len(json.loads(one.event)["Records"]) for one in interceptor.invocations(function) if one.failed]
            check(failed == [1], f"the failed batches had {failed} messages")


def aimed_alone_in_stream(target: Target) -> None:
    """In a stream an aimed record is alone and the order of the shard stays."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        function, key = on.function(table=effects), on.name()
        with _rules(target, Rule(id=key, action="fail", key=f"{key}-2", function=function, times=2)) as interceptor:
            for at in range(5):
                order = {"S": json.dumps({"put": f"{key}-{at}"})}
                target.client("dynamodb").put_item(
                    TableName=source, Item={"pk": {"S": str(at)}, "sk": {"S": "0"}, "order": order}
                )
            on.mapping(function, stream, StartingPosition="TRIM_HORIZON", BatchSize=10)
            wait_for(lambda: on.puts(effects, f"{key}-4") == 1, "the shard stood still")
            check([on.puts(effects, f"{key}-{at}") for at in range(5)] == [1] * 5, "a record came twice or never")
            failed = [len(json.loads(one.event)["Records"]) for one in interceptor.invocations(function) if one.failed]
            check(failed == [1, 1], f"the failed batches had {failed} records")
