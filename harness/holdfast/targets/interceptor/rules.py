"""The aimed faults in force, and how often each has hit."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from holdfast.targets.base import CallerKind, Rule
from holdfast.targets.interceptor.names import name_of

MAX_DELAY_SECONDS = 900.0
"""Nothing on Lambda waits longer: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""

_AT_CALLS_ONLY = frozenset({"refuse", "drop", "cut", "duplicate", "fail-after"})


def problems(rule: Rule) -> tuple[str, ...]:
    """What is wrong with a rule, a sentence each."""
    found = []
    if not rule.id:
        found.append("the rule needs an id")
    if rule.point == "invocation" and rule.action in _AT_CALLS_ONLY:
        found.append(f'{rule.action} is for calls: set point to "call"')
    if rule.nth < 0 or rule.times < 0:
        found.append("nth and times are counts from 1, or 0 for no limit")
    if not 0.0 <= rule.delay_seconds <= MAX_DELAY_SECONDS:
        found.append(f"delay_seconds is from 0 to {MAX_DELAY_SECONDS:g}")
    if not 0.0 <= rule.probability <= 1.0:
        found.append("probability is from 0 to 1")
    if not (math.isfinite(rule.expires_seconds) and rule.expires_seconds >= 0.0):
        found.append("expires_seconds is a time in seconds since the epoch, or 0 for never")
    return tuple(found)


def drawn(seed: int, match: int) -> float:
    """A number from 0 up to 1 that depends on the seed and on which match it is, and on nothing else."""
    digest = hashlib.sha256(f"{seed}/{match}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


@dataclass(slots=True)
class _Count:
    matched: int = 0
    claimed: int = 0
    hits: int = 0


@dataclass(slots=True)
class RuleBook:
    """Rules in the order in which they were added; safe from any thread.

    A match that is to be acted on is *claimed*, so that two at the same moment cannot both take a rule's last
    ``times``; it becomes a *hit* when the fault has been done, or is given back with :meth:`release`. A rule that has
    expired is out of force by itself.

    Args:
        clock: wall clock, seconds since the epoch.
    """

    clock: Callable[[], float] = time.time
    _rules: dict[str, Rule] = field(default_factory=dict)
    _counts: dict[str, _Count] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rule: Rule) -> None:
        """Put a rule in force, in place of one with the same id."""
        with self._lock:
            self._rules[rule.id] = rule
            count = self._counts.setdefault(rule.id, _Count())
            count.matched = count.claimed = 0

    def remove(self, rule_id: str) -> None:
        """Take a rule out; its hits stay."""
        with self._lock:
            self._rules.pop(rule_id, None)

    def all(self) -> tuple[Rule, ...]:
        """The rules in force."""
        with self._lock:
            return tuple(rule for rule in self._rules.values() if self._alive(rule))

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit."""
        with self._lock:
            count = self._counts.get(rule_id)
            return count.hits if count else 0

    def matched(self, rule_id: str) -> int:
        """How often a rule's conditions have been met since it was put in force, whether it acted or not."""
        with self._lock:
            count = self._counts.get(rule_id)
            return count.matched if count else 0

    def wants_calls(self) -> bool:
        """Whether any rule is about calls."""
        return any(rule.point == "call" for rule in self.all()) if self._rules else False

    def reads_calls(self, caller: CallerKind) -> bool:
        """Whether a rule looks for its key in the calls of such callers, so that their bodies must be read."""
        if not self._rules:
            return False
        return any(rule.point == "call" and rule.key and rule.caller in ("any", caller) for rule in self.all())

    def claim_invocation(self, function: str, event: str) -> tuple[Rule, ...]:
        """The rules that act on this invocation."""
        if not self._rules:
            return ()
        with self._lock:
            return tuple(
                rule
                for rule in self._rules.values()
                if rule.point == "invocation"
                and self._alive(rule)
                and self._in_scope(rule, function, event)
                and self._claim(rule)
            )

    def claim_call(
        self,
        function: str,
        event: str,
        service: str,
        operation: str,
        *,
        resources: Collection[str] = (),
        state: str = "",
        caller: CallerKind = "function",
    ) -> tuple[Rule, ...]:
        """The rules that act on this call.

        Args:
            function: physical name of the caller; empty when it is no function.
            event: where the key is looked for: the caller's event, or the call itself where that is unknown.
            service: endpoint prefix.
            operation: operation name.
            resources: bare names of what the call is about.
            state: the state of a state machine that makes it.
            caller: what kind of caller it is.
        """
        if not self._rules:
            return ()
        with self._lock:
            return tuple(
                rule
                for rule in self._rules.values()
                if rule.point == "call"
                and rule.caller in ("any", caller)
                and rule.service in ("", service)
                and rule.operation in ("", operation)
                and rule.state in ("", state)
                and (not rule.resource or name_of(rule.resource) in resources)
                and self._alive(rule)
                and self._in_scope(rule, function, event)
                and self._claim(rule)
            )

    def hit(self, rule: Rule) -> None:
        """Count a fault that was done."""
        with self._lock:
            self._counts[rule.id].hits += 1

    def release(self, rule: Rule) -> None:
        """Give back a claim whose fault was not done."""
        with self._lock:
            self._counts[rule.id].claimed -= 1

    def aimed_keys(self, function: str) -> tuple[str, ...]:
        """The keys whose deliveries to a function must travel alone."""
        if not self._rules:
            return ()
        with self._lock:
            return tuple(
                rule.key
                for rule in self._rules.values()
                if rule.key
                and rule.caller in ("any", "function")
                and rule.function in ("", function)
                and self._alive(rule)
                and self._may_act(rule)
            )

    def _may_act(self, rule: Rule) -> bool:
        count = self._counts[rule.id]
        passed = rule.nth and not rule.onwards and count.matched >= rule.nth
        return not passed and not (rule.times and count.claimed >= rule.times)

    def _claim(self, rule: Rule) -> bool:
        """Count a match; whether the rule acts on it."""
        count = self._counts[rule.id]
        count.matched += 1
        before, passed = count.matched < rule.nth, bool(rule.nth) and not rule.onwards and count.matched > rule.nth
        if before or passed or (rule.times and count.claimed >= rule.times):
            return False
        if rule.probability < 1.0 and drawn(rule.seed, count.matched) >= rule.probability:
            return False
        count.claimed += 1
        return True

    def _alive(self, rule: Rule) -> bool:
        return not rule.expires_seconds or self.clock() < rule.expires_seconds

    @staticmethod
    def _in_scope(rule: Rule, function: str, event: str) -> bool:
        return rule.function in ("", function) and rule.key in event
