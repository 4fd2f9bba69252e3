"""Deliveries that fail: for a while, for good, or after their effect; and requests that can never succeed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from holdfast.errors import Inconclusive
from holdfast.history.model import Observation
from holdfast.provocations.bench import Bench
from holdfast.provocations.model import Aimed, AtCalls, Provocation, Uses
from holdfast.provocations.requirements import (
    REDELIVERY,
    Situation,
    dead_letters_named,
    dead_letters_redrivable,
    failing_alone,
    impossible_named,
    invocations_seen,
    original_seen,
    redeliveries_in_time,
    workers_named,
)
from holdfast.stack.deliveries import delivery_limit
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import SagaPattern
from holdfast.targets.base import Rule

COMMANDS_PER_WORKER = 2
HEALTHY_NEIGHBOURS = 6
TRACED = 3
"""So many commands are tried until one is acknowledged that can be followed."""
MOST_FAILURES = 2
"""So many deliveries of one request fail in a transient failure, at most."""


def store_port(bench: Bench) -> str:
    """Name under which observations of the stored original are recorded."""
    return bench.pattern.stored or f"store:{bench.pattern.store}"


def observe_store(bench: Bench, submission: Submission) -> Observation:
    """Look for the stored original of a request, without taking it away; recorded.

    Raises:
        Inconclusive: it cannot be seen here.
    """
    unseen = original_seen(bench.situation)
    if unseen:
        raise Inconclusive(unseen)
    port = store_port(bench)
    if bench.pattern.stored is not None:
        return bench.ports.observe(port, submission, provocation=bench.name)
    resource = bench.stack.resource(bench.pattern.store or "")
    started = bench.recorder.now_seconds()
    bodies = [m.body for m in bench.stack.target.peek_messages(resource.url) if submission.key in m.body]
    observation = Observation(
        port=port,
        key=submission.key,
        count=len(bodies),
        bodies=tuple(bodies),
        started_seconds=started,
        completed_seconds=bench.recorder.now_seconds(),
        provocation=bench.name,
    )
    bench.recorder.add(observation)
    return observation


def every_worker(situation: Situation) -> list[str]:
    """The pattern's workers."""
    return situation.pattern.workers


def last_worker(situation: Situation) -> list[str]:
    """The worker that makes the effect."""
    return situation.pattern.workers[-1:]


def _no_saga(situation: Situation) -> str:
    """The workers must process one request after another; a saga's steps have provocations of their own."""
    return "the workers are the steps of a saga" if isinstance(situation.pattern, SagaPattern) else ""


def _transient_failures(situation: Situation) -> str:
    """Every worker must be given a request more than once."""
    for worker in situation.pattern.workers:
        if not transient_failures(delivery_limit(situation.configuration, worker)):
            return f"{worker} gets each request once: the first failure is for good, none is transient"
    return ""


REFUSED = Rule(id="", action="refuse", point="call", error="AccessDeniedException")
"""What makes a delivery fail where only its calls can be broken: an error that no SDK tries again after
(docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html)."""


def _fail_first_deliveries(bench: Bench, *, at_calls: bool = False) -> None:
    faults: list[tuple[str, Rule]] = []
    submissions: list[Submission] = []
    for worker in bench.pattern.workers:
        # A second refused call might strike how a handler copes with the first: one makes one delivery fail.
        failures = 1 if at_calls else transient_failures(delivery_limit(bench.configuration, worker))
        rule = REFUSED if at_calls else Rule(id="", action="fail")
        for submission in bench.draw(COMMANDS_PER_WORKER):
            submissions.append(submission)
            aimed = replace(rule, function=bench.function_name(worker), key=submission.key, times=failures)
            faults.append((worker, aimed))
    with bench.aimed(faults) as pull:
        bench.submit_all(submissions)
        acknowledged = bench.acknowledged(submissions)
        first = [one for one in acknowledged if one in submissions[:COMMANDS_PER_WORKER]]
        for submission in first:
            bench.until(
                "a failing delivery",
                partial(pull.hits, submission.key),
                lambda hits: hits > 0,
                bench.patience_seconds,
            )
            try:
                observe_store(bench, submission)
            except Inconclusive as reason:
                bench.note(f"the stored original was not looked at: {reason}")
        if bench.redeliveries_come():
            bench.await_effects(acknowledged)
            if at_calls:
                names = {rule.key: rule.function for _, rule in faults}
                _need_second_delivery(bench, {one.key: names[one.key] for one in acknowledged}, deadline_seconds=0)
    if bench.pattern.stored is not None:
        for submission in acknowledged:
            observe_store(bench, submission)


def _need_second_delivery(bench: Bench, functions: Mapping[str, str], *, deadline_seconds: float) -> None:
    """Keep which requests were not delivered again by the deadline, though a delivery failed; functions by key."""
    once = bench.until(
        "second deliveries",
        lambda: [key for key, function in functions.items() if _handled(bench, function, key) < 2],
        lambda waiting: not waiting,
        deadline_seconds,
    ).value
    if once:
        bench.undecided(f"not delivered a second time: {', '.join(once)}", once)


def transient_failures(limit: int) -> int:
    """How many of so many deliveries fail in a transient failure: few, since throttling may use up others."""
    return min(limit - 1, max(1, limit // 2), MOST_FAILURES)


def _redeliver_after_effect(bench: Bench) -> None:
    worker = bench.pattern.workers[-1]
    submissions = bench.draw(COMMANDS_PER_WORKER + 1)
    function = bench.function_name(worker)
    faults = [
        (worker, Rule(id="", action="fail", when="after", function=function, key=one.key, times=1))
        for one in submissions
    ]
    with bench.aimed(faults) as pull:
        bench.submit_all(submissions, role="redelivered")
        acknowledged = bench.acknowledged(submissions)
        again = {one.key: function for one in acknowledged}
        _need_second_delivery(bench, again, deadline_seconds=bench.patience_seconds)
        bench.note(f"deliveries of {pull.bitten()} requests failed after their effect")
    bench.await_effects(acknowledged)


def _calls_until_effect(bench: Bench, function: str) -> int:
    """Follow one undisturbed command: how many calls about it its worker had made when it had taken effect."""
    made = 0
    for traced in bench.draw(TRACED):
        with bench.counted(function, traced.key) as calls:
            bench.submit(traced, "traced")
            if not bench.acknowledged([traced]):
                continue  # a busy emulator, say: the next one may fare better
            if bench.await_effects([traced]):
                raise Inconclusive("an undisturbed command did not take effect, so there is no call to break")
            made = calls()
            break
    if not made:
        raise Inconclusive(f"no call of {function} about an undisturbed command was seen, so there is none to break")
    return made


def _lose_answer_of_effect(bench: Bench) -> None:
    """The call by which the effect is there at the latest is performed, but answered with an error."""
    worker = bench.pattern.workers[-1]
    function = bench.function_name(worker)
    nth = _calls_until_effect(bench, function)
    submissions = bench.draw(COMMANDS_PER_WORKER + 1)
    lost = replace(REFUSED, action="fail-after", function=function, nth=nth, times=1)
    with bench.aimed([(worker, replace(lost, key=one.key)) for one in submissions]) as pull:
        bench.submit_all(submissions, role="redelivered")
        acknowledged = bench.acknowledged(submissions)
        again = {one.key: function for one in acknowledged}
        _need_second_delivery(bench, again, deadline_seconds=bench.patience_seconds)
        bench.note(f"call {nth} of {pull.bitten()} deliveries took effect and was answered with an error")
    bench.await_effects(acknowledged)


def _handled(bench: Bench, function: str, key: str) -> int:
    """How often a function has handled a request to some end."""
    return sum(one.ended_seconds > 0 and not one.throttled for one in bench.interceptor.invocations(function, key))


def _dead_letter_then_redrive(bench: Bench, *, at_calls: bool = False) -> None:
    worker = bench.pattern.workers[-1]
    limit = delivery_limit(bench.configuration, worker)
    submissions = bench.draw(COMMANDS_PER_WORKER)
    keys = [one.key for one in submissions]
    rule = replace(REFUSED if at_calls else Rule(id="", action="fail"), function=bench.function_name(worker))
    with bench.aimed([(worker, replace(rule, key=key)) for key in keys]) as pull:
        bench.submit_all(submissions, role="dead-lettered")
        acknowledged = bench.acknowledged(submissions)
        absent = bench.await_dead_letters([one.key for one in acknowledged])
        spared = sorted(key for key in absent if pull.hits(key) < limit)
    if spared:
        bench.undecided(f"not every one of {limit} deliveries was seen to fail: {', '.join(spared)}", spared)
    if absent:
        bench.note(f"not among the dead letters within {bench.patience_seconds:g} s: {', '.join(sorted(absent))}")
        return
    moved = bench.ports.redrive(bench.dead_letter_port, keys)
    bench.figure("redriven", moved)
    if moved < len(acknowledged):
        bench.undecided(f"{moved} of {len(acknowledged)} dead letters were redriven")
    bench.await_effects(acknowledged)


def impossible(bench: Bench, count: int) -> list[Submission]:
    """Requests that are accepted and can never succeed, as the descriptor says."""
    inputs = bench.stack.descriptor.impossible
    return [bench.draw(1, dict(inputs[at % len(inputs)].fields))[0] for at in range(count)]


def _poison_among_healthy(bench: Bench) -> None:
    poison = impossible(bench, COMMANDS_PER_WORKER)
    healthy = bench.draw(HEALTHY_NEIGHBOURS)
    bench.submit_all(poison, role="poison")
    bench.submit_all(healthy)
    bench.await_effects(bench.acknowledged(healthy))
    acknowledged = bench.acknowledged(poison)
    if not acknowledged:
        bench.undecided("no impossible input was accepted, so nothing could be dead-lettered")
    absent = bench.await_dead_letters([one.key for one in acknowledged])
    worker = bench.pattern.workers[-1]
    limit = delivery_limit(bench.configuration, worker)
    if invocations_seen(bench.situation):
        bench.underway(absent)
    else:
        bench.underway(key for key in absent if _handled(bench, bench.function_name(worker), key) < limit)


def _dead_letter_queues(situation: Situation) -> list[str]:
    """The pattern's dead-letter queue and the queues that redrive to it."""
    name = situation.pattern.dead_letters
    queue = situation.stack.descriptor.dead_letters[name].queue if name is not None else None
    if queue is None:
        return []
    arn = situation.stack.resource(queue).arn
    return [arn, *(one.arn for one in situation.configuration.queues if one.dead_letter_arn == arn)]


REDRIVING = Uses(
    actions=(
        "sqs:ListDeadLetterSourceQueues",
        "sqs:StartMessageMoveTask",
        "sqs:ListMessageMoveTasks",
        "sqs:ReceiveMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:SendMessage",
    ),
    on=_dead_letter_queues,
)
"""docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html"""


def _for_each_worker(situation: Situation) -> int:
    return COMMANDS_PER_WORKER * len(situation.pattern.workers)


FAILED_DELIVERIES = Provocation(
    name="failed-deliveries",
    provoke=_fail_first_deliveries,
    requires=(_no_saga, workers_named, _transient_failures, *REDELIVERY),
    leaves_open=(redeliveries_in_time,),
    aims=(Aimed(action="fail", at=every_worker),),
    commands=_for_each_worker,
    at_calls=AtCalls(
        provoke=partial(_fail_first_deliveries, at_calls=True),
        requires=(failing_alone,),
        aims=(Aimed(action="refuse once", at=every_worker, point="call"),),
        commands=_for_each_worker,
    ),
)
DUPLICATE_DELIVERY = Provocation(
    name="duplicate-delivery",
    provoke=_redeliver_after_effect,
    requires=(workers_named, *REDELIVERY),
    leaves_open=(redeliveries_in_time,),
    aims=(Aimed(action="fail after its effect", at=last_worker),),
    commands=lambda _: COMMANDS_PER_WORKER + 1,
    at_calls=AtCalls(
        provoke=_lose_answer_of_effect,
        requires=(failing_alone,),
        aims=(Aimed(action="answer with an error after its effect", at=last_worker, point="call"),),
        commands=lambda _: COMMANDS_PER_WORKER + 2,
    ),
)
DEAD_LETTERED = Provocation(
    name="dead-lettered",
    provoke=_dead_letter_then_redrive,
    requires=(dead_letters_named, dead_letters_redrivable, workers_named, redeliveries_in_time, *REDELIVERY),
    aims=(Aimed(action="fail for good", at=last_worker),),
    uses=(REDRIVING,),
    commands=lambda _: COMMANDS_PER_WORKER,
    at_calls=AtCalls(
        provoke=partial(_dead_letter_then_redrive, at_calls=True),
        requires=(failing_alone,),
        aims=(Aimed(action="refuse each", at=last_worker, point="call"),),
        commands=lambda _: COMMANDS_PER_WORKER,
    ),
)
POISON = Provocation(
    name="poison",
    provoke=_poison_among_healthy,
    requires=(dead_letters_named, impossible_named, workers_named, *REDELIVERY),
    leaves_open=(redeliveries_in_time,),
    commands=lambda _: COMMANDS_PER_WORKER + HEALTHY_NEIGHBOURS,
)
