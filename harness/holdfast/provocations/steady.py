"""The stack without any fault: before, as the yardstick, and after, to see that it is itself again."""

from __future__ import annotations

from statistics import median

from holdfast.checkers.recovery import Sample
from holdfast.history.model import Outcome
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench
from holdfast.provocations.model import Moment, Provocation
from holdfast.provocations.quiescence import queue_depth
from holdfast.stack.generate import Submission

BASELINE_COMMANDS = 8
READ_BACK_COMMANDS = 6


def _submit_and_settle(bench: Bench) -> None:
    submissions = bench.draw(BASELINE_COMMANDS)
    bench.submit_all(submissions, width=2)
    bench.await_effects(bench.acknowledged(submissions))
    _take_sample(bench)


def _take_sample(bench: Bench) -> None:
    operations = bench.operations()
    answered = [operation for operation in operations if operation.outcome is Outcome.OK]
    latencies = [operation.latency_seconds for operation in answered if operation.latency_seconds is not None]
    queues = bench.configuration.worked_off(bench.pattern.store)
    depth = bench.until(
        "empty queues",
        lambda: queue_depth(bench.stack.target, queues),
        lambda waiting: waiting == 0,
        bench.bounds.recovery_seconds,
    )
    bench.sample = Sample(
        success_rate=len(answered) / len(operations) if operations else 0.0,
        latency_p50_seconds=median(latencies) if latencies else 0.0,
        queue_depth=depth.value,
        dead_letters=_stray_dead_letters(bench),
    )


def _stray_dead_letters(bench: Bench) -> int:
    """Dead letters of keys that this run did not make; what it made malformed may have no key at all."""
    if bench.pattern.dead_letters is None:
        return 0
    letters = bench.ports.dead_letters(bench.pattern.dead_letters)
    return sum(bool(letter.key) and not letter.key.startswith(bench.prefix) for letter in letters)


def _read_back(bench: Bench) -> list[Submission]:
    submissions = bench.draw(READ_BACK_COMMANDS)
    port = bench.pattern.read or bench.pattern.effect
    for submission in submissions:
        if bench.submit(submission).outcome is Outcome.OK:
            interrupts.pause(bench.bounds.read_after_ack_seconds)
            bench.ports.observe(port, submission, provocation=bench.name)
    return submissions


def _settle(bench: Bench, submissions: list[Submission]) -> None:
    bench.await_effects(bench.acknowledged(submissions))


STEADY = Provocation(
    name="steady", provoke=_submit_and_settle, moment=Moment.FIRST, commands=lambda _: BASELINE_COMMANDS
)
READ_AFTER_ACK = Provocation(
    name="read-after-ack", provoke=_read_back, observe=_settle, commands=lambda _: READ_BACK_COMMANDS
)
AFTERMATH = Provocation(
    name="aftermath", provoke=_submit_and_settle, moment=Moment.LAST, commands=lambda _: BASELINE_COMMANDS
)
