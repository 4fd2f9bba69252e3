"""The closed model: what users do is recorded once, whatever becomes of the user, the workload or the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from greenlet import GreenletExit

from holdfast.errors import HistoryError
from holdfast.history.model import Outcome
from holdfast.history.opening import open_history
from holdfast_load.closed import Closed
from holdfast_load.recorder import Command, Recorder, Reply
from simulated_greenlets import Simulation

SECOND_NS = 1_000_000_000


class Slow:
    """A workload that takes so many seconds, or raises."""

    def __init__(self, simulation: Simulation, seconds: float, error: BaseException | None = None) -> None:
        self.simulation, self.seconds, self.error = simulation, seconds, error

    def command(self, number: int) -> Command:
        return Command("submit", number, number)

    def send(self, command: Command) -> Reply:
        self.simulation.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Reply(Outcome.OK, "200")


class Bed:
    """A closed worker on a simulated clock."""

    def __init__(self, folder: Path, seconds: float, error: BaseException | None = None) -> None:
        self.simulation = Simulation()
        self.path = folder / "w0.jsonl"
        self.recorder = Recorder(
            self.path, recorder="w0", clock_ns=self.simulation.clock_ns, wall_clock_ns=lambda: 1_700 * SECOND_NS
        )
        self.workload = Slow(self.simulation, seconds, error)
        self.closed = Closed(
            self.workload, self.recorder, sleep=self.simulation.sleep, clock_ns=self.simulation.clock_ns
        )

    def user(self, first: int) -> None:
        """Submits one after another until it may not."""
        number = first
        while not self.closed.stopped:
            self.closed.perform(self.workload.command(number))
            number += 10

    def rows(self) -> list[tuple[object, float, object]]:
        """Key, seconds from sending to the end, and outcome, in order of sending."""
        self.recorder.close()
        columns = open_history(self.path)
        assert columns.complete
        found = [columns.operation(row) for row in range(len(columns))]
        return [(one.key, round(one.latency_seconds or 0.0, 6), str(one.outcome)) for one in found]


def test_users_wait_for_each_answer(tmp_path: Path) -> None:
    """Two users of operations that take 0.4 s begin three each in a second, and the last are waited for."""
    bed = Bed(tmp_path, 0.4)
    for first in (1, 2):
        bed.simulation.spawn(bed.user, first)
    done = bed.simulation.run(lambda: bed.closed.run(until_ns=SECOND_NS, drain_seconds=5))
    assert (done.sent, done.arrivals, done.unfinished, done.crashed, done.stopped) == (6, 6, 0, 0, "")
    assert sorted(bed.rows()) == sorted((str(key), 0.4, "ok") for key in (1, 2, 11, 12, 21, 22))


def test_what_does_not_come_to_an_end_is_unknown(tmp_path: Path) -> None:
    """An operation still in flight when the wait for answers ends is recorded once, as unknown."""
    bed = Bed(tmp_path, 100.0)
    bed.simulation.spawn(bed.user, 1)
    done = bed.simulation.run(lambda: bed.closed.run(until_ns=SECOND_NS, drain_seconds=2))
    assert (done.sent, done.unfinished) == (1, 1)
    assert bed.rows() == [("1", 0.0, "unknown")]


@pytest.mark.parametrize("error", [ValueError("planted"), GreenletExit()])
def test_a_user_that_dies_hides_nothing(error: BaseException, tmp_path: Path) -> None:
    """What the workload raises, and a user that is killed meanwhile, leave an operation that is unknown."""
    bed = Bed(tmp_path, 0.1, error)

    def user() -> None:
        bed.closed.perform(bed.workload.command(1))

    bed.simulation.spawn(user)
    done = bed.simulation.run(lambda: bed.closed.run(until_ns=SECOND_NS, drain_seconds=1))
    assert (done.sent, done.crashed) == (1, 1 if isinstance(error, ValueError) else 0)
    assert done.first_error is (error if isinstance(error, ValueError) else None)
    assert bed.rows() == [("1", 0.0, "unknown")]


def test_a_disk_that_is_full_stops_the_users(tmp_path: Path) -> None:
    """When nothing can be recorded any more, no user begins anything more, and the reason is told."""
    bed = Bed(tmp_path, 0.1)
    bed.recorder._file.problem = HistoryError("The disk is full.")
    bed.simulation.spawn(bed.user, 1)
    done = bed.simulation.run(lambda: bed.closed.run(until_ns=10 * SECOND_NS, drain_seconds=1))
    assert (done.sent, done.stopped, bed.recorder.lost) == (1, "The disk is full.", 1)
