"""How a campaign gathers evidence: each provocation once, each window once, and no failure hides another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from descriptor_examples import ENVIRON, ORDERS
from holdfast import campaign as campaigns
from holdfast.campaign import Campaign, Progress
from holdfast.errors import HealError, HoldfastError, Inconclusive, InjectionError, PortError, TargetError
from holdfast.history import ErrorClass, FaultWindow, Observation, Operation, Outcome
from holdfast.history.recorder import Recorder
from holdfast.levers.journal import Journal
from holdfast.ports.ports import Ports
from holdfast.provocations import faults, quiescence
from holdfast.provocations.bench import Bench
from holdfast.provocations.model import AtCalls, Moment, Provocation, Window
from holdfast.stack.configuration import Configuration, FunctionConfiguration, QueueConfiguration
from holdfast.stack.deliveries import not_waited_for, patience_seconds
from holdfast.stack.descriptor import Bounds
from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import Mapping, Stack
from holdfast.targets.capabilities import EMBEDDED, LOCALSTACK_INTERCEPTED
from holdfast.targets.emulator import starvation

LOOK_SECONDS = 0.3


@dataclass
class World:
    """A stack without a target, ports that record, and levers that do nothing but say so.

    Attributes:
        told: what happened, in order.
        progress: what a person waiting is told.
        depth: messages waiting, as long as there are any to answer.
        refusal: raised when levers are made or pulled.
        configuration: how the stack is deployed.
    """

    folder: Path
    told: list[str] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    busy: bool = False
    now: float = 100.0
    refusal: Exception | None = None
    heal_failure: HoldfastError | None = None
    configuration: Configuration = field(default_factory=lambda: Configuration((), ()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.recorder = Recorder(lambda: self.now)

    def look(self, target: object, queues: object) -> int:
        """How many messages wait; a look takes its time."""
        self.now += LOOK_SECONDS
        return self.depth.pop(0) if self.depth else 0

    def tell(self, what: str) -> None:
        """Note that something happened."""
        with self.lock:
            self.told.append(what)

    def campaign(self, *needed: Provocation, recovery_seconds: float = 20.0) -> Campaign:
        """A campaign of these provocations."""
        path = self.folder / "orders.stack.toml"
        path.write_text(f"{ORDERS}\n", encoding="utf-8")
        descriptor = load_descriptor(path, ENVIRON)
        descriptor = descriptor.model_copy(
            update={"bounds": descriptor.bounds.model_copy(update={"recovery_seconds": recovery_seconds})}
        )
        interceptor = SimpleNamespace(running=lambda: int(self.busy), invocations=lambda key: ())
        target = SimpleNamespace(
            kind="embedded", interceptor=interceptor, interceptor_url=None, supports=EMBEDDED.__getitem__
        )
        queue = SimpleNamespace(type="queue", arn="arn:aws:sqs:eu-west-1:123456789012:queue")
        stack = SimpleNamespace(descriptor=descriptor, path=path, target=target, resource=lambda component: queue)
        return Campaign(
            stack=cast("Stack", stack),
            pattern="storage-first",
            ports=cast("Ports", self),
            recorder=self.recorder,
            journal=cast("Journal", None),
            needed=needed,
            seed=0,
            prefix="hf",
            listener=self.progress.append,
        )

    # -- the ports ---------------------------------------------------------------------------------------------------

    def submit(self, command: str, submission: Any, *, provocation: str, **_: Any) -> Operation:
        """Take a command."""
        self.tell(f"submit {provocation}")
        now = self.recorder.now_seconds()
        operation = Operation(
            id=f"op-{submission.key}",
            key=submission.key,
            command=command,
            provocation=provocation,
            invoked_seconds=now,
            completed_seconds=now,
            outcome=Outcome.OK,
        )
        self.recorder.add(operation)
        return operation

    def observe(self, effect: str, submission: Any, *, provocation: str) -> Observation:
        """See one effect."""
        self.tell(f"look {provocation}")
        now = self.recorder.now_seconds()
        observation = Observation(
            port=effect,
            key=submission.key,
            started_seconds=now,
            completed_seconds=now,
            count=1,
            provocation=provocation,
        )
        self.recorder.add(observation)
        return observation

    def dead_letters(self, port: str) -> tuple[Any, ...]:
        """There are none."""
        return ()

    # -- the levers --------------------------------------------------------------------------------------------------

    @contextmanager
    def pulled(self, levers: Sequence[str], *, provocation: str, **_: Any) -> Iterator[None]:
        """Open a window."""
        if self.refusal is not None:
            raise self.refusal
        self.tell(f"open {provocation}: {', '.join(levers)}")
        yield
        self.tell(f"heal {provocation}")
        now = self.recorder.now_seconds()
        self.recorder.add(
            FaultWindow(
                lever="function-throttle",
                component="worker",
                error_class=ErrorClass.THROTTLE,
                started_seconds=now,
                ended_seconds=now,
                proof="reads back 0",
                provocation=provocation,
            )
        )
        if self.heal_failure is not None:
            raise self.heal_failure


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(campaigns, "pulled", made.pulled)
    monkeypatch.setattr(faults, "MappingDisable", SimpleNamespace(on=lambda stack, worker: [f"detach {worker}"]))
    monkeypatch.setattr(faults, "FunctionThrottle", SimpleNamespace(on=lambda stack, worker: f"throttle {worker}"))
    monkeypatch.setattr(campaigns, "read_configuration", lambda stack: made.configuration)
    monkeypatch.setattr(quiescence, "queue_depth", made.look)
    monkeypatch.setattr(starvation, "_stalled_seconds", lambda: 0.0)  # the machine of the test may be busy
    monkeypatch.setitem(quiescence.QUIET_SECONDS, "embedded", 2.5 * LOOK_SECONDS)
    return made


def provocation(
    name: str, world: World, *, window: Window | None = None, moment: Moment = Moment.MIDDLE
) -> Provocation:
    """One that submits one command and then observes it."""

    def provoke(bench: Bench) -> str:
        bench.submit_all(bench.draw(1))
        return name

    def observe(bench: Bench, sent: str) -> None:
        assert sent == name
        world.tell(f"observe {bench.name}")

    return Provocation(name=name, provoke=provoke, observe=observe, window=window, moment=moment)


def failing(name: str, error: Exception, **options: Any) -> Provocation:
    """One that fails at once."""

    def provoke(bench: Bench) -> None:
        raise error

    return Provocation(name=name, provoke=provoke, **options)


def test_every_needed_provocation_runs_once(world: World) -> None:
    """However many clauses ask, and however often one is needed, its commands are sent once; others' never."""
    first, second = provocation("first", world), provocation("second", world)
    campaign = world.campaign(first, second, first)
    asked = [campaign.evidence(one) for one in (first, second, first, second)]
    assert asked[0] is asked[2]
    assert [world.told.count(f"submit {name}") for name in ("first", "second")] == [1, 1]
    assert list(asked[0].submissions) == ["hf-first-0000"]
    assert {operation.provocation for operation in asked[0].history.operations} == {"first"}


def test_askers_at_the_same_time_share_one_run(world: World) -> None:
    """Clauses that ask from several threads wait for the one run."""
    one = provocation("one", world)
    campaign = world.campaign(one)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(campaign.evidence(one))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(evidence) for evidence in found}) == 1
    assert world.told.count("submit one") == 1


def test_the_phases_come_in_order(world: World) -> None:
    """Undisturbed first; then the window; then observing what was sent in it; the undisturbed again at the end."""
    before = provocation("before", world, moment=Moment.FIRST)
    inside = provocation("inside", world, window=Window.COMPUTE_DEAD)
    after = provocation("after", world, moment=Moment.LAST)
    world.campaign(after, inside, before).evidence(inside)
    expected = ["submit before", "open COMPUTE_DEAD", "submit inside", "heal COMPUTE_DEAD", "observe inside"]
    told = [line.split(":")[0] for line in world.told if not line.startswith("look")]
    assert told == [*expected, "submit after"]
    assert world.told.index("look before") < world.told.index("submit after") < world.told.index("look after")


def test_what_a_provocation_prepares_is_done_before_its_window_opens(world: World) -> None:
    """Nothing is wrong yet then; one that cannot prepare is not run, and opens no window alone."""

    def prepare(bench: Bench) -> None:
        world.tell(f"prepare {bench.name}")
        if bench.name == "unready":
            raise PortError("nothing to begin with")

    ready, unready = (
        replace(provocation(name, world, window=Window.COMPUTE_DEAD), prepare=prepare) for name in ("ready", "unready")
    )
    campaign = world.campaign(ready, unready)
    campaign.evidence(ready)
    with pytest.raises(Inconclusive, match="nothing to begin with"):
        campaign.evidence(unready)
    opened = next(at for at, line in enumerate(world.told) if line.startswith("open"))
    assert world.told.index("prepare ready") < opened < world.told.index("submit ready")
    assert "submit unready" not in world.told
    world.told.clear()
    with pytest.raises(Inconclusive, match="nothing to begin with"):
        world.campaign(unready).evidence(unready)
    assert not [line for line in world.told if line.startswith("open")]


def test_what_follows_a_healed_window_is_done_at_once(world: World) -> None:
    """So what is measured from the end of a fault waits for no other provocation; what was not run does nothing."""

    def healed(bench: Bench) -> None:
        world.tell(f"healed {bench.name}")

    def cannot(_: Bench) -> None:
        raise PortError("nothing to begin with")

    ran, refused = (
        replace(provocation(name, world, window=Window.COMPUTE_DEAD), healed=healed) for name in ("ran", "refused")
    )
    world.campaign(ran, replace(refused, prepare=cannot)).evidence(ran)
    told = [line.split(":")[0] for line in world.told]
    order = [told.index(one) for one in ("submit ran", "heal COMPUTE_DEAD", "healed ran", "observe ran")]
    assert order == sorted(order)
    assert "healed refused" not in told


def alone(name: str, world: World) -> Provocation:
    """One whose faults, where only calls can be broken, befall whatever is under way beside it."""
    anywhere = provocation(name, world)
    at_calls = AtCalls(provoke=anywhere.provoke, aims=(), commands=lambda _: 1, alone=True)
    return replace(anywhere, at_calls=at_calls)


def test_what_harms_neighbours_runs_by_itself(world: World) -> None:
    """Where only calls can be broken, it is sent when all is quiet, one after another; elsewhere side by side."""
    first, second, harmless = alone("first", world), alone("second", world), provocation("harmless", world)
    campaign = world.campaign(first, second, harmless)
    campaign.stack.target.supports = LOCALSTACK_INTERCEPTED.__getitem__  # type: ignore[method-assign]
    campaign.evidence(first)
    told = [line for line in world.told if not line.startswith("look")]
    pairs = [f"{what} {name}" for name in ("harmless", "first", "second") for what in ("submit", "observe")]
    assert told == pairs
    said = [one.message for one in world.progress]
    quiet = [at for at, message in enumerate(said) if message.startswith("silence")]
    assert len(quiet) == 3
    assert said.index("first, with nothing else under way") > quiet[0]
    assert quiet[1] < said.index("second, with nothing else under way") < quiet[2]


def test_what_breaks_what_all_use_runs_after_the_others_and_one_after_another(world: World) -> None:
    """An exclusive provocation is sent and observed when nothing else is under way, on any target, before silence."""
    first, second = (replace(provocation(name, world), exclusive=True) for name in ("first", "second"))
    world.campaign(first, second, provocation("harmless", world)).evidence(first)
    told = [line for line in world.told if not line.startswith("look")]
    assert told == [f"{what} {name}" for name in ("harmless", "first", "second") for what in ("submit", "observe")]
    said = [one.message for one in world.progress]
    (quiet,) = [at for at, message in enumerate(said) if message.startswith("silence")]
    assert said.index("second, with nothing else under way") < quiet


def test_what_harms_neighbours_is_not_sent_while_they_are_under_way(world: World) -> None:
    """A stack that does not come to rest is not struck where that would strike others; the reason is given."""
    harmful = alone("harmful", world)
    campaign = world.campaign(harmful, recovery_seconds=2.0)
    campaign.stack.target.supports = LOCALSTACK_INTERCEPTED.__getitem__  # type: ignore[method-assign]
    world.depth = [1] * 10_000
    with pytest.raises(Inconclusive, match="did not come to rest"):
        campaign.evidence(harmful)
    assert "submit harmful" not in world.told


@pytest.mark.parametrize("effects", [0, 1])
def test_functions_that_do_not_reach_the_interceptor_end_the_run(
    effects: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pointed at an address they cannot reach, undisturbed commands fail, unseen: nothing is broken then, or judged."""
    first, other = provocation("first", world, moment=Moment.FIRST), provocation("other", world)
    campaign = world.campaign(first, other)
    target = campaign.stack.target
    target.interceptor_url = "http://127.0.0.1:9"
    monkeypatch.setattr(target.interceptor, "calls", lambda key: (), raising=False)
    monkeypatch.setattr(campaign.stack, "resource", lambda name: SimpleNamespace(type="queue", name=name, arn=""))
    if effects:
        world.observe("fulfilled", SimpleNamespace(key="hf-first-0000"), provocation="first")
        campaign.evidence(other)
    else:
        with pytest.raises(TargetError, match=r"worker cannot reach the interceptor at http://127\.0\.0\.1:9") as told:
            campaign.evidence(other)
        assert "--no-intercept" in told.value.remedy
        assert "submit other" not in world.told


def test_a_window_opens_once_for_all_its_provocations(world: World) -> None:
    """A fault on everything is put in place once, all its provocations are inside, and each has it in its evidence."""
    two = [provocation(name, world, window=Window.COMPUTE_DEAD) for name in ("a", "b")]
    campaign = world.campaign(*two)
    evidence = [campaign.evidence(one) for one in two]
    opened = [line for line in world.told if line.startswith("open")]
    assert opened == ["open COMPUTE_DEAD: detach worker, throttle worker"], "mappings go before their function"
    inside = world.told[world.told.index(opened[0]) : world.told.index("heal COMPUTE_DEAD")]
    assert {"submit a", "submit b"} <= set(inside)
    assert [[window.provocation for window in one.windows] for one in evidence] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Inconclusive("no interceptor here"), "no interceptor here"),
        (PortError("the queue is gone"), "the queue is gone"),
        (ZeroDivisionError("division by zero"), "the provocation crashed: ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.parametrize("where", [{}, {"window": Window.COMPUTE_DEAD}, {"moment": Moment.FIRST}], ids=str)
def test_a_refused_provocation_does_not_end_the_others(
    error: Exception, reason: str, where: dict[str, Any], world: World
) -> None:
    """Whoever asks for a provocation that could not be run learns why, every time; the others leave evidence."""
    refused, good = failing("refused", error, **where), provocation("good", world, **where)
    campaign = world.campaign(refused, good)
    for _ in range(2):
        with pytest.raises(Inconclusive) as told:
            campaign.evidence(refused)
        assert str(told.value).startswith(reason)
    assert len(campaign.evidence(good).history.operations) == 1
    assert campaign.has(good)
    assert not campaign.has(refused)


def test_a_window_that_cannot_be_opened_refuses_its_provocations_only(world: World) -> None:
    """A fault that this stack does not admit is no window: nothing of it is sent, everything else is."""
    inside = provocation("inside", world, window=Window.STORAGE_DENIED)
    outside = provocation("outside", world)
    campaign = world.campaign(inside, outside)
    campaign.pattern = campaign.pattern.model_copy(update={"storage_roles": []})
    with pytest.raises(Inconclusive, match="does not say which role stores requests where"):
        campaign.evidence(inside)
    assert campaign.evidence(outside).history.operations
    assert "submit inside" not in world.told


def test_a_fault_that_is_not_felt_refuses_its_provocations_only(world: World) -> None:
    """A fault that could not be put in place, and is undone, leaves its provocations undecided, and no others."""
    world.refusal = InjectionError("the throttle was not felt")
    inside, outside = provocation("inside", world, window=Window.COMPUTE_DEAD), provocation("outside", world)
    campaign = world.campaign(inside, outside)
    with pytest.raises(Inconclusive, match="the throttle was not felt"):
        campaign.evidence(inside)
    assert campaign.evidence(outside).history.operations
    assert "submit inside" not in world.told


@pytest.mark.parametrize(
    ("refusal", "heal_failure"),
    [
        (None, HealError("left", remedy="by hand")),
        (ZeroDivisionError("a mistake of ours"), None),
    ],
    ids=["heal", "crash"],
)
def test_an_error_is_raised_to_every_asker(
    refusal: Exception | None, heal_failure: HoldfastError | None, world: World
) -> None:
    """A fault that could not be taken away, or a mistake of ours, ends the campaign; everybody who asks gets that."""
    world.refusal, world.heal_failure = refusal, heal_failure
    inside, outside = provocation("inside", world, window=Window.COMPUTE_DEAD), provocation("outside", world)
    campaign = world.campaign(inside, outside)
    for asked in (inside, outside, inside):
        with pytest.raises((HoldfastError, ZeroDivisionError)) as raised:
            campaign.evidence(asked)
        assert raised.value is (refusal or heal_failure)
    assert "submit outside" not in world.told
    assert world.told.count("submit inside") <= 1


def test_a_fault_that_is_still_in_place_is_told_before_all_else(world: World) -> None:
    """When several provocations fail side by side, whoever asks learns of the fault that must be taken away by hand."""
    left = HealError("left", remedy="by hand")
    both = [failing("outage", TargetError("the target is gone")), failing("stuck", left)]
    with pytest.raises(HealError) as raised:
        world.campaign(*both).evidence(both[0])
    assert raised.value is left


def test_without_silence_nothing_is_decided(world: World) -> None:
    """When functions still run at the end of the declared time, evidence says that effects may still come."""
    world.busy = True
    one = provocation("one", world)
    evidence = world.campaign(one, recovery_seconds=0.5).evidence(one)
    assert evidence.undecided == ("the stack did not become quiet, so effects may still come",)
    last = evidence.history.observations[-1]
    assert (last.complete, last.started_seconds >= evidence.history.observations[-2].completed_seconds) == (False, True)


def test_a_redelivery_that_nobody_waits_for_is_told() -> None:
    """Where a failed request comes back only after minutes, that is why nothing is decided."""
    mapping = Mapping(uuid="m", source_arn="arn:q", function_arn="arn:f", enabled=True, state="Enabled", batch_size=1)
    queue = QueueConfiguration(
        component="queue", arn="arn:q", url="", visibility_seconds=180, retention_seconds=1, maximum_receives=2
    )
    worker = FunctionConfiguration(component="worker", timeout_seconds=30, mappings=(mapping,))
    configuration = Configuration((queue,), (worker,))
    assert not_waited_for(configuration, ["worker"], Bounds(redelivery_seconds=360)) == ""
    assert patience_seconds(configuration, ["worker"], Bounds(redelivery_seconds=360)) == 360
    assert patience_seconds(configuration, ["worker"], Bounds(redelivery_seconds=359)) == 0
    assert not_waited_for(configuration, ["worker"], Bounds(redelivery_seconds=359)) == (
        "a failing request may be on its way through its deliveries for 360 s, longer than "
        "bounds.redelivery_seconds (359 s), so nobody waited for that"
    )
    polled = replace(configuration, polling_seconds=15)
    assert patience_seconds(polled, ["worker"], Bounds(redelivery_seconds=390)) == 390


def test_asynchronous_workers_are_not_throttled_to_zero(world: World) -> None:
    """At reserved concurrency 0 Lambda gives asynchronous events up at once, so that would be no outage but a loss."""
    worker = FunctionConfiguration(component="worker", timeout_seconds=3, asynchronous_callers=("s3.amazonaws.com",))
    world.configuration = Configuration((), (worker,))
    inside, outside = provocation("inside", world, window=Window.COMPUTE_DEAD), provocation("outside", world)
    campaign = world.campaign(inside, outside)
    with pytest.raises(Inconclusive, match=r"invoked asynchronously by s3\.amazonaws\.com"):
        campaign.evidence(inside)
    assert campaign.evidence(outside).history.operations


def test_silence_lasts_a_while(world: World) -> None:
    """A queue that is empty for a moment only is not quiet; the last look comes after the silence."""
    world.depth = [3, 0, 0, 2, 0, 0, 0]
    one = provocation("one", world)
    evidence = world.campaign(one).evidence(one)
    assert world.depth == []
    assert evidence.undecided == ()
    assert world.told[-1] == "look one"


def test_a_person_waiting_learns_of_each_phase(world: World) -> None:
    """Every phase is announced, and a wait with its bound."""
    world.campaign(provocation("inside", world, window=Window.COMPUTE_DEAD), recovery_seconds=20).evidence(
        provocation("inside", world)
    )
    messages = [one.message for one in world.progress]
    assert "fault window: every worker throttled to zero and detached" in messages
    assert "a last look at 1 keys" in messages
    (silence,) = [one for one in world.progress if one.message.startswith("silence")]
    assert silence.until_seconds == pytest.approx(20 + quiescence.QUIET_SECONDS["embedded"])
