"""The promises of External Storage and Storage-First, for one command of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.checkers import recovery
from holdfast.stack.effects import Status
from holdfast.stack.patterns import Pattern
from holdfast.sweep.judging import REFUSED, REPEATED, Case
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True)
class OneEffect:
    """External Storage and Storage-First: what is acknowledged takes effect once, or is surfaced when it never can.

    Attributes:
        pattern: the pattern.
        status: its status port, if it has one.
    """

    pattern: Pattern
    status: Status | None = None

    @property
    def effects(self) -> tuple[str, ...]:
        """The outbox row again after the message: only a read that began later can contradict what was seen."""
        ports = (self.pattern.row, self.pattern.message, self.pattern.row, self.pattern.effect)
        return tuple(port for port in ports if port is not None)

    def broken(self, case: Case) -> Iterator[Finding]:
        """Repeated, done although refused, lost, given up without its input, half done, reported wrongly."""
        name = self.pattern.effect
        effect = case.seen(name)
        if effect is not None:
            if effect.count > 1:
                yield case.finding(REPEATED, f"{name} of {case.key} is there {effect.count} times", name)
            if effect.count and case.refused:
                yield case.finding(REFUSED, f"{case.key} was refused, and {name} is there", name)
            if case.acknowledged and not effect.count and not self._surfaced(case):
                yield self._lost(case)
            if not effect.count and case.dead_letters:
                yield from recovery.dead_lettered(case.history(), letters=case.dead_letters, keys=[case.key])
        yield from self._half(case)
        yield from self._reported(case)

    def open(self, case: Case) -> str:
        """An acknowledged request that is nowhere, while dead letters came that do not tell whose they are."""
        effect = case.seen(self.pattern.effect)
        if case.acknowledged and effect is not None and not effect.count and not case.dead_letters:
            return f"it may be among the letters of {', '.join(case.anonymous)}, which do not tell their key"
        return ""

    def _surfaced(self, case: Case) -> bool:
        return case.may_give_up and bool(case.dead_letters or case.anonymous)

    def _lost(self, case: Case) -> Finding:
        name = self.pattern.effect
        if case.dead_letters:
            sentence = (
                f"{case.key} was acknowledged and given up after {len(case.schedule.faults)} of {case.deliveries} "
                f"failures: it is among the dead letters, and {name} is not there"
            )
            return case.finding("given up too early", sentence, name)
        return case.finding("acknowledged and lost", f"{case.key} was acknowledged, and {name} is not there", name)

    def _half(self, case: Case) -> Iterator[Finding]:
        row, message = case.seen(self.pattern.row), case.seen(self.pattern.message)
        if row is None or message is None or bool(row.count) == bool(message.count) or self._surfaced(case):
            return
        there, absent = (self.pattern.row, self.pattern.message)
        if message.count:
            there, absent = absent, there
        sentence = f"{there} of {case.key} is there, and {absent} is not"
        yield case.finding("half done", sentence, self.pattern.row, self.pattern.message)

    def _reported(self, case: Case) -> Iterator[Finding]:
        status, effect = case.seen(self.pattern.status), case.seen(self.pattern.effect)
        if self.status is None or status is None or effect is None:
            return
        ports = (self.pattern.status, self.pattern.effect)
        if status.state in self.status.done and not effect.count:
            sentence = f"{case.key} is reported {status.state}, and {self.pattern.effect} is not there"
            yield case.finding("reported wrongly", sentence, *ports)
        if status.state in self.status.failed and effect.count:
            sentence = f"{case.key} is reported {status.state}, and {self.pattern.effect} is there"
            yield case.finding("reported wrongly", sentence, *ports)
