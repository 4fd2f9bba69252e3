"""The levers on queues, topics, rules, archives, tables and buckets: they bite, and they heal exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.errors import GuardRailError, Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import (
    LEVERS,
    ArchiveReplay,
    BucketDeny,
    Journal,
    Pin,
    QueueDelay,
    QueueDeny,
    QueueRedrive,
    QueueVisibility,
    RuleDisable,
    SubscriptionFilter,
    TableCap,
    TableCapacity,
    TableDeny,
    heal_all,
    open_entries,
    pulled,
)
from holdfast.levers.base import Lever
from holdfast.stack.resolve import Resource
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Capability, Support
from holdfast.targets.capabilities import EMBEDDED
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from lever_services import CASES, LONG_AGO, Case, Services, deploy, document, said, statement
from lever_stack import stack_of

EVERYTHING = {
    **EMBEDDED,
    **dict.fromkeys((Capability.TABLE_POLICY, Capability.TABLE_THROTTLE), Support(supported=True)),
}


@pytest.fixture
def services(embedded: EmbeddedTarget) -> Services:
    """A stack of its own on the embedded target."""
    return deploy(embedded)


@pytest.fixture
def believing(embedded: EmbeddedTarget) -> Iterator[Services]:
    """A stack on a target that claims to apply everything, also what the emulator only keeps."""
    target = AttachedTarget(
        kind="localstack",
        endpoint_url=embedded.endpoint_url,
        account=embedded.account,
        region=embedded.region,
        supported=EVERYTHING,
    )
    yield deploy(target)
    target.close()


@pytest.fixture
def journal(tmp_path: Path, services: Services) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", Pin.of(services.stack)) as opened:
        yield opened


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_every_lever_of_this_part_is_tested_for_healing() -> None:
    """No lever on a queue, topic, rule, archive, table or bucket is left out of the tests below."""
    prefixes = ("queue-", "subscription-", "rule-", "archive-", "table-", "bucket-")
    assert {name for name in LEVERS if name.startswith(prefixes)} == set(CASES) - {"queue-deny-beside-others"}


@pytest.mark.parametrize("moment", ["planned", "injected"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_journal_entry_alone_is_enough_to_heal(believing: Services, tmp_path: Path, case: Case, moment: str) -> None:
    """Whether its run was killed before or after the change, healing reads back equal and proves it."""
    before = case.read(believing)
    lever = case.lever(believing)
    lost = Journal(tmp_path, Pin.of(believing.stack))
    snapshot = lever.snapshot()
    lost.planned([snapshot])
    if moment == "injected":
        lever.inject(snapshot)
        assert case.read(believing) != before or lever.name == "archive-replay"
    lost.close()
    (result,) = heal_all(tmp_path)
    assert (result.outcome, result.reason) == ("healed", "")
    assert result.proof
    assert "somebody else" not in result.proof
    assert case.read(believing) == before
    assert open_entries(tmp_path).entries == ()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_healing_twice_is_harmless(believing: Services, case: Case) -> None:
    """The second healing finds nothing to do and breaks nothing."""
    before = case.read(believing)
    lever = case.lever(believing)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    for _ in range(2):
        again = LEVERS[snapshot.lever].restoring(believing.stack.target, snapshot)
        again.heal(snapshot)
        assert again.healed_proof(snapshot)
        assert case.read(believing) == before


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_somebody_else_changed_meanwhile_is_left_alone(believing: Services, case: Case) -> None:
    """Healing takes away what the lever put there and nothing else, and says that there was something else."""
    before = case.read(believing)
    lever = case.lever(believing)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    case.meddle(believing)
    again = LEVERS[snapshot.lever].restoring(believing.stack.target, snapshot)
    for _ in range(2):
        again.heal(snapshot)
        assert "somebody else" in again.healed_proof(snapshot) or snapshot.lever == "archive-replay"
        assert said(case.read(believing)) == case.kept(before)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"archive-replay", "subscription-filter"}))
def test_a_fault_that_is_there_already_is_refused(believing: Services, name: str) -> None:
    """What somebody else, or a lost run, has put there is no state to restore to; a name drawn anew never meets one."""
    case = CASES[name]
    first = case.lever(believing)
    snapshot = first.snapshot()
    first.inject(snapshot)
    with pytest.raises(InjectionError, match="already"):
        case.lever(believing).snapshot()
    first.heal(snapshot)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_command_to_run_by_hand_names_the_target_and_what_to_change(believing: Services, case: Case) -> None:
    """Who has to heal by hand gets one command against the right endpoint."""
    lever = case.lever(believing)
    command = lever.by_hand(lever.snapshot())
    assert command.startswith("aws ")
    assert f"--endpoint-url {believing.stack.target.endpoint_url}" in command


def test_a_denied_role_cannot_send_and_the_harness_can(
    services: Services, journal: Journal, recorder: Recorder
) -> None:
    """The role of the stack is refused, the harness and its dead-letter reading are not, and the canary proves it."""
    lever = QueueDeny.on(services.stack, "other")
    before = services.attribute("other", "Policy")
    with pulled([lever], stack=services.stack, journal=journal, recorder=recorder) as pull:
        assert "sqs:SendMessage denied to" in pull.proofs[0]
        assert pull.proofs[0].endswith("the harness's own sqs:DeleteMessage is refused by it")
        assert services.call(queue=services.url("other")) in ("AccessDenied", "AccessDeniedException")
        assert services.call(queue=services.url("queue")) == "accepted"
        services.client("sqs").send_message(QueueUrl=services.url("other"), MessageBody="mine")
        services.client("sns").publish(TopicArn=services.arn("topic"), Message="theirs")
        assert eventually(lambda: services.bodies("other"), lambda found: len(found) == 2, deadline_seconds=10).met
    assert services.attribute("other", "Policy") == before
    assert services.call(queue=services.url("other")) == "accepted"
    (window,) = recorder.history().windows
    assert (window.error_class, window.bit) == (ErrorClass.DENIED, True)
    assert "reads back as found" in window.healed_proof


def test_a_service_can_be_denied_too(services: Services, journal: Journal, recorder: Recorder) -> None:
    """A denial that names a service stops its deliveries; the other subscriptions of the topic get theirs."""
    lever = QueueDeny.on(services.stack, "filtered", principals=("sns.amazonaws.com",))
    with pulled([lever], stack=services.stack, journal=journal, recorder=recorder):
        services.client("sns").publish(TopicArn=services.arn("topic"), Message="one")
        assert eventually(lambda: services.bodies("other"), bool, deadline_seconds=10).met
        assert services.bodies("filtered") == []


def test_a_rule_that_is_denied_delivers_nothing(services: Services, journal: Journal, recorder: Recorder) -> None:
    """A denial of EventBridge keeps a rule's events from the queue, and only as long as it is there."""
    interceptor = services.stack.target.interceptor
    assert interceptor is not None
    lever = QueueDeny.on(services.stack, "other", principals=("events.amazonaws.com",))
    with pulled([lever], stack=services.stack, journal=journal, recorder=recorder):
        services.put_event()
        assert eventually(lambda: interceptor.invocations(function=services.name), bool, deadline_seconds=30).met
        assert services.bodies("other") == []
    services.put_event()
    assert eventually(lambda: services.bodies("other"), bool, deadline_seconds=30).met


def test_a_queue_without_a_policy_has_none_again(services: Services, journal: Journal, recorder: Recorder) -> None:
    """Where there was no policy an empty one is sent back, which removes the lever's own."""
    with pulled([QueueDeny.on(services.stack, "queue")], stack=services.stack, journal=journal, recorder=recorder):
        assert services.call(queue=services.url("queue")) != "accepted"
    assert services.attribute("queue", "Policy") == ""
    assert services.call(queue=services.url("queue")) == "accepted"


def test_a_denial_ends_by_itself(services: Services) -> None:
    """A denial that nobody heals is over at its time, is then no longer proven, and a new one is not refused for it."""
    lever = QueueDeny.on(services.stack, "queue", expires_seconds=2)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert lever.proof()
    order = {"queue": services.url("queue")}
    assert services.call(**order) != "accepted"
    assert eventually(lambda: services.call(**order), lambda said: said == "accepted", deadline_seconds=10).met
    assert lever.proof() == ""
    assert QueueDeny.on(services.stack, "queue").snapshot()
    lever.heal(snapshot)
    assert services.attribute("queue", "Policy") == ""


def test_receiving_cannot_be_denied_while_a_mapping_polls(services: Services) -> None:
    """A role that may not receive can leave its mapping disabled, so that is refused; without a mapping it is not."""
    lever = QueueDeny.on(services.stack, "queue", actions=("sqs:ReceiveMessage",))
    assert lever.snapshot()
    services.client("lambda").create_event_source_mapping(
        EventSourceArn=services.arn("queue"), FunctionName=services.name, Enabled=False
    )
    with pytest.raises(InjectionError, match="ReceiveMessage") as refused:
        lever.snapshot()
    assert "mapping-disable" in refused.value.remedy


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"actions": ("sqs:SetQueueAttributes",)}, "cannot deny sqs:SetQueueAttributes"),
        ({"actions": ()}, "cannot deny nothing"),
        ({"principals": ()}, "nobody to deny"),
        ({"principals": ("*",)}, r"cannot deny \*"),
        ({"principals": ("123456789012",)}, "cannot deny 123456789012"),
        ({"principals": ("arn:aws:iam::123456789012:root",)}, "cannot deny arn:aws:iam::123456789012:root"),
        ({"principals": ("arn:aws:iam::123456789012:role/*",)}, "cannot deny arn:aws:iam"),
    ],
)
def test_a_denial_of_too_much_is_refused(services: Services, change: dict[str, object], reason: str) -> None:
    """Management actions, nobody, everybody and a whole account cannot be denied: the harness could not heal."""
    lever = replace(QueueDeny.on(services.stack, "queue"), **change)  # type: ignore[arg-type]
    with pytest.raises(InjectionError, match=reason):
        lever.snapshot()
    assert services.attribute("queue", "Policy") == ""


def test_a_denied_role_cannot_use_the_bucket(services: Services, journal: Journal, recorder: Recorder) -> None:
    """The stack's role is refused; as the emulator's root is bound by no bucket policy, the proof claims no canary."""
    allowed = statement("Theirs", f"{services.arn('bucket')}/*", "s3:GetObject", {"AWS": "123456789012"})
    theirs = json.dumps(json.loads(document(allowed)), indent=3)
    services.client("s3").put_bucket_policy(Bucket=services.name, Policy=theirs)
    lever = BucketDeny.on(services.stack, "bucket")
    with pulled([lever], stack=services.stack, journal=journal, recorder=recorder) as pull:
        assert pull.proofs[0].endswith("whether the policy is applied yet was not tried")
        assert services.call(bucket=services.name) == "AccessDenied"
    assert services.client("s3").get_bucket_policy(Bucket=services.name)["Policy"] == theirs
    assert services.call(bucket=services.name) == "accepted"


def test_a_short_visibility_delivers_twice_and_a_long_one_stalls(
    services: Services, journal: Journal, recorder: Recorder
) -> None:
    """At 0 s a received message is received again at once; which code path it exercises follows from what was found."""
    short = QueueVisibility.on(services.stack, "queue", seconds=0)
    with pulled([short], stack=services.stack, journal=journal, recorder=recorder) as pull:
        assert pull.proofs == ("VisibilityTimeout of queue reads back 0",)
        services.client("sqs").send_message(QueueUrl=services.url("queue"), MessageBody="twice")
        assert [services.received("queue"), services.received("queue")] == [["twice"], ["twice"]]
    long = QueueVisibility.on(services.stack, "queue", seconds=43_200)
    with pulled([long], stack=services.stack, journal=journal, recorder=recorder):
        assert services.attribute("queue", "VisibilityTimeout") == "43200"
    windows = recorder.history().windows
    assert [window.error_class for window in windows] == [ErrorClass.DUPLICATE, ErrorClass.STALLED]
    assert windows[0].healed_proof == "VisibilityTimeout of queue reads back 30, as found"


def test_a_delay_holds_new_messages_back(services: Services, journal: Journal, recorder: Recorder) -> None:
    """What is sent inside the window stays hidden; what is sent afterwards is received at once."""
    with pulled(
        [QueueDelay.on(services.stack, "queue", seconds=900)],
        stack=services.stack,
        journal=journal,
        recorder=recorder,
    ):
        services.client("sqs").send_message(QueueUrl=services.url("queue"), MessageBody="late")
        assert services.received("queue") == []
    services.client("sqs").send_message(QueueUrl=services.url("queue"), MessageBody="now")
    assert eventually(lambda: services.received("queue"), bool, deadline_seconds=5).value == ["now"]


def test_an_early_redrive_gives_up_after_one_receive(services: Services, journal: Journal, recorder: Recorder) -> None:
    """A message that failed once is dead-lettered inside the window, and the old count is back after it."""
    services.set_attribute("queue", "VisibilityTimeout", "0")
    before = services.attribute("queue", "RedrivePolicy")
    with pulled(
        [QueueRedrive.on(services.stack, "queue")], stack=services.stack, journal=journal, recorder=recorder
    ) as pull:
        assert '"maxReceiveCount": 1' in pull.proofs[0]
        services.client("sqs").send_message(QueueUrl=services.url("queue"), MessageBody="early")
        assert services.received("queue") == ["early"]
        assert services.received("queue") == []
        assert services.bodies("dead") == ["early"]
    assert services.attribute("queue", "RedrivePolicy") == before


@pytest.mark.parametrize("lever", [QueueVisibility, QueueDelay])
@pytest.mark.parametrize("seconds", [-1, 43_201])
def test_seconds_that_sqs_would_refuse_are_refused_before(
    services: Services, lever: type[QueueVisibility | QueueDelay], seconds: int
) -> None:
    """A value out of range changes nothing and is told with the range."""
    with pytest.raises(InjectionError, match=f"cannot be {seconds} s") as refused:
        lever.on(services.stack, "queue", seconds=seconds).snapshot()
    assert "SQS accepts 0 to" in refused.value.cause


def test_a_queue_without_dead_letters_cannot_give_up_early(services: Services) -> None:
    """Where messages are never dead-lettered there is no count to lower."""
    with pytest.raises(InjectionError, match="has no dead-letter queue"):
        QueueRedrive.on(services.stack, "dead").snapshot()


def test_a_filtered_subscription_gets_nothing_and_the_others_get_theirs(
    services: Services, journal: Journal, recorder: Recorder
) -> None:
    """Messages inside the window are lost to the one subscription; the one after it arrives."""
    sns, topic = services.client("sns"), services.arn("topic")
    lever = SubscriptionFilter.on(services.stack, "topic", to="filtered")
    with pulled([lever], stack=services.stack, journal=journal, recorder=recorder) as pull:
        assert "reads back" in pull.proofs[0]
        sns.publish(TopicArn=topic, Message="lost", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
        assert eventually(lambda: services.bodies("other"), bool, deadline_seconds=10).met
        assert services.bodies("filtered") == []
    assert services.filter_policy("filtered") == {}
    sns.publish(TopicArn=topic, Message="kept")
    (body,) = eventually(lambda: services.bodies("filtered"), bool, deadline_seconds=10).value
    assert json.loads(body)["Message"] == "kept"


def test_what_is_not_subscribed_cannot_be_filtered(services: Services) -> None:
    """A component without a subscription is told so."""
    with pytest.raises(InjectionError, match="queue is not subscribed to topic"):
        SubscriptionFilter.on(services.stack, "topic", to="queue")


def test_a_disabled_rule_loses_events_until_it_is_on_again(
    services: Services, journal: Journal, recorder: Recorder
) -> None:
    """An event inside the window never arrives; one after it does."""
    with pulled([RuleDisable.on(services.stack, "rule")], stack=services.stack, journal=journal, recorder=recorder):
        services.put_event()
        assert services.rule()["State"] == "DISABLED"
    services.put_event()
    assert eventually(lambda: services.bodies("other"), bool, deadline_seconds=10).met
    assert len(services.bodies("other")) == 1
    assert recorder.history().windows[0].healed_proof.endswith("reads back ENABLED, as found")


def test_the_third_state_of_a_rule_is_put_back(services: Services) -> None:
    """A rule for all management events is put back with its pattern, since EnableRule would not do it."""
    case = CASES["rule-disable"]
    case.meddle(services)
    before = services.rule()
    lever = RuleDisable.on(services.stack, "rule")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert lever.proof()
    again = RuleDisable.restoring(services.stack.target, snapshot)
    again.heal(snapshot)
    after = services.rule()
    assert {k: after[k] for k in before if k != "ResponseMetadata"} == {
        k: before[k] for k in before if k != "ResponseMetadata"
    }
    assert "put-rule" in lever.by_hand(snapshot)


def test_a_replay_delivers_events_once_more_and_counts_them(
    services: Services, journal: Journal, recorder: Recorder
) -> None:
    """Each replayed event reaches the rule's function again; that is the proof, and there is nothing to restore."""
    services.put_event()
    services.put_event()
    assert eventually(lambda: services.bodies("other"), lambda found: len(found) == 2, deadline_seconds=10).met
    lever = ArchiveReplay.on(services.stack, "archive", since=LONG_AGO)
    with pulled([lever], stack=services.stack, journal=journal, recorder=recorder) as pull:
        assert f"replay {lever.replay} reached the stack's functions" in pull.proofs[0]
        assert eventually(lever.hits, lambda hits: hits == 2, deadline_seconds=10).met
        assert eventually(lambda: services.bodies("other"), lambda found: len(found) == 4, deadline_seconds=10).met
    (window,) = recorder.history().windows
    assert (window.error_class, window.hits) == (ErrorClass.DUPLICATE, 2)
    assert window.healed_proof == f"replay {lever.replay} is COMPLETED; there is nothing to restore"


def test_a_replay_of_nothing_is_not_proven(services: Services) -> None:
    """A replay that completed without an event has not bitten."""
    lever = ArchiveReplay.on(services.stack, "archive", since=LONG_AGO)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lever.inject(snapshot)
    assert eventually(lambda: lever.healed_proof(snapshot), bool, deadline_seconds=10).met
    assert lever.proof() == ""


def test_a_replay_without_a_rule_of_the_stack_is_refused(services: Services) -> None:
    """Without a rule of the stack's own on the bus, only rules of others would get the duplicates."""
    alone = stack_of(services.stack.target, services.stack.resource("archive"))
    with pytest.raises(InjectionError, match="cannot be replayed") as refused:
        ArchiveReplay.on(alone, "archive", since=LONG_AGO).snapshot()
    assert "no rule of the stack is on its bus" in refused.value.cause


@pytest.mark.parametrize(
    ("component", "lever", "reason"),
    [
        ("table", TableCap, "throttles nothing"),
        ("provisioned", TableCapacity, "throttles nothing"),
        ("table", TableDeny, "does not apply it"),
    ],
)
def test_what_the_emulator_only_keeps_is_inconclusive(
    services: Services, component: str, lever: type[TableCap | TableCapacity | TableDeny], reason: str
) -> None:
    """A fault that could be placed and would not be felt is never placed, and the reason is told."""
    before = services.table(component)
    with pytest.raises(Inconclusive, match=reason):
        lever.on(services.stack, component).snapshot()
    assert services.table(component) == before


@pytest.mark.parametrize("name", ["table-cap", "table-capacity", "table-deny"])
def test_what_is_accepted_and_not_felt_is_not_proven(
    believing: Services, tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Where a target claims more than it does, the canary is not refused: no window opens and the fault is undone."""
    case = CASES[name]
    before = case.read(believing)
    lever = case.lever(believing)
    monkeypatch.setattr(type(lever), "propagation_seconds", 0.2)
    with Journal(tmp_path, Pin.of(believing.stack)) as journal:
        window = pulled([lever], stack=believing.stack, journal=journal, recorder=recorder)
        with pytest.raises(InjectionError, match=f"{name} on .* was not felt"), window:
            pytest.fail("the window must not open")
    assert case.read(believing) == before
    assert open_entries(tmp_path).entries == ()


def _refused(services: Services, journal: Journal, lever: Lever, match: str) -> None:
    window = pulled([lever], stack=services.stack, journal=journal, recorder=Recorder())
    with pytest.raises(GuardRailError, match=match), window:
        pytest.fail("the window must not open")
    assert not journal.path.exists()


def test_a_subscription_of_another_topic_is_refused(services: Services, journal: Journal) -> None:
    """The topic's name does not let a lever through: the subscription must be the topic's own."""
    lever = SubscriptionFilter.on(services.stack, "topic", to="filtered")
    for foreign in (
        services.arn("topic") + "-decoy" + lever.resource.removeprefix(services.arn("topic")),
        services.arn("topic") + ":../decoy",
    ):
        _refused(services, journal, replace(lever, resource=foreign), "not part of component 'topic'")


def test_a_replay_to_a_rule_of_others_is_refused(services: Services, journal: Journal) -> None:
    """A replay may reach no rule that the descriptor does not name."""
    lever = ArchiveReplay.on(services.stack, "archive", since=LONG_AGO)
    decoy = services.arn("rule") + "-decoy"
    _refused(services, journal, replace(lever, rules=(*lever.rules, decoy)), "would also act on .*-decoy")


def test_a_queue_of_another_stack_is_refused(services: Services, journal: Journal) -> None:
    """A lever made for one component cannot be pointed at the queue of another stack."""
    decoy = Resource(
        component="queue", type="queue", name="decoy", arn=services.arn("queue") + "-decoy", url="http://x"
    )
    other = stack_of(services.stack.target, services.stack.resource("role"), decoy)
    for lever in (QueueDeny.on(other, "queue"), QueueDelay.on(other, "queue", seconds=1)):
        _refused(services, journal, lever, "not part of component 'queue'")


def test_a_url_that_is_not_the_queues_is_refused(services: Services) -> None:
    """The guard rail goes by the ARN, so the URL that the calls name must be that ARN's."""
    decoy = services.url("dead")
    levers: list[Lever] = [
        replace(QueueDeny.on(services.stack, "queue"), address=decoy),
        replace(QueueDelay.on(services.stack, "queue", seconds=1), url=decoy),
    ]
    for lever in levers:
        with pytest.raises(GuardRailError, match="which is not"):
            lever.snapshot()
