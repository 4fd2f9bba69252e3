"""The rules of a relay in force, and how often each has hit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from holdfast.relay.model import ChannelRule, Direction


@dataclass(slots=True)
class _Count:
    matched: int = 0
    claimed: int = 0
    hits: int = 0


@dataclass(slots=True)
class ChannelBook:
    """Rules in the order in which they were added; for one event loop.

    A match that is to be acted on is claimed, and becomes a hit when the fault has been done.

    Args:
        clock: wall clock, seconds since the epoch.
        monotonic: monotonic clock, seconds.
    """

    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _rules: dict[str, ChannelRule] = field(default_factory=dict)
    _counts: dict[str, _Count] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, rule: ChannelRule) -> None:
        """Put a rule in force, in place of one with the same id; its hits stay."""
        self._rules[rule.id] = rule
        count = self._counts.setdefault(rule.id, _Count())
        count.matched = count.claimed = 0

    def remove(self, rule_id: str) -> None:
        """Take a rule out; its hits stay."""
        self._rules.pop(rule_id, None)
        self._changed.set()
        self._changed = asyncio.Event()

    async def hold(self, rule: ChannelRule, seconds: float | None) -> None:
        """Wait so long, or for ever, but no longer than the rule is in force."""
        end = None if seconds is None else self.monotonic() + seconds
        while self.in_force(rule):
            limits = [] if end is None else [end - self.monotonic()]
            limits += [rule.expires_seconds - self.clock()] if rule.expires_seconds else []
            left_seconds = min(limits, default=None)
            if left_seconds is not None and left_seconds <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_seconds)

    def all(self) -> tuple[ChannelRule, ...]:
        """The rules in force."""
        return tuple(rule for rule in self._rules.values() if self._alive(rule))

    def in_force(self, rule: ChannelRule) -> bool:
        """Whether this very rule still is in force."""
        return self._rules.get(rule.id) is rule and self._alive(rule)

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit."""
        count = self._counts.get(rule_id)
        return count.hits if count else 0

    def hit(self, rule: ChannelRule) -> None:
        """Count a fault that was done."""
        self._counts[rule.id].hits += 1

    def claim(self, channel: str, direction: Direction, content: bytes) -> tuple[ChannelRule, ...]:
        """The rules that act on this message.

        Args:
            channel: which channel it is on.
            direction: where it goes.
            content: what is searched for keys.
        """
        if not self._rules:
            return ()
        return tuple(
            rule
            for rule in self._rules.values()
            if rule.channel in ("", channel)
            and rule.direction == direction
            and self._alive(rule)
            and rule.key.encode() in content
            and self._claimed(rule)
        )

    def _claimed(self, rule: ChannelRule) -> bool:
        count = self._counts[rule.id]
        count.matched += 1
        if (rule.nth and count.matched != rule.nth) or (rule.times and count.claimed >= rule.times):
            return False
        count.claimed += 1
        return True

    def _alive(self, rule: ChannelRule) -> bool:
        return not rule.expires_seconds or self.clock() < rule.expires_seconds
