"""What sagas leave: all of their steps, or none of them (Garcia-Molina & Salem 1987).

Per key and step, *done* is the count of the step's effect and *undone* that of its compensations (0 without such a
port); *net* is their difference. A saga is *committed* when every net is 1 and *compensated* when every net is 0; at
quiescence everything else is a violation of one kind or another. Counts are those of the last complete reads, so that
the conventions of `holdfast.checkers.records` hold: a key is *settled* when no port's last read is incomplete.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.checkers.records import Record, finding, ranked, records
from holdfast.history.model import History, Observation, Operation
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict.describe import moment, times
from holdfast.verdict.model import Finding


class Fate(StrEnum):
    """What has become of a saga."""

    COMMITTED = "committed"
    COMPENSATED = "compensated"
    HALF = "half done"
    REPEATED = "repeated"
    UNDONE_TWICE = "undone twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLeft:
    """What one step of one saga has left.

    Attributes:
        step: its name.
        done: how often its effect is there.
        undone: how often it was undone; 0 where no port counts that.
        reads: the reads that say so.
    """

    step: str
    done: int
    undone: int
    reads: tuple[Observation, ...]

    @property
    def net(self) -> int:
        """How often it stands."""
        return self.done - self.undone

    @property
    def fate(self) -> Fate:
        """What has become of the step alone."""
        if self.net < 0:
            return Fate.UNDONE_TWICE
        if self.net > 1 or (self.done > 1 and self.undone == 0):
            return Fate.REPEATED
        return Fate.COMMITTED if self.net else Fate.COMPENSATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What one saga has left.

    Attributes:
        key: its key.
        operations: the commands that started it.
        steps: what each step has left; without those that were never read to the end.
        settled: whether every port's last read was complete and began after the last answer, so that nothing may come.
        whole: whether every step was read.
    """

    key: str
    operations: tuple[Operation, ...]
    steps: tuple[StepLeft, ...]
    settled: bool
    whole: bool

    @property
    def fate(self) -> Fate | None:
        """What has become of it; None where not every step was read."""
        fates = [step.fate for step in self.steps]
        for wrong in (Fate.UNDONE_TWICE, Fate.REPEATED):
            if wrong in fates:
                return wrong
        if not self.whole:
            return None
        if len(set(fates)) == 1:
            return fates[0]
        return Fate.HALF

    def step(self, name: str) -> StepLeft | None:
        """What a step has left; None where it was not read."""
        return next((step for step in self.steps if step.step == name), None)

    def counts(self) -> str:
        """The steps with their counts, in words."""
        return ", ".join(_counted(step) for step in self.steps)

    def witness(self) -> tuple[Operation | Observation, ...]:
        """The commands and the deciding reads."""
        return (*self.operations, *(read for step in self.steps for read in step.reads))


def left(history: History, saga: SagaPattern) -> tuple[Left, ...]:
    """What each saga of a history has left, in the order of their starts.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    found = {port: {record.key: record for record in records(history, port)} for port in saga.of_steps}
    keys = dict.fromkeys(one.key for one in sorted(history.operations, key=lambda o: o.invoked_seconds))
    return tuple(_left(key, saga, {port: found[port][key] for port in saga.of_steps}) for key in keys)


def _left(key: str, saga: SagaPattern, of_port: Mapping[str, Record]) -> Left:
    steps = []
    for step in saga.steps:
        done = of_port[step.effect].final
        undone = of_port[step.undone].final if step.undone is not None else None
        if done is None or (step.undone is not None and undone is None):
            continue
        reads = (done,) if undone is None else (done, undone)
        steps.append(
            StepLeft(step=step.name, done=done.count, undone=0 if undone is None else undone.count, reads=reads)
        )
    any_record = next(iter(of_port.values()))
    return Left(
        key=key,
        operations=any_record.operations,
        steps=tuple(steps),
        settled=all(_settled(record) for record in of_port.values()),
        whole=len(steps) == len(saga.steps),
    )


def _settled(record: Record) -> bool:
    return record.settled is not None and record.settled.started_seconds > record.last_answer_seconds


def all_or_nothing(history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """Every settled saga is committed or compensated: each step's effect stands once, or none does.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    return ranked(
        _wrong(one, "either all of them or none")
        for one in left(history, saga)
        if one.fate in (Fate.REPEATED, Fate.UNDONE_TWICE) or (one.settled and one.fate is Fate.HALF)
    )


def compensated(
    history: History, saga: SagaPattern, struck: Mapping[str, str], *, ambiguous: bool = False
) -> tuple[Finding, ...]:
    """Where a step failed for good, nothing is left, and no later step was ever done.

    A saga in which the step's failure was overcome is committed, and says nothing here.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        struck: the step that failed for good, by key.
        ambiguous: whether its effect was applied nevertheless; then that effect must be undone too.
    """
    before = saga.predecessors()
    found = []
    for one in left(history, saga):
        step = struck.get(one.key)
        if step is None or one.fate is Fate.COMMITTED:
            continue
        own = one.step(step)
        if ambiguous and one.settled and own is not None and own.net > 0:
            found.append(_orphaned(one, own))
        elif one.settled and one.fate is not Fate.COMPENSATED and one.fate is not None:
            found.append(_wrong(one, f"0 of each after step {step} had failed for good"))
        later = [other for other in one.steps if step in before[other.step] and other.done > 0]
        if later and (one.settled or not ambiguous):
            found.append(
                finding(
                    "went on after a failure",
                    f"Key {one.key}: step {step} failed for good, and step {later[0].step} after it was done"
                    f" {times(later[0].done)}, expected 0 times.",
                    one.key,
                    (*one.operations, *later[0].reads),
                )
            )
    return ranked(found)


def _orphaned(one: Left, own: StepLeft) -> Finding:
    return finding(
        "orphaned effect",
        f"Key {one.key}: step {own.step} took effect and then failed for good; it was done {times(own.done)} and undone"
        f" {times(own.undone)} at {moment(own.reads[-1].started_seconds)}, expected that it is undone as well.",
        one.key,
        (*one.operations, *own.reads),
    )


def once(history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """No step of a saga was done more than once, whatever was undone since.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    return ranked(
        finding(
            "step repeated",
            f"Key {one.key} was started {times(len(one.operations))} and its step {step.step} was done"
            f" {times(step.done)} at {moment(step.reads[0].started_seconds)}, expected at most 1.",
            one.key,
            (*one.operations, step.reads[0]),
        )
        for one in left(history, saga)
        for step in one.steps
        if step.done > 1
    )


def undone_once(history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """No step was undone more often than it was done.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    return ranked(
        finding(
            "undone twice",
            f"Key {one.key}: step {step.step} was done {times(step.done)} and undone {times(step.undone)} at"
            f" {moment(step.reads[-1].started_seconds)}, expected that it is undone as often at most.",
            one.key,
            (*one.operations, *step.reads),
        )
        for one in left(history, saga)
        for step in one.steps
        if step.net < 0
    )


def stands(history: History, saga: SagaPattern, keys: Collection[str], *, why: str) -> tuple[Finding, ...]:
    """These sagas are committed, and none of their steps was ever undone.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        keys: the sagas that must stand.
        why: what makes them stand, for the sentence.
    """
    found = []
    for one in left(history, saga):
        if one.key not in keys:
            continue
        gone = [step for step in one.steps if step.undone > 0 or (one.settled and step.net < 1)]
        if gone:
            step = gone[0]
            found.append(
                finding(
                    "undone after success",
                    f"Key {one.key} {why}, and its step {step.step} was done {times(step.done)} and undone"
                    f" {times(step.undone)} at {moment(step.reads[-1].started_seconds)}, expected that it stands.",
                    one.key,
                    (*one.operations, *step.reads),
                )
            )
    return ranked(found)


def not_undone(history: History, saga: SagaPattern, keys: Collection[str]) -> tuple[Finding, ...]:
    """Once the pivot of these sagas is done, nothing up to it is undone any more.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps and its pivot.
        keys: sagas of which steps after the pivot failed.
    """
    assert saga.pivot is not None
    behind = [step.name for step in saga.steps if not saga.after_pivot(step.name)]
    found = []
    for one in left(history, saga):
        pivot = one.step(saga.pivot)
        if one.key not in keys or pivot is None or pivot.done == 0:
            continue
        undone = [step for name in behind if (step := one.step(name)) is not None and _went_back(step, one)]
        if undone:
            found.append(
                finding(
                    "went back after the pivot",
                    f"Key {one.key}: the pivot {saga.pivot} was done, a step after it failed, and step"
                    f" {undone[0].step} was undone ({_counted(undone[0])}), expected that the saga only goes forward.",
                    one.key,
                    (*one.operations, *undone[0].reads),
                )
            )
    return ranked(found)


def _went_back(step: StepLeft, one: Left) -> bool:
    return step.undone > 0 or (one.settled and step.net < 1)


def went_forward(history: History, saga: SagaPattern, keys: Collection[str]) -> tuple[Finding, ...]:
    """These sagas are committed: a failure after the pivot that passes is overcome.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        keys: sagas of which a step after the pivot failed for a while.
    """
    return ranked(
        _wrong(one, "1 of each: a step after the pivot is retried until it is done")
        for one in left(history, saga)
        if one.key in keys and one.settled and one.fate is not None and one.fate is not Fate.COMMITTED
    )


def locks_left(history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """No saga that has ended holds its semantic lock any more.

    Args:
        history: what concerns the clause.
        saga: the pattern; its ``lock`` names the port.
    """
    assert saga.lock is not None
    held = {record.key: record.settled for record in records(history, saga.lock)}
    found = []
    for one in left(history, saga):
        read = held[one.key]
        if read is not None and read.count > 0 and one.fate in (Fate.COMMITTED, Fate.COMPENSATED):
            found.append(
                finding(
                    "lock left",
                    f"Key {one.key} is {one.fate} and its lock '{saga.lock}' was there {times(read.count)} at"
                    f" {moment(read.started_seconds)}, expected 0.",
                    one.key,
                    (*one.operations, read),
                )
            )
    return ranked(found)


def dirty_reads(history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """No committed saga has read what a compensated one had done (G1a, Adya 1999: aborted reads).

    Args:
        history: what concerns the clause.
        saga: the pattern; the entries of its ``reads`` port show the keys of the sagas that were read.
    """
    assert saga.reads is not None
    fates = {one.key: one for one in left(history, saga)}
    found = []
    for record in records(history, saga.reads):
        reader, read = fates[record.key], record.final
        if reader.fate is not Fate.COMMITTED or read is None:
            continue
        for value in dict.fromkeys(read.values):
            writer = fates.get(value)
            if writer is not None and value != record.key and writer.settled and writer.fate is Fate.COMPENSATED:
                found.append(
                    finding(
                        "dirty read",
                        f"Key {record.key} is committed and has read what key {value} had done, which was compensated;"
                        f" expected that it waits, or is compensated too.",
                        record.key,
                        (*reader.operations, *writer.operations, read),
                    )
                )
    return ranked(found)


def unseen(history: History, port: str) -> tuple[str, ...]:
    """Keys that were not read to the end at a port.

    Args:
        history: what concerns the clause.
        port: that of a lock, or of reads.
    """
    return tuple(record.key for record in records(history, port) if record.settled is None)


def undecided(history: History, saga: SagaPattern) -> tuple[str, ...]:
    """Keys of which not every step was read to the end, or not after the last answer.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    return tuple(one.key for one in left(history, saga) if not (one.settled and one.whole))


def fates(history: History, saga: SagaPattern) -> dict[Fate | None, tuple[str, ...]]:
    """The keys by what has become of their sagas.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    found: dict[Fate | None, tuple[str, ...]] = {}
    for one in left(history, saga):
        found[one.fate] = (*found.get(one.fate, ()), one.key)
    return found


def _wrong(one: Left, expected: str) -> Finding:
    reads = [step.reads[-1].started_seconds for step in one.steps]
    return finding(
        f"saga {one.fate}",
        f"Key {one.key} was started {times(len(one.operations))} and left {one.counts()} at {moment(max(reads))},"
        f" expected {expected}.",
        one.key,
        one.witness(),
    )


def _counted(step: StepLeft) -> str:
    return f"{step.step} {step.done}" + (f"-{step.undone}" if step.undone else "")
