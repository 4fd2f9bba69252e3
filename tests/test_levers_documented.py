"""The services' levers against AWS as documented: what no emulator shows. No AWS account has been used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.errors import InjectionError
from holdfast.levers import (
    LEVERS,
    ArchiveReplay,
    BucketDeny,
    QueueDelay,
    RuleDisable,
    Snapshot,
    SubscriptionFilter,
)
from holdfast.levers.base import Lever
from holdfast.levers.signals import interrupts
from stubbed_aws import ACCOUNT, REGION, RefusedError, StubbedAws

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
BUCKET = "arn:aws:s3:::orders"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"
URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/orders"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/orders"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/orders/placed"
ARCHIVE = f"arn:aws:events:{REGION}:{ACCOUNT}:archive/orders"
SUBSCRIPTION = f"arn:aws:sns:{REGION}:{ACCOUNT}:orders:0f-1"


def restored(target: StubbedAws, snapshot: Snapshot) -> Lever:
    """The lever of a journal entry."""
    return LEVERS[snapshot.lever].restoring(target, snapshot)


def test_a_bucket_is_denied_with_its_owner_named_and_a_canary_of_its_own() -> None:
    """Every call names the owner that the bucket must have; the canary is an object that does not exist."""
    held: list[str] = []

    def get(parameters: dict[str, Any]) -> dict[str, Any]:
        if not held:
            raise RefusedError("NoSuchBucketPolicy", 404)
        return {"Policy": held[0]}

    def put(parameters: dict[str, Any]) -> dict[str, Any]:
        held[:] = [parameters["Policy"]]
        return {}

    def delete(parameters: dict[str, Any]) -> dict[str, Any]:
        held.clear()
        return {}

    def head(parameters: dict[str, Any]) -> dict[str, Any]:
        named = f"arn:aws:s3:::orders/{parameters['Key']}"
        denied = held and named in json.dumps(json.loads(held[0])["Statement"][-1]["Resource"])
        raise RefusedError("403" if denied else "404", 403 if denied else 404)

    answers = {"GetBucketPolicy": get, "PutBucketPolicy": put, "DeleteBucketPolicy": delete, "HeadObject": head}
    target = StubbedAws(answers)
    lever = BucketDeny(
        target=target,
        component="orders",
        resource=BUCKET,
        address="orders",
        principals=(ROLE,),
        actions=("s3:PutObject",),
    )
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert lever.proof().endswith("the harness's own s3:GetObject is refused by it")
    lever.heal(snapshot)
    assert held == []
    assert lever.healed_proof(snapshot)
    for operation, parameters in target.calls:
        assert operation == "GetCallerIdentity" or parameters["ExpectedBucketOwner"] == ACCOUNT


@dataclass
class Clock:
    """A monotonic clock that is moved by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def queue(values: dict[str, str], lagging: list[str] | None = None) -> StubbedAws:
    """A queue whose reads may lag."""

    def get(parameters: dict[str, Any]) -> dict[str, Any]:
        (name,) = parameters["AttributeNames"]
        return {"Attributes": {name: lagging.pop(0) if lagging else values[name]}}

    def put(parameters: dict[str, Any]) -> dict[str, Any]:
        values.update(parameters["Attributes"])
        return {}

    return StubbedAws({"GetQueueAttributes": get, "SetQueueAttributes": put})


def delayed(target: StubbedAws, clock: Clock) -> QueueDelay:
    lever = QueueDelay(target=target, component="orders", resource=QUEUE, url=URL, seconds=900)
    lever._settling.clock = clock
    return lever


@pytest.fixture
def interrupted() -> Iterator[None]:
    """A signal has arrived, and the run is healing."""
    with interrupts.shielded():
        interrupts.event.set()
        yield
        interrupts.event.clear()


def test_a_queue_counts_as_changed_when_the_documented_time_is_over() -> None:
    """Reading back is no proof on AWS for 60 s, neither that the fault is there nor that it is gone."""
    clock = Clock()
    lever = delayed(queue({"DelaySeconds": "0"}), clock)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    clock.seconds = 59.9
    assert lever.proof() == ""
    clock.seconds = 60.0
    assert lever.proof() == "DelaySeconds of orders reads back 900, and 60 s to propagate are over"
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot) == ""
    clock.seconds = 120.0
    assert lever.healed_proof(snapshot).startswith("DelaySeconds of orders reads back 0, as found")


def test_nobody_waits_for_a_window_that_is_not_recorded() -> None:
    """Healing from the journal is proven by reading back: no window of that run is recorded any more."""
    target = queue({"DelaySeconds": "0"})
    lever = delayed(target, Clock())
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    again = restored(target, snapshot)
    again.heal(snapshot)
    assert again.healed_proof(snapshot)


@pytest.mark.usefixtures("interrupted")
def test_nobody_waits_when_the_run_is_interrupted() -> None:
    """After SIGINT the queue is put back at once and the run ends."""
    lever = delayed(queue({"DelaySeconds": "0"}), Clock())
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot)


def test_a_queue_that_still_reads_as_before_is_put_back_all_the_same() -> None:
    """For 60 s a read may answer the old value; healing writes it over ours without believing the read."""
    values = {"DelaySeconds": "0"}
    lagging: list[str] = []
    target = queue(values, lagging)
    lever = delayed(target, Clock())
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lagging.append("0")
    restored(target, snapshot).heal(snapshot)
    assert values == {"DelaySeconds": "0"}


def test_a_subscription_is_filtered_after_fifteen_minutes() -> None:
    """SNS asks for up to 15 minutes; the window opens after them and no sooner."""
    attributes = {"FilterPolicy": '{"kind": ["order"]}'}

    def put(parameters: dict[str, Any]) -> dict[str, Any]:
        attributes[parameters["AttributeName"]] = parameters["AttributeValue"]
        return {}

    target = StubbedAws(
        {
            "GetSubscriptionAttributes": lambda _: {"Attributes": dict(attributes)},
            "SetSubscriptionAttributes": put,
        }
    )
    clock = Clock()
    lever = SubscriptionFilter(target=target, component="orders", resource=SUBSCRIPTION)
    lever._settling.clock = clock
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    clock.seconds = 899.0
    assert lever.proof() == ""
    clock.seconds = 900.0
    assert lever.proof().endswith("and 15 minutes to take effect are over")
    lever.heal(snapshot)
    assert attributes == {"FilterPolicy": '{"kind": ["order"]}'}


def test_a_rule_that_a_service_manages_is_refused() -> None:
    """EventBridge refuses to change a managed rule, so nothing is tried."""
    target = StubbedAws({"DescribeRule": lambda _: {"State": "ENABLED", "ManagedBy": "states.amazonaws.com"}})
    with pytest.raises(InjectionError) as refused:
        RuleDisable(target=target, component="placed", resource=RULE).snapshot()
    assert "states.amazonaws.com manages the rule" in refused.value.cause
    assert target.made("DescribeRule") == [{"Name": "placed", "EventBusName": "orders"}]


def test_a_rule_that_could_not_be_put_back_is_refused() -> None:
    """The third state needs PutRule, which would pass the rule's role on: nothing is changed that cannot be undone."""
    state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    target = StubbedAws({"DescribeRule": lambda _: {"State": state, "RoleArn": ROLE}})
    with pytest.raises(InjectionError) as refused:
        RuleDisable(target=target, component="placed", resource=RULE).snapshot()
    assert "PutRule" in refused.value.cause


@dataclass
class Replay:
    """A replay as EventBridge documents it; by default it runs until it is cancelled."""

    state: str = ""
    last: datetime | None = None
    ends_meanwhile: bool = False

    def target(self) -> StubbedAws:
        """A target that has its archive."""
        return StubbedAws(
            {
                "DescribeArchive": lambda _: {"ArchiveName": "orders", "EventSourceArn": BUS, "State": "ENABLED"},
                "StartReplay": self.start,
                "DescribeReplay": self.describe,
                "CancelReplay": self.cancel,
            }
        )

    def start(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.state:
            raise RefusedError("ResourceAlreadyExistsException")
        self.state = "RUNNING"
        return {"State": "STARTING"}

    def describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if not self.state:
            raise RefusedError("ResourceNotFoundException")
        return {"State": self.state, **({"EventLastReplayedTime": self.last} if self.last else {})}

    def cancel(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.ends_meanwhile:
            self.state = "COMPLETED"
            raise RefusedError("IllegalStatusException")
        self.state = "CANCELLING"
        return {"State": "CANCELLING"}


def archive_replay(target: StubbedAws) -> ArchiveReplay:
    elsewhere = RULE.replace(":rule/orders/", ":rule/")
    return ArchiveReplay(
        target=target,
        component="orders",
        resource=ARCHIVE,
        rules=(elsewhere, RULE),
        since=NOW - timedelta(minutes=5),
        now=lambda: NOW,
    )


def test_a_replay_goes_to_the_stacks_rules_alone_and_is_cancelled() -> None:
    """Only the stack's rules on the archive's own bus get the events; a replay that still runs is cancelled."""
    replay = Replay()
    target = replay.target()
    lever = archive_replay(target)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert target.made("StartReplay") == [
        {
            "ReplayName": lever.replay,
            "EventSourceArn": ARCHIVE,
            "EventStartTime": NOW - timedelta(minutes=5),
            "EventEndTime": NOW + timedelta(seconds=1),
            "Destination": {"Arn": BUS, "FilterArns": [RULE]},
        }
    ]
    assert lever.proof() == ""
    replay.last = NOW
    assert "replayed events up to 2026-05-01T12:00:00Z" in lever.proof()
    again = restored(target, snapshot)
    again.heal(snapshot)
    assert again.healed_proof(snapshot) == ""
    replay.state = "CANCELLED"
    assert again.healed_proof(snapshot).startswith(f"replay {lever.replay} is CANCELLED")
    again.heal(snapshot)
    assert target.made("CancelReplay") == [{"ReplayName": lever.replay}]


def test_a_replay_that_ends_while_it_is_cancelled_is_healed() -> None:
    """A cancellation that comes too late is no mistake."""
    replay = Replay(ends_meanwhile=True)
    lever = archive_replay(replay.target())
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lever.heal(snapshot)
    assert "COMPLETED" in lever.healed_proof(snapshot)


def test_a_replay_that_was_never_started_is_healed() -> None:
    """A run killed before StartReplay left nothing behind."""
    target = Replay().target()
    lever = archive_replay(target)
    snapshot = lever.snapshot()
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot) == f"no replay {lever.replay} was started"
    assert target.made("CancelReplay") == []
