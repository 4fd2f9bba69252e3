"""The sidecar killed at every call to its store, and with all that it acknowledged not stored yet (SC-2)."""

from __future__ import annotations

from holdfast.errors import Inconclusive
from holdfast.levers.component_signal import ComponentKill
from holdfast.provocations.bench import Bench
from holdfast.provocations.crashes import kill_at
from holdfast.provocations.duplicates import submit_until_acknowledged
from holdfast.provocations.model import Aimed, FaultPoint, Provocation
from holdfast.provocations.sidecar_requirements import both_started, on_sidecar, the_sidecar
from holdfast.provocations.sidecar_stage import Stage
from holdfast.targets.base import Rule

HELD = 6
"""Commands that are acknowledged while the store is held, and killed with the sidecar."""
HOLD_SECONDS = 2.0
"""How long each call to the store is held: longer than it takes to send those commands."""


def _points(bench: Bench, sidecar: str) -> list[FaultPoint]:
    """The calls to the store that one undisturbed command makes, each with its two sides."""
    (traced,) = bench.draw(1)
    name = bench.function_name(sidecar)
    bench.submit(traced, "traced")
    if bench.await_effects([traced]):
        raise Inconclusive("an undisturbed command did not take effect, so there is no trace to break")
    calls = [one for one in bench.interceptor.calls(traced.key) if one.function == name]
    if not calls:
        raise Inconclusive(f"no call of {sidecar} about one command was seen: nothing to crash there")
    points, counts = [], dict[tuple[str, str], int]()
    for call in calls:
        what = (call.service, call.operation)
        counts[what] = counts.get(what, 0) + 1
        points += [
            FaultPoint(function=sidecar, service=call.service, operation=call.operation, nth=counts[what], when=when)
            for when in ("before", "after")
        ]
    return points


def _crash(bench: Bench) -> None:
    stage = Stage(bench)
    sidecar = stage.pattern.sidecar
    points = _points(bench, sidecar)
    submissions = bench.draw(len(points))
    reached = 0
    for submission, point in zip(submissions, points, strict=True):
        bench.point(submission.key, point)
        rule = kill_at(point, bench.function_name(sidecar), submission.key)
        with bench.aimed([(sidecar, rule)]) as aim:
            stage.submit(submission, "crashed")
            hit = bench.until("the crash", lambda: aim.hits(submission.key), bool, bench.bounds.effect_seconds).value  # noqa: B023 - called at once
            if hit:
                reached += 1
            else:
                bench.undecided(f"fault point not reached: {point} ({submission.key})")
            bench.until("the sidecar's end", lambda: stage.running.process(sidecar) is None, bool, 5.0)
            stage.running.start(sidecar)
        submit_until_acknowledged(bench, submission, "retry")
    bench.figure("fault_points", len(points))
    bench.figure("fault_points_reached", reached)
    _crash_held(stage)
    bench.await_effects(bench.acknowledged(bench.submissions()))


def _crash_held(stage: Stage) -> None:
    """Kill the sidecar when it has acknowledged and stored nothing."""
    bench = stage.bench
    held = bench.draw(HELD)
    slow = Rule(id="", action="delay", point="call", delay_seconds=HOLD_SECONDS)
    with bench.aimed([(stage.pattern.sidecar, slow)]) as aim:
        stage.submit_all(held, "held")
        bench.until("a call that is held", lambda: aim.hits(""), bool, bench.bounds.effect_seconds)
        with stage.broken([ComponentKill.on(bench.stack, stage.pattern.sidecar)]):
            pass


SIDECAR_CRASHES = Provocation(
    name="sidecar-crashes",
    provoke=_crash,
    strikes=(on_sidecar("component-kill", "killed, and started again"),),
    requires=(both_started,),
    aims=(Aimed(action="kill before and after each", at=the_sidecar, point="call"),),
    commands=lambda _: 1 + HELD,
    exclusive=True,
)
