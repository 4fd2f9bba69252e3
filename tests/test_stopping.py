"""Stop conditions end a run, and everything is healed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import ExitCode, ResourceError, StoppedError, TargetError
from holdfast.history import Operation, Outcome
from holdfast.levers.journal import open_entries
from holdfast.progress import Progress
from holdfast.provocations import stopping
from holdfast.provocations.stopping import Stopping
from holdfast.stack.descriptor import Stop
from holdfast.stack.loading import load_descriptor
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verification import Options, verify
from test_decoy import configuration
from verify_runs import copy_of
from verify_runs import verify as run_verify


def operation(outcome: Outcome) -> Operation:
    """An operation that ended so."""
    return Operation(
        id="op", key="k", command="c", provocation="p", invoked_seconds=0, completed_seconds=None, outcome=outcome
    )


class World:
    """A clock, and an alarm whose state is whatever a test says."""

    def __init__(self, **conditions: Any) -> None:
        self.now = 0.0
        self.state: str | Exception = "OK"
        self.asked = 0
        self.stopping = Stopping(Stop(**conditions), self.look, clock=lambda: self.now)

    def look(self) -> str:
        """The alarm's state."""
        self.asked += 1
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


def test_without_conditions_nothing_ends_a_run() -> None:
    """A descriptor without [stop] neither asks for an alarm nor counts anything against the run."""
    world = World()
    for _ in range(1000):
        world.stopping.command()
        world.stopping.answered(operation(Outcome.UNKNOWN))
    assert world.asked == 0


def test_the_budget_is_a_bound() -> None:
    """Exactly as many commands are sent as are allowed; the next one, and every later check, ends the run."""
    world = World(commands=3)
    for _ in range(3):
        world.stopping.command()
    world.stopping.check()
    with pytest.raises(StoppedError, match=r"it has sent the 3 commands that stop\.commands allows"):
        world.stopping.command()
    with pytest.raises(StoppedError):
        world.stopping.check()


def test_the_error_rate_is_of_the_last_commands() -> None:
    """Errors count once as many commands were answered as are looked back on; refusals are no errors."""
    world = World(error_rate=0.5, over_commands=4)
    for outcome in (Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.UNKNOWN):
        world.stopping.answered(operation(outcome))
    world.stopping.check()
    calm = World(error_rate=0.5, over_commands=4)
    for outcome in (Outcome.UNKNOWN, Outcome.UNKNOWN, *[Outcome.FAIL] * 20, Outcome.UNKNOWN, Outcome.UNKNOWN):
        calm.stopping.answered(operation(outcome))
    calm.stopping.check()
    calm.stopping.answered(operation(Outcome.UNKNOWN))
    with pytest.raises(StoppedError, match="3 of the last 4 commands got no answer or a server error"):
        calm.stopping.check()


def test_an_alarm_is_asked_for_now_and_then() -> None:
    """The alarm's state is relied on for a few seconds; then it is asked for again, and ends the run."""
    world = World(alarm="orders-5xx")
    for _ in range(100):
        world.stopping.check()
    assert world.asked == 1
    world.state = "ALARM"
    world.stopping.check()
    world.now = stopping.ALARM_SECONDS
    with pytest.raises(StoppedError, match="the alarm orders-5xx is in state ALARM"):
        world.stopping.command()


@pytest.mark.parametrize("error", [TargetError("CloudWatch is away"), ResourceError("it was deleted")])
def test_an_alarm_that_nobody_sees_ends_the_run(error: Exception) -> None:
    """Nothing begins without its alarm, and nothing goes on when it can no longer be asked for."""
    world = World(alarm="orders-5xx")
    world.state = error
    with pytest.raises(type(error)):
        world.stopping.check()
    world = World(alarm="orders-5xx")
    world.stopping.check()
    world.now, world.state = stopping.ALARM_SECONDS, error
    with pytest.raises(StoppedError, match="can no longer be asked for"):
        world.stopping.check()


# -- on the embedded target ------------------------------------------------------------------------------------------


def with_stop(text: str) -> Any:
    """An edit that adds stop conditions to a descriptor."""
    return lambda descriptor: f"{descriptor}\n[stop]\n{text}\n"


def put_alarm(target: EmbeddedTarget, name: str) -> None:
    """Make an alarm that is quiet."""
    cloudwatch = target.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Holdfast/Test",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet")


def test_an_alarm_in_a_window_ends_the_run_and_heals(
    embedded: EmbeddedTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the alarm goes off while every worker is dead, the run ends, and the stack reads back as it was found."""
    monkeypatch.setattr(stopping, "ALARM_SECONDS", 0.2)
    put_alarm(embedded, "orders-5xx")
    path = copy_of("webhooks", tmp_path / "stack", edit=with_stop('alarm = "orders-5xx"'))
    said: list[str] = []

    def heard(progress: Progress) -> None:
        said.append(progress.message)
        if progress.message.startswith("fault window: every worker"):
            embedded.client("cloudwatch").set_alarm_state(
                AlarmName="orders-5xx", StateValue="ALARM", StateReason="errors"
            )

    declared = load_descriptor(path, {}).deploy
    assert declared is not None
    with deploy(embedded, path.parent / "template.yaml", stack_name="stopped", parameters=declared.parameters):
        before = configuration(embedded, "stopped", data=False)
        options = Options(cloudformation="stopped", deploy=False, folder=tmp_path / "run")
        with pytest.raises(StoppedError, match="the alarm orders-5xx is in state ALARM"):
            verify(path, options=options, ids=("SF-1", "SF-8"), target=embedded, listener=heard)
        after = configuration(embedded, "stopped", data=False)
        with pytest.raises(StoppedError):
            verify(path, options=options, ids=("SF-9",), target=embedded)
    assert after == before
    assert open_entries(options.journal_folder()).entries == ()
    assert not any("silence" in message for message in said)


def test_an_alarm_that_does_not_exist_is_a_mistake(embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """Nothing is sent or broken without the alarm that guards it."""
    path = copy_of("webhooks", tmp_path / "stack", edit=with_stop('alarm = "nobody-made-it"'))
    with pytest.raises(ResourceError, match="The alarm nobody-made-it does not exist"):
        verify(path, options=Options(folder=tmp_path / "run"), ids=("SF-1",), target=embedded)
    assert not (tmp_path / "run" / "journal").exists()


def test_a_used_up_budget_exits_5(tmp_path: Path) -> None:
    """The command line says what ended the run, that all is healed, and exits with a code of its own."""
    path = copy_of("webhooks", tmp_path / "stack", edit=with_stop("commands = 12"))
    ended = run_verify(path, "-k", "SF-3", cwd=tmp_path)
    assert ended.code == ExitCode.STOPPED, ended.text
    assert "it has sent the 12 commands that stop.commands allows" in ended.out
    assert "every fault that was in place is healed" in ended.out
    assert open_entries(tmp_path / ".holdfast" / "journal").entries == ()
    assert list((tmp_path / ".holdfast" / "journal").glob("*.healed"))
    assert "Traceback" not in ended.text
