"""Fault points and their names, the kinds that apply to them, and the pairs that are left after pruning."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from holdfast.stack.configuration import Configuration, MachineConfiguration
from holdfast.stack.patterns import Pattern
from holdfast.sweep.coverage import cells
from holdfast.sweep.judging import Mark
from holdfast.sweep.kinds import (
    LASTING,
    LONGEST_DELAY_SECONDS,
    STALLED_TIMES,
    Kind,
    Surroundings,
    delay_seconds,
    inapplicable,
    rule_of,
    untried,
)
from holdfast.sweep.plan import Fault, Schedule, chosen, pairs, singles, views
from holdfast.sweep.points import Caller, Callers, Point, visited
from holdfast.sweep.surroundings import surroundings
from holdfast.targets.base import Rule
from holdfast.targets.interceptor.rules import RuleBook, problems
from sweep_examples import CALLERS, CHARGE, GET, HANDLER, INVOKE, KNOWN, PUT, QUEUE, STREAM, single, trace

TOKEN = "arn:aws:states:::lambda:invoke.waitForTaskToken"
USUAL = trace(
    "uuid-1/r1 sqs:ReceiveMessage 200",
    "f-worker/r2 dynamodb:GetItem 200",
    "f-worker/r2 dynamodb:PutItem 200",
    "uuid-1/r1 lambda:Invoke 200",
    handlings=("stranger/r9",),
)


def test_points_are_named_by_caller_call_and_count() -> None:
    """Each call is a point, counted over the whole command, and each invocation of a function; strangers are told."""
    found = visited(trace("f-worker/r1 dynamodb:PutItem 500", "f-worker/r2 dynamodb:PutItem 200"), CALLERS)
    assert [point.name for point in found.points] == [
        "worker invocation #1",
        "worker invocation #2",
        "worker dynamodb:PutItem #1",
        "worker dynamodb:PutItem #2",
    ]
    found = visited(trace("m-saga/r1/Charge lambda:Invoke 200", "m-saga/r1/Refund lambda:Invoke 200"), CALLERS)
    assert [point.name for point in found.points] == ["saga/Charge lambda:Invoke #1", "saga/Refund lambda:Invoke #1"]
    assert visited(USUAL, CALLERS).strangers == ("stranger",)


def test_a_caller_whose_invocation_was_not_seen_yet_comes_last() -> None:
    """Its calls were read a moment later than the invocations, and are points all the same."""
    seen = trace("f-worker/r1 dynamodb:PutItem 200", "m-saga/r1/Charge lambda:Invoke 200")
    early = replace(seen, invocations=tuple(one for one in seen.invocations if one.function != "f-worker"))
    assert [point.name for point in visited(early, CALLERS).points] == [
        "saga/Charge lambda:Invoke #1",
        "worker dynamodb:PutItem #1",
    ]


def test_a_rule_is_claimed_at_the_point_that_it_is_named_after() -> None:
    """The rule of the nth point is claimed by the nth such call, whatever other calls pass between."""
    calls = trace(
        *(f"f-worker/r{at} dynamodb:{op} 200" for at in (1, 2) for op in ("GetItem", "PutItem", "PutItem", "GetItem"))
    )
    for point in visited(calls, CALLERS).points:
        if point.invocation:
            continue
        book = RuleBook()
        book.add(replace(rule_of(point, Kind.REFUSED, "k", "f-worker", KNOWN), id="the-rule"))
        claimed = [one.order for one in calls.calls if book.claim_call(one.function, "k", one.service, one.operation)]
        same = [one.order for one in calls.calls if one.operation == point.operation]
        assert claimed == [same[point.nth - 1]]


@pytest.mark.parametrize(
    ("point", "kind", "why"),
    [
        (PUT, Kind.KILLED_AFTER, ""),
        (INVOKE, Kind.KILLED_BEFORE, "no process to kill"),
        (GET, Kind.ANSWER_LOST, "only reads"),
        (HANDLER, Kind.ANSWER_LOST, ""),
        (HANDLER, Kind.DELAYED, "begins when it runs"),
        (replace(PUT, nth=2), Kind.FOR_GOOD, ""),
        (CHARGE, Kind.KILLED_AFTER, "SG-12 of holdfast verify"),
        (PUT, Kind.DUPLICATED, "hands nothing on"),
        (INVOKE, Kind.DUPLICATED, ""),
        (CHARGE, Kind.DUPLICATED, "a standard execution runs a task once"),
        (CHARGE, Kind.DELAYED, ""),
        (replace(CHARGE, state="Ship"), Kind.DELAYED, "as long as its execution lives"),
        (replace(PUT, caller=replace(PUT.caller, component="slow")), Kind.DELAYED, ""),
        (Point(caller=STREAM, service="dynamodb", operation="GetRecords"), Kind.DELAYED, "sets no time"),
    ],
)
def test_a_kind_applies_or_says_why_not(point: Point, kind: Kind, why: str) -> None:
    """Services are not killed, reads lose no effect, and only what is delivered at least once comes twice."""
    told = inapplicable(point, kind, KNOWN)
    assert (why in told) if why else not told


def test_an_express_state_may_run_twice_unless_its_step_may_not() -> None:
    """Express executions run at least once; a step that the descriptor calls not idempotent is left alone."""
    express = replace(KNOWN, express=frozenset({"saga"}))
    assert not inapplicable(CHARGE, Kind.DUPLICATED, express)
    told = inapplicable(CHARGE, Kind.DUPLICATED, replace(express, once=frozenset({("saga", "Charge")})))
    assert "not idempotent" in told


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("point", [PUT, GET, HANDLER, INVOKE, CHARGE])
def test_every_rule_can_be_put_in_force(point: Point, kind: Kind) -> None:
    """Whatever applies has a rule that the interceptor admits, aimed at the key, and once unless it is for good."""
    if inapplicable(point, kind, KNOWN):
        return
    rule = replace(rule_of(point, kind, "k", "physical", KNOWN), id="r")
    assert problems(rule) == ()
    assert (rule.key, rule.function, rule.state) == ("k", "physical", point.state)
    assert (rule.nth, rule.onwards, rule.times) == ((0, False, 0) if kind in LASTING else (1, False, 1))


@pytest.mark.parametrize("kind", sorted(LASTING))
def test_what_fails_for_good_at_a_later_call_spares_the_earlier_ones(kind: Kind) -> None:
    """The first write passes, and the second and every later one does not; so with invocations."""
    for point in (replace(PUT, nth=2), replace(HANDLER, nth=2)):
        book = RuleBook()
        book.add(replace(rule_of(point, kind, "k", "f-worker", KNOWN), id="r"))

        def acted(book: RuleBook = book, point: Point = point) -> bool:
            if point.invocation:
                return bool(book.claim_invocation("f-worker", "k"))
            return bool(book.claim_call("f-worker", "k", point.service, point.operation))

        assert [acted() for _ in range(4)] == [False, True, True, True]


@pytest.mark.parametrize(
    ("point", "known", "told"),
    [
        (replace(PUT, caller=replace(PUT.caller, component="slow")), KNOWN, ("60 s", "20 s", "at most 19 s")),
        (INVOKE, replace(KNOWN, visibility_seconds={QUEUE: 30.0}), ("30 s", "20 s")),
        (CHARGE, replace(KNOWN, state_seconds={("saga", "Charge"): 60.0}), ("60 s", "20 s")),
        (
            replace(CHARGE, state="Ship"),
            replace(KNOWN, computed={("saga", "Ship"): "TimeoutSecondsPath"}),
            ("TimeoutSecondsPath", "only when it runs", "as a number"),
        ),
    ],
)
def test_what_applies_and_is_not_tried_is_unreached_with_what_to_do(
    point: Point, known: Surroundings, told: tuple[str, ...]
) -> None:
    """A caller that waits longer than any call is held, or for a time that is not known before, is a gap."""
    assert not inapplicable(point, Kind.DELAYED, known)
    why = untried(point, Kind.DELAYED, known)
    assert all(part in why for part in told), why
    schedules, left = singles([(point, Kind.DELAYED)], known, ())
    assert schedules == []
    (cell,) = cells([], left, [point])
    assert (cell.mark, cell.why) == (Mark.UNREACHED, why)


def test_a_delay_outlasts_its_caller_and_has_a_bound() -> None:
    """A function's calls are held past its timeout even where that comes late, a queue's past its visibility."""
    assert delay_seconds(PUT, KNOWN) == 6.0
    assert delay_seconds(INVOKE, KNOWN) == 7.0
    assert delay_seconds(CHARGE, KNOWN) == 6.0
    medium = replace(KNOWN, timeout_seconds={"worker": 10.0})
    assert delay_seconds(PUT, medium) == LONGEST_DELAY_SECONDS


def test_what_would_stall_for_ever_passes_after_some_failures() -> None:
    """A poll, and a stream whose function is throttled, use no delivery up, so they fail a few times only."""

    def times(point: Point) -> int:
        return rule_of(point, Kind.FOR_GOOD, "k", "physical", KNOWN).times

    assert times(Point(caller=QUEUE, service="sqs", operation="ReceiveMessage")) == STALLED_TIMES
    assert times(Point(caller=STREAM, service="lambda", operation="Invoke")) == STALLED_TIMES
    assert times(INVOKE) == times(PUT) == 0
    rule = Point(caller=Caller(component="booked", type="rule"), service="sqs", operation="SendMessage")
    enduring = replace(KNOWN, enduring=frozenset({"booked"}))
    assert times(rule) == 0
    assert [rule_of(rule, kind, "k", "physical", enduring).times for kind in sorted(LASTING)] == [STALLED_TIMES] * 2


def test_singles_meet_a_patient_client_and_before_the_acknowledgement_one_that_gives_up() -> None:
    """Every fault that applies has its schedule, every other one its reason."""
    schedules, left = singles([(GET, Kind.REFUSED), (GET, Kind.ANSWER_LOST), (INVOKE, Kind.REFUSED)], KNOWN, ["worker"])
    assert schedules == [
        single(GET, Kind.REFUSED),
        single(GET, Kind.REFUSED, patient=False),
        single(INVOKE, Kind.REFUSED),
    ]
    assert [(one.point, one.kind) for one in left] == [(GET, Kind.ANSWER_LOST)]


@pytest.mark.parametrize(
    ("state", "seconds", "computed"),
    [
        ({"TimeoutSeconds": 5}, 5.0, ""),
        ({}, None, ""),
        ({"TimeoutSecondsPath": "$.patience"}, None, "TimeoutSecondsPath"),
        ({"TimeoutSeconds": "{% $states.input.patience %}"}, None, "TimeoutSeconds"),
        ({"TimeoutSeconds": 60, "HeartbeatSeconds": 3}, 60.0, ""),
        ({"TimeoutSeconds": 60, "HeartbeatSeconds": 3, "Resource": TOKEN}, 3.0, ""),
        ({"HeartbeatSeconds": 3, "Resource": TOKEN}, 3.0, ""),
        ({"HeartbeatSecondsPath": "$.beat", "Resource": TOKEN}, None, "HeartbeatSecondsPath"),
    ],
)
def test_how_long_a_state_waits_is_read_from_its_definition(
    state: dict[str, object], seconds: float | None, computed: str
) -> None:
    """The timeout, or the heartbeat of a task that waits for its token; a time that is computed is told by its name."""
    definition = json.dumps({"StartAt": "Ship", "States": {"Ship": {"Type": "Task", **state}}})
    machine = MachineConfiguration(component="saga", arn="", definition=definition, express=False)
    pattern = Pattern(command="order", effect="entered")
    known = surroundings(Configuration((), (), machines=(machine,)), pattern, CALLERS)
    assert known.state_seconds == ({} if seconds is None else {("saga", "Ship"): seconds})
    assert known.computed == ({("saga", "Ship"): computed} if computed else {})


def test_words_choose_points_and_kinds() -> None:
    """Every word must be in the point's name or be the kind."""
    both = [GET, PUT]
    assert chosen(both, [Kind.REFUSED], "WORKER putitem") == [(PUT, Kind.REFUSED)]
    assert chosen(both, list(Kind), "getitem delayed") == [(GET, Kind.DELAYED)]
    assert len(chosen(both, list(Kind), "")) == 2 * len(Kind)


def test_a_caller_has_seen_the_outcomes_of_its_own_handling() -> None:
    """Views restart with every handling, and tell equal steps after each other once."""
    told = trace(
        "f-worker/r1 dynamodb:GetItem 200",
        "f-worker/r1 dynamodb:PutItem 0",
        "f-worker/r1 dynamodb:PutItem 0",
        "f-worker/r1 dynamodb:PutItem 400",
        "f-worker/r2 dynamodb:GetItem 200",
    )
    get, lost = ("dynamodb", "GetItem", "", "", "ok"), ("dynamodb", "PutItem", "", "", "lost")
    assert [(point.name, view) for point, view in views(told, CALLERS) if not point.invocation] == [
        ("worker dynamodb:GetItem #1", ()),
        ("worker dynamodb:PutItem #1", (get,)),
        ("worker dynamodb:PutItem #2", (get, lost)),
        ("worker dynamodb:PutItem #3", (get, lost)),
        ("worker dynamodb:GetItem #2", ()),
    ]


def test_an_invocation_is_known_by_what_came_of_it() -> None:
    """Two handlings that did the same look alike, one that did something else does not."""
    told = trace(*(f"f-worker/r{at} dynamodb:PutItem {status}" for at, status in ((1, 200), (2, 200), (3, 400))))
    came_to = [view for point, view in views(told, CALLERS) if point.invocation]
    assert came_to[0] == came_to[1] != came_to[2]


def planned(*ran: tuple[Schedule, object], most: int = 99, seed: int = 0, **more: object) -> object:
    """The pairs after these singles."""
    return pairs(
        ran,  # type: ignore[arg-type]
        USUAL,
        callers=CALLERS,
        known=KNOWN,
        kinds=(Kind.REFUSED, Kind.FOR_GOOD),
        most=most,
        seed=seed,
        **more,  # type: ignore[arg-type]
    )


AGAIN = trace(
    "uuid-1/r1 sqs:ReceiveMessage 200",
    "f-worker/r2 dynamodb:GetItem 200",
    "f-worker/r2 dynamodb:PutItem 0",
    "uuid-1/r1 lambda:Invoke 200",
    "f-worker/r4 dynamodb:GetItem 200",
    "f-worker/r4 dynamodb:PutItem 200",
    "f-worker/r4 dynamodb:UpdateItem 200",
)


def test_a_retry_that_looks_as_the_first_handling_did_is_pruned() -> None:
    """Of what a first fault makes reachable, only what nobody has seen there is tried: here the new UpdateItem."""
    ran = [(single(point, Kind.REFUSED), USUAL) for point in (GET, PUT)]
    found = planned(*ran, (single(PUT, Kind.KILLED_BEFORE), AGAIN))
    update = Point(caller=PUT.caller, service="dynamodb", operation="UpdateItem")
    assert {one.faults for one in found.schedules} == {  # type: ignore[attr-defined]
        (Fault(PUT, Kind.KILLED_BEFORE), Fault(point, kind))
        for point in (update, replace(HANDLER, nth=2))
        for kind in (Kind.REFUSED, Kind.FOR_GOOD)
    } | {(Fault(PUT, Kind.KILLED_BEFORE), Fault(replace(point, nth=2), Kind.FOR_GOOD)) for point in (GET, PUT)}
    assert (found.reachable, found.pruned, found.dropped) == (8, 2, 0)  # type: ignore[attr-defined]


def test_a_function_that_only_a_failure_invokes_is_killed_among_the_first() -> None:
    """The boundary of a compensation's invocation is visited before any call is visited a second time."""
    undone = trace("f-worker/r2 dynamodb:PutItem 400", "f-undo/r3 dynamodb:DeleteItem 200")
    undo = Caller(component="undo")
    callers = Callers({**CALLERS.by_name, "f-undo": undo})
    found = pairs(
        [(single(PUT, Kind.REFUSED), undone)],
        USUAL,
        callers=callers,
        known=KNOWN,
        kinds=(Kind.KILLED_BEFORE, Kind.KILLED_AFTER),
        most=4,
        seed=0,
    )
    assert {(str(one.faults[1].point), one.faults[1].kind) for one in found.schedules} == {
        (point, kind)
        for point in ("undo invocation #1", "undo dynamodb:DeleteItem #1")
        for kind in (Kind.KILLED_BEFORE, Kind.KILLED_AFTER)
    }


def test_the_same_seed_gives_the_same_pairs_and_a_bound_drops_the_rest() -> None:
    """Pairs are a function of what ran and of the seed; what is over the bound is counted."""
    ran = (single(PUT, Kind.KILLED_BEFORE), AGAIN)
    everything = planned(ran).schedules  # type: ignore[attr-defined]
    assert planned(ran).schedules == everything  # type: ignore[attr-defined]
    few = planned(ran, most=1)
    assert few.schedules == everything[:1]  # type: ignore[attr-defined]
    assert few.dropped == len(everything) - 1  # type: ignore[attr-defined]


def test_every_kind_at_every_new_call_comes_before_a_second_visit() -> None:
    """With a budget for two, both kinds at the compensation are tried, whatever many ways lead there."""
    ways = [
        trace(f"m-saga/r1/Charge lambda:Invoke {status}", "m-saga/r1/Refund lambda:Invoke 200")
        for status in (0, 200, 400)
    ]
    ran = [(single(point, Kind.KILLED_AFTER), way) for point, way in zip((GET, PUT, HANDLER), ways, strict=True)]
    for seed in range(20):
        few = planned(*ran, most=4, seed=seed).schedules  # type: ignore[attr-defined]
        assert len({(one.faults[1].point.state, one.faults[1].kind) for one in few}) == 4


@pytest.mark.parametrize(("caller", "left"), [("f-worker", [Kind.REFUSED]), ("uuid-2", [])])
def test_where_nothing_passes_what_surfaces_a_request_is_left_alone(caller: str, left: list[Kind]) -> None:
    """A fault for good, and one that keeps the request from the dead letters, leave nothing that is promised.

    A function sends again what was refused once; a mapping does not.
    """
    gone = trace(f"{caller}/r1 sqs:SendMessage 200")
    told = planned((single(HANDLER, Kind.FOR_GOOD), gone), surfacing={("sqs", "SendMessage", "stuck")})
    assert [one.faults[1].kind for one in told.schedules] == left  # type: ignore[attr-defined]
    passing = planned((single(HANDLER, Kind.REFUSED), gone), surfacing={("sqs", "SendMessage", "stuck")})
    assert len(passing.schedules) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("place", "left"),
    [("stuck", {Kind.REFUSED}), ("elsewhere", {Kind.REFUSED, Kind.FOR_GOOD})],
)
def test_whom_a_machine_hands_a_request_to_is_not_kept_from_telling(place: str, left: set[Kind]) -> None:
    """After a fault that does not pass, the function that puts the request among the dead letters is left to run."""
    handed = trace("m-saga/r1/Surface lambda:Invoke 200", "f-worker/r2 sqs:SendMessage 200")
    calls = tuple(replace(call, resource="f-worker" if call.service == "lambda" else place) for call in handed.calls)
    told = planned(
        (single(CHARGE, Kind.FOR_GOOD), replace(handed, calls=calls)),
        surfacing={("sqs", "SendMessage", "stuck")},
    )
    seconds = [one.faults[1] for one in told.schedules]  # type: ignore[attr-defined]
    assert {one.kind for one in seconds if one.point.state == "Surface"} == left


def test_pruning_agrees_with_a_brute_force_over_all_pairs() -> None:
    """No two pairs that are run show the same caller the same view, call and kind, and no such view is left out."""
    rng = random.Random(7)
    ran = []
    for at in range(12):
        calls = [
            f"f-worker/r{rng.randint(1, 3)} dynamodb:{rng.choice(['GetItem', 'PutItem'])} {rng.choice([0, 200, 400])}"
            for _ in range(6)
        ]
        ran.append((single(replace(PUT, nth=at + 1), Kind.REFUSED), trace(*calls)))
    found = planned(*ran)
    usual = {point.name for point in visited(USUAL, CALLERS).points}
    expected = {
        (point.operation, view, kind)
        for _, told in ran
        for point, view in views(told, CALLERS)
        for kind in (Kind.REFUSED, Kind.FOR_GOOD)
        if point.name not in usual and not inapplicable(point, kind, KNOWN)
    }
    base = {
        (point.operation, view, Kind.REFUSED)
        for point, view in views(USUAL, CALLERS)
        if any(one.faults[0].point == point for one, _ in ran)
    }
    shown = [
        (second.point.operation, dict(views(dict(ran)[Schedule(faults=(first,))], CALLERS))[second.point], second.kind)
        for first, second in (one.faults for one in found.schedules)  # type: ignore[attr-defined]
    ]
    assert len(shown) == len(set(shown))
    assert set(shown) == expected - base


def test_rules_for_other_states_are_not_claimed() -> None:
    """The rule of a state's call lets the same call of another state pass."""
    book = RuleBook()
    rule: Rule = replace(rule_of(CHARGE, Kind.REFUSED, "k", "m-saga", KNOWN), id="r")
    book.add(rule)
    assert not book.claim_call("m-saga", "k", "lambda", "Invoke", state="Reserve")
    assert book.claim_call("m-saga", "k", "lambda", "Invoke", state="Charge") == (rule,)
