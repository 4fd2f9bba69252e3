"""The same plan with the sidecar healthy, slow, hung, dead and under pressure (SC-1, SC-3, SC-5, SC-9)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from holdfast.drivers.base import Load
from holdfast.levers.base import Lever
from holdfast.levers.channel_fault import ChannelFault
from holdfast.levers.component_pressure import ComponentPressure
from holdfast.levers.component_signal import ComponentKill, ComponentStop
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.model import Moment, Provocation
from holdfast.provocations.requirements import Situation
from holdfast.provocations.sidecar_requirements import (
    both_started,
    channel_named,
    on_channel,
    on_sidecar,
    sidecar_claimed,
)
from holdfast.provocations.sidecar_stage import WIDTH, Stage
from holdfast.relay.model import ChannelRule

CALM_ROLE, FAULT_ROLE = "calm", "under the fault"
KNOWN = 2
"""Keys that are known before the fault, and asked for during it."""
BUSY_COMMANDS = 8
"""Commands during which the application is asked whether it is alive."""
SLOW_SHARE = 0.1
"""A slow sidecar answers this part of the declared deadline later."""
PRESSURE_WORKERS = 2
PRESSURE_BYTES = 32 * 1024 * 1024
PRESSURE_SECONDS = 30.0
"""When the pressure ends by itself."""


def _healthy(bench: Bench) -> None:
    stage = Stage(bench)
    plan = stage.plan()
    with stage.watched(CALM_ROLE):
        stage.run_plan(plan, CALM_ROLE)
    stage.complete_plan(plan, CALM_ROLE)


def _broken(bench: Bench, levers: Callable[[Stage], list[Lever]]) -> None:
    """Run the plan under a fault on the sidecar, and see how the application comes back from it."""
    stage = Stage(bench)
    known = stage.known(KNOWN)
    stage.read_all(known, CALM_ROLE)
    stage.life(stage.pattern.application)
    plan = stage.plan()
    with stage.watched(FAULT_ROLE):
        with stage.broken(levers(stage)), ThreadPoolExecutor() as pool:
            reading = pool.submit(stage.read_all, [*known, *plan], FAULT_ROLE)
            stage.run_plan(plan, FAULT_ROLE)
            reading.result()
        stage.life(stage.pattern.sidecar)
        stage.until_success()
    stage.complete_plan(plan, FAULT_ROLE)
    stage.life(stage.pattern.application)


def _busy(bench: Bench, levers: Callable[[Stage], list[Lever]]) -> None:
    """The application alive and at work, first with nothing wrong, then with its sidecar slow or under pressure."""
    stage = Stage(bench)
    _work(stage, CALM_ROLE)
    plan = stage.plan()
    with stage.broken(levers(stage)):
        _work(stage, FAULT_ROLE)
        stage.run_plan(plan, FAULT_ROLE)
    stage.complete_plan(plan, FAULT_ROLE)


def _work(stage: Stage, role: str) -> None:
    submissions = stage.bench.draw(BUSY_COMMANDS)
    with stage.watched(role):
        side_by_side(lambda one: stage.submit(one, role), submissions, WIDTH)


def _kill(stage: Stage) -> list[Lever]:
    return [ComponentKill.on(stage.bench.stack, stage.pattern.sidecar)]


def _hang(stage: Stage) -> list[Lever]:
    return [ComponentStop.on(stage.bench.stack, stage.pattern.sidecar)]


def _slow(stage: Stage) -> list[Lever]:
    assert stage.pattern.channel is not None
    rule = ChannelRule(
        id="",
        action="delay",
        direction="answer",
        delay_seconds=SLOW_SHARE * stage.pattern.bounds.answer_seconds,
    )
    return [ChannelFault.on(stage.bench.stack, stage.pattern.channel, rule)]


def _press(stage: Stage) -> list[Lever]:
    load = Load(workers=PRESSURE_WORKERS, memory_bytes=PRESSURE_BYTES, seconds=PRESSURE_SECONDS)
    return [ComponentPressure.on(stage.bench.stack, stage.pattern.sidecar, load=load)]


def _planned(_: Situation) -> int:
    return 8


SIDECAR_HEALTHY = Provocation(
    name="sidecar-healthy",
    provoke=_healthy,
    moment=Moment.FIRST,
    requires=(sidecar_claimed,),
    commands=_planned,
)
SIDECAR_DEAD = Provocation(
    name="sidecar-dead",
    provoke=partial(_broken, levers=_kill),
    strikes=(on_sidecar("component-kill", "killed, and started again"),),
    requires=(both_started,),
    commands=lambda situation: KNOWN + 1 + _planned(situation),
    exclusive=True,
)
SIDECAR_HUNG = Provocation(
    name="sidecar-hung",
    provoke=partial(_broken, levers=_hang),
    strikes=(on_sidecar("component-stop", "stopped, and resumed"),),
    requires=(sidecar_claimed,),
    commands=lambda situation: KNOWN + 1 + _planned(situation),
    exclusive=True,
)
SIDECAR_SLOW = Provocation(
    name="sidecar-slow",
    provoke=partial(_busy, levers=_slow),
    strikes=(on_channel("answers delayed"),),
    requires=(channel_named,),
    commands=lambda situation: 2 * BUSY_COMMANDS + _planned(situation),
    exclusive=True,
)
SIDECAR_PRESSED = Provocation(
    name="sidecar-under-pressure",
    provoke=partial(_busy, levers=_press),
    strikes=(on_sidecar("component-pressure", "processors and memory loaded within its limits"),),
    requires=(sidecar_claimed,),
    commands=lambda situation: 2 * BUSY_COMMANDS + _planned(situation),
    exclusive=True,
)
