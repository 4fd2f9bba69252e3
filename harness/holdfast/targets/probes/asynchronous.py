"""Probes of asynchronous invocations."""

from __future__ import annotations

import json

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for

_SECONDS = 30.0


def _requests(on: Bench, table: str, key: str) -> set[str]:
    """The request ids of the invocations that put a key."""
    found = on.target.client("dynamodb").query(
        TableName=table, KeyConditionExpression="pk = :key", ExpressionAttributeValues={":key": {"S": key}}
    )["Items"]
    return {item["sk"]["S"][:36] for item in found}


def retries(target: Target) -> None:
    """A failing asynchronous invocation is made three times with one request id, then its event is dead-lettered."""
    with bench(target) as on:
        table, _ = on.table()
        dead = on.queue()
        function = on.function(table=table, DeadLetterConfig={"TargetArn": dead.arn})
        order = {"put": "key", "raise": "always"}
        on.invoke(function, order, InvocationType="Event")
        found = wait_for(lambda: on.bodies(dead), "the event was not dead-lettered", seconds=_SECONDS)
        check(json.loads(found[0]) == order, f"the dead letter is {found[0]}")
        check(on.puts(table, "key") == 3, f"{on.puts(table, 'key')} attempts instead of 3")
        requests = _requests(on, table, "key")
        check(len(requests) == 1, f"the attempts had {len(requests)} request ids")
        attributes = target.peek_messages(dead.url)[0].attributes
        check(attributes.get("RequestID") in requests, f"the attributes are {attributes}")


def from_eventbridge(target: Target) -> None:
    """A rule invokes its function asynchronously, with retries."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        events = target.client("events")
        rule = on.name()
        events.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))
        arn = target.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        events.put_targets(Rule=rule, Targets=[{"Id": "one", "Arn": arn}])
        try:
            detail = json.dumps({"put": "key", "raise": "always"})
            events.put_events(Entries=[{"Source": rule, "DetailType": "order", "Detail": detail}])
            wait_for(lambda: on.puts(table, "key") >= 2, "a failed delivery was not retried", seconds=_SECONDS)
        finally:
            events.remove_targets(Rule=rule, Ids=["one"])
            events.delete_rule(Name=rule)


def from_sns(target: Target) -> None:
    """A topic invokes its function asynchronously, with retries."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        sns = target.client("sns")
        topic = sns.create_topic(Name=on.name())["TopicArn"]
        try:
            arn = target.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
            sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
            sns.publish(TopicArn=topic, Message=json.dumps({"put": "key", "raise": "always"}))
            wait_for(lambda: on.puts(table, "key") >= 2, "a failed delivery was not retried", seconds=_SECONDS)
        finally:
            sns.delete_topic(TopicArn=topic)
