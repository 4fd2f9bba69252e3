"""Literal histories and their full findings: persistence."""

from __future__ import annotations

import pytest

from histories import EFFECT, fail, history, ok, seen, unknown
from holdfast.checkers import persistence
from holdfast.checkers.durations import Distribution
from holdfast.history.model import History
from holdfast.verdict.model import Finding


def test_an_acknowledged_key_without_effect_is_lost() -> None:
    """An absent read that began after the acknowledgement is a loss, told with both times."""
    write, read = ok("k-1"), seen("k-1", 0)
    assert persistence.acknowledged_and_lost(history(write, ok("k-2"), read, seen("k-2", 1)), effect=EFFECT) == (
        Finding(
            title="acknowledged and lost",
            sentence="Key k-1 was acknowledged (202) at t=+1.500s but its effect 'fulfilled' was there 0 times at"
            " t=+9.000s, expected at least 1.",
            key="k-1",
            witness=(write, read),
        ),
    )


def test_an_effect_that_vanished_is_lost_with_the_read_that_saw_it() -> None:
    """Absent from the last read is a loss even if an earlier read saw it, and that read is part of the witness."""
    write, early, late = ok("k-1"), seen("k-1", 1, 3.0), seen("k-1", 0, 9.0)
    assert persistence.acknowledged_and_lost(history(write, early, late), effect=EFFECT) == (
        Finding(
            title="acknowledged and lost",
            sentence="Key k-1 was acknowledged (202) at t=+1.500s but its effect 'fulfilled' was there 0 times at"
            " t=+9.000s after 1 time at t=+3.000s, expected at least 1.",
            key="k-1",
            witness=(write, early, late),
        ),
    )


@pytest.mark.parametrize(
    ("kept", "open_keys"),
    [
        pytest.param(history(ok("k-1"), seen("k-1", 0, 2.0), seen("k-1", 1)), (), id="absent first, there later"),
        pytest.param(history(ok("k-1"), seen("k-1", 0, 1.5)), ("k-1",), id="absent read began with the answer"),
        pytest.param(history(ok("k-1"), seen("k-1", 0, 1.0)), ("k-1",), id="absent read began before the answer"),
        pytest.param(history(ok("k-1"), seen("k-1", 0, complete=False)), ("k-1",), id="incomplete read"),
        pytest.param(
            history(ok("k-1"), seen("k-1", 0, 3.0), seen("k-1", 0, complete=False)), ("k-1",), id="last is incomplete"
        ),
        pytest.param(history(ok("k-1")), ("k-1",), id="never read"),
        pytest.param(history(ok("k-1"), seen("k-1", 0, port="other")), ("k-1",), id="another port"),
        pytest.param(history(unknown("k-1"), seen("k-1", 0)), (), id="unknown may be absent"),
        pytest.param(history(fail("k-1"), seen("k-1", 0)), (), id="refused is absent"),
        pytest.param(history(seen("k-9", 0)), (), id="somebody else's key"),
        pytest.param(history(ok("k-1"), seen("k-1", 1, 9.0), seen("k-1", 0, 3.0)), (), id="recorded out of order"),
        pytest.param(history(fail("k-1"), ok("k-1", 3.0, 4.0), seen("k-1", 0, 2.0)), ("k-1",), id="acknowledged later"),
    ],
)
def test_no_loss_without_proof(kept: History, open_keys: tuple[str, ...]) -> None:
    """Only a last, complete read that began strictly after the acknowledgement proves a loss; the rest is undecided."""
    assert persistence.acknowledged_and_lost(kept, effect=EFFECT) == ()
    assert persistence.undecided(kept, effect=EFFECT) == open_keys


def test_a_refused_key_with_an_effect_is_a_phantom() -> None:
    """A key all of whose submissions were refused must have no effect."""
    first, second, read = fail("k-1"), fail("k-1", 2.0, 2.5, status="400"), seen("k-1", 2)
    single, lone = fail("k-2"), seen("k-2", 1)
    assert persistence.phantoms(history(first, second, single, read, lone), effect=EFFECT) == (
        Finding(
            title="phantom",
            sentence="Key k-2 was refused (409) at t=+1.500s but its effect 'fulfilled' was there 1 time at t=+9.000s,"
            " expected 0.",
            key="k-2",
            witness=(single, lone),
        ),
        Finding(
            title="phantom",
            sentence="Key k-1 was refused (409) at t=+1.500s (all 2 submissions were) but its effect 'fulfilled' was"
            " there 2 times at t=+9.000s, expected 0.",
            key="k-1",
            witness=(first, second, read),
        ),
    )


@pytest.mark.parametrize(
    "kept",
    [
        history(fail("k-1"), seen("k-1", 0)),
        history(fail("k-1"), ok("k-1", 2.0, 3.0), seen("k-1", 1)),
        history(fail("k-1"), unknown("k-1", 2.0), seen("k-1", 1)),
        history(fail("k-1"), seen("k-1", 1, complete=False)),
        history(ok("k-1"), seen("k-9", 1)),
    ],
)
def test_no_phantom_where_some_submission_may_have_applied(kept: History) -> None:
    """An acknowledged or unknown submission of the key explains its effect, and an incomplete read shows none."""
    assert persistence.phantoms(kept, effect=EFFECT) == ()


def test_an_altered_body_is_shown_where_it_departs() -> None:
    """A body that differs by one invisible character is told with its index and both excerpts, escaped."""
    write = ok("k-1", body="12 caf\u00e9s & more of it & the end")
    read = seen("k-1", 1, bodies=("12 cafe\u0301s & more of it & the end",))
    assert persistence.altered(history(write, read), effect=EFFECT, compare="body") == (
        Finding(
            title="altered",
            sentence="Key k-1 shows in effect 'fulfilled' at t=+9.000s a body that was never submitted: at character 6"
            " expected '12 caf\\xe9s & more of it '... of 31 characters, seen"
            " '12 cafe\\u0301s & more of it'... of 32 characters.",
            key="k-1",
            witness=(write, read),
        ),
    )


def test_a_truncated_value_is_altered() -> None:
    """A value that ends early is told with both lengths, against the submission it resembles most."""
    other, write, read = ok("k-1", 0.5, value="x"), ok("k-1", value="abcdef"), seen("k-1", 2, values=("x", "abc"))
    assert persistence.altered(history(other, write, read), effect=EFFECT) == (
        Finding(
            title="altered",
            sentence="Key k-1 shows in effect 'fulfilled' at t=+9.000s a value that was never submitted: at character 3"
            " expected 'abcdef' of 6 characters, seen the end after 'abc' of 3 characters.",
            key="k-1",
            witness=(write, read),
        ),
    )


def test_a_refused_payload_that_shows_is_altered() -> None:
    """The payload of a refused submission is not one that may show."""
    write, refused, read = ok("k-1", value="a"), fail("k-1", 2.0, 2.5, "b"), seen("k-1", 1, values=("b",))
    assert persistence.altered(history(write, refused, read), effect=EFFECT) == (
        Finding(
            title="altered",
            sentence="Key k-1 shows in effect 'fulfilled' at t=+9.000s the value of a submission refused (409) at"
            " t=+2.500s, expected 0 effects of it.",
            key="k-1",
            witness=(refused, read),
        ),
    )


@pytest.mark.parametrize(
    ("kept", "open_keys"),
    [
        pytest.param(history(ok("k-1", value="a"), seen("k-1", 2, values=("a", "a"))), (), id="whole, twice"),
        pytest.param(history(unknown("k-1", value="a"), seen("k-1", 1, values=("a",))), (), id="unknown applied"),
        pytest.param(history(ok("k-1", value="a"), seen("k-1", 1)), ("k-1",), id="port shows nothing"),
        pytest.param(history(ok("k-1"), seen("k-1", 1, values=("z",))), ("k-1",), id="value not known"),
        pytest.param(
            history(ok("k-1", value="a"), unknown("k-1", 2.0), seen("k-1", 1, values=("z",))),
            ("k-1",),
            id="value of the unknown one not known",
        ),
        pytest.param(
            history(ok("k-1", value="a"), seen("k-1", 1, values=("z",), complete=False)), ("k-1",), id="incomplete"
        ),
        pytest.param(
            history(ok("k-1", value="a"), seen("k-1", 1, 3.0, values=("z",)), seen("k-1", 1, values=("a",))),
            (),
            id="the last read decides",
        ),
    ],
)
def test_nothing_is_altered_without_proof(kept: History, open_keys: tuple[str, ...]) -> None:
    """Every payload shown was submitted whole, or it cannot be compared and is undecided."""
    assert persistence.altered(kept, effect=EFFECT) == ()
    assert persistence.undecided(kept, effect=EFFECT, compare="value") == open_keys


def test_recovered_names_unknown_keys_that_took_effect() -> None:
    """An unknown key that took effect is recovered; an acknowledged, refused or absent one is not."""
    lived = history(
        *(unknown("k-1"), unknown("k-2"), unknown("k-3"), ok("k-3", 2.0, 3.0), fail("k-4")),
        *(seen("k-1", 1), seen("k-2", 0), seen("k-3", 1), seen("k-4", 1)),
    )
    assert persistence.recovered(lived, EFFECT) == ("k-1",)


def test_time_to_effect_runs_from_the_acknowledgement_to_the_first_sight() -> None:
    """Each key counts once, from its first acknowledgement; an effect seen before that took no time."""
    lived = history(
        *(ok("k-1"), ok("k-1", 2.0, 3.0), seen("k-1", 0, 2.0), seen("k-1", 1, 3.0, 3.5), seen("k-1", 1, 8.0)),
        *(ok("k-2", 1.0, 5.0), seen("k-2", 1, 2.0)),
        *(unknown("k-3"), seen("k-3", 1)),
        *(ok("k-4"), seen("k-4", 0)),
    )
    assert persistence.time_to_effect(lived, effect=EFFECT) == Distribution(count=2, p50=0.0, p99=2.0, maximum=2.0)


def test_late_is_proven_by_an_absent_read_past_the_bound() -> None:
    """A key absent when a read began past the bound is late, whether it came later or not."""
    write, absent, there = ok("k-1"), seen("k-1", 0, 7.0), seen("k-1", 1, 8.0)
    other, never = ok("k-2"), seen("k-2", 0, 9.0)
    assert persistence.late(history(write, other, absent, there, never), effect=EFFECT, bound_seconds=5) == (
        Finding(
            title="late",
            sentence="Key k-2 was acknowledged (202) at t=+1.500s but its effect 'fulfilled' was there 0 times 7.500 s"
            " after that (never seen), expected at least 1 within 5.000 s.",
            key="k-2",
            witness=(other, never),
        ),
        Finding(
            title="late",
            sentence="Key k-1 was acknowledged (202) at t=+1.500s but its effect 'fulfilled' was there 0 times 5.500 s"
            " after that (first seen at t=+8.000s), expected at least 1 within 5.000 s.",
            key="k-1",
            witness=(write, absent, there),
        ),
    )


def test_the_bound_can_begin_when_the_fault_was_healed() -> None:
    """Time before the given moment does not count."""
    write, never = ok("k-1"), seen("k-1", 0, 9.0)
    kept = persistence.late(history(write, never), effect=EFFECT, bound_seconds=5, since_seconds=4.0)
    assert kept == ()
    broken = persistence.late(history(write, never), effect=EFFECT, bound_seconds=4, since_seconds=4.0)
    assert [one.sentence for one in broken] == [
        "Key k-1 was acknowledged (202) at t=+1.500s but its effect 'fulfilled' was there 0 times 5.000 s after the"
        " bound began at t=+4.000s (never seen), expected at least 1 within 4.000 s."
    ]


@pytest.mark.parametrize(
    ("kept", "open_keys"),
    [
        pytest.param(history(ok("k-1"), seen("k-1", 1, 6.0)), (), id="seen in time"),
        pytest.param(history(ok("k-1"), seen("k-1", 0, 6.5), seen("k-1", 1, 7.0)), ("k-1",), id="looked too rarely"),
        pytest.param(history(ok("k-1"), seen("k-1", 0, 6.0)), ("k-1",), id="waited too short"),
        pytest.param(history(unknown("k-1"), seen("k-1", 0)), (), id="nothing promised"),
    ],
)
def test_not_late_without_proof(kept: History, open_keys: tuple[str, ...]) -> None:
    """An effect first seen past the bound may have been there in time, so that it is undecided."""
    assert persistence.late(kept, effect=EFFECT, bound_seconds=5) == ()
    assert persistence.undecided(kept, effect=EFFECT, bound_seconds=5) == open_keys


def test_percentiles_are_nearest_rank() -> None:
    """Each percentile is a duration that was measured; of none, all are zero."""
    assert Distribution.of(float(n) for n in range(1, 201)) == Distribution(count=200, p50=100, p99=198, maximum=200)
    assert Distribution.of([3.0]) == Distribution(count=1, p50=3.0, p99=3.0, maximum=3.0)
    assert Distribution.of([]) == Distribution(count=0, p50=0.0, p99=0.0, maximum=0.0)
