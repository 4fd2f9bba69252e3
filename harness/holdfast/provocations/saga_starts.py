"""Sagas started under load, twice, at one moment, again after their success, and over what they share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

from holdfast.history.model import Outcome
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.model import Aimed, Provocation
from holdfast.provocations.requirements import Situation, interceptor_there, key_placed
from holdfast.provocations.saga_failures import AIMED_AT_STEPS, aims_at
from holdfast.provocations.saga_places import (
    Place,
    business_failures,
    contended,
    fault,
    places,
    steps_until_pivot,
)
from holdfast.provocations.saga_requirements import (
    business_failures_named,
    contention_named,
    several_steps,
    steps_listed,
)
from holdfast.provocations.saga_runs import await_ends, look_at_quantities, start_all
from holdfast.stack.generate import Submission, draw
from holdfast.targets.base import Rule

HEALTHY = 6
REFUSED_EACH = 2
KEYS = 3
COPIES = 4
CONTENDERS = 12
"""Sagas that want the same scarce resource at one moment; more than there is of it."""

RACE_DELAYS_SECONDS = (0.1, 1.0)
"""The least and the most of each time that contending steps are held between their first calls, so that all check
before any acts."""

RACE_SHARE, WORK_SECONDS = 0.25, 0.4
"""Of a function's timeout, less what its own work may take, that each hold takes: on a busy machine the sagas come far
apart."""

RACE_HOLDS: tuple[tuple[int, Literal["before", "after"]], ...] = ((1, "after"), (2, "before"), (2, "after"))
"""Which calls are held, before or after they are performed: what is checked by the first call, or by the second."""

SETTLE_SECONDS = 3.0
"""How long no invocation for a repeated key may be under way before it counts as dealt with."""

COMMIT_SECONDS = 5.0
"""How long after its end the effect of a saga that nothing disturbed may still take."""

ROUNDS = 3
FIRST_ROLE = "first"
TWIN_ROLE = "with the same input, failing"
REFUSED_ROLE = "refused by business"
CONTENDING_ROLE = "contending"
REPEATED_ROLE = "repeated"
REFUSED_REPEAT_ROLE = "repeated with an input that is refused"


def _load(bench: Bench) -> None:
    """Healthy sagas and such as business refuses, mixed, many at a time."""
    healthy = [(submission, "healthy") for submission in bench.draw(HEALTHY)]
    refused = []
    for step, fields in _refusals(bench.situation):
        for submission in bench.draw(REFUSED_EACH, fields):
            bench.strike(submission.key, step)
            refused.append((submission, REFUSED_ROLE))
    mixed = [*healthy, *refused]
    bench.random.shuffle(mixed)
    start_all(bench, mixed)
    await_ends(bench, [submission for submission, _ in mixed])


def _refusals(situation: Situation) -> list[tuple[str, dict[str, object]]]:
    """The inputs that a step up to the pivot refuses."""
    steps = {step.name for step in steps_until_pivot(situation)}
    return [(step, fields) for step, fields in business_failures(situation) if step in steps]


def _start_twice(bench: Bench) -> None:
    back_to_back, after_end, lost, at_once = (bench.draw(KEYS) for _ in range(4))
    for role in ("first", "duplicate"):
        bench.submit_all(back_to_back, role=role)
    start_all(bench, [(one, "first") for one in after_end])
    for submission in lost:
        bench.submit(submission, "answer lost", lose_answer=True)
        bench.submit(submission, "retry")
    for submission in at_once:
        bench.at_once([submission] * COPIES)
    await_ends(bench, after_end)
    bench.submit_all(after_end, role="duplicate")
    await_ends(bench, bench.submissions())


def _contend(bench: Bench) -> None:
    """Let sagas meet on what is scarce, some of which business refuses later, and watch what is conserved."""
    inputs, refusals = contended(bench.situation), _refusals(bench.situation)
    submissions: list[tuple[Submission, str]] = []
    for at in range(CONTENDERS):
        fields = dict(inputs[at % len(inputs)])
        step, more = refusals[at // 3 % len(refusals)] if refusals and at % 3 == 2 else ("", {})
        if any(name in fields for name in more):
            step, more = "", {}
        (submission,) = bench.draw(1, {**fields, **more})
        if step:
            bench.strike(submission.key, step)
        submissions.append((submission, REFUSED_ROLE if step else CONTENDING_ROLE))
    started = [submission for submission, _ in submissions]
    slowed = _slowed(bench, started)
    with bench.aimed(slowed) if slowed else nullcontext():
        side_by_side(lambda one: bench.submit(*one), submissions, CONTENDERS)
        # on a busy machine all that took too much may give it back before the end
        await_ends(bench, started, meanwhile=lambda: look_at_quantities(bench))
    look_at_quantities(bench)


def _slowed(bench: Bench, submissions: Sequence[Submission]) -> list[tuple[str, Rule]]:
    """Hold each step that takes something between its first calls; none where no call can be held."""
    return [
        (
            place.component,
            Rule(
                id="",
                action="delay",
                point="call",
                function=bench.function_name(place.component),
                key=submission.key,
                nth=nth,
                when=when,
                times=1,
                delay_seconds=_race_seconds(bench, place.component),
            ),
        )
        for place in _taking(bench.situation)
        for submission in submissions
        for nth, when in RACE_HOLDS
    ]


def _race_seconds(bench: Bench, component: str) -> float:
    least, most = RACE_DELAYS_SECONDS
    function = bench.configuration.function(component)
    return least if function is None else min(most, max(least, RACE_SHARE * (function.timeout_seconds - WORK_SECONDS)))


def _taking(situation: Situation) -> list[Place]:
    """The first step that is a function: it takes what is scarce, or opens the race for it."""
    if interceptor_there(situation):
        return []
    return [place for place in places(situation, steps_until_pivot(situation)) if place.function][:1]


def _repeat(bench: Bench) -> None:
    """Repeat committed sagas while one of their steps fails, and with an input that business refuses."""
    situation = bench.situation
    at = places(situation, steps_until_pivot(situation))
    first = _committed(bench, len(at) + len(_refusals(situation)))
    failing, refused = first[: len(at)], first[len(at) :]
    faults = [fault(situation, place, "fail", one.key) for one, place in zip(failing, at, strict=False)]
    with bench.aimed(faults) as aim:
        again = {Outcome.OK: 0, Outcome.FAIL: 0, Outcome.UNKNOWN: 0}
        for one, place in zip(failing, at, strict=False):
            bench.strike(one.key, place.step)
            again[bench.submit(one, REPEATED_ROLE).outcome] += 1
        for one, (_, fields) in zip(refused, _refusals(situation), strict=False):
            other = draw(bench.command, one.key, bench.random, fields)
            again[bench.submit(other, REFUSED_REPEAT_ROLE).outcome] += 1
        _settle(bench, [one.key for one in first])
        await_ends(bench, first)
        bench.note(
            f"of {len(first)} repeated sagas {again[Outcome.FAIL]} were refused, and {aim.bitten()} ran into a step"
            " that fails"
        )


def _committed(bench: Bench, count: int) -> list[Submission]:
    """So many sagas that are committed, undisturbed; on a busy machine one may fail, and another is tried."""
    done: list[Submission] = []
    for _ in range(ROUNDS):
        tried = bench.draw(count - len(done))
        start_all(bench, [(one, FIRST_ROLE) for one in tried])
        await_ends(bench, tried)
        lacking = bench.await_effects(tried, deadline_seconds=COMMIT_SECONDS)
        bench.leave_open(one.key for one in lacking)
        done += [one for one in tried if one not in lacking]
        if len(done) == count:
            return done
    bench.undecided(f"only {len(done)} of {count} sagas were committed, though nothing disturbed them")
    return done


def _fail_twins(bench: Bench) -> None:
    """Let sagas fail that have the same input as committed ones, each at another step, after its effect."""
    situation = bench.situation
    at = places(situation, steps_until_pivot(situation))
    first = _committed(bench, len(at))
    twins = [bench.draw(1, dict(one.fields))[0] for one in first]
    for twin, place in zip(twins, at, strict=False):
        bench.strike(twin.key, place.step)
    faults = [fault(situation, place, "fail after", twin.key) for twin, place in zip(twins, at, strict=False)]
    with bench.aimed(faults) as aim:
        start_all(bench, [(twin, TWIN_ROLE) for twin in twins])
        await_ends(bench, twins)
        for twin, place in zip(twins, at, strict=False):
            if not aim.hits(twin.key):
                bench.undecided(f"{place} was not reached by {twin.key}", [twin.key])


def _settle(bench: Bench, keys: Sequence[str]) -> None:
    """Wait until nothing has been under way for these keys for a while."""
    interceptor = bench.interceptor
    quiet_since = bench.recorder.now_seconds()
    known = -1

    def quiet() -> bool:
        nonlocal quiet_since, known
        seen = [one for key in keys for one in interceptor.invocations(key=key)]
        now_seconds = bench.recorder.now_seconds()
        if len(seen) != known or any(not one.ended_seconds for one in seen):
            quiet_since, known = now_seconds, len(seen)
        return now_seconds - quiet_since >= _settle_seconds(bench)

    longest_seconds = bench.bounds.saga_seconds + _settle_seconds(bench)
    if not bench.until("what the repeated starts set off", quiet, bool, longest_seconds).met:
        bench.undecided("the repeated sagas did not come to rest", keys)


def _settle_seconds(bench: Bench) -> float:
    """Longer than a message that failed is hidden before it comes again."""
    hidden = [queue.visibility_seconds for queue in bench.configuration.worked_off(bench.pattern.store)]
    return max([SETTLE_SECONDS, *(seconds + 1.0 for seconds in hidden)])


def _commands_of_load(situation: Situation) -> int:
    return HEALTHY + REFUSED_EACH * len(_refusals(situation))


SAGA_LOAD = Provocation(
    name="saga-load",
    provoke=_load,
    requires=(steps_listed,),
    leaves_open=(several_steps, business_failures_named),
    commands=_commands_of_load,
)
DUPLICATE_START = Provocation(
    name="duplicate-start",
    provoke=_start_twice,
    requires=(steps_listed, key_placed),
    commands=lambda _: KEYS * (6 + COPIES),
)
CONTENTION = Provocation(
    name="contention",
    provoke=_contend,
    requires=(steps_listed, contention_named),
    aims=(
        Aimed(
            action="delay",
            at=lambda situation: [place.component for place in _taking(situation)],
            point="call",
        ),
    ),
    commands=lambda _: CONTENDERS,
)
REPEATED = Provocation(
    name="repeated-saga",
    provoke=_repeat,
    requires=(*AIMED_AT_STEPS, key_placed, interceptor_there),
    aims=aims_at(
        "fail for good, once it was committed", lambda situation: places(situation, steps_until_pivot(situation))
    ),
    commands=lambda situation: 2 * (len(steps_until_pivot(situation)) + len(_refusals(situation))),
)
TWINS = Provocation(
    name="failing-twins",
    provoke=_fail_twins,
    requires=AIMED_AT_STEPS,
    aims=aims_at("fail for good, after its effect", lambda situation: places(situation, steps_until_pivot(situation))),
    commands=lambda situation: 2 * len(steps_until_pivot(situation)),
)
