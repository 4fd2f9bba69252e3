"""Probes of what rules and topics do with what they cannot deliver."""

from __future__ import annotations

import json

from holdfast.targets.base import PeekedMessage, Target
from holdfast.targets.probes.bench import Bench, Queue, bench, check, wait_for

_EVENTS = "events.amazonaws.com"
_SNS = "sns.amazonaws.com"


def rule_dead_letter(target: Target) -> None:
    """An event whose target is gone, or may not be sent to, ends in the target's dead-letter queue, with the reason."""
    with bench(target) as on:
        gone, closed, dead = on.queue(), on.queue(), on.queue()
        on.allow(dead, _EVENTS)
        target.client("sqs").delete_queue(QueueUrl=gone.url)
        for queue, code in ((gone, "NO_RESOURCE"), (closed, "NO_PERMISSIONS")):
            source = on.name()
            rule = on.rule(source, queue.arn, DeadLetterConfig={"Arn": dead.arn}, Input='{"changed": true}')
            on.put_event(source, {"id": source})
            message = _with(on, dead, source)
            check(json.loads(message.body)["detail"] == {"id": source}, f"the dead letter is {message.body}")
            check(message.attributes.get("ERROR_CODE") == code, f"the attributes are {message.attributes}")
            check(message.attributes.get("TARGET_ARN") == queue.arn, f"the attributes are {message.attributes}")
            check(message.attributes.get("RULE_ARN", "").endswith(rule), f"the attributes are {message.attributes}")
        check(not on.bodies(closed), "a queue whose policy allows nobody got the event")


def _with(on: Bench, queue: Queue, text: str) -> PeekedMessage:
    """The message of a queue with a text in it, once it is there."""

    def found() -> list[PeekedMessage]:
        return [message for message in on.target.peek_messages(queue.url) if text in message.body]

    return wait_for(found, f"no message with {text} came")[0]


def subscription_dead_letter(target: Target) -> None:
    """A notification whose endpoint is gone, or may not be sent to, ends in the subscription's dead-letter queue."""
    with bench(target) as on:
        gone, closed, dead = on.queue(), on.queue(), on.queue()
        on.allow(dead, _SNS)
        topic = on.topic()
        policy = json.dumps({"deadLetterTargetArn": dead.arn})
        function = on.function()
        for protocol, endpoint, raw in (
            ("sqs", gone.arn, "false"),
            ("sqs", closed.arn, "true"),
            ("lambda", on.function_arn(function), "false"),
        ):
            on.subscribe(topic, protocol, endpoint, RedrivePolicy=policy, RawMessageDelivery=raw)
        target.client("sqs").delete_queue(QueueUrl=gone.url)
        target.client("lambda").delete_function(FunctionName=function)
        target.client("sns").publish(TopicArn=topic, Message="hello")
        wait_for(lambda: len(on.bodies(dead)) == 3, "not all dead letters came")
        raw_ones = [body for body in on.bodies(dead) if body == "hello"]
        check(len(raw_ones) == 1, f"the dead letters are {on.bodies(dead)}")
        told = [json.loads(body)["Message"] for body in on.bodies(dead) if body != "hello"]
        check(told == ["hello"] * 2, f"the dead letters are {on.bodies(dead)}")


def topic_order(target: Target) -> None:
    """A FIFO topic delivers to a FIFO queue in order."""
    with bench(target) as on:
        queue = on.queue(FifoQueue="true", ContentBasedDeduplication="true")
        on.allow(queue, _SNS)
        topic = on.topic(FifoTopic="true", ContentBasedDeduplication="true")
        on.subscribe(topic, "sqs", queue.arn, RawMessageDelivery="true")
        for number in range(10):
            target.client("sns").publish(TopicArn=topic, Message=str(number), MessageGroupId="one")
        found = wait_for(lambda: bodies if len(bodies := on.bodies(queue)) == 10 else [], "not all arrived")
        check(found == [str(number) for number in range(10)], f"the order is {found}")
