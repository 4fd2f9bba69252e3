"""Findings as text, and the merging of verdicts."""

from __future__ import annotations

from itertools import product

import pytest

from histories import fail, ok, operation, seen, unknown
from holdfast.history.model import ErrorClass, FaultWindow, Outcome
from holdfast.verdict.describe import describe, event_line, shorten
from holdfast.verdict.model import Finding, Verdict, merge

WINDOW = FaultWindow(
    lever="function-throttle",
    component="worker",
    error_class=ErrorClass.THROTTLE,
    started_seconds=0.5,
    ended_seconds=7.2,
    proof="429 counted 3 times",
    hits=3,
)


def test_a_finding_is_told_in_time_order() -> None:
    """The sentence first, then one line per event, the fault windows among them."""
    write = operation("k-17", Outcome.OK, 1.204, 1.242, value="v-17", status="202")
    read = seen("k-17", 2, 6.41, values=("v-17", "v-17"))
    told = describe(Finding(title="duplicated", sentence="One sentence.", key="k-17", witness=(read, write, WINDOW)))
    assert told == (
        "duplicated: One sentence.",
        "  t=+0.500s  fault window function-throttle on worker 0.5s..7.2s, hit 3 times: 429 counted 3 times",
        "  t=+1.204s  submitted place_order key=k-17 as healthy -> ok 202 (38 ms), value 'v-17'",
        "  t=+6.410s  effect 'fulfilled' of k-17: 2 times, values 'v-17', 'v-17'",
    )


def test_events_say_all_that_they_know() -> None:
    """Missing answers, groups, states, positions, many values and unproven windows are told."""
    assert event_line(unknown("k-1", group="g", sequence=2, role="")) == (
        "t=+1.000s  submitted place_order key=k-1 -> unknown (no answer), group g #2"
    )
    assert event_line(fail("k-1", role="conflict")) == (
        "t=+1.000s  submitted place_order key=k-1 as conflict -> fail 409 (500 ms)"
    )
    assert event_line(seen("k-1", 1, state="DONE", orders=("7",), complete=False)) == (
        "t=+9.000s  effect 'fulfilled' of k-1: 1 time, state 'DONE', positions '7', incomplete read"
    )
    assert event_line(seen("k-1", 6, bodies=tuple("abcdef"))) == (
        "t=+9.000s  effect 'fulfilled' of k-1: 6 times, bodies 'a', 'b', 'c', 'd' and 2 more"
    )
    aimed = FaultWindow(
        lever="crash", component="w", error_class=ErrorClass.CRASH, started_seconds=1, ended_seconds=2, key="k-1"
    )
    assert event_line(aimed) == "t=+1.000s  fault window crash on w for key k-1 1.0s..2.0s: unproven"


def test_long_and_strange_texts_stay_short_and_readable() -> None:
    """The middle of a long text goes, line breaks and look-alikes are escaped."""
    assert shorten("a\n\u202eb") == "'a\\n\\u202eb'"
    assert shorten("0123456789", 10) == "'0123456789'"
    assert shorten("0123456789x", 5) == "'01'...'89x' (11 characters)"
    assert "\n" not in event_line(ok("k-1", value="x\n" * 500))
    assert len(event_line(ok("k-1", value="x\n" * 500))) < 250


@pytest.mark.parametrize(
    ("verdicts", "merged"),
    [
        ((Verdict.HOLDS, Verdict.INCONCLUSIVE, Verdict.VIOLATED), Verdict.VIOLATED),
        ((Verdict.HOLDS, Verdict.INCONCLUSIVE), Verdict.INCONCLUSIVE),
        ((Verdict.WAIVED, Verdict.HOLDS), Verdict.HOLDS),
        ((Verdict.WAIVED,), Verdict.WAIVED),
        ((), Verdict.INCONCLUSIVE),
    ],
)
def test_merging_keeps_the_worst(verdicts: tuple[Verdict, ...], merged: Verdict) -> None:
    """Violated beats inconclusive beats holds; nothing at all is never a pass."""
    assert merge(verdicts) is merged


def test_merging_is_associative() -> None:
    """Merging in parts gives what merging at once gives."""
    for one, two, three in product(Verdict, repeat=3):
        assert merge([merge([one, two]), three]) is merge([one, two, three]) is merge([three, two, one])
