"""The application and its sidecar started and stopped in every order (SC-7)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from holdfast.history.exchanges import Down, End
from holdfast.levers.channel_fault import ChannelFault
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import CALL_FAULTS
from holdfast.provocations.sidecar_requirements import (
    both_started,
    on_application,
    on_sidecar,
    readiness_named,
)
from holdfast.provocations.sidecar_stage import RECOVERY_ROLE, Stage
from holdfast.relay.model import ChannelRule
from holdfast.targets.base import Rule

BEFORE_STOP, UNDER_WAY = "acknowledged before the stop", "under way at the stop"
WAITING = 4
"""Commands that are acknowledged and not stored when the sidecar is asked to end."""
STORE_DELAY_SECONDS = 0.3
ANSWER_DELAY_SECONDS = 0.3
PROBES = 3
PROBE_SECONDS = 0.15
APPLICATION_FIRST, SIDECAR_FIRST = "the application, then its sidecar", "the sidecar, then its application"


def _lifecycle(bench: Bench) -> None:
    stage = Stage(bench)
    application, sidecar = stage.pattern.application, stage.pattern.sidecar
    slow = Rule(id="", action="delay", point="call", delay_seconds=STORE_DELAY_SECONDS)
    with bench.aimed([(sidecar, slow)]):
        stage.submit_all(bench.draw(WAITING), BEFORE_STOP)
        _end_with_work_under_way(stage)
        _end(stage, sidecar, APPLICATION_FIRST)
        gone_seconds = bench.recorder.now_seconds()
        # what has drained is there now, while neither of them runs
        for one in bench.acknowledged(bench.submissions()):
            bench.ports.observe(stage.pattern.effect, one, provocation=bench.name)
        stage.life(sidecar)
    _start_application_first(stage, gone_seconds)
    _end(stage, sidecar, SIDECAR_FIRST)
    gone_seconds = bench.recorder.now_seconds()
    _probe(stage, SIDECAR_FIRST)
    _down(stage, gone_seconds, "after its sidecar had ended")
    _end(stage, application, SIDECAR_FIRST)
    stage.running.start(sidecar)
    stage.running.start(application)
    stage.ready(RECOVERY_ROLE)
    stage.until_success()
    bench.await_effects(bench.acknowledged(bench.submissions()))


def _end_with_work_under_way(stage: Stage) -> None:
    """Ask the application to end when the sidecar has been asked for commands and its answers are on their way."""
    bench, application = stage.bench, stage.pattern.application
    if stage.pattern.channel is None:
        _end(stage, application, APPLICATION_FIRST)
        return
    rule = ChannelRule(
        id="",
        action="delay",
        direction="answer",
        delay_seconds=ANSWER_DELAY_SECONDS,
        key=f"{bench.prefix}-{bench.name}",
    )
    fault = ChannelFault.on(bench.stack, stage.pattern.channel, rule)
    submissions = bench.draw(WAITING)
    with stage.broken([fault]), ThreadPoolExecutor(max_workers=WAITING) as pool:
        answers = [pool.submit(stage.submit, one, UNDER_WAY) for one in submissions]
        bench.until("work under way", lambda: fault.hits() >= WAITING, bool, stage.pattern.bounds.answer_seconds)
        _end(stage, application, APPLICATION_FIRST)
        for answer in answers:
            answer.result()


def _end(stage: Stage, component: str, order: str) -> None:
    ended = stage.running.end(component)
    stage.bench.keep(End(component=component, seconds=ended.seconds, in_time=ended.in_time, order=order))


def _start_application_first(stage: Stage, gone_seconds: float) -> None:
    """Start the application alone, and then its sidecar: it must not be ready before, and must be after."""
    stage.running.start(stage.pattern.application, wait=False)
    stage.bench.until("the application to live", lambda: stage.live("starting").succeeded, bool, 15.0)
    _probe(stage, "started before its sidecar")
    _down(stage, gone_seconds, "before its sidecar was started")
    stage.running.start(stage.pattern.sidecar)
    started_seconds = time.monotonic()
    recovery_seconds = stage.pattern.bounds.recovery_seconds
    became = stage.bench.until("readiness", lambda: stage.ready(RECOVERY_ROLE).succeeded, bool, recovery_seconds)
    if became.value:
        stage.bench.figure("ready_after_sidecar_seconds", round(time.monotonic() - started_seconds, 3))
    stage.until_success()


def _probe(stage: Stage, role: str) -> None:
    for _ in range(PROBES):
        stage.ready(role)
        interrupts.pause(PROBE_SECONDS)


def _down(stage: Stage, since_seconds: float, why: str) -> None:
    stage.bench.keep(Down(started_seconds=since_seconds, ended_seconds=stage.bench.recorder.now_seconds(), why=why))


SIDECAR_LIFECYCLE = Provocation(
    name="sidecar-lifecycle",
    provoke=_lifecycle,
    strikes=(
        on_application("component-end", "ended in order, and started again, in every order"),
        on_sidecar("component-end", "ended in order, and started again, in every order"),
        on_sidecar("invocation-fault", "every call to its store delayed"),
    ),
    requires=(both_started, readiness_named, CALL_FAULTS),
    commands=lambda _: 2 * WAITING + 2,
    exclusive=True,
)
