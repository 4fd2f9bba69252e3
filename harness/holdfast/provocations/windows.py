"""Provocations inside a fault on everything: dead compute and denied storage."""

from __future__ import annotations

import time

from holdfast.provocations.bench import Bench
from holdfast.provocations.deliveries import impossible
from holdfast.provocations.model import Provocation, Window
from holdfast.provocations.requirements import REDELIVERY, Situation, impossible_named, invocations_seen
from holdfast.provocations.saga_runs import await_ends
from holdfast.provocations.spans import most_at_once
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern, SagaPattern

COMMANDS = 8
BATCH_NEIGHBOURS = 9
"""With one poison they fill an SQS batch of the default size."""


def _submit_some(bench: Bench) -> list[Submission]:
    submissions = bench.draw(COMMANDS)
    bench.submit_all(submissions, width=2)
    return submissions


def _submit_while_dead(bench: Bench) -> list[Submission]:
    submissions = _submit_some(bench)
    # Nothing can have taken effect yet, so whatever the status claims now is told apart from the truth.
    for submission in bench.acknowledged(submissions):
        if bench.pattern.status is not None:
            bench.ports.observe_status(bench.pattern.status, submission, provocation=bench.name)
        seen = bench.ports.observe(bench.pattern.effect, submission, provocation=bench.name)
        # an event is in its log before the command is acknowledged, whatever the projectors do
        if seen.count and not isinstance(bench.pattern, CqrsPattern):
            bench.undecided(
                f"{submission.key} took effect while every worker was dead, so something else does the work"
            )
    return submissions


def _await_acknowledged(bench: Bench, submissions: list[Submission]) -> None:
    if isinstance(bench.pattern, SagaPattern):
        # what was started while everything was dead may well end undone
        await_ends(bench, bench.acknowledged(submissions))
        return
    bench.await_effects(bench.acknowledged(submissions))


def _fill_batch(bench: Bench) -> tuple[list[Submission], list[Submission]]:
    poison, healthy = impossible(bench, 1), bench.draw(BATCH_NEIGHBOURS)
    half = BATCH_NEIGHBOURS // 2
    bench.submit_all(healthy[:half])
    bench.submit_all(poison, role="poison")
    bench.submit_all(healthy[half:])
    return healthy, poison


def _await_batch(bench: Bench, sent: tuple[list[Submission], list[Submission]]) -> None:
    healthy, poison = sent
    bench.await_effects(bench.acknowledged(healthy))
    if bench.pattern.dead_letters is not None:
        bench.await_dead_letters([one.key for one in bench.acknowledged(poison)])
    if not _batch_unseen(bench.situation) and not _batched(bench, healthy, poison):
        bench.undecided("the failing record never came in one batch with a healthy one")


def _batch_unseen(situation: Situation) -> str:
    """Somebody must see which requests come in one batch."""
    missing = invocations_seen(situation)
    return f"nobody sees which requests come in one batch: {missing}" if missing else ""


def _batched(bench: Bench, healthy: list[Submission], poison: list[Submission]) -> bool:
    """Whether some invocation of a worker was given the failing record and a healthy one."""
    return any(
        any(one.key in invocation.event for one in healthy)
        for failing in poison
        for worker in bench.pattern.workers
        for invocation in bench.interceptor.invocations(bench.function_name(worker), failing.key)
        if not invocation.throttled
    )


def _burst(bench: Bench) -> tuple[list[Submission], float]:
    submissions = bench.draw(bench.bounds.burst)
    started = time.monotonic()
    bench.submit_all(submissions, role="burst", width=8)
    bench.figure("burst_seconds", round(time.monotonic() - started, 3))
    return submissions, time.time()


def _await_drain(bench: Bench, sent: tuple[list[Submission], float]) -> None:
    submissions, healed_epoch_seconds = sent
    started = time.monotonic()
    longest_seconds = bench.bounds.drain_seconds + bench.patience_seconds
    left = bench.await_effects(bench.acknowledged(submissions), deadline_seconds=longest_seconds)
    if not left:
        bench.figure("drain_seconds", round(time.monotonic() - started, 3))
    if _concurrency_unseen(bench.situation):
        return
    for worker in bench.pattern.workers:
        spans = [
            (one.started_seconds, one.ended_seconds)
            for one in bench.interceptor.invocations(bench.function_name(worker), key=f"{bench.prefix}-{bench.name}")
            if one.started_seconds >= healed_epoch_seconds and one.ended_seconds and not one.throttled
        ]
        if not spans:
            bench.undecided(f"no invocation of {worker} was seen after the burst")
        bench.figure(f"concurrency_{worker}", most_at_once(spans))


def _concurrency_unseen(situation: Situation) -> str:
    """Somebody must see how many invocations run at once."""
    missing = invocations_seen(situation)
    return f"nobody sees how many workers run at once: {missing}" if missing else ""


STORAGE_THROTTLED = Provocation(
    name="storage-throttled",
    provoke=_submit_some,
    observe=_await_acknowledged,
    window=Window.STORAGE_THROTTLED,
    commands=lambda _: COMMANDS,
)
COMPUTE_DEAD = Provocation(
    name="compute-dead",
    provoke=_submit_while_dead,
    observe=_await_acknowledged,
    window=Window.COMPUTE_DEAD,
    commands=lambda _: COMMANDS,
)
FULL_BATCH = Provocation(
    name="full-batch",
    provoke=_fill_batch,
    observe=_await_batch,
    window=Window.COMPUTE_DEAD,
    requires=(impossible_named, *REDELIVERY),
    leaves_open=(_batch_unseen,),
    commands=lambda _: BATCH_NEIGHBOURS + 1,
)
BURST = Provocation(
    name="burst",
    provoke=_burst,
    observe=_await_drain,
    window=Window.COMPUTE_DEAD,
    leaves_open=(_concurrency_unseen,),
    commands=lambda situation: situation.stack.descriptor.bounds.burst,
)
STORAGE_DENIED = Provocation(
    name="storage-denied",
    provoke=_submit_some,
    observe=_await_acknowledged,
    window=Window.STORAGE_DENIED,
    commands=lambda _: COMMANDS,
)
