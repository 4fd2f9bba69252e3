"""Runs that are signalled at random instants while they inject and heal, and whether the stack reads back equal.

Each round starts a run (``lever_run.py``) that pulls levers over and over on an emulator that outlives it. Once it has
told how long one cycle of injecting, window and healing takes, it is signalled at an instant drawn uniformly over that
length. After SIGKILL its journal alone is healed from, by ``holdfast heal`` or by the run's watchdog; after SIGINT and
SIGTERM nobody heals but the run itself. Then all of the stack's configuration is compared with that before, and nothing
may be left: no open journal entry, no lock, no process.
"""

from __future__ import annotations

import fcntl
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from healing_stack import MAKERS, deploy, differences, supported
from holdfast.cli import main as holdfast
from holdfast.history.recorder import Recorder
from holdfast.levers import Journal, Pin, open_entries, pulled
from holdfast.targets.base import Target
from holdfast.waiting import eventually
from lever_run import STEPWISE, Plan, Shape
from signalled_run import END_SECONDS, Run
from slow_link import SlowLink

LEFT_SECONDS = 15.0
WINDOW_SECONDS = 0.05
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)

Healer = Literal["heal", "heal, once killed itself", "watchdog", "the run", "the run, signalled again"]
Phase = Literal["looking", "injecting", "proving", "window", "healing", "between"]
"""What a run was doing: reading what it finds, changing it, waiting for the proof, the window, taking it away."""
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run that was signalled.

    Attributes:
        signal: which signal.
        healer: who healed.
        shape: how its windows lay.
        levers: names of the levers that it pulled.
        phase: what it was doing.
        in_place: names of the levers whose faults were, or may have been, in place.
        seconds: how long the round took.
        problems: what was not as it was before, or was left; empty when all is well.
    """

    signal: signal.Signals
    healer: Healer
    shape: Shape
    levers: tuple[str, ...]
    phase: Phase
    in_place: frozenset[str]
    seconds: float
    problems: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether everything was as before."""
        return not self.problems

    def __str__(self) -> str:
        said = f"{self.signal.name} while {self.phase}, {' '.join(self.levers)} {self.shape}, healed by {self.healer}: "
        return said + ("equal" if self.equal else "NOT EQUAL: " + "; ".join(self.problems))


class Campaign:
    """Rounds on one emulator; the stack is made anew only when it did not read back equal.

    Args:
        target: the emulator; outlives the runs.
        seed: settles levers, shapes, healers and instants, though not what a run is doing at an instant.
        folder: where journals are kept.
        link: where runs, and those who heal, find the emulator.

    Attributes:
        levers: what can be injected here.
        left_out: the other levers of the registry, with their reason.
    """

    def __init__(self, target: Target, *, seed: int, folder: Path, link: SlowLink) -> None:
        self._target = target
        self._link = link
        self._folder = folder
        self._random = random.Random(seed)
        self._count = 0
        self._deck: list[str] = []
        self._everything = deploy(target)
        self._before = self._everything.configuration()
        self._next = Run()
        self.levers, self.left_out = supported(self._everything.stack)

    def round(self, number: signal.Signals) -> Round:
        """Have one run signalled, and see what is left of it."""
        began = time.monotonic()
        self._count += 1
        healer, run = self._healer(number), self._next
        self._next = Run()
        folder = self._folder / f"{self._count}"
        plan = self._plan(folder / "journal", watched=healer == "watchdog")
        try:
            run.begin(plan)
            length_seconds = float(run.says("cycle").split()[1])
            group = self._random.random() < 0.5
            with suppress(subprocess.TimeoutExpired):
                run.process.wait(timeout=self._random.uniform(0.0, length_seconds))
            seen = _Seen.of(run, folder / "journal") if number != signal.SIGKILL else None
            run.signal(number, group=group)
            if healer == "the run, signalled again":
                with suppress(subprocess.TimeoutExpired):
                    run.process.wait(timeout=self._random.uniform(0.0, length_seconds / 2))
                run.signal(self._random.choice((signal.SIGINT, signal.SIGTERM)), group=group)
            code = run.end()
            seen = seen or _Seen.of(run, folder / "journal")
            problems = _wrong_end(code, number, healer, run)
            problems += self._heal(healer, run, folder)
            problems += _left(run, folder / "journal")
            eventually(lambda: self._link.on_their_way, lambda count: not count, deadline_seconds=LEFT_SECONDS)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            seen, problems = _Seen("looking", frozenset()), [str(error)]
        finally:
            run.close()
        problems += differences(self._before, self._everything.configuration())
        if problems:
            self._renew()
        return Round(
            signal=number,
            healer=healer,
            shape=plan.shape,
            levers=tuple(plan.levers),
            phase=seen.phase,
            in_place=seen.in_place,
            seconds=time.monotonic() - began,
            problems=tuple(problems),
        )

    def changes(self) -> dict[str, list[str]]:
        """For each lever, what its fault changes in the configuration that is compared; everything is healed."""
        stack, found = self._everything.stack, {}
        for name in self.levers:
            levers = tuple(MAKERS[name](stack))
            with (
                Journal(self._folder / "changes", Pin.of(stack)) as journal,
                pulled(levers, stack=stack, journal=journal, recorder=Recorder()),
            ):
                found[name] = differences(self._before, self._everything.configuration())
        return found

    def close(self) -> None:
        """End what was started for it."""
        self._next.close()
        self._everything.close()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _renew(self) -> None:
        self._everything.close()
        self._everything = deploy(self._target)
        self._before = self._everything.configuration()

    def _healer(self, number: signal.Signals) -> Healer:
        if number == signal.SIGKILL:
            return self._random.choice(("watchdog", "watchdog", "heal", "heal, once killed itself"))
        return self._random.choice(("the run", "the run, signalled again"))

    def _plan(self, directory: Path, *, watched: bool) -> Plan:
        return Plan(
            endpoint_url=self._link.url,
            account=self._target.account,
            region=self._target.region,
            embedded=self._target.kind == "embedded",
            directory=str(directory),
            resources=self._everything.resources(),
            components=self._everything.components(),
            levers=self._drawn(self._random.randint(3, 7)),
            shape=self._random.choice(STEPWISE),
            watched=watched,
            window_seconds=WINDOW_SECONDS,
        )

    def _drawn(self, count: int) -> list[str]:
        """So many levers from a deck that holds each of them once, and is shuffled anew when it is used up."""
        drawn: list[str] = []
        while len(drawn) < min(count, len(self.levers)):
            if not self._deck:
                self._deck = [name for name in self.levers if name not in drawn]
                self._random.shuffle(self._deck)
            drawn.append(self._deck.pop())
        return drawn

    def _heal(self, healer: Healer, run: Run, folder: Path) -> list[str]:
        if healer == "watchdog":
            ended = eventually(lambda: not run.family(), bool, deadline_seconds=END_SECONDS, interval_seconds=0.05)
            return [] if ended.met else ["its watchdog goes on"]
        if healer == "heal, once killed itself":
            self._kill_a_heal(folder)
        if not healer.startswith("heal"):
            return []
        told = io.StringIO()
        with redirect_stdout(told):
            code = holdfast(["heal", "--holdfast-folder", str(folder)])
        return [] if code == 0 else [f"holdfast heal answered {code}: {told.getvalue()}"]

    def _kill_a_heal(self, folder: Path) -> None:
        """Begin to heal in another process, and kill it while it starts, heals, or has just ended."""
        command = [sys.executable, "-m", "holdfast.cli", "heal", "--holdfast-folder", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=self._random.uniform(0.2, 1.5))
            process.kill()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a run was doing when it was signalled."""

    phase: Phase
    in_place: frozenset[str]

    @classmethod
    def of(cls, run: Run, journal: Path) -> _Seen:
        """From its journal, and where that does not tell, from what it said last of each window."""
        states: dict[str, str] = {}
        levers: dict[str, str] = {}
        for path in journal.glob("*"):
            for line in path.read_bytes().splitlines() if path.is_file() else ():
                with suppress(ValueError):  # a line that the kill cut short
                    told = json.loads(line)
                    states[told["id"]] = told["entry"]
                    if told["entry"] == "planned":
                        levers[told["id"]] = told["snapshot"]["lever"]
        in_place = frozenset(levers[id_] for id_, state in states.items() if state != "healed")
        last = {line.split()[0]: line.split()[1] for line in run.said if line[:1].isdigit() and " " in line}
        steps = set(last.values())
        if "planned" in states.values():
            return cls("injecting", in_place)
        if "healing" in steps:
            return cls("healing", in_place)
        if "injected" in states.values():
            return cls("window" if "window" in steps else "proving", in_place)
        return cls("looking" if "looking" in steps else "between", in_place)


def _wrong_end(code: int, number: signal.Signals, healer: Healer, run: Run) -> list[str]:
    """A run must end by its signal; signalled once more after it has healed, it may end by that."""
    wanted = {-number} if number == signal.SIGKILL else {128 + number}
    if healer == "the run, signalled again":
        wanted = {128 + each for each in SIGNALS[1:]} | {-each for each in SIGNALS[1:]}
    return [] if code in wanted else [f"the run ended with {code}: {run.errors()[-2_000:]}"]


def _left(run: Run, journal: Path) -> list[str]:
    """Processes, open journal entries and held locks that are left."""
    left = eventually(run.family, lambda found: not found, deadline_seconds=LEFT_SECONDS, interval_seconds=0.02)
    problems = [f"a process is left: {each}" for each in left.value]
    leftovers = open_entries(journal)
    problems += [f"an open entry is left: {each.snapshot.lever}, {each.state}" for each in leftovers.entries]
    problems += [*leftovers.cut, *leftovers.unreadable]
    return problems + [f"a lock is held: {path.name}" for path in journal.glob("locks/*.lock") if not _free(path)]


def _free(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@contextmanager
def campaign(target: Target, *, seed: int) -> Iterator[Campaign]:
    """A campaign in a folder of its own, over a slow link, so that signals find requests on their way."""
    link = SlowLink(str(target.endpoint_url), seed=seed)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="holdfast-campaign-") as folder,
            Campaign(target, seed=seed, folder=Path(folder), link=link) as made,
        ):
            yield made
    finally:
        link.close()


@dataclass(slots=True)
class Tally:
    """The rounds of one signal, counted.

    Attributes:
        rounds: the rounds.
    """

    rounds: list[Round] = field(default_factory=list)

    def summary(self, name: str, levers: Sequence[str]) -> str:
        """One line: how many rounds read back equal, which phases and which levers they met."""
        equal = sum(each.equal for each in self.rounds)
        phases = Counter(each.phase for each in self.rounds)
        met = Counter(lever for each in self.rounds for lever in each.in_place)
        healers = Counter(each.healer for each in self.rounds)
        missing = [lever for lever in levers if lever not in met]
        least = f", each at least {min(met.values())} times" if met and not missing else ""
        return (
            f"{name}: {len(self.rounds)} rounds, {equal} equal; "
            f"{', '.join(f'{phase} {phases[phase]}' for phase in PHASES if phases[phase])}; "
            f"levers with a fault in place {len(met)} of {len(levers)}{least}"
            f"{' without ' + ', '.join(missing) if missing else ''}; "
            f"healed by {', '.join(f'{who} {count}' for who, count in sorted(healers.items()))}"
        )
