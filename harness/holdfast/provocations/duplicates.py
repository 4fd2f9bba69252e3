"""The same request twice: one after another, at the same moment, with a lost answer, with another payload."""

from __future__ import annotations

import time
from contextlib import suppress

from holdfast.history.model import Operation, Outcome
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.deliveries import last_worker
from holdfast.provocations.model import Aimed, Provocation, Uses
from holdfast.provocations.requirements import key_placed, workers_named
from holdfast.provocations.spans import most_at_once
from holdfast.stack.generate import Submission
from holdfast.targets.base import Rule

KEYS = 3
COPIES = 4
RACE_DELAY_SECONDS = 0.2
"""Holds the first AWS calls of a raced invocation, so that all check before any acts."""

DELAYED_CALLS = 3
"""So many calls of each copy are held; a handler with many calls must not run into its timeout."""


def _submit_twice(bench: Bench) -> None:
    back_to_back, after_effect, lost = bench.draw(KEYS), bench.draw(KEYS), bench.draw(KEYS)
    bench.submit_all([*back_to_back, *after_effect], role="first")
    bench.submit_all(back_to_back, role="duplicate")
    for submission in lost:
        bench.submit(submission, "answer lost", lose_answer=True)
        bench.submit(submission, "retry")
    bench.await_effects(bench.acknowledged([*after_effect, *lost]))
    bench.submit_all(after_effect, role="duplicate")
    bench.await_effects(bench.acknowledged(bench.submissions()))


def _submit_at_once(bench: Bench) -> None:
    submissions = bench.draw(KEYS)
    for submission in submissions:
        bench.at_once([submission] * COPIES)
    bench.await_effects(bench.acknowledged(submissions))


def _deliver_at_once(bench: Bench) -> None:
    """Catch the delivery before it is handled, then hand the same event to the worker several times at one moment."""
    worker = bench.pattern.workers[-1]
    function = bench.function_name(worker)
    submissions = bench.draw(KEYS)
    interceptor = bench.interceptor
    catch = [
        (worker, Rule(id="", action="fail", function=function, key=one.key, nth=1, times=1)) for one in submissions
    ]
    slow = [
        (
            worker,
            Rule(
                id="",
                action="delay",
                point="call",
                function=function,
                key=one.key,
                times=DELAYED_CALLS * COPIES,
                delay_seconds=RACE_DELAY_SECONDS,
            ),
        )
        for one in submissions
    ]
    with bench.aimed([*catch, *slow]):
        bench.submit_all(submissions, role="raced")
        acknowledged = bench.acknowledged(submissions)
        client = bench.stack.target.client("lambda")

        def race(submission: Submission) -> None:
            caught = bench.until(
                "a delivery to copy",
                lambda: interceptor.invocations(function, submission.key),
                bool,
                bench.patience_seconds,
            ).value
            if not caught:
                bench.undecided(f"no delivery of {submission.key} was seen")
                return
            payload = caught[0].event.encode()

            def invoke(_: int) -> None:
                # What a limit of concurrency refuses was not delivered; the queue's own delivery comes all the same.
                with suppress(client.exceptions.TooManyRequestsException):
                    client.invoke(FunctionName=function, Payload=payload)

            side_by_side(invoke, range(COPIES), COPIES)

        side_by_side(race, acknowledged, 2)
        bench.await_effects(acknowledged)
    alone = [one.key for one in acknowledged if _handled_at_once(bench, function, one.key) < 2]
    if alone:
        bench.undecided(f"never handled twice at one moment: {', '.join(alone)}")


def _handled_at_once(bench: Bench, function: str, key: str) -> int:
    return most_at_once(
        [
            (one.started_seconds, one.ended_seconds)
            for one in bench.interceptor.invocations(function, key)
            if one.ended_seconds and not one.throttled
        ]
    )


def _conflicting(bench: Bench) -> None:
    one_after_another, at_once = bench.draw(KEYS), bench.draw(KEYS)
    bench.submit_all(one_after_another, role="first")
    acknowledged = bench.acknowledged(one_after_another)
    missing = bench.await_effects(acknowledged)
    # What has not taken effect yet may be overtaken on its way, and then the second payload is the first.
    bench.submit_all([bench.again(one) for one in acknowledged if one not in missing], role="conflicting")
    for submission in at_once:
        bench.at_once([submission, bench.again(submission)], role="conflicting at once")
    bench.await_effects(bench.acknowledged(at_once))


def submit_until_acknowledged(bench: Bench, submission: Submission, role: str, tries: int = 5) -> Operation:
    """Submit as a patient client does: again with the same key until it is acknowledged or refused."""
    operation = bench.submit(submission, role)
    for attempt in range(1, tries):
        if operation.outcome is not Outcome.UNKNOWN:
            break
        time.sleep(0.2 * attempt)
        operation = bench.submit(submission, "retry")
    return operation


DUPLICATE_SUBMISSION = Provocation(
    name="duplicate-submission", provoke=_submit_twice, requires=(key_placed,), commands=lambda _: 6 * KEYS
)
CONCURRENT_SUBMISSION = Provocation(
    name="concurrent-submission", provoke=_submit_at_once, requires=(key_placed,), commands=lambda _: KEYS * COPIES
)
CONCURRENT_DELIVERY = Provocation(
    name="concurrent-delivery",
    provoke=_deliver_at_once,
    requires=(workers_named,),
    aims=(Aimed(action="fail once", at=last_worker), Aimed(action="delay", at=last_worker, point="call")),
    uses=(
        Uses(
            actions=("lambda:InvokeFunction",),
            on=lambda situation: [situation.stack.resource(worker).arn for worker in last_worker(situation)],
        ),
    ),
    commands=lambda _: KEYS,
)
CONFLICTING_SUBMISSION = Provocation(
    name="conflicting-submission", provoke=_conflicting, requires=(key_placed,), commands=lambda _: 4 * KEYS
)
