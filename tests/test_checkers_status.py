"""Literal histories and their full findings: status, outbox, strong reads."""

from __future__ import annotations

import pytest

from histories import EFFECT, fail, history, ok, operation, seen, unknown
from holdfast.checkers import outbox, reads, status
from holdfast.history.model import History, Observation, Outcome
from holdfast.verdict.model import Finding

DONE, FAILED, PENDING = ("DONE",), ("FAILED",), ("QUEUED",)
WRITE = ok("k-1")


def said(state: str, started: float = 8.0, *, complete: bool = True) -> Observation:
    """One read of the status of k-1."""
    return seen("k-1", int(bool(state)), started, port="status", state=state, complete=complete)


def agrees(lived: History) -> tuple[Finding, ...]:
    """The findings with the declared states of these tests."""
    return status.agrees(lived, status="status", effect=EFFECT, done=DONE, failed=FAILED, pending=PENDING)


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ("QUEUED", "state 'QUEUED' in 'status' at t=+8.000s, though acknowledged at t=+1.500s"),
        ("", "no state in 'status' at t=+8.000s, though acknowledged at t=+1.500s"),
        ("ODD", "state 'ODD' in 'status' at t=+8.000s, which is none of the declared states"),
    ],
)
def test_an_acknowledged_key_ends_in_a_terminal_state(state: str, what: str) -> None:
    """A pending, missing or undeclared last state is found."""
    read = said(state)
    assert agrees(history(WRITE, seen("k-1", 1, 7.0), said("QUEUED", 2.0), read)) == (
        Finding(
            title="status not terminal",
            sentence=f"Key k-1 has {what}, expected 1 of the 2 terminal states.",
            key="k-1",
            witness=(WRITE, read),
        ),
    )


def test_done_without_effect_disagrees() -> None:
    """An effect read after the status said done, and absent, contradicts it."""
    claim, absent = said("DONE"), seen("k-1", 0)
    assert agrees(history(WRITE, claim, absent)) == (
        Finding(
            title="status disagrees",
            sentence="Key k-1 says 'DONE' at t=+8.000s in 'status' and its effect 'fulfilled' was there 0 times at"
            " t=+9.000s, expected at least 1.",
            key="k-1",
            witness=(WRITE, claim, absent),
        ),
    )


def test_failed_with_effect_disagrees() -> None:
    """An effect contradicts a status that says it will never be, whichever was read first."""
    claim, there = said("FAILED"), seen("k-1", 1, 3.0)
    assert agrees(history(WRITE, there, claim)) == (
        Finding(
            title="status disagrees",
            sentence="Key k-1 says 'FAILED' at t=+8.000s in 'status' and its effect 'fulfilled' was there 1 time at"
            " t=+3.000s, expected 0.",
            key="k-1",
            witness=(WRITE, there, claim),
        ),
    )


def test_an_effect_without_any_status_disagrees() -> None:
    """A key that was never acknowledged needs no status, unless it took effect."""
    lost_answer, there, silent = unknown("k-1"), seen("k-1", 1, 3.0), said("")
    assert agrees(history(lost_answer, there, silent)) == (
        Finding(
            title="status disagrees",
            sentence="Key k-1 had no state at t=+8.000s in 'status' and its effect 'fulfilled' was there 1 time at"
            " t=+3.000s, expected 0.",
            key="k-1",
            witness=(lost_answer, there, silent),
        ),
    )


@pytest.mark.parametrize(
    ("kept", "open_keys"),
    [
        pytest.param(history(WRITE, said("DONE"), seen("k-1", 1)), (), id="done and there"),
        pytest.param(history(WRITE, said("FAILED"), seen("k-1", 0)), (), id="failed and absent"),
        pytest.param(history(WRITE, said("DONE"), seen("k-1", 0, 7.0)), ("k-1",), id="effect read too early"),
        pytest.param(history(WRITE, said("DONE"), seen("k-1", 0, complete=False)), ("k-1",), id="effect incomplete"),
        pytest.param(history(WRITE, said("QUEUED", complete=False), seen("k-1", 1)), ("k-1",), id="status incomplete"),
        pytest.param(history(WRITE, seen("k-1", 1)), ("k-1",), id="status never read"),
        pytest.param(history(WRITE, said("QUEUED", 1.2), seen("k-1", 1)), ("k-1",), id="status read too early"),
        pytest.param(history(unknown("k-1"), said(""), seen("k-1", 0)), (), id="unknown, nowhere"),
        pytest.param(history(unknown("k-1"), said("QUEUED"), seen("k-1", 0)), (), id="unknown, pending"),
        pytest.param(history(unknown("k-1"), said(""), seen("k-1", 1)), ("k-1",), id="unknown, status read first"),
        pytest.param(history(fail("k-1"), said(""), seen("k-1", 0)), (), id="refused"),
    ],
)
def test_a_status_agrees_or_is_undecided(kept: History, open_keys: tuple[str, ...]) -> None:
    """What is said is true, or the reads came in an order that proves nothing."""
    assert agrees(kept) == ()
    assert status.undecided(kept, status="status", effect=EFFECT, done=DONE) == open_keys


def test_done_is_premature_when_a_later_read_does_not_find_the_effect() -> None:
    """An effect that came after the status had said done makes the status a lie for that time."""
    claim, absent, there = said("DONE", 2.0), seen("k-1", 0, 3.0), seen("k-1", 1)
    lived = history(WRITE, claim, absent, there, said("DONE"))
    assert agrees(lived) == ()
    assert status.premature(lived, status="status", effect=EFFECT, done=DONE) == (
        Finding(
            title="status disagrees",
            sentence="Key k-1 already said 'DONE' at t=+2.100s in 'status' and its effect 'fulfilled' was there 0 times"
            " at t=+3.000s, expected at least 1.",
            key="k-1",
            witness=(WRITE, claim, absent),
        ),
    )
    kept = history(WRITE, said("DONE", 3.0), seen("k-1", 0, 2.0), seen("k-1", 1))
    assert status.premature(kept, status="status", effect=EFFECT, done=DONE) == ()


def row(count: int, started: float = 8.0, *, complete: bool = True) -> Observation:
    """One count of the rows of k-1."""
    return seen("k-1", count, started, port="row", complete=complete)


def message(count: int, started: float = 9.0) -> Observation:
    """One count of the messages of k-1."""
    return seen("k-1", count, started, port="message")


def test_a_row_without_message_is_found() -> None:
    """A committed row whose message was never sent breaks the outbox, whatever the client was told."""
    crashed = unknown("k-1")
    assert outbox.matched(history(crashed, row(1), message(0)), row="row", message="message") == (
        Finding(
            title="row without message",
            sentence="Key k-1 is in 'row' 1 time at t=+8.000s but in 'message' 0 times at t=+9.000s, expected both or"
            " neither.",
            key="k-1",
            witness=(crashed, row(1), message(0)),
        ),
    )


def test_a_message_without_row_is_found() -> None:
    """A message about something that never happened breaks the outbox."""
    assert outbox.matched(history(WRITE, message(2, 7.0), row(0)), row="row", message="message") == (
        Finding(
            title="message without row",
            sentence="Key k-1 is in 'message' 2 times at t=+7.000s but in 'row' 0 times at t=+8.000s, expected both or"
            " neither.",
            key="k-1",
            witness=(WRITE, message(2, 7.0), row(0)),
        ),
    )


def test_a_row_written_twice_is_found() -> None:
    """Messages may repeat, rows may not."""
    assert outbox.matched(history(WRITE, row(2), message(2)), row="row", message="message") == (
        Finding(
            title="row repeated",
            sentence="Key k-1 was submitted 1 time and its row in 'row' was there 2 times at t=+8.000s, expected at"
            " most 1.",
            key="k-1",
            witness=(WRITE, row(2)),
        ),
    )


@pytest.mark.parametrize(
    ("kept", "open_keys"),
    [
        pytest.param(history(WRITE, row(1), message(3)), (), id="sent more than once"),
        pytest.param(history(unknown("k-1"), row(0), message(0)), (), id="neither"),
        pytest.param(history(unknown("k-1"), row(0), message(1)), ("k-1",), id="row read before the message was seen"),
        pytest.param(history(WRITE, message(0, 7.0), row(1)), ("k-1",), id="message read before the row was seen"),
        pytest.param(history(WRITE, row(1, complete=False), message(0)), ("k-1",), id="incomplete"),
        pytest.param(history(WRITE, row(0, 1.2), message(0)), ("k-1",), id="neither, read before the answer"),
    ],
)
def test_an_outbox_matches_or_is_undecided(kept: History, open_keys: tuple[str, ...]) -> None:
    """Both sides or neither, or an absence that was read before the other side was seen."""
    assert outbox.matched(kept, row="row", message="message") == ()
    assert outbox.undecided(kept, row="row", message="message") == open_keys


def test_an_empty_read_after_the_acknowledgement_is_stale() -> None:
    """One finding per key, about its first stale read, with how many were."""
    early, stale, again, fresh = seen("k-1", 0, 1.2), seen("k-1", 0, 2.0), seen("k-1", 0, 3.0), seen("k-1", 1)
    assert reads.stale_reads(history(WRITE, early, stale, again, fresh), port=EFFECT) == (
        Finding(
            title="stale read",
            sentence="Key k-1 was acknowledged at t=+1.500s but a read of 'fulfilled' that began at t=+2.000s shows it"
            " 0 times (2 of 4 reads were stale), expected what was acknowledged.",
            key="k-1",
            witness=(WRITE, stale),
        ),
    )


def test_an_overwritten_value_is_stale() -> None:
    """A value that another replaced before the read began must not be shown."""
    first, second = ok("k-1", 1.0, 2.0, "a"), ok("k-1", 3.0, 4.0, "b")
    stale = seen("k-1", 1, 5.0, values=("a",))
    assert reads.stale_reads(history(first, second, stale), port=EFFECT) == (
        Finding(
            title="stale read",
            sentence="Key k-1 was acknowledged at t=+4.000s but a read of 'fulfilled' that began at t=+5.000s shows"
            " 'a', older than 'b' (1 of 1 reads were stale), expected what was acknowledged.",
            key="k-1",
            witness=(second, stale),
        ),
    )


A, B = ok("k-1", 1.0, 2.0, "a"), ok("k-1", 3.0, 4.0, "b")


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(history(A, seen("k-1", 0, 2.0)), id="began with the answer"),
        pytest.param(history(A, seen("k-1", 0, 3.0, complete=False)), id="incomplete"),
        pytest.param(history(unknown("k-1"), seen("k-1", 0)), id="never acknowledged"),
        pytest.param(history(A, B, seen("k-1", 1, 3.5, values=("a",))), id="overwrite still in flight"),
        pytest.param(history(A, B, seen("k-1", 2, 5.0, values=("a", "b"))), id="a ledger shows both"),
        pytest.param(history(A, ok("k-1", 1.5, 4.0, "b"), seen("k-1", 1, 5.0, values=("a",))), id="overlapping writes"),
        pytest.param(
            history(A, unknown("k-1", 1.5, "a"), B, seen("k-1", 1, 5.0, values=("a",))),
            id="an unknown write may be late",
        ),
        pytest.param(
            history(A, operation("k-1", Outcome.UNKNOWN, 1.5, 2.5, value="a"), B, seen("k-1", 1, 5.0, values=("a",))),
            id="even one that was answered with an error",
        ),
    ],
)
def test_a_fresh_or_concurrent_read_is_not_stale(kept: History) -> None:
    """Only what was acknowledged, and replaced, before the read began can be missed."""
    assert reads.stale_reads(kept, port=EFFECT) == ()
