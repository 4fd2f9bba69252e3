"""A run in a process of its own, to be signalled: pulls levers on somebody else's emulator, over and over.

``python lever_run.py`` reads its `Plan`, one JSON line, from standard input, so that it can be started before it is
needed. It writes the process id of its watchdog (JSON), then a line at each step of each window, as ``0 window``, and
``cycle SECONDS`` after each time that all windows have been opened and closed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import urllib3

from healing_stack import MAKERS
from holdfast.errors import HoldfastError
from holdfast.history.model import FaultWindow
from holdfast.history.recorder import Recorder
from holdfast.levers import FunctionThrottle, Interrupted, Journal, Pin, interruptible, pulled, watched
from holdfast.levers.base import Lever, Snapshot
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets import capabilities
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Rule
from holdfast.targets.interceptor.process import ProxyProcess
from holdfast.targets.interceptor_client import InterceptorClient
from holdfast.waiting import eventually
from holdfast_load.plan import RunClock
from holdfast_load.timeline.plan import FaultPart
from holdfast_load.timeline.running import Entry, Timeline
from lever_stack import stack_of

Shape = Literal["together", "nested", "threads", "timeline"]
STEPWISE: tuple[Shape, ...] = ("together", "nested", "threads")
"""Those that say each step of each window."""
MOST_CYCLES = 100
"""A run that nobody ends, because who started it is gone, ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does.

    Attributes:
        endpoint_url: the emulator.
        account: its account.
        region: its region.
        embedded: whether it is the embedded emulator, or a LocalStack.
        directory: where the journal is kept.
        resources: the stack, as dicts of `Resource`.
        components: what its descriptor says of processes.
        levers: names of the levers.
        shape: one window for all of them, one within another, one in each of two threads, or two of a load timeline.
        watched: whether there is a watchdog.
        stubborn: heal the first function's throttle so slowly that a second signal comes meanwhile.
        window_seconds: how long each window is open.
    """

    endpoint_url: str
    account: str
    region: str
    embedded: bool
    directory: str
    resources: Sequence[dict[str, Any]]
    components: dict[str, Any]
    levers: Sequence[str]
    shape: Shape = "together"
    watched: bool = False
    stubborn: bool = False
    window_seconds: float = 60.0

    def line(self) -> str:
        """The plan as the run reads it."""
        return json.dumps(asdict(self)) + "\n"

    def target(self) -> AttachedTarget:
        """The emulator as a target that outlives the run."""
        return AttachedTarget(
            kind="localstack",
            endpoint_url=self.endpoint_url,
            account=self.account,
            region=self.region,
            supported=capabilities.EMBEDDED if self.embedded else capabilities.LOCALSTACK_INTERCEPTED,
        )


def say(line: str) -> None:
    """Tell how far it is; one write, so that lines of threads do not mix."""
    os.write(1, f"{line}\n".encode())


class SlowToHeal(FunctionThrottle):
    """Heals so slowly that a second signal comes meanwhile."""

    def heal(self, snapshot: Snapshot) -> None:
        """Say that it begins, and take a second."""
        say("slow")
        time.sleep(1)
        super().heal(snapshot)


class Traced(InterceptorClient):
    """Rules are put into the run's own proxy, which ends with it; what happened is asked of the embedded emulator.

    Args:
        proxy: the run's proxy.
        emulator_url: the emulator.
    """

    def __init__(self, proxy: InterceptorClient | None, emulator_url: str) -> None:
        parts = urlsplit(emulator_url)
        super().__init__(urllib3.HTTPConnectionPool(str(parts.hostname), parts.port, retries=False))
        self._proxy = proxy

    def _rules_client(self) -> InterceptorClient:
        assert self._proxy is not None, "this run has no proxy"
        return self._proxy

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        self._rules_client().add(rule)

    def remove(self, rule_id: str) -> None:
        """Take a rule out."""
        self._rules_client().remove(rule_id)

    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._rules_client().rules()

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit so far."""
        return self._rules_client().hits(rule_id)


def run(plan: Plan) -> None:
    """Pull everything, over and over."""
    target = plan.target()
    stack = stack_of(target, *(Resource(**each) for each in plan.resources), components=plan.components)
    recorder = Recorder()

    def made() -> list[Lever]:
        if plan.stubborn:
            return [SlowToHeal.on(stack, "worker"), *_made(stack, plan.levers)]
        return _made(stack, plan.levers)

    def window(label: int, levers: Sequence[Lever], within: Callable[[], None]) -> None:
        say(f"{label} looking")
        with pulled(levers, stack=stack, journal=journal, recorder=recorder):
            say(f"{label} window")
            within()
            say(f"{label} healing")
        say(f"{label} gone")

    def pause() -> None:
        threading.Event().wait(plan.window_seconds)

    def cycle() -> None:
        levers = made()
        if plan.shape == "together":
            window(0, levers, pause)
            return
        first, second = _halves(levers)
        if plan.shape == "timeline":
            _on_a_timeline((first, second), stack, journal, plan.window_seconds)
            return
        if plan.shape == "nested":
            window(0, first, lambda: window(1, second, pause))
            return
        _in_threads([lambda: window(0, first, pause), lambda: window(1, second, pause)])

    with ExitStack() as around:
        journal = around.enter_context(Journal(Path(plan.directory), Pin.of(stack)))
        proxy = None
        if "invocation-fault" in plan.levers:
            proxy = around.enter_context(ProxyProcess(plan.endpoint_url)).interceptor
        target.interceptor = Traced(proxy, plan.endpoint_url) if plan.embedded else proxy
        say(json.dumps(around.enter_context(watched(journal, enabled=plan.watched))))
        around.enter_context(interruptible())
        for _ in range(MOST_CYCLES):
            began = time.monotonic()
            cycle()
            say(f"cycle {time.monotonic() - began:.4f}")


def _made(stack: Stack, names: Sequence[str]) -> list[Lever]:
    return [lever for name in names for lever in MAKERS[name](stack)]


def _halves(levers: Sequence[Lever]) -> tuple[list[Lever], list[Lever]]:
    """Two groups that share no resource, since two windows on one would refuse each other."""
    resources = list(dict.fromkeys(lever.resource for lever in levers))
    first = set(resources[: (len(resources) + 1) // 2])
    return [each for each in levers if each.resource in first], [each for each in levers if each.resource not in first]


def _on_a_timeline(groups: Sequence[Sequence[Lever]], stack: Stack, journal: Journal, seconds: float) -> None:
    """Put each group on as a load run does, from the beginning to the end; says ``0 window`` when all are on."""
    told: list[FaultWindow] = []
    fault = FaultPart.model_validate({"lever": "function-throttle", "component": "worker", "at": 0})
    timeline = Timeline(
        entries=[
            Entry(number=number, fault=fault, levers=partial(list, group)) for number, group in enumerate(groups, 1)
        ],
        stack=stack,
        journal=journal,
        run_seconds=seconds,
        told=told.append,
    )
    try:
        timeline.start(RunClock(origin_unix_ns=time.time_ns(), origin_monotonic_ns=time.monotonic_ns()))
        eventually(lambda: len(told) == sum(map(len, groups)), bool, deadline_seconds=seconds)
        say("0 window")
        threading.Event().wait(seconds)
    finally:
        timeline.end()


def _in_threads(works: Sequence[Callable[[], None]]) -> None:
    """Do things side by side; what ends one of them otherwise than a signal ends the run."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Interrupted:
            return
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def main() -> int:
    """Run the plan; the exit codes are those of ``holdfast``."""
    try:
        run(Plan(**json.loads(sys.stdin.readline())))
    except HoldfastError as error:
        traceback.print_exc()
        return int(error.exit_code)
    except Interrupted as interrupted:
        return 128 + signal.Signals[str(interrupted)]
    return 0


if __name__ == "__main__":
    sys.exit(main())
