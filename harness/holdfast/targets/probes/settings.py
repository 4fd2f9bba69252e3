"""Probes of what changes when a resource's settings are changed: attributes, policies, filters, rules, archives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, Queue, bench, check, wait_for

_SOURCE = "holdfast.probe"
_DENIED = ("AccessDenied", "AccessDeniedException")
_CALLER = """
import os
import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    try:
        if "queue" in event:
            boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody="x")
        else:
            boto3.client("s3").put_object(Bucket=event["bucket"], Key="x", Body=b"x")
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "accepted"
"""


def _received(target: Target, queue: Queue) -> list[str]:
    found = target.client("sqs").receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)
    return [message["Body"] for message in found.get("Messages", [])]


def _set(target: Target, queue: Queue, **attributes: str) -> None:
    target.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes=attributes)


def visibility(target: Target) -> None:
    """A visibility timeout that is set to 0 leaves received messages visible; a longer one hides them again."""
    with bench(target) as on:
        queue = on.queue(VisibilityTimeout="30")
        on.send(queue, {})
        _set(target, queue, VisibilityTimeout="0")
        wait_for(lambda: _received(target, queue), "nothing was received")
        check(bool(_received(target, queue)), "with a timeout of 0 a received message was hidden")
        _set(target, queue, VisibilityTimeout="30")
        check(bool(_received(target, queue)), "the message was not received again")
        check(not _received(target, queue), "with a timeout of 30 s a received message stayed visible")


def delay(target: Target) -> None:
    """A queue's delay that is set later hides messages that are sent from then on."""
    with bench(target) as on:
        queue = on.queue()
        _set(target, queue, DelaySeconds="900")
        on.send(queue, {"n": 1})
        _set(target, queue, DelaySeconds="0")
        on.send(queue, {"n": 2})
        found = wait_for(lambda: _received(target, queue), "nothing was received")
        check([json.loads(body) for body in found] == [{"n": 2}], f"received {found}")


def early_dead_letters(target: Target) -> None:
    """A maxReceiveCount that is set to 1 later sends a message to the dead-letter queue after one failed receive."""
    with bench(target) as on:
        dead = on.queue()
        policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 10}
        queue = on.queue(VisibilityTimeout="0", RedrivePolicy=json.dumps(policy))
        on.send(queue, {})
        _set(target, queue, RedrivePolicy=json.dumps({**policy, "maxReceiveCount": 1}))
        wait_for(lambda: _received(target, queue) or on.bodies(dead), "the message was neither received nor moved")
        wait_for(lambda: not _received(target, queue) and on.bodies(dead), "the message was not dead-lettered")


def _denial(principal: str, action: str, resource: str, *, seconds: float = 900) -> str:
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    statement = {
        "Sid": "Probe",
        "Effect": "Deny",
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": resource,
        "Condition": {"DateLessThan": {"aws:CurrentTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _caller(on: Bench) -> tuple[str, str]:
    """A function that makes the call its event asks for, and the ARN of its role."""
    function = on.function(code=_CALLER)
    found = on.target.client("lambda").get_function_configuration(FunctionName=function)
    return function, str(found["Role"])


def _expect(on: Bench, function: str, order: Mapping[str, Any], *, denied: bool, otherwise: str) -> None:
    answer = on.invoke(function, order)[1]
    check((answer in _DENIED) == denied and (denied or answer == "accepted"), f"{otherwise}: {answer}")


def queue_policy(target: Target) -> None:
    """A Deny in a queue's policy refuses that role alone, ends at its time, and an empty policy removes it."""
    with bench(target) as on:
        function, role = _caller(on)
        queue = on.queue()
        order = {"queue": queue.url}
        _expect(on, function, order, denied=False, otherwise="without a policy the role was refused")
        _set(target, queue, Policy=_denial(role, "sqs:SendMessage", queue.arn))
        _expect(on, function, order, denied=True, otherwise="the denied role was not refused")
        on.send(queue, {})
        _set(target, queue, Policy=_denial(role, "sqs:SendMessage", queue.arn, seconds=-1))
        _expect(on, function, order, denied=False, otherwise="a denial that has ended still refused")
        _set(target, queue, Policy="")
        left = target.client("sqs").get_queue_attributes(QueueUrl=queue.url, AttributeNames=["Policy"])
        check(not left.get("Attributes", {}).get("Policy"), "the empty policy did not remove the old one")


def bucket_policy(target: Target) -> None:
    """A Deny in a bucket's policy refuses the role it names and ends at its time."""
    with bench(target) as on:
        s3 = target.client("s3")
        function, role = _caller(on)
        bucket = on.name()
        # us-east-1 is the one region that must not be named
        place = {"LocationConstraint": target.region}
        s3.create_bucket(
            Bucket=bucket, **({} if target.region == "us-east-1" else {"CreateBucketConfiguration": place})
        )
        on.later(s3.delete_bucket, Bucket=bucket)
        on.later(s3.delete_object, Bucket=bucket, Key="x")
        order, objects = {"bucket": bucket}, f"arn:aws:s3:::{bucket}/*"
        _expect(on, function, order, denied=False, otherwise="without a policy the role was refused")
        s3.put_bucket_policy(Bucket=bucket, Policy=_denial(role, "s3:PutObject", objects))
        _expect(on, function, order, denied=True, otherwise="the denied role was not refused")
        s3.put_bucket_policy(Bucket=bucket, Policy=_denial(role, "s3:PutObject", objects, seconds=-1))
        _expect(on, function, order, denied=False, otherwise="a denial that has ended still refused")
        s3.delete_bucket_policy(Bucket=bucket)
        try:
            s3.get_bucket_policy(Bucket=bucket)
        except ClientError:
            return
        check(holds=False, otherwise="the deleted policy is still there")


def filtered_subscription(target: Target) -> None:
    """A filter policy that no message passes keeps them from that subscription; an empty one lets them pass again."""
    with bench(target) as on:
        sns = target.client("sns")
        topic = sns.create_topic(Name=on.name())["TopicArn"]
        on.later(sns.delete_topic, TopicArn=topic)
        filtered, other = _open_to(on, "sns.amazonaws.com"), _open_to(on, "sns.amazonaws.com")
        arns = [
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, ReturnSubscriptionArn=True)[
                "SubscriptionArn"
            ]
            for queue in (filtered, other)
        ]
        for policy in ('{"nothing-has": ["this"]}', "{}"):
            sns.set_subscription_attributes(
                SubscriptionArn=arns[0], AttributeName="FilterPolicy", AttributeValue=policy
            )
            sns.publish(TopicArn=topic, Message=policy)
        wait_for(lambda: len(on.bodies(other)) == 2, "the other subscription did not get both")
        wait_for(lambda: on.bodies(filtered), "without its filter the subscription got nothing")
        check(len(on.bodies(filtered)) == 1, "the filtered message was delivered")


def _open_to(on: Bench, service: str) -> Queue:
    """A queue that a service may send to."""
    queue = on.queue()
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
    }
    _set(on.target, queue, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    return queue


def _rule_to(on: Bench, queue: Queue, bus: str = "") -> tuple[str, str]:
    """A rule that sends to a queue, on a bus of its own or on the given one; the names of bus and rule."""
    events = on.target.client("events")
    rule = on.name()
    if not bus:
        bus = on.name()
        events.create_event_bus(Name=bus)
        on.later(events.delete_event_bus, Name=bus)
    events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps({"source": [_SOURCE]}))
    on.later(events.delete_rule, Name=rule, EventBusName=bus)
    events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "queue", "Arn": queue.arn}])
    on.later(events.remove_targets, Rule=rule, EventBusName=bus, Ids=["queue"])
    return bus, rule


def _put(on: Bench, bus: str, number: int) -> None:
    detail = json.dumps({"n": number})
    entry = {"EventBusName": bus, "Source": _SOURCE, "DetailType": "probe", "Detail": detail}
    on.target.client("events").put_events(Entries=[entry])


def _numbers(on: Bench, queue: Queue) -> list[int]:
    return [json.loads(body)["detail"]["n"] for body in on.bodies(queue)]


def disabled_rule(target: Target) -> None:
    """A disabled rule sends nothing to its targets, and what came meanwhile is not sent later."""
    with bench(target) as on:
        events = target.client("events")
        queue = _open_to(on, "events.amazonaws.com")
        bus, rule = _rule_to(on, queue)
        events.disable_rule(Name=rule, EventBusName=bus)
        _put(on, bus, 1)
        events.enable_rule(Name=rule, EventBusName=bus)
        _put(on, bus, 2)
        wait_for(lambda: on.bodies(queue), "the enabled rule sent nothing")
        check(_numbers(on, queue) == [2], f"the rule sent {_numbers(on, queue)}")


def replayed_archive(target: Target) -> None:
    """A replay sends the archived events of its time span once more, to the rules it names, and completes."""
    with bench(target) as on:
        events = target.client("events")
        queue = _open_to(on, "events.amazonaws.com")
        bus, rule = _rule_to(on, queue)
        beside = _open_to(on, "events.amazonaws.com")
        _rule_to(on, beside, bus)
        found = events.describe_rule(Name=rule, EventBusName=bus)["Arn"]
        source = events.describe_event_bus(Name=bus)["Arn"]
        archive, replay = on.name(), on.name()
        arn = events.create_archive(ArchiveName=archive, EventSourceArn=source)["ArchiveArn"]
        on.later(events.delete_archive, ArchiveName=archive)
        now = datetime.now(UTC)
        _put(on, bus, 1)
        wait_for(lambda: on.bodies(queue), "the event did not arrive")
        for name, since in ((f"{replay}-none", -30), (replay, -2)):
            events.start_replay(
                ReplayName=name,
                EventSourceArn=arn,
                EventStartTime=now + timedelta(seconds=since),
                EventEndTime=now + timedelta(seconds=since + 20),
                Destination={"Arn": source, "FilterArns": [found]},
            )
            wait_for(
                lambda name=name: events.describe_replay(ReplayName=name)["State"] == "COMPLETED",  # type: ignore[misc]
                f"replay {name} did not complete",
            )
        wait_for(lambda: len(on.bodies(queue)) == 2, "the event was not replayed once")
        _put(on, bus, 2)
        wait_for(lambda: 2 in _numbers(on, beside), "the rule beside got no event")
        check(_numbers(on, beside) == [1, 2], f"a rule that the replay does not name got {_numbers(on, beside)}")
        wait_for(lambda: len(on.bodies(queue)) == 3, "the live event did not arrive")
        named = [json.loads(body).get("replay-name") for body in on.bodies(queue)]
        check(named == [None, replay, None], f"the events name the replays {named}")
