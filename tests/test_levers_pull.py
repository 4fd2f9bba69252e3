"""Pulling levers: what is refused changes nothing, and whatever ends a window heals it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from holdfast.errors import ExitCode, GuardRailError, HealError, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import Interrupted, Journal, Pin, Pull, Snapshot, heal_all, open_entries, pulled
from holdfast.levers.base import Lever
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Target
from lever_stack import stack_of

ACCOUNT, REGION = "111122223333", "eu-west-1"


def arn(name: str, *, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


@dataclass
class World:
    """What the fake levers change, and the order in which things happened to it."""

    values: dict[str, int] = field(default_factory=lambda: {arn("worker"): 5, arn("ingest"): 6})
    events: list[str] = field(default_factory=list)


WORLD = World()


@dataclass(kw_only=True)
class FakeLever:
    """Sets a value of the world to 0; can be told to misbehave."""

    name: ClassVar[str] = "fake"
    permissions: ClassVar[tuple[str, ...]] = ()
    propagation_seconds: ClassVar[float] = 0.05
    aimed: ClassVar[bool] = False
    error_class: ClassVar[ErrorClass] = ErrorClass.THROTTLE

    target: Target
    component: str
    resource: str
    world: World = field(default_factory=lambda: WORLD)
    key: str = ""
    on_inject: Callable[[], object] = lambda: None
    on_heal: Callable[[], object] = lambda: None
    proofs: list[str] = field(default_factory=list)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        return cls(target=target, component=snapshot.component, resource=snapshot.resource)

    def snapshot(self) -> Snapshot:
        found = {"value": self.world.values[self.resource]}
        return Snapshot(
            lever=self.name, component=self.component, resource=self.resource, found=found, placed={"value": 0}
        )

    def inject(self, snapshot: Snapshot) -> None:
        self.on_inject()
        self.world.values[self.resource] = 0
        self.world.events.append(f"inject {self.component}")

    def proof(self) -> str:
        if self.proofs:
            return self.proofs.pop(0)
        return "reads back 0" if self.world.values[self.resource] == 0 else ""

    def hits(self) -> int:
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        self.on_heal()
        self.world.values[self.resource] = snapshot.found["value"]
        self.world.events.append(f"heal {self.component}")

    def healed_proof(self, snapshot: Snapshot) -> str:
        return "as found" if self.world.values[self.resource] == snapshot.found["value"] else ""

    def by_hand(self, snapshot: Snapshot) -> str:
        return f"set {self.component} to {snapshot.found['value']}"


@pytest.fixture(autouse=True)
def world() -> World:
    WORLD.values, WORLD.events = World().values, []
    return WORLD


@pytest.fixture
def target() -> AttachedTarget:
    return AttachedTarget(kind="localstack", endpoint_url="http://127.0.0.1:9", account=ACCOUNT, region=REGION)


@pytest.fixture
def stack(target: AttachedTarget) -> Stack:
    return stack_of(
        target,
        Resource(component="worker", type="function", name="worker", arn=arn("worker")),
        Resource(component="ingest", type="function", name="ingest", arn=arn("ingest")),
        Resource(component="foreign", type="function", name="foreign", arn=arn("x", account="999999999999")),
        Resource(component="distant", type="function", name="distant", arn=arn("x", region="us-east-1")),
    )


@pytest.fixture
def journal(tmp_path: Path, stack: Stack) -> Iterator[Journal]:
    with Journal(tmp_path, Pin.of(stack)) as opened:
        yield opened


@dataclass
class Bench:
    """Builds levers and pulls them."""

    stack: Stack
    journal: Journal
    recorder: Recorder = field(default_factory=Recorder)

    def lever(self, component: str = "worker", **extra: Any) -> FakeLever:
        return FakeLever(
            target=self.stack.target, component=component, resource=self.stack.resource(component).arn, **extra
        )

    def pulled(self, *levers: Lever, **extra: Any) -> Any:
        return pulled(levers, stack=self.stack, journal=self.journal, recorder=self.recorder, **extra)


@pytest.fixture
def bench(stack: Stack, journal: Journal) -> Bench:
    return Bench(stack, journal)


def test_the_journal_is_on_disk_before_anything_is_changed(bench: Bench) -> None:
    """When inject runs, the undo records of all levers can already be read from disk."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def look() -> None:
        seen.extend((entry.state, entry.snapshot.found) for entry in open_entries(bench.journal.directory).entries)

    with bench.pulled(bench.lever(on_inject=look), bench.lever("ingest")):
        assert seen == [("planned", {"value": 5}), ("planned", {"value": 6})]
        assert [e.state for e in open_entries(bench.journal.directory).entries] == ["injected", "injected"]
    assert open_entries(bench.journal.directory).entries == ()


@pytest.mark.parametrize("end", [None, ValueError("mine"), KeyboardInterrupt()])
def test_whatever_ends_the_window_heals_it(bench: Bench, world: World, end: BaseException | None) -> None:
    """A normal end, an exception and Ctrl-C all restore what was found, in reverse order, and record the windows."""
    levers = (bench.lever(), bench.lever("ingest"))
    with suppress(ValueError, KeyboardInterrupt), bench.pulled(*levers, provocation="SF-1") as pull:
        assert pull.proofs == ("reads back 0", "reads back 0")
        assert set(world.values.values()) == {0}
        if end is not None:
            raise end
    assert world.values == World().values
    assert world.events == ["inject worker", "inject ingest", "heal ingest", "heal worker"]
    windows = bench.recorder.history().windows
    assert [(w.component, w.proof, w.healed_proof, w.provocation) for w in windows] == [
        ("worker", "reads back 0", "as found", "SF-1"),
        ("ingest", "reads back 0", "as found", "SF-1"),
    ]


def test_the_exception_of_the_window_is_the_one_that_comes_out(bench: Bench) -> None:
    """Healing hides nothing: the error of the block is raised when healing went well."""
    with pytest.raises(ValueError, match="mine"), bench.pulled(bench.lever()):
        raise ValueError("mine")


def _refused(bench: Bench, lever: Lever, match: str, **changes: Any) -> None:
    about = {"stack": bench.stack, "journal": bench.journal, "recorder": bench.recorder, **changes}
    with pytest.raises(GuardRailError, match=match), pulled([lever], **about):
        pytest.fail("the window must not open")
    assert (WORLD.values, WORLD.events) == (World().values, [])
    assert list(bench.journal.directory.iterdir()) == []
    assert bench.recorder.history().windows == ()


def test_a_resource_outside_the_descriptor_is_refused(bench: Bench) -> None:
    """A component's name does not let a lever through: its ARN must be the component's."""
    _refused(bench, replace(bench.lever(), resource=arn("decoy")), "not part of component 'worker'")


def test_a_component_outside_the_descriptor_is_refused(bench: Bench) -> None:
    """A component that the descriptor does not name is refused."""
    _refused(bench, replace(bench.lever(), component="decoy"), "'decoy' is no component")


@pytest.mark.parametrize("component", ["foreign", "distant"])
def test_a_component_in_another_account_or_region_is_refused(bench: Bench, component: str) -> None:
    """Even a resource of the descriptor is refused when it lies outside the pinned account or region."""
    _refused(bench, bench.lever(component), f"outside account {ACCOUNT} and region {REGION}")


def test_a_lever_on_another_target_is_refused(bench: Bench) -> None:
    """A lever bound to another endpoint than the stack's is refused."""
    other = AttachedTarget(kind="localstack", endpoint_url="http://127.0.0.1:10", account=ACCOUNT, region=REGION)
    _refused(bench, replace(bench.lever(), target=other), "would act in account")


def test_a_journal_pinned_to_another_stack_is_refused(bench: Bench, tmp_path: Path) -> None:
    """A run that was pinned to one stack cannot break another."""
    other = Journal(tmp_path, replace(bench.journal.pin, stack="other"))
    _refused(bench, bench.lever(), "pinned to stack other", journal=other)


def test_aws_is_refused_without_a_pin_in_the_descriptor(tmp_path: Path) -> None:
    """On AWS the descriptor itself must name the account and region."""
    target = AttachedTarget(kind="aws", endpoint_url=None, account=ACCOUNT, region=REGION)
    worker = Resource(component="worker", type="function", name="worker", arn=arn("worker"))
    stack = stack_of(target, worker)
    _refused(Bench(stack, Journal(tmp_path, Pin.of(stack))), Bench(stack, None).lever(), "not pinned")  # type: ignore[arg-type]
    other = stack_of(target, worker, target={"aws": {"account": "999999999999", "region": REGION}})
    _refused(Bench(other, Journal(tmp_path, Pin.of(other))), Bench(other, None).lever(), "not pinned")  # type: ignore[arg-type]
    mine = stack_of(target, worker, target={"aws": {"account": ACCOUNT, "region": REGION, "profile": "qa"}})
    bench = Bench(mine, Journal(tmp_path, Pin.of(mine)))
    with bench.pulled(bench.lever()):
        assert bench.journal.pin.profile == "qa"
    bench.journal.close()


def test_a_heal_that_fails_does_not_keep_the_others_from_healing(bench: Bench, world: World) -> None:
    """One heal fails: the other is done, the error says what to run by hand, and the journal keeps the failed one."""

    def fail() -> None:
        raise RuntimeError("no right to")

    levers = (bench.lever(), bench.lever("ingest", on_heal=fail))
    with pytest.raises(HealError) as raised, bench.pulled(*levers):
        pass
    assert raised.value.exit_code is ExitCode.NOT_HEALED
    assert "fake on ingest is still in place: RuntimeError: no right to" in raised.value.what
    assert "set ingest to 6" in raised.value.remedy
    assert world.values == {arn("worker"): 5, arn("ingest"): 0}
    (left,) = open_entries(bench.journal.directory).entries
    assert (left.snapshot.component, left.state, left.reason) == ("ingest", "heal-failed", "RuntimeError: no right to")
    assert [w.healed_proof for w in bench.recorder.history().windows] == ["as found", ""]


def test_what_does_not_read_back_is_not_called_healed(bench: Bench, world: World) -> None:
    """A heal that was accepted but does not read back is a failure."""

    class Stubborn(FakeLever):
        def healed_proof(self, snapshot: Snapshot) -> str:
            return ""

    lever = Stubborn(target=bench.stack.target, component="worker", resource=arn("worker"))
    with pytest.raises(HealError, match="does not read back as it was found"), bench.pulled(lever):
        pass


def test_an_injection_that_fails_undoes_what_was_done(bench: Bench, world: World) -> None:
    """The second injection fails: the first is healed, no window opened, nothing is left in the journal."""

    def fail() -> None:
        raise InjectionError("refused")

    levers = (bench.lever(), bench.lever("ingest", on_inject=fail))
    with pytest.raises(InjectionError, match="refused"), bench.pulled(*levers):
        pytest.fail("the window must not open")
    assert world.values == World().values
    assert open_entries(bench.journal.directory).entries == ()


def test_a_fault_that_is_not_felt_in_time_is_undone(bench: Bench, world: World) -> None:
    """Without proof within the documented propagation, the fault is healed and the window does not open."""

    class Unfelt(FakeLever):
        def proof(self) -> str:
            return ""

    lever = Unfelt(target=bench.stack.target, component="worker", resource=arn("worker"))
    with pytest.raises(InjectionError, match="was not felt within"), bench.pulled(lever):
        pytest.fail("the window must not open")
    assert world.values == World().values
    assert [w.bit for w in bench.recorder.history().windows] == [False]


def test_the_window_waits_for_the_proof(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that takes a moment to be felt opens the window only then."""
    lever = bench.lever(proofs=["", "", "felt"])
    monkeypatch.setattr(FakeLever, "propagation_seconds", 10.0)
    with bench.pulled(lever) as pull:
        assert pull.proofs == ("felt",)


def test_a_fault_that_was_gone_before_the_end_has_not_bitten(bench: Bench, world: World) -> None:
    """A window counts only when its fault was still proven at the end."""
    with bench.pulled(bench.lever()):
        world.values[arn("worker")] = 5
    assert [w.bit for w in bench.recorder.history().windows] == [False]


def test_two_faults_on_one_resource_cannot_be_stacked(bench: Bench, tmp_path: Path, world: World) -> None:
    """While one run has a fault on a resource, another is refused and told who holds it; then it is free again."""
    with Journal(tmp_path, bench.journal.pin) as other:
        second = Bench(bench.stack, other)
        with bench.pulled(bench.lever()):
            stacked = second.pulled(second.lever())
            with pytest.raises(InjectionError, match="another run has a fault on") as raised, stacked:
                pytest.fail("the window must not open")
            assert bench.journal.run in raised.value.cause
            with second.pulled(second.lever("ingest")):
                assert world.values == {arn("worker"): 0, arn("ingest"): 0}
        with second.pulled(second.lever()):
            assert world.values[arn("worker")] == 0
    assert world.values == World().values


def test_a_run_may_wait_for_the_fault_of_another_to_end(bench: Bench, tmp_path: Path) -> None:
    """With patience, the second window opens when the first one is over."""
    opened, done = threading.Event(), threading.Event()

    def first() -> None:
        with bench.pulled(bench.lever()):
            opened.set()
            done.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert opened.wait(10)
    threading.Timer(0.2, done.set).start()
    with Journal(tmp_path, bench.journal.pin) as other:
        second = Bench(bench.stack, other)
        with second.pulled(second.lever(), wait_seconds=10):
            assert done.is_set()
    thread.join()


def test_a_window_that_was_released_already_is_not_opened_any_more(bench: Bench, world: World) -> None:
    """When the run ended in another thread before this one put its fault in place, nobody would take it away."""
    pull = Pull("late", bench.stack, bench.journal, Recorder())
    pull.release()
    with pytest.raises(Interrupted):
        pull.inject([bench.lever()])
    assert world.values == World().values
    assert open_entries(bench.journal.directory).entries == ()


def test_a_lock_that_cannot_be_written_changes_nothing(bench: Bench, tmp_path: Path, world: World) -> None:
    """A journal directory that cannot be made is an error that names it, before anything is read or changed."""
    (tmp_path / "file").write_text("in the way")
    lost = Bench(bench.stack, Journal(tmp_path / "file" / "journal", bench.journal.pin))
    window = lost.pulled(bench.lever())
    with pytest.raises(InjectionError, match="cannot be written, so nothing was changed") as raised, window:
        pytest.fail("the window must not open")
    assert "writable" in raised.value.remedy
    assert world.values == World().values


def test_an_emulator_elsewhere_with_the_same_names_is_not_locked(bench: Bench, tmp_path: Path) -> None:
    """The same ARN behind another endpoint is another resource."""
    elsewhere = AttachedTarget(kind="localstack", endpoint_url="http://127.0.0.1:10", account=ACCOUNT, region=REGION)
    stack = stack_of(elsewhere, bench.stack.resource("worker"))
    with Journal(tmp_path, Pin.of(stack)) as other:
        second = Bench(stack, other)
        with bench.pulled(bench.lever()), second.pulled(second.lever(world=World())):
            pass


def test_what_a_killed_run_left_must_be_healed_before_a_new_fault(bench: Bench, tmp_path: Path, world: World) -> None:
    """A resource with an unhealed fault is refused, its state would be taken for found; heal frees it."""
    lost = Journal(tmp_path, bench.journal.pin)
    lever = bench.lever()
    lost.planned([lever.snapshot()])
    lever.inject(lever.snapshot())
    lost.close()
    with pytest.raises(InjectionError, match="an earlier fault is still on") as raised, bench.pulled(bench.lever()):
        pytest.fail("the window must not open")
    assert "holdfast heal" in raised.value.remedy
    (result,) = heal_all(tmp_path, lambda entry: bench.stack.target, levers={"fake": FakeLever})
    assert (result.outcome, result.proof) == ("healed", "as found")
    assert world.values == World().values
    with bench.pulled(bench.lever()):
        pass
    assert heal_all(tmp_path, lambda entry: bench.stack.target, levers={"fake": FakeLever}) == ()


def test_a_change_that_takes_effect_after_its_run_was_killed_is_healed(
    bench: Bench, tmp_path: Path, world: World
) -> None:
    """A request that was on its way when its run was killed may arrive after a first look: it is healed too."""
    lost = Journal(tmp_path, bench.journal.pin)
    lever = bench.lever()
    lost.planned([lever.snapshot()])
    lost.close()
    waited: list[float] = []

    def arrives(seconds: float) -> None:
        waited.append(seconds)
        world.values[arn("worker")] = 0

    (result,) = heal_all(tmp_path, lambda entry: bench.stack.target, levers={"fake": FakeLever}, pause=arrives)
    assert (result.outcome, result.proof) == ("healed", "as found")
    assert (waited, world.values) == ([2.0], World().values)


def test_what_is_known_to_be_in_place_is_healed_without_a_wait(bench: Bench, tmp_path: Path, world: World) -> None:
    """Once the journal says that a fault was put in place, nothing of it can be on its way any more."""
    lost = Journal(tmp_path, bench.journal.pin)
    lever = bench.lever()
    lost.injected(lost.planned([lever.snapshot()]))
    lever.inject(lever.snapshot())
    lost.close()

    def never(seconds: float) -> None:
        pytest.fail("nothing is waited for")

    (result,) = heal_all(tmp_path, lambda entry: bench.stack.target, levers={"fake": FakeLever}, pause=never)
    assert (result.outcome, world.values) == ("healed", World().values)


def test_a_living_run_is_left_alone_by_heal(bench: Bench, world: World) -> None:
    """Healing from the journal never undoes the fault of a run that is still at work."""
    with bench.pulled(bench.lever()):
        (result,) = heal_all(bench.journal.directory, lambda entry: bench.stack.target, levers={"fake": FakeLever})
        assert result.outcome == "running"
        assert world.values[arn("worker")] == 0


def test_heal_tells_what_it_cannot_heal_and_how_to_do_it_by_hand(bench: Bench, tmp_path: Path) -> None:
    """An unreachable endpoint and an unknown lever are results with a reason and a remedy, never a traceback."""
    lost = Journal(tmp_path, bench.journal.pin)
    throttle = Snapshot(
        lever="function-throttle",
        component="worker",
        resource=arn("worker"),
        found={"reserved_concurrency": 3},
        placed={"reserved_concurrency": 0},
    )
    lost.planned([throttle, replace(throttle, lever="unheard-of")])
    lost.close()
    unknown, unreachable = heal_all(tmp_path)
    assert {unknown.outcome, unreachable.outcome} == {"failed"}
    assert "http://127.0.0.1:9 cannot be used" in unreachable.reason
    assert unreachable.remedy == (
        "aws lambda put-function-concurrency --function-name worker --reserved-concurrent-executions 3 "
        "--region eu-west-1 --endpoint-url http://127.0.0.1:9"
    )
    assert "unheard-of" in unknown.reason
    assert len(open_entries(tmp_path).entries) == 2


def test_a_dead_runs_embedded_target_took_its_faults_with_it(bench: Bench, tmp_path: Path) -> None:
    """An entry of an embedded target whose run is dead is closed without a call: the emulator ended with its run."""
    lost = Journal(tmp_path, replace(bench.journal.pin, kind="embedded"))
    lost.planned([bench.lever().snapshot()])
    lost.close()
    path = lost.path
    path.write_text(path.read_text().replace('"started":"', '"started":"0'))

    def never(entry: object) -> Target:
        pytest.fail("nothing may be opened")

    (result,) = heal_all(tmp_path, never, levers={"fake": FakeLever})
    assert result.outcome == "healed"
    assert open_entries(tmp_path).entries == ()
