"""What passes events on between components: targets of EventBridge rules, subscriptions of SNS topics, archives."""

from __future__ import annotations

import json
from dataclasses import dataclass

from holdfast.stack.aws_errors import translated
from holdfast.stack.resolve import Stack

RULE_EVENT_AGE_SECONDS = 86_400
"""EventBridge tries a target for 24 hours by default
(docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html)."""

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """One target of a rule, or one subscription of a topic.

    Attributes:
        component: the rule or topic.
        target_arn: who is given the events; an address for a subscription that is no AWS resource.
        dead_letter_arn: where goes what could not be delivered; empty when nowhere.
        event_age_seconds: how long delivery is tried; None where AWS decides by the kind of the target.
        retries: how often delivery is tried again at most; None where that is not declared.
    """

    component: str
    target_arn: str
    dead_letter_arn: str = ""
    event_age_seconds: int | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One archive of a bus.

    Attributes:
        component: its name in the descriptor.
        retention_seconds: how long it keeps events; None for ever.
    """

    component: str
    retention_seconds: int | None


def read_relays(stack: Stack) -> tuple[Relay, ...]:
    """Read the targets of the descriptor's rules and the subscriptions of its topics.

    Raises:
        ResourceError: one of them may not be read.
        TargetError: the target does not answer.
    """
    found: list[Relay] = []
    for name, component in stack.descriptor.components.items():
        if component.type == "rule":
            found += _targets(stack, name)
        elif component.type == "topic":
            found += _subscriptions(stack, name)
    return tuple(found)


def read_archives(stack: Stack) -> tuple[Archive, ...]:
    """Read the descriptor's archives.

    Raises:
        ResourceError: one of them may not be read.
        TargetError: the target does not answer.
    """
    found = []
    for name, component in stack.descriptor.components.items():
        if component.type == "archive":
            with translated(f"The archive {name}", stack.target):
                days = (
                    stack.target.client("events")
                    .describe_archive(ArchiveName=stack.resource(name).name)
                    .get("RetentionDays")
                )
            found.append(Archive(component=name, retention_seconds=days * DAY_SECONDS if days else None))
    return tuple(found)


def _targets(stack: Stack, name: str) -> list[Relay]:
    bus, _, rule = stack.resource(name).arn.partition(":rule/")[2].rpartition("/")
    asked = {"Rule": rule, "EventBusName": bus} if bus else {"Rule": rule}
    found = []
    with translated(f"The targets of rule {name}", stack.target):
        for page in stack.target.client("events").get_paginator("list_targets_by_rule").paginate(**asked):
            found += [
                Relay(
                    component=name,
                    target_arn=target["Arn"],
                    dead_letter_arn=str((target.get("DeadLetterConfig") or {}).get("Arn", "")),
                    event_age_seconds=int(
                        (target.get("RetryPolicy") or {}).get("MaximumEventAgeInSeconds", RULE_EVENT_AGE_SECONDS)
                    ),
                    retries=(target.get("RetryPolicy") or {}).get("MaximumRetryAttempts"),
                )
                for target in page["Targets"]
            ]
    return found


def _subscriptions(stack: Stack, name: str) -> list[Relay]:
    sns = stack.target.client("sns")
    found = []
    with translated(f"The subscriptions of topic {name}", stack.target):
        for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=stack.resource(name).arn):
            for one in page["Subscriptions"]:
                arn = str(one["SubscriptionArn"])
                attributes = (
                    sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"] if arn.startswith("arn:") else {}
                )
                policy = json.loads(attributes.get("RedrivePolicy") or "{}")
                found.append(
                    Relay(
                        component=name,
                        target_arn=str(one.get("Endpoint", "")),
                        dead_letter_arn=str(policy.get("deadLetterTargetArn", "")),
                    )
                )
    return found
