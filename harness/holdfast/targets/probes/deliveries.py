"""Probes of what rules and topics do with what they cannot deliver."""

from __future__ import annotations

import json

from holdfast.targets.base import PeekedMessage, Target
from holdfast.targets.probes.bench import Bench, Queue, bench, check, wait_for

_EVENTS = "events.amazonaws.com"
_SNS = "sns.amazonaws.com"


def rule_dead_letter(target: Target) -> None:
    """An event whose target is gone ends in the target's dead-letter queue as it was, with the reason."""
    with bench(target) as on:
        gone, dead = on.queue(), on.queue()
        on.allow(dead, _EVENTS)
        target.client("sqs").delete_queue(QueueUrl=gone.url)
        _rule_gives_up(on, gone, dead, "NO_RESOURCE")


def rule_denied(target: Target) -> None:
    """An event whose target's policy does not let the rule send ends in the target's dead-letter queue."""
    with bench(target) as on:
        closed, dead = on.queue(), on.queue()
        on.allow(dead, _EVENTS)
        _rule_gives_up(on, closed, dead, "NO_PERMISSIONS")
        check(not on.bodies(closed), "a queue whose policy allows nobody got the event")


def _rule_gives_up(on: Bench, queue: Queue, dead: Queue, code: str) -> None:
    source = on.name()
    rule = on.rule(source, queue.arn, DeadLetterConfig={"Arn": dead.arn}, Input='{"changed": true}')
    on.put_event(source, {"id": source})
    message = _with(on, dead, source)
    check(json.loads(message.body)["detail"] == {"id": source}, f"the dead letter is {message.body}")
    check(message.attributes.get("ERROR_CODE") == code, f"the attributes are {message.attributes}")
    check(message.attributes.get("TARGET_ARN") == queue.arn, f"the attributes are {message.attributes}")
    check(message.attributes.get("RULE_ARN", "").endswith(rule), f"the attributes are {message.attributes}")


def _with(on: Bench, queue: Queue, text: str) -> PeekedMessage:
    """The message of a queue with a text in it, once it is there."""

    def found() -> list[PeekedMessage]:
        return [message for message in on.target.peek_messages(queue.url) if text in message.body]

    return wait_for(found, f"no message with {text} came")[0]


def subscription_dead_letter(target: Target) -> None:
    """A notification whose endpoint is gone ends in the subscription's dead-letter queue as it would have come."""
    with bench(target) as on:
        gone, raw, function = on.queue(), on.queue(), on.function()
        endpoints = [
            ("sqs", gone.arn, "false"),
            ("sqs", raw.arn, "true"),
            ("lambda", on.function_arn(function), "false"),
        ]
        topic = on.topic()
        dead = [on.queue() for _ in endpoints]
        for queue, (protocol, endpoint, is_raw) in zip(dead, endpoints, strict=True):
            on.allow(queue, _SNS)
            policy = json.dumps({"deadLetterTargetArn": queue.arn})
            on.subscribe(topic, protocol, endpoint, RedrivePolicy=policy, RawMessageDelivery=is_raw)
        for queue in (gone, raw):
            target.client("sqs").delete_queue(QueueUrl=queue.url)
        target.client("lambda").delete_function(FunctionName=function)
        target.client("sns").publish(TopicArn=topic, Message="hello")
        for queue, (_, endpoint, is_raw) in zip(dead, endpoints, strict=True):
            body = _with(on, queue, "hello").body
            told = body if is_raw == "true" else json.loads(body)["Message"]
            check(told == "hello", f"the dead letter for {endpoint} is {body}")


def subscription_denied(target: Target) -> None:
    """A notification whose endpoint's policy does not let the topic send ends in the dead-letter queue."""
    with bench(target) as on:
        closed, dead, topic = on.queue(), on.queue(), on.topic()
        on.allow(dead, _SNS)
        on.subscribe(topic, "sqs", closed.arn, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
        target.client("sns").publish(TopicArn=topic, Message="hello")
        _with(on, dead, "hello")
        check(not on.bodies(closed), "a queue whose policy allows nobody got the notification")


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
