"""The aimed faults in force, and how often each has hit."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from holdfast.targets.base import Rule


@dataclass(slots=True)
class _Count:
    matched: int = 0
    claimed: int = 0
    hits: int = 0


@dataclass(slots=True)
class RuleBook:
    """Rules in the order in which they were added; safe from any thread.

    A match that is to be acted on is *claimed*, so that two at the same moment cannot both take a rule's last
    ``times``; it becomes a *hit* when the fault has been done, or is given back with :meth:`release`.
    """

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
            return tuple(self._rules.values())

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit."""
        with self._lock:
            count = self._counts.get(rule_id)
            return count.hits if count else 0

    def claim_invocation(self, function: str, event: str) -> tuple[Rule, ...]:
        """The rules that act on this invocation."""
        if not self._rules:
            return ()
        with self._lock:
            return tuple(
                rule
                for rule in self._rules.values()
                if rule.point == "invocation" and self._in_scope(rule, function, event) and self._claim(rule)
            )

    def claim_call(self, function: str, event: str, service: str, operation: str) -> tuple[Rule, ...]:
        """The rules that act on this call."""
        if not self._rules:
            return ()
        with self._lock:
            return tuple(
                rule
                for rule in self._rules.values()
                if rule.point == "call"
                and rule.service in ("", service)
                and rule.operation in ("", operation)
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
                if rule.key and rule.function in ("", function) and self._may_act(rule)
            )

    def _may_act(self, rule: Rule) -> bool:
        count = self._counts[rule.id]
        passed = rule.nth and count.matched >= rule.nth
        return not passed and not (rule.times and count.claimed >= rule.times)

    def _claim(self, rule: Rule) -> bool:
        """Count a match; whether the rule acts on it."""
        count = self._counts[rule.id]
        count.matched += 1
        if (rule.nth and count.matched != rule.nth) or (rule.times and count.claimed >= rule.times):
            return False
        count.claimed += 1
        return True

    @staticmethod
    def _in_scope(rule: Rule, function: str, event: str) -> bool:
        return rule.function in ("", function) and rule.key in event
