"""What one command of a sweep left in an event log and in its views: the promises of CQRS, per fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.checkers import logs, projections
from holdfast.checkers.projections import Fold
from holdfast.stack.patterns import CqrsPattern
from holdfast.sweep.judging import Case
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True)
class LoggedAndShown:
    """What is accepted is in the log once, what is refused never is, and every view shows the fold of the log.

    An event that cannot be projected may be missing in the views, if it is among the dead letters. The log knows no
    such excuse: it is written before the command is acknowledged.

    Attributes:
        pattern: the pattern.
        fold: from the events of an aggregate to its state.
    """

    pattern: CqrsPattern
    fold: Fold

    @property
    def effects(self) -> tuple[str, ...]:
        """The event of the command; the log and the views are read besides (`Case.aggregate`)."""
        return (self.pattern.effect,)

    @property
    def views(self) -> tuple[str, ...]:
        """The read store, and what clients read."""
        return tuple(dict.fromkeys((self.pattern.view, self.pattern.reads)))

    def broken(self, case: Case) -> Iterator[Finding]:
        """Lost, repeated, out of place, there although refused, or not shown."""
        if case.aggregate is None:
            return
        found = [case.aggregate]
        yield from logs.recorded(found)
        yield from logs.gap_free(found)
        if case.may_give_up and (case.dead_letters or case.anonymous):
            return
        for view in self.views:
            yield from projections.diverged(found, fold=self.fold, view=view)

    def open(self, case: Case) -> str:
        """What was not read to its end."""
        if case.aggregate is None:
            return "nobody read the log and the views"
        gaps = (
            *projections.unseen([case.aggregate], views=self.views),
            *logs.unfinished_commands([case.aggregate]),
        )
        return "; ".join(gaps)
