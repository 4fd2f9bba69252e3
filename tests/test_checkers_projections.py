"""Literal histories and their full findings: what read models show of their logs, and how late."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from aggregates import VIEW, balance, event, log, stream, view
from histories import ok
from holdfast.checkers import logs, projections, sides
from holdfast.checkers.columnar import sessions, staleness
from holdfast.checkers.durations import Distribution
from holdfast.checkers.projections import UNKNOWN_VERSION

E1, E2, E3 = event(1, "k1", 5), event(2, "k2", 7), event(3, "k3", 1)
S1, S2, S3 = {"balance": 5, "entries": 1}, {"balance": 12, "entries": 2}, {"balance": 13, "entries": 3}


def diverged(*parts: Any) -> list[tuple[str, str]]:
    return [(one.title, one.sentence) for one in projections.diverged([stream(*parts)], fold=balance, view=VIEW)]


def test_a_view_that_shows_the_fold_has_converged() -> None:
    """Only the last read counts: it may have been behind before."""
    assert diverged(ok("k1"), ok("k2"), view(S1, 2.0), log(E1, E2), view(S2)) == []


def test_a_view_that_is_behind_at_the_end_has_not_converged() -> None:
    """The finding says how many events the log has, what they fold to, what is shown, and which beginning that is."""
    (found,) = projections.diverged([stream(ok("k1"), ok("k2"), log(E1, E2), view(S1))], fold=balance, view=VIEW)
    assert found.title == "not converged"
    assert found.key == "a"
    assert found.sentence == (
        "Aggregate a has 2 events at t=+8.000s, which fold to '{\"balance\": 12, \"entries\": 2}'; 'balances' shows"
        ' \'{"balance": 5, "entries": 1}\' at t=+9.000s, the state of its first 1 events.'
    )
    assert [type(one).__name__ for one in found.witness] == ["Operation", "Observation", "Observation"]


def test_a_view_that_shows_something_of_nothing_has_not_converged() -> None:
    """A row that came back after its aggregate was removed is no fold of the log; an absent one is."""

    def removed(events: Any) -> Any:
        return None if events and events[-1].get("type") == "closed" else balance(events)

    closed = event(2, "k2", 0, type="closed")
    back = stream(ok("k1"), ok("k2"), log(E1, closed), view(S1))
    gone = stream(ok("k1"), ok("k2"), log(E1, closed), view(None))
    assert [one.title for one in projections.diverged([back], fold=removed, view=VIEW)] == ["not converged"]
    assert projections.diverged([gone], fold=removed, view=VIEW) == ()


@pytest.mark.parametrize(
    "parts",
    [
        (log(E1), view(None, complete=False)),
        (log(E1, complete=False), view(None)),
        (view(None, 5.0), log(E1)),
        (log(E1),),
        (view(None),),
    ],
)
def test_what_was_not_read_to_its_end_proves_nothing_and_is_told(parts: tuple[Any, ...]) -> None:
    """No finding rests on a read that failed, or on a view that was read before the log; each is a gap."""
    one = stream(ok("k1"), *parts)
    assert projections.diverged([one], fold=balance, view=VIEW) == ()
    assert len(projections.unseen([one], views=[VIEW])) >= 1


def test_a_state_of_no_beginning_of_the_log_is_impossible() -> None:
    """A torn state is one whatever comes after; those of beginnings, the empty one included, are possible."""
    torn = {"balance": 12, "entries": 1}
    read = [view(None, 1.0), view(S1, 2.0), view(torn, 3.0), view(S2, 4.0)]
    (found,) = projections.impossible_states([stream(ok("k1"), *read, log(E1, E2))], fold=balance, view=VIEW)
    assert found.title == "impossible state"
    assert "which is the fold of no beginning of its 2 events (1 such reads)" in found.sentence
    fine = stream(ok("k1"), *read[:2], read[3], log(E1, E2))
    assert projections.impossible_states([fine], fold=balance, view=VIEW) == ()
    # what was read after the log may show events that the log was not seen to have
    later = stream(ok("k1"), log(E1), view(S2))
    assert projections.impossible_states([later], fold=balance, view=VIEW) == ()


def test_two_views_are_compared_row_by_row() -> None:
    """A rebuilt view is the live one, or the finding shows both."""
    same = stream(ok("k1"), view(S1), view(S1, port="rebuilt"))
    other = stream(ok("k1"), view(S1), view(None, port="rebuilt"))
    assert projections.different([same], live=VIEW, other="rebuilt") == ()
    (found,) = projections.different([other], live=VIEW, other="rebuilt")
    assert (found.title, len(found.witness)) == ("not the same", 2)
    assert "'rebuilt' shows 'nothing'" in found.sentence


@pytest.mark.parametrize(
    ("state", "version", "expected"),
    [(S1, None, 1), (S2, None, 2), (None, None, 0), ({"balance": 9}, None, UNKNOWN_VERSION), ({"balance": 9}, 2, 2)],
)
def test_a_version_is_told_or_found_in_the_log(state: Any, version: int | None, expected: int) -> None:
    """What a view says of itself counts; elsewhere the state is looked for among the beginnings of the log."""
    one = stream(ok("k1"), log(E1, E2))
    assert projections.versions_of(one, [view(state, version=version)], balance) == [expected]


def test_equal_states_count_as_the_latest() -> None:
    """A state that two beginnings share says nothing against the reader: the longer one is taken."""
    nothing = event(2, "k2", 0)
    one = stream(ok("k1"), log(E1, replace(nothing, data={"amount": 0})))

    def total(events: Any) -> Any:
        return {"balance": sum(one["amount"] for one in events)}

    assert projections.versions_of(one, [view({"balance": 5})], total) == [2]


def test_visibility_counts_from_the_acknowledgement_to_the_first_read_that_shows_it() -> None:
    """Whoever reads first counts; an event that was seen before it was acknowledged took no time."""
    parts = [
        ok("k1", 1.0, 1.5),
        ok("k2", 2.0, 2.5),
        view(None, 1.6),
        view(S1, 2.0, reader="r2"),
        view(S1, 2.1),
        view(S2, 2.4),
        log(E1, E2),
    ]
    assert projections.visibility([stream(*parts)], fold=balance, view=VIEW) == Distribution(
        count=2, p50=0.0, p99=0.5, maximum=0.5
    )


def test_staleness_is_measured_by_the_places_of_the_log() -> None:
    """A read that began 0.5 s after the acknowledgement of what it misses is 500 ms and one version behind."""
    parts = [
        ok("k1", 1.0, 1.5),
        ok("k2", 2.0, 2.5),
        view(S1, 2.0, version=1),
        view(S1, 3.0, version=1, reader="r2"),
        view(S2, 4.0, version=2),
        log(E1, E2),
    ]
    columns = logs.as_registers([stream(*parts)], fold=balance, view=VIEW)
    result = staleness.check(columns, bound_ms=400)
    assert result.figures["ms_max"] == pytest.approx(500)
    assert (result.figures["reads"], result.figures["readers"], result.figures["versions_max"]) == (3, 2, 1)
    assert [one.title for one in result.findings] == ["stale read"]
    assert staleness.check(columns, bound_ms=600).findings == ()


@pytest.mark.parametrize("delay_seconds", [0.3, 1.0, 4.0])
def test_staleness_agrees_with_a_planted_delay(delay_seconds: float) -> None:
    """A projector that is late by so much makes reads stale by at most that, and events visible after that, to 10 %."""
    rng = random.Random(11)
    sent = [at * 6.0 + rng.random() for at in range(40)]
    keys = [f"k{at + 1}" for at in range(len(sent))]
    events = [event(at + 1, key) for at, key in enumerate(keys)]
    parts: list[Any] = [ok(key, at, at + 0.01) for key, at in zip(keys, sent, strict=True)]
    for reader, offset in (("r1", 0.0), ("r2", 0.013)):
        for step in range(int(sent[-1] * 40) + 400):
            at = step * 0.025 + offset
            version = sum(one + 0.01 + delay_seconds <= at for one in sent)
            parts.append(view({"seen": version}, at, version=version, reader=reader, took=0.001))
    one = stream(*parts, log(*events, at=10_000.0))
    figures = staleness.check(logs.as_registers([one], fold=balance, view=VIEW)).figures
    assert figures["ms_max"] == pytest.approx(delay_seconds * 1000, rel=0.1)
    assert figures["readers"] == 2
    seen = projections.visibility([one], fold=balance, view=VIEW)
    assert seen.count == len(sent)
    assert [seen.p50, seen.maximum] == pytest.approx([delay_seconds] * 2, rel=0.1)


def test_sessions_are_those_of_writers_and_readers_and_not_of_observers() -> None:
    """A session that misses its own write, or goes back, is found; what waits for something belongs to none."""
    parts = [
        ok("k1", 1.0, 1.5, group="s"),
        ok("k2", 2.0, 2.5, group="s"),
        view(S1, 2.6, version=1, reader="s"),
        view(S2, 3.0, version=2, reader="t"),
        view(S1, 3.5, version=1, reader="t"),
        view(None, 4.0, reader="t", role=""),
        log(E1, E2),
    ]
    columns = logs.as_registers([stream(*parts)], fold=balance, view=VIEW, sessions=True)
    columns = columns.at(logs.in_sessions(columns))
    assert int(columns.is_kind("read").sum()) == 3
    own = sessions.check(columns, guarantees=["read-your-writes"])
    back = sessions.check(columns, guarantees=["monotonic-reads"])
    assert ([one.title for one in own.findings], own.undecided) == (["read your writes broken"], ())
    assert [one.title for one in back.findings] == ["monotonic reads broken"]


def test_reads_are_served_while_the_write_side_is_dead() -> None:
    """Refused, other than before, or slower than the bound: each is a finding; without a calm yardstick none is."""
    calm = [view(S1, 1.0), view(S1, 1.2)]
    fault = "while the write side was dead"
    assert sides.not_served(calm, [view(S1, 3.0)], fault=fault) == ()
    (refused,) = sides.not_served(calm, [view(None, 3.0, complete=False)], fault=fault)
    (other,) = sides.not_served(calm, [view(None, 3.0)], fault=fault)
    assert refused.sentence == (
        "A read of 'balances' of a at t=+3.000s while the write side was dead: throttled; all 2 reads before that were"
        " served."
    )
    assert "shows 'nothing', before" in other.sentence
    assert sides.not_served([*calm, view(None, 1.4, complete=False)], [view(None, 3.0)], fault=fault) == ()
    assert sides.slower(calm, [view(S1, 3.0, took=0.25)], ratio=3, floor_seconds=0) == ()
    (slow,) = sides.slower(calm, [view(S1, 3.0, took=0.35)], ratio=3, floor_seconds=0)
    assert slow.title == "reads wait"
    assert sides.slower(calm, [view(S1, 3.0, took=0.35)], ratio=3, floor_seconds=0.5) == ()


def test_small_histories_agree_with_an_obvious_oracle() -> None:
    """On thousands of random streams the verdicts are those of a rule that says the same in other words."""
    rng = random.Random(7)
    seen: dict[bool, int] = {True: 0, False: 0}
    for _ in range(4_000):
        length = rng.randint(0, 4)
        events = [event(at + 1, f"k{at + 1}", rng.randint(0, 2)) for at in range(length)]
        states = [balance([one.data for one in events[:upto]]) for upto in range(length + 1)]
        pool = [*states, {"balance": 9, "entries": 9}]
        reads = [view(rng.choice(pool), 1.0 + at) for at in range(rng.randint(1, 4))]
        last = view(rng.choice(pool), 9.0)
        one = stream(ok("k1"), *reads, log(*events), last)
        wrong = last.state != states[-1]
        seen[wrong] += 1
        assert bool(projections.diverged([one], fold=balance, view=VIEW)) is wrong
        torn = any(read.state not in states for read in reads)
        assert bool(projections.impossible_states([one], fold=balance, view=VIEW)) is torn
    assert min(seen.values()) > 500
