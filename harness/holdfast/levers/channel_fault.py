"""A fault aimed at what passes on a channel between two components."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from holdfast.errors import GuardRailError, Inconclusive, TargetError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.signals import interrupts
from holdfast.relay.model import ChannelRule
from holdfast.targets.base import Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack
    from holdfast.stack.running import Relay

_NO_RULE = ChannelRule(id="", action="delay")
_DONE = {
    "delay": "delayed",
    "drop": "lost",
    "cut": "cut",
    "hang": "held",
    "bandwidth": "slowed",
    "trickle": "trickled",
}


def channel_resource(channel: str) -> str:
    """How the journal and the guard rail call a channel."""
    return f"channel:{channel}"


@dataclass(slots=True, kw_only=True)
class ChannelFault:
    """A rule in the relay between two components.

    It waits for its messages, so it is proven by its hits when the window closes, not when it opens; any number may be
    in force side by side on one channel. It lives in the relay alone: it is gone with it, and that with its run.

    Args:
        target: where the rest of the stack is.
        component: the channel, by its name in the descriptor.
        resource: ``channel:`` and its name.
        rule: the fault.
        relay: the run's relay; None before it is started, and from the journal of a run that has ended.
    """

    name: ClassVar[str] = "channel-fault"
    permissions: ClassVar[tuple[str, ...]] = ()
    propagation_seconds: ClassVar[float] = 5.0
    aimed: ClassVar[bool] = True
    capability: ClassVar[None] = None

    target: Target
    component: str
    resource: str
    rule: ChannelRule
    relay: Relay | None = None

    @classmethod
    def on(cls, stack: Stack, channel: str, rule: ChannelRule) -> Self:
        """The lever on a channel of a stack; the rule's channel is filled in, and an id where it has none.

        Raises:
            GuardRailError: the descriptor has no such channel.
        """
        if channel not in stack.descriptor.channels:
            raise GuardRailError(f"{channel!r} is no channel of {stack.descriptor.name}; nothing was changed")
        return cls(
            target=stack.target,
            component=channel,
            resource=channel_resource(channel),
            rule=replace(rule, channel=channel, id=rule.id or f"channel-{secrets.token_hex(8)}"),
            relay=stack.running.relay if stack.running is not None else None,
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        channel, rule = snapshot.component, replace(_NO_RULE, id=snapshot.resource)
        return cls(target=target, component=channel, resource=channel_resource(channel), rule=rule)

    @property
    def key(self) -> str:
        """The key it is aimed at."""
        return self.rule.key

    @property
    def error_class(self) -> ErrorClass:
        """Which code path it exercises: a lost answer where the request was delivered, a timeout elsewhere."""
        lost = self.rule.direction == "answer" and self.rule.action in ("drop", "cut", "hang")
        return ErrorClass.LOST_ANSWER if lost else ErrorClass.TIMEOUT

    def snapshot(self) -> Snapshot:
        """Nothing is found: a rule is only ever added.

        Raises:
            Inconclusive: the run has not started the channel.
        """
        if self.relay is None:
            raise Inconclusive(f"the run has not started the channel {self.component}")
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.rule.id,
            found={},
            placed={"rule": self.rule.id, "expires": self.rule.expires_seconds},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the rule says it all
        """Put the rule in force."""
        assert self.relay is not None
        with interrupts.shielded():  # a rule that is still on its way could not be taken out yet
            self.relay.add(self.rule)

    def proof(self) -> str:
        """The relay counted hits."""
        hits = self.hits()
        if hits == 0:
            return ""
        rule = self.rule
        what = "request" if rule.direction == "request" else "answer"
        return f"the relay {_DONE[rule.action]} {'an' if what == 'answer' else 'a'} {what} on {self.component} " + (
            "once" if hits == 1 else f"{hits} times"
        )

    def hits(self) -> int:
        """Hits counted so far, also after the rule was removed."""
        return 0 if self.relay is None else self.relay.hits(self.rule.id)

    def heal(self, snapshot: Snapshot) -> None:
        """Take the rule out, unless it has ended with its relay."""
        if self.relay is not None:
            with suppress(TargetError):
                self.relay.remove(snapshot.placed["rule"])

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The rule is not in force."""
        rule = snapshot.placed["rule"]
        if self.relay is None:
            return f"rule {rule} ended with the relay of its run"
        try:
            in_force = {each.id for each in self.relay.rules()}
        except TargetError:
            return f"rule {rule} ended with its relay"
        return "" if rule in in_force else f"rule {rule} is no longer in force"

    def by_hand(self, snapshot: Snapshot) -> str:
        """There is no command: the rule dies with the relay."""
        ends = snapshot.placed["expires"]
        when = f"it ends at {time.ctime(ends)}; " if ends else ""
        return f"{when}end the run; rule {snapshot.placed['rule']} lives in its relay alone"
