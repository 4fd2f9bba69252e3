"""Literal histories and their full findings: order within a group."""

from __future__ import annotations

import pytest

from histories import EFFECT, fail, history, ok, seen, unknown
from holdfast.checkers import ordering
from holdfast.history.model import History, Observation, Operation
from holdfast.verdict.model import Finding


def placed(sequence: int, *positions: str, group: str = "g") -> tuple[Operation, Observation]:
    """An acknowledged operation at a place in its group, and its effects' positions."""
    key = f"{group}{sequence}"
    return ok(key, float(sequence), sequence + 0.5, group=group, sequence=sequence), seen(
        key, len(positions), orders=positions
    )


def test_an_effect_before_its_predecessors_is_out_of_order() -> None:
    """The two operations and the two reads are the witness; numbers are compared as numbers."""
    first, second, third = placed(0, "2"), placed(1, "10"), placed(2, "9")
    assert ordering.order_kept(history(*third, *second, *first), effect=EFFECT) == (
        Finding(
            title="out of order",
            sentence="Key g2 is number 2 of group g and its effect 'fulfilled' lies at '9', before '10' of key g1,"
            " which is number 1, expected after it.",
            key="g2",
            witness=(second[0], third[0], second[1], third[1]),
        ),
    )


def test_texts_are_compared_as_texts() -> None:
    """One position that is no number makes the group's positions texts."""
    findings = ordering.order_kept(history(*placed(0, "b"), *placed(1, "a"), *placed(2, "10")), effect=EFFECT)
    assert [one.key for one in findings] == ["g1", "g2"]


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(history(*placed(0, "9"), *placed(1, "10")), id="numbers"),
        pytest.param(history(*placed(0, "2026-01-01T09"), *placed(1, "2026-01-01T10")), id="texts"),
        pytest.param(history(*placed(0, "1"), *placed(1, "1")), id="equal proves nothing"),
        pytest.param(history(*placed(0, "1", "20"), *placed(1, "2", "9")), id="the first effect counts"),
        pytest.param(history(*placed(0, "5"), *placed(1, "1", group="h")), id="another group"),
        pytest.param(
            history(*placed(0, "5"), unknown("u", group="g", sequence=1), seen("u", 1, orders=("1",))), id="?"
        ),
        pytest.param(history(*placed(0, "5"), fail("f", group="g", sequence=1), seen("f", 1, orders=("1",))), id="-"),
    ],
)
def test_order_is_kept(kept: History) -> None:
    """Only acknowledged operations of one group are ordered, by their first effect."""
    assert ordering.order_kept(kept, effect=EFFECT) == ()


def test_keys_without_position_are_undecided() -> None:
    """An acknowledged key of a group that was not read, is incomplete or shows no position is undecided."""
    lived = history(
        *placed(0, "1"),
        *(ok("a", group="g", sequence=1), ok("b", group="g", sequence=2), seen("b", 1)),
        *(ok("c", group="g", sequence=3), seen("c", 1, orders=("3",), complete=False), ok("d")),
    )
    assert ordering.undecided(lived, effect=EFFECT) == ("a", "b", "c")
