"""How sagas are started, stopped and watched while they run, with ports that only pretend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench_rig import pretended_bench
from holdfast.checkers import conservation
from holdfast.history.model import ErrorClass, FaultWindow, Observation, Operation, Outcome
from holdfast.history.recorder import Recorder
from holdfast.ports.quantity import quantity_port
from holdfast.provocations import saga_runs, saga_stops
from holdfast.provocations.bench import Bench
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_places import places, saga_of
from holdfast.provocations.saga_starts import CONTENTION
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Stack
from holdfast_suites.judging import aimed
from test_saga_provocations import situation

LEFT = ("5", "-2", "5", "0")
"""What is left of something scarce, at each look: too much was taken once, and given back."""


@dataclass
class Pretending:
    """Ports that take every command, and of which a quantity can be read."""

    recorder: Recorder
    looks: Counter[str] = field(default_factory=Counter)

    def submit(self, command: str, submission: Submission, *, provocation: str, role: str, **_: Any) -> Operation:
        """Acknowledge it."""
        operation = Operation(
            id=f"{submission.key}-{role}",
            key=submission.key,
            command=command,
            provocation=provocation,
            invoked_seconds=0.0,
            completed_seconds=0.0,
            outcome=Outcome.OK,
            role=role,
        )
        self.recorder.add(operation)
        return operation

    def observe_quantity(self, name: str, *, provocation: str) -> None:
        """Record what is left at this look."""
        now_seconds = self.recorder.now_seconds()
        self.recorder.add(
            Observation(
                key="",
                port=quantity_port(name),
                provocation=provocation,
                started_seconds=now_seconds,
                completed_seconds=now_seconds,
                count=1,
                values=(LEFT[min(self.looks[name], len(LEFT) - 1)],),
            )
        )
        self.looks[name] += 1


def bench(there: Situation) -> Bench:
    """A bench whose ports pretend, in a room for all."""
    recorder = Recorder()
    return pretended_bench(there, recorder, Pretending(recorder))


def without_interceptor(there: Situation) -> Situation:
    """The same, where no call can be held."""
    target = SimpleNamespace(**{**vars(there.stack.target), "interceptor": None})
    return replace(there, stack=cast("Stack", SimpleNamespace(**{**vars(there.stack), "target": target})))


def test_what_was_taken_too_often_is_seen_though_it_was_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """While contending sagas run, what they share is read at every look, with an interceptor or without."""
    looks = iter([False] * 24)
    monkeypatch.setattr(saga_runs, "ended", lambda *_: next(looks, True))
    where = bench(without_interceptor(situation()))
    name = next(iter(where.stack.descriptor.conserved))
    CONTENTION.provoke(where)
    (oversold,) = conservation.conserved(where.recorder.history(), port=quantity_port(name), minimum=0.0)
    assert "-2" in oversold.sentence


@pytest.mark.parametrize(
    ("missed", "tries", "undecided"),
    [([], 1, ()), (["late"], 2, ()), (["late", "later", "gone"], 3, ("gone, 3 times",))],
    ids=["at once", "at the second try", "never"],
)
def test_a_stop_that_came_too_late_is_tried_with_another_saga(
    monkeypatch: pytest.MonkeyPatch, missed: Sequence[str], tries: int, undecided: tuple[str, ...]
) -> None:
    """The key of a missed stop is left open, and only when all tries missed something is undecided."""
    reasons, where = list(missed), bench(situation())

    @contextmanager
    def aimed(*_: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(Bench, "aimed", aimed)
    monkeypatch.setattr(saga_stops, "_stop_once", lambda *_: reasons.pop(0) if reasons else "")
    (first,) = where.draw(1)
    saga_stops._stop(where, first, places(where.situation, saga_of(where.situation).steps)[0])
    keys = where.keys()
    assert len(keys) == tries
    assert where.left_open() == set(keys[: len(missed)])
    assert where.evidence(where.recorder.history()).undecided == undecided


def test_a_fault_aimed_at_a_key_left_open_need_not_bite() -> None:
    """Faults at keys left open are asked for nothing, though their proof counts; those of other keys have to bite."""
    where = bench(situation())
    kept, missed, struck = where.draw(3)
    where.leave_open([missed.key, struck.key])
    windows = [
        FaultWindow(
            lever="execution-abort",
            component="saga",
            error_class=ErrorClass.ABORT,
            started_seconds=0.0,
            ended_seconds=1.0,
            key=one.key,
            proof="stopped" if one is struck else "",
            provocation=where.name,
        )
        for one in (kept, missed, struck)
    ]
    for window in windows:
        where.recorder.add(window)
    assert aimed([where.evidence(where.recorder.history())]) == (windows[0], windows[2])
