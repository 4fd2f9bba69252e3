"""Answers lost on the channel (SC-4), and the application killed with work on its way (SC-6)."""

from __future__ import annotations

from typing import Literal

from holdfast.levers.channel_fault import ChannelFault
from holdfast.levers.component_signal import ComponentKill
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.duplicates import submit_until_acknowledged
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import CALL_FAULTS, key_placed
from holdfast.provocations.sidecar_requirements import (
    both_started,
    channel_named,
    on_application,
    on_channel,
    on_sidecar,
)
from holdfast.provocations.sidecar_stage import Stage
from holdfast.relay.model import ChannelRule
from holdfast.stack.generate import Submission
from holdfast.targets.base import Rule

KEYS = 3
"""Keys whose answer is lost, by each way of losing it."""
UNDER_WAY = 4
"""Commands that are killed with the application, of each kind."""
STORE_DELAY_SECONDS = 0.5
"""Holds the store's calls, so that what was acknowledged is with the sidecar alone when the application dies."""


def _fault(
    stage: Stage, one: Submission, action: Literal["drop", "cut", "hang"], direction: Literal["request", "answer"]
) -> ChannelFault:
    assert stage.pattern.channel is not None
    rule = ChannelRule(id="", action=action, direction=direction, key=one.key, times=1)
    return ChannelFault.on(stage.bench.stack, stage.pattern.channel, rule)


def _lose_answers(bench: Bench) -> None:
    stage = Stage(bench)
    dropped, cut = bench.draw(KEYS), bench.draw(KEYS)
    faults = [_fault(stage, one, "drop", "answer") for one in dropped]
    faults += [_fault(stage, one, "cut", "answer") for one in cut]
    with stage.broken(faults):
        side_by_side(lambda one: submit_until_acknowledged(bench, one, "answer lost"), [*dropped, *cut], 3)
    bench.await_effects(bench.acknowledged(bench.submissions()))


def _kill_application(bench: Bench) -> None:
    """Kill the application as soon as it has answered, with the store slow and some requests lost on the channel.

    What it acknowledged before the sidecar did, it loses.
    """
    stage = Stage(bench)
    passing, lost = bench.draw(UNDER_WAY), bench.draw(UNDER_WAY)
    slow = Rule(id="", action="delay", point="call", delay_seconds=STORE_DELAY_SECONDS)
    with bench.aimed([(stage.pattern.sidecar, slow)]):
        with stage.broken([_fault(stage, one, "hang", "request") for one in lost]):
            stage.submit_all([*passing, *lost], "before the kill", width=2 * UNDER_WAY)
        with stage.broken([ComponentKill.on(bench.stack, stage.pattern.application)]):
            pass
    bench.await_effects(bench.acknowledged(bench.submissions()))


ANSWERS_LOST = Provocation(
    name="channel-answers-lost",
    provoke=_lose_answers,
    strikes=(on_channel("answers dropped and cut, one key each"),),
    requires=(channel_named, key_placed),
    commands=lambda _: 2 * KEYS,
    exclusive=True,
)
APPLICATION_DEAD = Provocation(
    name="application-dead",
    provoke=_kill_application,
    strikes=(
        on_channel("requests held, one key each"),
        on_application("component-kill", "killed, and started again"),
        on_sidecar("invocation-fault", "every call to its store delayed"),
    ),
    requires=(both_started, channel_named, CALL_FAULTS),
    commands=lambda _: 2 * UNDER_WAY,
    exclusive=True,
)
