"""Literal exchanges and histories of an application and its sidecar, with their full findings."""

from __future__ import annotations

import random

import pytest

from histories import EFFECT, fail, history, ok, seen, unknown
from holdfast.checkers import sidecar_answers, sidecar_bounds, sidecar_verdicts
from holdfast.checkers.durations import Distribution
from holdfast.history.exchanges import Down, End, Exchange, Life
from holdfast.history.model import History, Operation
from holdfast.verdict.model import Finding

FAULT = "while its sidecar was dead"


def asked(
    started: float = 1.0,
    completed: float = 1.2,
    status: int = 200,
    *,
    question: str = "shown",
    key: str = "k-1",
    reason: str = "",
    count: int | None = None,
    values: tuple[str, ...] = (),
    degraded: bool = False,
) -> Exchange:
    """One question and its answer."""
    return Exchange(
        question=question,
        key=key,
        started_seconds=started,
        completed_seconds=completed,
        status=status,
        reason=reason,
        count=count,
        values=values,
        degraded=degraded,
    )


# -- answers ---------------------------------------------------------------------------------------------------------


def test_a_late_answer_and_none_at_all_are_found() -> None:
    """An answer counts when it is whole and within the deadline; the deadline itself is still in time."""
    in_time, late, none = asked(1.0, 3.0, 503), asked(1.0, 3.5, 503), asked(2.0, 6.0, 0, reason="no answer within 4 s")
    assert sidecar_answers.in_time([in_time, late, none], bound_seconds=2.0, fault=FAULT) == (
        Finding(
            title="no answer in time",
            sentence="'shown' of k-1, asked at t=+1.000s while its sidecar was dead was answered 503 after 2.500 s,"
            " expected an answer within 2 s.",
            key="k-1",
            witness=(late.observation(),),
        ),
        Finding(
            title="no answer in time",
            sentence="'shown' of k-1, asked at t=+2.000s while its sidecar was dead got no answer in 4.000 s"
            " (no answer within 4 s), expected an answer within 2 s.",
            key="k-1",
            witness=(none.observation(),),
        ),
    )


def test_every_probe_of_a_dead_application_is_found() -> None:
    """A liveness probe that is answered with an error, or not at all, says that the application is down."""
    dead = asked(2.0, 2.0, 0, question="liveness", key="", reason="connection failed: refused")
    assert sidecar_answers.live([asked(question="liveness", key=""), dead], fault=FAULT) == (
        Finding(
            title="not alive",
            sentence="The liveness probe at t=+2.000s while its sidecar was dead got no answer (connection failed:"
            " refused), expected a 2xx.",
            witness=(dead.observation(),),
        ),
    )


def test_an_error_that_does_not_say_outage_is_found() -> None:
    """A 500 is unclear; declared statuses, successes and refusals are not this checker's business."""
    unclear = asked(status=500)
    clear = [asked(status=503), asked(status=200), asked(status=404), asked(status=0)]
    assert sidecar_answers.clear([unclear, *clear], outage_statuses=[503, 429], fault=FAULT) == (
        Finding(
            title="unclear error",
            sentence="'shown' of k-1, asked at t=+1.000s while its sidecar was dead was answered 500, expected one of"
            " 429,"
            " 503, which say that it is an outage.",
            key="k-1",
            witness=(unclear.observation(),),
        ),
    )


def test_an_outage_that_is_answered_as_absence_or_as_another_value_is_found() -> None:
    """What is stored is not said to be absent, nor to be something else, degraded or not; errors say nothing."""
    absent = asked(status=404, count=0)
    default = asked(2.0, 2.1, count=1, values=("",), degraded=True)
    right = [asked(count=1, values=("v",)), asked(status=503), asked(key="never stored", status=404, count=0)]
    assert sidecar_answers.contradictions([absent, default, *right], stored={"k-1": {"v"}}, fault=FAULT) == (
        Finding(
            title="outage answered as a fact",
            sentence="'shown' of k-1, asked at t=+1.000s while its sidecar was dead says that there is nothing (404),"
            " while"
            " the store holds 'v'; expected that or an error.",
            key="k-1",
            witness=(absent.observation(),),
        ),
        Finding(
            title="outage answered as a fact",
            sentence="'shown' of k-1, asked at t=+2.000s while its sidecar was dead shows '', while the store holds"
            " 'v';"
            " expected that or an error.",
            key="k-1",
            witness=(default.observation(),),
        ),
    )


def test_where_values_are_not_known_presence_alone_is_judged() -> None:
    """A key that is stored with unknown values may show any, but not nothing."""
    assert sidecar_answers.contradictions([asked(count=1, values=("x",))], stored={"k-1": ()}, fault=FAULT) == ()
    assert len(sidecar_answers.contradictions([asked(count=0)], stored={"k-1": ()}, fault=FAULT)) == 1


DOWN = Down(started_seconds=1.0, ended_seconds=3.0, why="before its sidecar was started")


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        (asked(1.5, 1.6), True),
        (asked(1.5, 1.6, 503), False),
        (asked(0.9, 1.6), False),
        (asked(2.9, 3.1), False),
    ],
    ids=["within", "not-ready", "began-before", "ended-after"],
)
def test_readiness_without_a_sidecar_counts_where_the_probe_cannot_have_met_it(probe: Exchange, found: bool) -> None:
    """Only a probe that lies within the time in which the sidecar was down contradicts it."""
    assert bool(sidecar_answers.ready_without([probe], down=[DOWN])) is found


def test_the_share_of_degraded_answers_leaves_out_what_was_not_answered() -> None:
    """The rate is over answers, and 0 when there are none."""
    assert sidecar_answers.degraded_share([asked(degraded=True), asked(), asked(status=0)]) == 0.5
    assert sidecar_answers.degraded_share([]) == 0.0


# -- business verdicts -----------------------------------------------------------------------------------------------


def planned(*events: Operation) -> History:
    """A run of the plan in which each accepted key took effect once and no other did."""
    counts = {one.key: int(one.status == "202") for one in events}
    return history(*events, *(seen(key, count) for key, count in counts.items()))


HEALTHY = planned(ok("h-1", sequence=0), fail("h-2", sequence=1))


def test_the_same_plan_with_the_same_verdicts_is_not_found() -> None:
    """Errors on the way to a verdict change nothing, nor does the key."""
    faulted = history(
        unknown("f-1", sequence=0),
        ok("f-1", 3.0, 3.1, sequence=0),
        fail("f-2", sequence=1),
        seen("f-1", 1),
        seen("f-2", 0),
    )
    assert sidecar_verdicts.different(HEALTHY, faulted, effect=EFFECT, fault=FAULT) == ()
    assert sidecar_verdicts.undecided(HEALTHY, faulted, effect=EFFECT) == ()


def test_a_valid_command_that_is_refused_under_a_fault_is_found() -> None:
    """An outage that is told as a refusal is another business verdict."""
    refused = fail("f-1", sequence=0)
    faulted = planned(refused, fail("f-2", sequence=1))
    assert sidecar_verdicts.different(HEALTHY, faulted, effect=EFFECT, fault=FAULT) == (
        Finding(
            title="another business verdict",
            sentence="Command 1 of the plan was refused, in effect 0 times when it was sent while its sidecar was"
            " dead (key"
            " f-1), and accepted, in effect 1 time with nothing wrong (key h-1).",
            key="f-1",
            witness=(refused, seen("f-1", 0)),
        ),
    )


def test_a_command_without_a_verdict_is_undecided() -> None:
    """What was never answered, or not seen at rest, proves nothing and is named."""
    faulted = history(unknown("f-1", sequence=0), fail("f-2", sequence=1), seen("f-1", 0))
    assert sidecar_verdicts.different(HEALTHY, faulted, effect=EFFECT, fault=FAULT) == ()
    assert sidecar_verdicts.undecided(HEALTHY, faulted, effect=EFFECT) == (
        "command 1 of the plan (f-1) has no business verdict",
        "command 2 of the plan (f-2) has no business verdict",
    )
    assert sidecar_verdicts.undecided(History(), faulted, effect=EFFECT) == ("the plan was not run to its end",)


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_a_recovery_that_is_too_slow_or_does_not_come_is_found() -> None:
    """The first acknowledgement of a command sent after the sidecar was back counts, and no earlier one."""
    before, slow, never = ok("k-0", 1.0, 1.5), ok("k-1", 4.0, 9.0), unknown("k-2", 5.0)
    assert sidecar_bounds.recovered(history(slow), since_seconds=4.0, bound_seconds=5.0) == ()
    assert sidecar_bounds.recovered(history(before, slow), since_seconds=3.5, bound_seconds=5.0) == (
        Finding(
            title="not recovered",
            sentence="Of 1 commands sent after the sidecar was ready again at t=+3.500s, the first was acknowledged"
            " after"
            " 5.500 s, expected within 5 s.",
            key="k-1",
            witness=(slow,),
        ),
    )
    (found,) = sidecar_bounds.recovered(history(before, never), since_seconds=3.5, bound_seconds=5.0)
    assert found.sentence.endswith("none was acknowledged, expected within 5 s.")


def test_another_process_after_the_fault_is_found() -> None:
    """An application that was started again did not recover by itself."""
    before = Life(component="app", process="process:7:100", at_seconds=1.0)
    after = Life(component="app", process="process:9:200", at_seconds=4.0)
    gone = Life(component="app", process="", at_seconds=4.0)
    assert sidecar_bounds.same_process(before, before, fault="after it had died") == ()
    assert sidecar_bounds.same_process(before, after, fault="after it had died") == (
        Finding(
            title="another process",
            sentence="app was process:7:100 at t=+1.000s and was process:9:200 at t=+4.000s, after it had died;"
            " expected"
            " the same process.",
        ),
    )
    assert "did not run any more" in sidecar_bounds.same_process(before, gone, fault="")[0].sentence


def test_a_component_that_had_to_be_killed_is_found() -> None:
    """What was asked to end has to end by itself."""
    slow = End(component="sidecar", seconds=15.02, in_time=False, order="the application, then its sidecar")
    good = End(component="app", seconds=0.2, in_time=True, order="the application, then its sidecar")
    assert sidecar_bounds.ended_in_order([good, slow]) == (
        Finding(
            title="killed for taking too long",
            sentence="sidecar had not ended 15.0 s after it was asked to (the application, then its sidecar), and was"
            " killed.",
        ),
    )


def test_each_budget_that_is_exceeded_is_found() -> None:
    """Median, 99th percentile and memory have a budget each; a budget that is just met is kept."""
    mebibyte = sidecar_bounds.MEBIBYTE
    kept = sidecar_bounds.within_budget((0.1, 0.5), (0.1, 0.5), rss_bytes=mebibyte, memory_bytes=mebibyte)
    assert kept == ()
    found = sidecar_bounds.within_budget((0.2, 0.6), (0.1, 0.5), rss_bytes=3 * mebibyte, memory_bytes=2 * mebibyte)
    assert [one.sentence for one in found] == [
        "The sidecar adds 0.200 s to the median of an answer, expected at most 0.1 s.",
        "The sidecar adds 0.600 s to the 99th percentile of an answer, expected at most 0.5 s.",
        "The sidecar held 3.0 MiB under load, expected at most 2.0 MiB.",
    ]


def test_a_starved_application_is_found_beyond_ratio_and_floor() -> None:
    """The median under pressure may be the ratio of that without, or the floor, whichever is more."""
    calm = [asked(1.0, 1.1)] * 3
    pressed = [asked(1.0, 1.1), asked(1.0, 1.4), asked(1.0, 1.5)]
    assert sidecar_bounds.not_starved(calm, pressed, ratio=2.0, floor_seconds=0.5) == ()
    assert sidecar_bounds.not_starved(calm, pressed, ratio=5.0, floor_seconds=0.0) == ()
    (found,) = sidecar_bounds.not_starved(calm, pressed, ratio=2.0, floor_seconds=0.0)
    assert found.sentence == (
        "The median answer took 0.400 s with the sidecar under pressure, over 3, and 0.100 s without, over 3;"
        " expected at"
        " most 0.200 s."
    )
    assert sidecar_bounds.not_starved(calm, [asked(status=0)], ratio=2.0, floor_seconds=0.0) == ()


def test_a_backlog_beyond_the_bound_is_found_at_the_command_that_went_beyond_it() -> None:
    """What was stored meanwhile does not wait; what was refused does not count."""
    sent = history(*(ok(f"k-{at}", 1.0, 2.0 + at) for at in range(4)), fail("k-9"))
    assert sidecar_bounds.backlog_bounded(sent, most=3, stored=1) == ()
    (found,) = sidecar_bounds.backlog_bounded(sent, most=2, stored=1)
    assert found.sentence == (
        "While the store was slow, 4 of 5 commands were acknowledged and 1 of them stored, so 3 waited; expected at"
        " most 2"
        " to wait and a clear refusal for the others, from k-3 on."
    )
    assert found.key == "k-3"


def test_a_refusal_without_a_clear_status_is_found() -> None:
    """A client that gets a 500, or nothing, does not know that it has to wait."""
    unclear, silent = fail("k-1", status="500"), unknown("k-2", 2.0)
    found = sidecar_bounds.refused_clearly(
        history(ok("k-0"), unclear, silent, fail("k-3", status="429")), outage_statuses=[503, 429]
    )
    assert [one.sentence for one in found] == [
        "Key k-1, sent at t=+1.000s while the store was slow, was answered 500, expected an acknowledgement or one of"
        " 429,"
        " 503.",
        "Key k-2, sent at t=+2.000s while the store was slow, was answered nothing, expected an acknowledgement or"
        " one of"
        " 429, 503.",
    ]


def test_a_value_that_was_written_over_too_long_ago_is_found() -> None:
    """Staleness runs from the acknowledgement of the write that replaced what is shown to the beginning of the read."""
    first, second = ok("k-1", 1.0, 1.5, value="a"), ok("k-1", 2.0, 2.5, value="b")
    allowed = asked(4.0, 4.1, count=1, values=("a",))
    stale = asked(4.6, 4.7, count=1, values=("a",))
    judged = sidecar_bounds.staleness(history(first, second), [allowed, stale], bound_seconds=2.0)
    assert judged.findings == (
        Finding(
            title="stale beyond the bound",
            sentence="'shown' of k-1 at t=+4.600s shows 'a', 2.100 s after 'b' had been written; expected at most 2 s.",
            key="k-1",
            witness=(second, stale.observation()),
        ),
    )
    assert judged.reads == 2
    assert judged.stale == Distribution.of([1.5, 4.6 - 2.5])


def oracle(writes: list[Operation], read: Exchange) -> float:
    """The staleness of a read by definition.

    The least d so that what it shows was current at some time within the last d seconds before it began, or is newer.
    """
    shown = read.values[0] if read.values else None
    times = [0.0, *(one.completed_seconds or 0.0 for one in writes)]
    values = [None, *(one.value for one in writes)]
    at = values.index(shown)
    return 0.0 if at == len(values) - 1 else max(0.0, read.started_seconds - times[at + 1])


def test_staleness_is_that_of_its_definition() -> None:
    """Random registers of one key and random reads are judged as by trying every time at which a value was current."""
    rng = random.Random(5)
    for _ in range(300):
        times = sorted(rng.uniform(0, 10) for _ in range(2 * rng.randint(1, 4)))
        writes = [ok("k-1", times[at], times[at + 1], value=f"v{at}") for at in range(0, len(times), 2)]
        begun = rng.uniform(0, 12)
        shown = rng.choice([None, *(one.value for one in writes if one.invoked_seconds <= begun)])
        read = asked(begun, begun + 0.1, count=int(shown is not None), values=() if shown is None else (shown,))
        expected = oracle(writes, read)
        bound = rng.uniform(0.1, 6)
        judged = sidecar_bounds.staleness(history(*writes), [read], bound_seconds=bound)
        assert judged.stale.maximum == pytest.approx(expected)
        assert bool(judged.findings) is (expected > bound)
