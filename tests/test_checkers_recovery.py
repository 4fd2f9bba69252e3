"""Literal histories and their full findings: dead letters, neighbours, the steady state, acknowledgements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from histories import EFFECT, fail, history, ok, seen, unknown
from holdfast.checkers import recovery
from holdfast.checkers.durations import Distribution
from holdfast.checkers.recovery import Sample
from holdfast.history.model import DeadLetterSeen
from holdfast.verdict.model import Finding


def letter(key: str, original: str | None) -> DeadLetterSeen:
    """One dead letter."""
    return DeadLetterSeen(key=key, original=original, body=f"<{original}>", port="dlq")


POISON = ok("k-1", body="abc", role="poison")


def test_an_acknowledged_poison_without_dead_letter_is_found() -> None:
    """Every expected key needs a dead letter; those of others do not count."""
    assert recovery.dead_lettered(history(POISON), letters=[letter("k-2", "abc")]) == (
        Finding(
            title="not dead-lettered",
            sentence="Key k-1, submitted at t=+1.000s, has 0 dead letters (1 other key has some), expected at least 1.",
            key="k-1",
            witness=(POISON,),
        ),
    )


def test_an_expected_key_need_not_have_been_submitted_in_the_history() -> None:
    """Keys can be given; each is expected once."""
    assert recovery.dead_lettered(history(), letters=[], keys=["k-7", "k-7"]) == (
        Finding(
            title="not dead-lettered",
            sentence="Key k-7 has 0 dead letters (0 other keys have some), expected at least 1.",
            key="k-7",
        ),
    )


def test_a_dead_letter_with_another_body_is_found() -> None:
    """No entry holds the original byte for byte."""
    assert recovery.dead_lettered(history(POISON), letters=[letter("k-1", "abC"), letter("k-1", "")]) == (
        Finding(
            title="dead letter altered",
            sentence="Key k-1, submitted at t=+1.000s, has 2 dead letters in 'dlq' and none holds the original as it"
            " was submitted: at character 2 expected 'abc' of 3 characters, seen 'abC' of 3 characters.",
            key="k-1",
            witness=(POISON,),
        ),
    )


@pytest.mark.parametrize(
    ("operations", "letters"),
    [
        pytest.param([POISON], [letter("k-1", "abc")], id="equal"),
        pytest.param([POISON], [letter("k-1", "other"), letter("k-1", "abc")], id="one of two is equal"),
        pytest.param([POISON], [letter("k-1", None)], id="no original shown"),
        pytest.param([ok("k-1")], [letter("k-1", "abc")], id="submitted body not known"),
        pytest.param([fail("k-1"), unknown("k-2")], [], id="nothing acknowledged"),
    ],
)
def test_a_whole_dead_letter_is_fine(operations: list[object], letters: list[DeadLetterSeen]) -> None:
    """One entry with the original, or one that cannot be compared, is enough; only acknowledged keys are expected."""
    assert recovery.dead_lettered(history(*operations), letters=letters) == ()  # type: ignore[arg-type]


def test_neighbours_take_effect_once_and_in_time() -> None:
    """A neighbour that is lost, repeated or late is found, each told once; the poison itself is not judged."""
    lost, twice, slow, fine = ok("k-1"), ok("k-2"), ok("k-3"), ok("k-4")
    never, doubled, absent, there = seen("k-1", 0), seen("k-2", 2), seen("k-3", 0, 8.0), seen("k-3", 1)
    lived = history(
        *(lost, twice, slow, fine, ok("k-5", role="poison")),
        *(never, doubled, absent, there, seen("k-4", 1), seen("k-5", 0)),
    )
    findings = recovery.neighbours(lived, effect=EFFECT, bound_seconds=5)
    assert [(one.title, one.key, one.witness) for one in findings] == [
        ("acknowledged and lost", "k-1", (lost, never)),
        ("duplicated", "k-2", (twice, doubled)),
        ("late", "k-3", (slow, absent, there)),
    ]
    assert recovery.neighbours(lived.role("poison"), effect=EFFECT, bound_seconds=5) == ()


BEFORE = Sample(success_rate=1.0, latency_p50_seconds=0.02, queue_depth=0, dead_letters=1)


def test_every_figure_that_got_worse_is_found() -> None:
    """Each figure of the steady state is told with both values and the bound."""
    after = Sample(success_rate=0.9, latency_p50_seconds=0.07, queue_depth=3, dead_letters=2)
    assert recovery.steady(BEFORE, after, latency_ratio=3) == (
        Finding(
            title="not steady",
            sentence="The success rate was 100.0% before the faults and 90.0% after healing, expected at least 100.0%.",
        ),
        Finding(
            title="not steady",
            sentence="The median latency was 0.020 s before the faults and 0.070 s after healing, expected at most"
            " 0.060 s.",
        ),
        Finding(
            title="not steady",
            sentence="The queue depth was 0 before the faults and 3 after healing, expected at most 0.",
        ),
        Finding(
            title="not steady",
            sentence="The number of dead letters was 1 before the faults and 2 after healing, expected at most 1.",
        ),
    )


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        replace(BEFORE, latency_p50_seconds=0.06, dead_letters=0),
        replace(BEFORE, latency_p50_seconds=0.1),
    ],
)
def test_a_stack_within_its_bounds_is_steady(after: Sample) -> None:
    """Equal or better figures, and latencies under the floor, are steady."""
    assert recovery.steady(BEFORE, after, latency_ratio=3, latency_floor_seconds=0.1) == ()


def test_acknowledgement_latency_counts_acknowledged_operations() -> None:
    """Refused and unanswered operations have no acknowledgement."""
    lived = history(ok("k-1", 1.0, 1.5), ok("k-2", 1.0, 3.0), fail("k-3", 1.0, 9.0), unknown("k-4"))
    assert recovery.acknowledgement_latency(lived) == Distribution(count=2, p50=0.5, p99=2.0, maximum=2.0)


def test_an_acknowledgement_that_waits_for_processing_is_found() -> None:
    """A 99th percentile beyond the ratio is told with both figures and the slowest request."""
    slow = ok("k-2", 1.0, 3.0)
    calm, faulted = history(ok("k-1", 1.0, 1.5)), history(ok("k-3", 1.0, 1.2), slow)
    assert recovery.waiting_acknowledgements(calm, faulted, ratio=3) == (
        Finding(
            title="acknowledgement waits",
            sentence="The 99th percentile of acknowledgement latency was 2.000 s over 2 requests under the fault (key"
            " k-2) and 0.500 s over 1 request without, expected at most 1.500 s.",
            key="k-2",
            witness=(slow,),
        ),
    )
    assert recovery.waiting_acknowledgements(calm, faulted, ratio=4) == ()
    assert recovery.waiting_acknowledgements(calm, faulted, ratio=1, floor_seconds=2.0) == ()
    assert recovery.waiting_acknowledgements(calm, history(unknown("k-1")), ratio=1) == ()
