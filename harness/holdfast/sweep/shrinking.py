"""The smallest fault schedule that still breaks a promise, and how often it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.sweep.judging import Judgement, Mark
from holdfast.sweep.plan import Fault, Schedule


@dataclass(slots=True)
class Verdicts:
    """What every schedule has shown so far: one violating run is a proof, a pass proves nothing about the next."""

    _of: dict[Schedule, list[Judgement]] = field(default_factory=dict)

    def remember(self, schedule: Schedule, judgement: Judgement) -> None:
        """Keep what one run of a schedule showed."""
        self._of.setdefault(schedule, []).append(judgement)

    def of(self, schedule: Schedule) -> Sequence[Judgement]:
        """What its runs showed, in order."""
        return tuple(self._of.get(schedule, ()))

    def violated(self, schedule: Schedule) -> int:
        """How many of its runs broke a promise."""
        return sum(one.mark is Mark.VIOLATED for one in self.of(schedule))


def smaller(schedule: Schedule) -> tuple[Schedule, ...]:
    """The schedules that say less than a schedule, the smallest first: no fault, each fault alone, a patient client.

    A fault at a retried call is also tried at the call's first of its kind, where no other fault is needed to reach it.
    """
    if not schedule.faults:
        return ()
    alone = [Schedule(), *(Schedule(patient=schedule.patient),) * (not schedule.patient)]
    if len(schedule.faults) > 1:
        for fault in schedule.faults:
            first = Fault(replace(fault.point, nth=1), fault.kind)
            alone += [Schedule(faults=(one,), patient=schedule.patient) for one in (first, fault)]
    if not schedule.patient:
        alone += [replace(one, patient=True) for one in (*alone, schedule)]
    return tuple(dict.fromkeys(sorted(alone, key=_size)))


def _size(schedule: Schedule) -> tuple[int, int, bool]:
    return len(schedule.faults), sum(fault.point.nth for fault in schedule.faults), not schedule.patient


def to_run(violating: Iterable[Schedule], verdicts: Verdicts, repeats: int) -> list[Schedule]:
    """The runs that are needed to know the smallest schedule within each of these, and how often it violates.

    Args:
        violating: schedules that broke a promise.
        verdicts: what is known already.
        repeats: how often each candidate is to have been run.
    """
    candidates = dict.fromkeys(one for schedule in violating for one in (*smaller(schedule), schedule))
    return [one for one in candidates for _ in range(repeats - len(verdicts.of(one)))]


def smallest(schedule: Schedule, verdicts: Verdicts) -> Schedule:
    """The smallest schedule within a violating one that has broken a promise itself."""
    return next((one for one in smaller(schedule) if verdicts.violated(one)), schedule)


def grouped(violating: Iterable[Schedule], verdicts: Verdicts) -> Mapping[Schedule, tuple[Schedule, ...]]:
    """Violating schedules by the smallest one within each."""
    groups: dict[Schedule, list[Schedule]] = {}
    for schedule in violating:
        groups.setdefault(smallest(schedule, verdicts), []).append(schedule)
    return {one: tuple(of) for one, of in groups.items()}
