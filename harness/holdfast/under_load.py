"""The evidence of a load run, in columns: every operation, how often each key took effect, and the fault windows.

A clause that can be decided from this declares a second check, ``under_load``. It judges the same promise with the same
checkers, over all operations of the run, and holds only if the run's faults did what the clause is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.checkers.columnar import effects
from holdfast.checkers.columnar.result import Result
from holdfast.checkers.projections import Stream
from holdfast.history.columns import NANOSECONDS, NOTHING, OK, Columns, Integers, Mask, Names
from holdfast.history.model import FaultWindow, History, Observation
from holdfast.provocations.requirements import Situation
from holdfast.stack.configuration import Configuration
from holdfast.stack.descriptor import Bounds
from holdfast.stack.patterns import Pattern
from holdfast.stack.resolve import Stack

_SUBMIT, _EFFECT, _DRAIN = range(3)
_KINDS = ("submit", "effect", "drain")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """How often each key took effect, as it was seen at the end.

    Attributes:
        count: of each key, by its place in `LoadEvidence.keys`.
        observed: which keys were looked at to the end.
        reason: why some were not.
        how: how it was found out.
    """

    count: NDArray[np.int64]
    observed: Mask
    reason: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the system itself reports about its keys at the end.

    Attributes:
        state: of each key that was asked for, by its place; those that were not asked for are missing.
        reason: why some could not be asked for.
    """

    state: Mapping[int, str]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """A time in which the stack was not as it should be: from before a fault was put on until its healing was proven.

    Attributes:
        provocation: who asked for the fault, as its window says.
        started_seconds: when it began to be put on, which is some time before its proof.
        ended_seconds: when it was proven to be gone.
    """

    provocation: str
    started_seconds: float
    ended_seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadEvidence:
    """All that a load run left behind, of one claimed pattern. Times are those of the run: 0 is the first arrival.

    Attributes:
        stack: the resolved stack.
        pattern: the pattern that is judged.
        configuration: how the stack is deployed.
        operations: a row an operation that submitted the pattern's command.
        intended_ns: when each was to be sent.
        done_ns: when the client was done with each, answered or not.
        sent: which were sent; the others were refused by the client itself.
        keys: every key once, as text, in ascending order of its code.
        looked: how often each key took effect, by effect port.
        looked_ns: from when to when that was looked at.
        windows: the fault windows, with their proofs.
        disturbances: when the stack was not as it should be: somewhat longer than its windows.
        quiet: whether the stack came to rest before it was looked at.
        over_ns: when the load was over.
        drain_seconds: from then until the stack was at rest; None where it did not come to rest.
        dead_lettered: the keys that are among the dead letters.
        reported: what the system reports about its keys, where it can be asked.
        quantities: the last reads of what is conserved.
        streams: the log and the views of each aggregate, where the pattern has them.
        workers_at_once: the most invocations of each worker that ran at one time; none where nobody sees them.
        starved_keys: keys for which a function ran out of time because the machine was too busy.
        missing: what of the run is not recorded, a sentence each.
        invalid: why latencies must not be judged; empty when they may.
        problems: faults of the plan that were not put on, a sentence each.
    """

    stack: Stack
    pattern: Pattern
    configuration: Configuration
    operations: Columns
    intended_ns: Integers
    done_ns: Integers
    sent: Mask
    keys: tuple[str, ...]
    looked: Mapping[str, Looked]
    looked_ns: tuple[int, int]
    windows: tuple[FaultWindow, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    quiet: bool = True
    over_ns: int = 0
    drain_seconds: float | None = None
    dead_lettered: frozenset[str] = frozenset()
    reported: Reported | None = None
    quantities: tuple[Observation, ...] = ()
    streams: tuple[Stream, ...] = ()
    workers_at_once: Mapping[str, int] = field(default_factory=dict)
    starved_keys: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    invalid: str = ""
    problems: tuple[str, ...] = ()

    @property
    def bounds(self) -> Bounds:
        """What the stack declares about itself."""
        return self.stack.descriptor.bounds

    @property
    def situation(self) -> Situation:
        """What requirements are asked about."""
        return Situation(stack=self.stack, pattern=self.pattern, configuration=self.configuration)

    def dead_letter_keys(self) -> frozenset[str]:
        """The keys that are among the dead letters."""
        return self.dead_lettered

    def starved(self, key: str) -> bool:
        """Whether an invocation for a key ran out of time because the machine of the target was too busy to run it."""
        return key in self.starved_keys

    @cached_property
    def place(self) -> Integers:
        """The place of each operation's key in `keys`."""
        return np.searchsorted(np.unique(self.operations.key), self.operations.key)

    @cached_property
    def acknowledged(self) -> Mask:
        """Which operations were acknowledged."""
        return self.operations.is_outcome(OK)

    def intended_within(self, windows: Iterable[FaultWindow]) -> Mask:
        """Which operations were to be sent while any of these faults was proven to be in place."""
        found = np.zeros(len(self.operations), np.bool_)
        for window in windows:
            begin, end = window.started_seconds * NANOSECONDS, window.ended_seconds * NANOSECONDS
            found |= (self.intended_ns >= begin) & (self.intended_ns <= end)
        return found

    @cached_property
    def disturbed(self) -> Mask:
        """Which operations were under way while any fault was in place, or being put on or taken off."""
        return under_way(self.intended_ns, self.done_ns, (*self.disturbances, *self.windows))

    def disturbed_otherwise(self, windows: Iterable[FaultWindow]) -> Mask:
        """Which operations were under way while a fault was in place that none of these is.

        Args:
            windows: the faults that do not count.
        """
        mine = {one.provocation for one in windows}
        every: list[Disturbance | FaultWindow] = [*self.disturbances, *self.windows]
        others = [one for one in every if one.provocation not in mine]
        return under_way(self.intended_ns, self.done_ns, others)

    def absent_or_unseen(self, port: str) -> tuple[str, ...]:
        """Why not everything about an effect is known; empty when it is."""
        looked = self.looked[port]
        unseen = int(np.count_nonzero(~looked.observed))
        found = [] if not unseen else [f"{unseen:,} of {len(self.keys):,} keys were not looked at: {looked.reason}"]
        if not self.quiet:
            absent = int(np.count_nonzero(looked.observed & (looked.count == 0)))
            found.append(f"the stack did not come to rest, so {absent:,} keys without an effect may have one yet")
        return (*found, *self.missing)

    def ledger(self, port: str) -> Result:
        """What `effects.check` says of an effect: lost, duplicated, there although refused.

        Keys that were not looked at are left out, and so are absences where the stack did not come to rest;
        `absent_or_unseen` names them.
        """
        if port not in self._ledgers:
            self._ledgers[port] = effects.check(self._ledger_columns(port), model=f"effect {port}")
        return self._ledgers[port]

    @cached_property
    def _ledgers(self) -> dict[str, Result]:
        return {}

    def _ledger_columns(self, port: str) -> Columns:
        looked = self.looked[port]
        known = looked.observed if self.quiet else looked.observed & (looked.count > 0)
        rows = np.flatnonzero(known[self.place])
        seen = np.repeat(np.arange(len(self.keys)), np.where(known, looked.count, 0))
        began_ns, ended_ns = self.looked_ns
        # the last row says that somebody looked and that nothing else was there
        codes = np.concatenate((self.place[rows], seen, [NOTHING]))
        looks = len(seen) + 1
        of = self.operations
        return Columns(
            kinds=_KINDS,
            kind=np.concatenate((np.full(len(rows), _SUBMIT), np.full(len(seen), _EFFECT), np.full(1, _DRAIN))).astype(
                np.uint8
            ),
            key=codes,
            value=codes,
            invoked_ns=np.concatenate((of.invoked_ns[rows], np.full(looks, began_ns))),
            completed_ns=np.concatenate((of.completed_ns[rows], np.full(looks, ended_ns))),
            outcome=np.concatenate((of.outcome[rows], np.zeros(looks, np.uint8))),
            session=np.full(len(codes), NOTHING),
            keys=Names(self.keys),
            values=Names(self.keys),
            uncertainty_ns=of.uncertainty_ns,
        )

    def records_of(self, places: Iterable[int], *ports: str) -> History:
        """Some keys as records, for checkers that judge one key at a time: operations, and the last look at effects.

        Args:
            places: of the keys.
            ports: the effects.
        """
        wanted = list(places)
        rows = np.flatnonzero(np.isin(self.place, wanted))
        began_ns, ended_ns = self.looked_ns
        seen = tuple(
            Observation(
                port=port,
                key=self.keys[place],
                count=int(self.looked[port].count[place]),
                started_seconds=began_ns / NANOSECONDS,
                completed_seconds=ended_ns / NANOSECONDS,
                complete=bool(self.looked[port].observed[place]) and self.quiet,
            )
            for place in wanted
            for port in ports
        )
        return History(self.operations.operations(rows.tolist()), seen, self.windows)


def under_way(intended_ns: Integers, done_ns: Integers, during: Iterable[Disturbance | FaultWindow]) -> Mask:
    """Which operations were under way, from the intended time to the end, during any of these."""
    found = np.zeros(len(intended_ns), np.bool_)
    for one in during:
        begin, end = one.started_seconds * NANOSECONDS, one.ended_seconds * NANOSECONDS
        found |= (intended_ns <= end) & (done_ns >= begin)
    return found
