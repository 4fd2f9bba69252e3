"""What is behind the sidecar: a slow store (SC-10), a store written behind it (SC-11), and an outage (SC-12)."""

from __future__ import annotations

import time
from collections.abc import Sequence

from holdfast.history.model import Outcome
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import CALL_FAULTS
from holdfast.provocations.sidecar_requirements import (
    backlog_declared,
    behind_named,
    on_sidecar,
    read_named,
    sidecar_claimed,
)
from holdfast.provocations.sidecar_stage import Stage
from holdfast.stack.generate import Submission
from holdfast.targets.base import Rule

SLOW_ROLE = "store slow"
BEYOND = 12
"""Commands that are sent beyond those that may wait."""
BEHIND_ROLE, CACHED_ROLE = "behind the cache", "cached"
KEYS = 4
POLL_SECONDS = 0.1
COLD = 3
"""Keys for each kind of outage that were not asked for before, so that no cache knows them."""
DENIED, SLOW, HUNG = "store denied", "store slow", "store hung"
OUTAGES = (DENIED, SLOW, HUNG)


def _hold_seconds(stage: Stage) -> float:
    """How long a hung store holds a call: longer than anybody waits for an answer."""
    return 1.5 * stage.pattern.bounds.answer_seconds


def _slow_store(bench: Bench) -> None:
    stage = Stage(bench)
    most = stage.pattern.bounds.backlog
    assert most is not None
    slow = Rule(id="", action="delay", point="call", delay_seconds=_hold_seconds(stage))
    with bench.aimed([(stage.pattern.sidecar, slow)]), stage.watched(SLOW_ROLE, memory=True):
        submissions = bench.draw(most + BEYOND)
        stage.submit_all(submissions, SLOW_ROLE, width=8)
        acknowledged = bench.acknowledged(submissions)
        seen = side_by_side(
            lambda one: bench.ports.observe(stage.pattern.effect, one, provocation=bench.name), acknowledged, 4
        )
        bench.figure("stored_while_slow", sum(one.count > 0 for one in seen))
    bench.await_effects(acknowledged, deadline_seconds=bench.bounds.drain_seconds)


def _write_behind(bench: Bench) -> None:
    stage = Stage(bench)
    assert stage.pattern.behind is not None
    keys = stage.known(KEYS)

    def warm(one: Submission) -> bool:
        return stage.read(one, CACHED_ROLE).count == 1

    for one in keys:
        if not bench.until("a cached answer", lambda: warm(one), bool, bench.bounds.effect_seconds).value:  # noqa: B023 - called at once
            bench.undecided(f"{one.key} is stored and the application does not show it", [one.key])
    rewritten = [bench.again(one) for one in keys]
    for one in rewritten:
        if bench.submit(one, BEHIND_ROLE, command=stage.pattern.behind).outcome is not Outcome.OK:
            bench.undecided(f"{one.key} could not be written behind the sidecar", [one.key])
    # asked for all the while: a cache that keeps an answer because it is asked for it shows it for ever
    until_seconds = time.monotonic() + stage.pattern.bounds.staleness_seconds + 4 * POLL_SECONDS
    while time.monotonic() < until_seconds:
        stage.read_all(keys, CACHED_ROLE)
        interrupts.pause(POLL_SECONDS)
    for one in rewritten:
        bench.ports.observe(stage.pattern.effect, one, provocation=bench.name)


def _outage(bench: Bench) -> None:
    """Ask for what is stored and in no cache, while the store is denied, slow and hung."""
    stage = Stage(bench)
    keys = stage.known(COLD * len(OUTAGES))
    interrupts.pause(stage.pattern.bounds.staleness_seconds)
    rules = {
        DENIED: Rule(id="", action="refuse", point="call", error="AccessDeniedException"),
        SLOW: Rule(id="", action="delay", point="call", delay_seconds=0.1 * stage.pattern.bounds.answer_seconds),
        HUNG: Rule(id="", action="delay", point="call", delay_seconds=_hold_seconds(stage)),
    }
    for at, (role, rule) in enumerate(rules.items()):
        with bench.aimed([(stage.pattern.sidecar, rule)]), stage.watched(role):
            _ask_twice(stage, keys[COLD * at : COLD * (at + 1)], role)


def _ask_twice(stage: Stage, cold: Sequence[Submission], role: str) -> None:
    """A second answer shows whether a failure was cached as an absence."""
    for _ in range(2):
        stage.read_all(cold, role)


STORE_SLOW = Provocation(
    name="sidecar-store-slow",
    provoke=_slow_store,
    requires=(sidecar_claimed, backlog_declared, CALL_FAULTS),
    strikes=(on_sidecar("invocation-fault", "every call to its store delayed"),),
    commands=lambda _: BEYOND,
    exclusive=True,
)
WRITTEN_BEHIND = Provocation(
    name="written-behind-the-sidecar",
    provoke=_write_behind,
    requires=(behind_named, read_named),
    commands=lambda _: 2 * KEYS,
)
STORE_OUTAGE = Provocation(
    name="sidecar-store-outage",
    provoke=_outage,
    requires=(sidecar_claimed, read_named, CALL_FAULTS),
    strikes=(on_sidecar("invocation-fault", "every call to its store refused, delayed and held"),),
    commands=lambda _: COLD * len(OUTAGES),
    exclusive=True,
)
