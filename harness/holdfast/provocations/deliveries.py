"""Deliveries that fail: for a while, for good, or after their effect; and requests that can never succeed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from holdfast.errors import Inconclusive
from holdfast.history.model import Observation
from holdfast.provocations.bench import Bench
from holdfast.provocations.model import Provocation
from holdfast.stack.aws_errors import translated
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Rule

DEFAULT_DELIVERY_LIMIT = 3
"""Assumed where a source has no limit of its own to read."""
STREAM_RETRY_SECONDS = 1.0
"""Between two attempts of a stream mapping; AWS gives no figure, attempts follow each other."""

LONGEST_PAUSE_SECONDS = 60.0
"""Nobody waits longer for one redelivery; what has not come back by then is left undecided, or is late by its bound."""

COMMANDS_PER_WORKER = 2
HEALTHY_NEIGHBOURS = 6


def delivery_limit(bench: Bench, worker: str) -> int:
    """How often a request is delivered to a worker before it is dead-lettered."""
    return max((limit for limit, _ in _deliveries(bench.stack, worker)), default=DEFAULT_DELIVERY_LIMIT)


def redelivery_seconds(stack: Stack, workers: Sequence[str]) -> float:
    """How long a request may be on its way through all deliveries to all workers, one after another."""
    return sum(
        max((limit * pause_seconds for limit, pause_seconds in _deliveries(stack, worker)), default=0.0)
        for worker in workers
    )


def _deliveries(stack: Stack, worker: str) -> list[tuple[int, float]]:
    """For each source of a worker: how often it delivers, and how many seconds lie between two deliveries."""
    queues = {
        stack.resource(name).arn: stack.resource(name).url
        for name, component in stack.descriptor.components.items()
        if component.type == "queue"
    }
    found = []
    for mapping in stack.mappings(worker):
        if mapping.maximum_retry_attempts is not None and mapping.maximum_retry_attempts >= 0:
            found.append((mapping.maximum_retry_attempts + 1, STREAM_RETRY_SECONDS))
        elif mapping.source_arn in queues:
            with translated(f"The attributes of the queue that feeds {worker}", stack.target):
                attributes = stack.target.client("sqs").get_queue_attributes(
                    QueueUrl=queues[mapping.source_arn], AttributeNames=["RedrivePolicy", "VisibilityTimeout"]
                )["Attributes"]
            policy = json.loads(attributes.get("RedrivePolicy") or "{}")
            limit = int(policy.get("maxReceiveCount", DEFAULT_DELIVERY_LIMIT))
            found.append((limit, min(float(attributes.get("VisibilityTimeout", 30)), LONGEST_PAUSE_SECONDS)))
    return found


def store_port(bench: Bench) -> str:
    """Name under which observations of the stored original are recorded."""
    if bench.pattern.stored is not None:
        return bench.pattern.stored
    if bench.pattern.store is None:
        raise Inconclusive("the descriptor names neither the store nor a port that shows the stored original")
    return f"store:{bench.pattern.store}"


def observe_store(bench: Bench, submission: Submission) -> Observation:
    """Look for the stored original of a request, without taking it away; recorded."""
    port = store_port(bench)
    if bench.pattern.stored is not None:
        return bench.ports.observe(port, submission, provocation=bench.name)
    resource = bench.stack.resource(bench.pattern.store or "")
    if resource.type != "queue":
        raise Inconclusive(f"name the port that shows the stored original (stored = ...): {port} is no queue")
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


def _workers(bench: Bench) -> Sequence[str]:
    if not bench.pattern.workers:
        raise Inconclusive("the descriptor names no workers for this pattern")
    return bench.pattern.workers


def _fail_first_deliveries(bench: Bench, _: object = None) -> None:
    faults: list[tuple[str, Rule]] = []
    submissions: list[Submission] = []
    for worker in _workers(bench):
        failures = max(1, delivery_limit(bench, worker) - 1)
        for submission in bench.draw(COMMANDS_PER_WORKER):
            submissions.append(submission)
            rule = Rule(id="", action="fail", function=bench.function_name(worker), key=submission.key, times=failures)
            faults.append((worker, rule))
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
        bench.await_effects(acknowledged)
    if bench.pattern.stored is not None:
        for submission in acknowledged:
            observe_store(bench, submission)


def _redeliver_after_effect(bench: Bench) -> None:
    worker = _workers(bench)[-1]
    submissions = bench.draw(COMMANDS_PER_WORKER + 1)
    function = bench.function_name(worker)
    faults = [
        (worker, Rule(id="", action="fail", when="after", function=function, key=one.key, times=1))
        for one in submissions
    ]
    with bench.aimed(faults) as pull:
        bench.submit_all(submissions, role="redelivered")
        acknowledged = bench.acknowledged(submissions)
        bench.until(
            "second deliveries",
            lambda: [one for one in acknowledged if _handled(bench, function, one.key) < 2],
            lambda waiting: not waiting,
            bench.patience_seconds,
        )
        bench.note(f"deliveries of {pull.bitten()} requests failed after their effect")
    bench.await_effects(acknowledged)


def _handled(bench: Bench, function: str, key: str) -> int:
    return sum(invocation.ended_seconds > 0 for invocation in bench.interceptor.invocations(function, key))


def _dead_letter_then_redrive(bench: Bench) -> None:
    port = bench.need_dead_letters()
    worker = _workers(bench)[-1]
    submissions = bench.draw(COMMANDS_PER_WORKER)
    keys = [one.key for one in submissions]
    rules = [(worker, Rule(id="", action="fail", function=bench.function_name(worker), key=key)) for key in keys]
    with bench.aimed(rules):
        bench.submit_all(submissions, role="dead-lettered")
        acknowledged = bench.acknowledged(submissions)
        absent = bench.await_dead_letters([one.key for one in acknowledged])
    if absent:
        bench.note(f"not among the dead letters within {bench.patience_seconds:g} s: {', '.join(sorted(absent))}")
        return
    moved = bench.ports.redrive(port, keys)
    bench.figure("redriven", moved)
    bench.await_effects(acknowledged)


def impossible(bench: Bench, count: int) -> list[Submission]:
    """Requests that are accepted and can never succeed, as the descriptor says."""
    inputs = bench.stack.descriptor.impossible
    if not inputs:
        raise Inconclusive(
            "the descriptor names no impossible input (a request that is accepted and can never succeed)"
        )
    return [bench.draw(1, dict(inputs[at % len(inputs)].fields))[0] for at in range(count)]


def _poison_among_healthy(bench: Bench) -> None:
    bench.need_dead_letters()
    poison = impossible(bench, COMMANDS_PER_WORKER)
    healthy = bench.draw(HEALTHY_NEIGHBOURS)
    bench.submit_all(poison, role="poison")
    bench.submit_all(healthy)
    bench.await_effects(bench.acknowledged(healthy))
    acknowledged = bench.acknowledged(poison)
    if not acknowledged:
        bench.undecided("no impossible input was accepted, so nothing could be dead-lettered")
    bench.await_dead_letters([one.key for one in acknowledged])


FAILED_DELIVERIES = Provocation(name="failed-deliveries", provoke=_fail_first_deliveries)
DUPLICATE_DELIVERY = Provocation(name="duplicate-delivery", provoke=_redeliver_after_effect)
DEAD_LETTERED = Provocation(name="dead-lettered", provoke=_dead_letter_then_redrive)
POISON = Provocation(name="poison", provoke=_poison_among_healthy)
