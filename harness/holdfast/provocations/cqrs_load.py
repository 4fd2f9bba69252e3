"""Writers, independent readers and sessions beside each other, and commands that meet on one aggregate."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from holdfast.history.model import Operation, Outcome
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_runs import (
    aggregate_of,
    await_projected,
    cqrs_of,
    look_at_log,
    look_at_view,
    on_one_aggregate,
    submit_in_order,
)
from holdfast.provocations.model import Aimed, Moment, Provocation
from holdfast.provocations.requirements import Situation
from holdfast.provocations.spans import most_at_once
from holdfast.stack.generate import Submission
from holdfast.targets.base import Capability, Rule

WRITERS = 3
COMMANDS_PER_WRITER = 8
READERS = 2
"""Staleness that one reader sees is no distribution of what readers see."""
SESSIONS = 4
WRITES_PER_SESSION = 5
READS_PER_WRITE = 3
RACES = 3
RACERS = 6
HELD_CALLS = 3
HELD_SECONDS = 0.2
"""Holds the first AWS calls of commands that meet, so that all read before any writes."""
PAUSE_SECONDS = 0.01


def _load(bench: Bench) -> None:
    streams = [on_one_aggregate(bench, COMMANDS_PER_WRITER) for _ in range(WRITERS)]
    firsts = [stream[0] for stream in streams]
    with reading(bench, firsts, READERS):
        side_by_side(lambda stream: _write(bench, stream), streams, WRITERS)
        behind = await_projected(bench, firsts)
    if behind:
        bench.note(f"{len(behind)} of {len(firsts)} aggregates were not projected within {bench.patience_seconds:g} s")


def _write(bench: Bench, stream: Sequence[Submission]) -> None:
    """Send the commands of one aggregate in order, and look at its log on the way: what is in it must stay."""
    half = len(stream) // 2
    submit_in_order(bench, stream[:half], "load")
    look_at_log(bench, stream[0])
    submit_in_order(bench, stream[half:], "load")


@contextmanager
def reading(bench: Bench, submissions: Sequence[Submission], readers: int) -> Iterator[None]:
    """Keep independent readers reading what clients read, aggregate after aggregate, until the end of the block."""
    view = cqrs_of(bench).reads

    def look(name: str, submission: Submission) -> None:
        look_at_view(bench, submission, view=view, reader=name, role="load")

    with _repeating(look, submissions, [f"reader-{number}" for number in range(1, readers + 1)]):
        yield


@contextmanager
def _repeating(
    look: Callable[[str, Submission], object], submissions: Sequence[Submission], readers: Sequence[str]
) -> Iterator[None]:
    """Keep readers looking at one submission's aggregate after another, side by side, until the end of the block."""
    stop = threading.Event()

    def read(name: str) -> None:
        while not stop.is_set():
            for submission in submissions:
                interrupts.check()
                look(name, submission)
                stop.wait(PAUSE_SECONDS)

    with ThreadPoolExecutor(max_workers=len(readers)) as pool:
        running = [pool.submit(read, name) for name in readers]
        try:
            yield
        finally:
            stop.set()
    for one in running:
        one.result()


def _sessions(bench: Bench) -> None:
    own = [on_one_aggregate(bench, WRITES_PER_SESSION) for _ in range(SESSIONS)]
    view = cqrs_of(bench).reads

    def session(item: tuple[int, list[Submission]]) -> None:
        number, stream = item
        name, neighbour = f"session-{number}", own[(number + 1) % SESSIONS][0]
        seen: defaultdict[str, int] = defaultdict(int)
        for submission in stream:
            with bench.room:
                answered = bench.submit(submission, "session", group=name)
            mine = aggregate_of(bench.pattern, submission)
            if answered.outcome is Outcome.OK:
                # a client has the version from its answer; here the log tells it
                written = [one.sequence for one in look_at_log(bench, submission).events if one.command == answered.key]
                seen[mine] = max([seen[mine], *written])
            for _ in range(READS_PER_WRITE):
                for one in (submission, neighbour):
                    of = aggregate_of(bench.pattern, one)
                    read = look_at_view(bench, one, view=view, reader=name, role="session", seen=seen[of])
                    seen[of] = max(seen[of], read.version or 0)

    side_by_side(session, list(enumerate(own)), SESSIONS)
    await_projected(bench, [stream[0] for stream in own])


def _race(bench: Bench) -> None:
    races = [on_one_aggregate(bench, RACERS + 1) for _ in range(RACES)]
    ingest = bench.pattern.ingest if not _calls_unheld(bench.situation) else []
    faults = [
        (
            function,
            Rule(
                id="",
                action="delay",
                point="call",
                function=bench.function_name(function),
                key=racer.key,
                times=HELD_CALLS,
                delay_seconds=HELD_SECONDS,
            ),
        )
        for race in races
        for racer in race[1:]
        for function in ingest
    ]
    if not faults:
        _run_races(bench, races)
    else:
        with bench.aimed(faults):
            _run_races(bench, races)


def _run_races(bench: Bench, races: Sequence[Sequence[Submission]]) -> None:
    for race in races:
        # the first command makes the aggregate, so that those that meet do so on one that is there
        submit_in_order(bench, race[:1], "first")
        with _repeating(lambda _, submission: look_at_log(bench, submission), race[:1], ["log"]):
            raced = bench.at_once(race[1:])
        if not _met(raced):
            name = aggregate_of(bench.pattern, race[0])
            bench.undecided(f"no two commands on {name} were under way at one moment", [one.key for one in race])


def _met(operations: Sequence[Operation]) -> bool:
    ended = [one.completed_seconds if one.completed_seconds is not None else float("inf") for one in operations]
    return most_at_once([(one.invoked_seconds, end) for one, end in zip(operations, ended, strict=True)]) > 1


def _calls_unheld(situation: Situation) -> str:
    """The calls of the write side must be held for a moment, or commands may pass each other by chance."""
    target = situation.stack.target
    support = target.supports(Capability.CALL_FAULTS)
    if not situation.pattern.ingest:
        return "the descriptor names no functions of the write side (ingest)"
    return "" if target.interceptor is not None and support.supported else "no AWS call can be held"


CQRS_LOAD = Provocation(
    name="cqrs-load", provoke=_load, moment=Moment.FIRST, commands=lambda _: WRITERS * COMMANDS_PER_WRITER
)
CQRS_SESSIONS = Provocation(name="cqrs-sessions", provoke=_sessions, commands=lambda _: SESSIONS * WRITES_PER_SESSION)
CQRS_RACES = Provocation(
    name="cqrs-races",
    provoke=_race,
    may_aim=(Aimed(action="delay", at=lambda situation: situation.pattern.ingest, point="call"),),
    commands=lambda _: RACES * (RACERS + 1),
)
