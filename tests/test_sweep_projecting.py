"""What one command of a sweep left in a log and its views: every anomaly, and what is no proof."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest

from aggregates import event, log, stream, view
from histories import fail, ok, unknown
from holdfast.stack.patterns import CqrsPattern
from holdfast.sweep.judging import Case, Mark, judge
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Schedule
from holdfast.sweep.projecting import LoggedAndShown
from sweep_examples import HANDLER, PUT, case, look, single

PATTERN = CqrsPattern.model_validate(
    {
        "command": "deposit",
        "effect": "recorded",
        "aggregate": "account",
        "log": "accounts",
        "view": "balances",
        "query": "query",
        "fold": {"balance": {"kind": "sum", "path": "amount"}},
    }
)
E1, SHOWN = event(1, "k", 5), {"balance": 5}
FOR_GOOD = single(HANDLER, Kind.FOR_GOOD)


def balance(events: Any) -> Any:
    return {"balance": sum(one["amount"] for one in events)} if events else None


INVARIANTS = LoggedAndShown(PATTERN, balance)


def given(*parts: Any, letters: int = 0, schedule: Schedule | None = None, **more: Any) -> Case:
    """A case of key ``k`` with what was read of its aggregate."""
    one = stream(*parts)
    return case(
        look("recorded", len(one.events)),
        operations=cast("Any", one.operations),
        letters=letters,
        schedule=schedule,
        aggregate=one,
        **more,
    )


def reads(state: Any, queried: Any = ...) -> list[Any]:
    """The last reads of both views."""
    return [view(state), view(state if queried is ... else queried, port="query")]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (given(ok("k"), log(E1), *reads(SHOWN)), []),
        (given(unknown("k"), log(E1), *reads(SHOWN)), []),
        (given(unknown("k"), log(), *reads(None)), []),
        (given(fail("k"), log(), *reads(None)), []),
        (given(ok("k"), log(), *reads(None)), ["accepted and lost"]),
        (given(ok("k"), log(), *reads(None), letters=1, schedule=FOR_GOOD), ["accepted and lost"]),
        (given(fail("k"), log(E1), *reads(SHOWN)), ["refused and there"]),
        (given(ok("k"), log(E1, event(2, "k", 5)), *reads({"balance": 10})), ["event twice"]),
        (given(ok("k"), log(event(2, "k", 5)), *reads(SHOWN)), ["gap"]),
        (given(ok("k"), log(E1), *reads(None)), ["not converged"] * 2),
        (given(ok("k"), log(E1), *reads({"balance": 10}, SHOWN)), ["not converged"]),
        (given(ok("k"), log(E1), *reads(SHOWN, None)), ["not converged"]),
        (given(ok("k"), log(E1), *reads(None), letters=1), ["not converged"] * 2),
        (given(ok("k"), log(E1), *reads(None), letters=1, schedule=FOR_GOOD), []),
        (given(ok("k"), log(E1), *reads(None), anonymous=("dlq",), schedule=FOR_GOOD), []),
        (given(ok("k"), log(E1), *reads(None), letters=1, deliveries=1), []),
        (case(look("recorded", 1)), []),
    ],
)
def test_what_a_command_left(found: Case, expected: list[str]) -> None:
    """The log holds what was accepted, once; a dead letter excuses views alone, and only at the end of retries."""
    assert [one.title for one in INVARIANTS.broken(found)] == expected
    mark = judge(found, INVARIANTS).mark
    assert (mark is Mark.VIOLATED) == bool(expected)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (given(ok("k"), log(E1), *reads(SHOWN)), ""),
        (case(look("recorded", 1)), "nobody read the log and the views"),
        (given(ok("k"), log(E1, complete=False), *reads(SHOWN)), "the log of a was not read at the end: denied"),
        (given(ok("k"), log(E1), view(SHOWN)), "'query' was not read of a"),
        (
            given(ok("k"), log(E1), view(SHOWN), view(None, port="query", complete=False)),
            "'query' could not be read of a at the end: throttled",
        ),
        (given(ok("k"), log(E1, at=9.5), view(SHOWN), view(SHOWN, 9.7, port="query")), "'balances' was not read of a"),
    ],
)
def test_what_was_not_seen_to_its_end_is_inconclusive(found: Case, told: str) -> None:
    """Nothing holds that was not read, and read after the log."""
    assert told in INVARIANTS.open(found)
    assert bool(INVARIANTS.open(found)) == bool(told)
    assert judge(found, INVARIANTS).mark is (Mark.INCONCLUSIVE if told else Mark.HELD)


def test_every_mix_agrees_with_the_promise_spelled_out() -> None:
    """For all answers, logs, views, letters and schedules of one command."""
    for answer, events, shown, letters, for_good in itertools.product(
        (ok, fail, unknown), range(3), (None, 5, 10), range(2), (False, True)
    ):
        held = [event(at + 1, "k", 5) for at in range(events)]
        schedule = FOR_GOOD if for_good else single(PUT, Kind.REFUSED)
        state = None if shown is None else {"balance": shown}
        found = given(answer("k", 1.0), log(*held), *reads(state), letters=letters, schedule=schedule)
        logged = {ok: events == 1, fail: events == 0, unknown: events <= 1}[answer]
        right = logged and ((shown or 0) == 5 * events or bool(for_good and letters))
        assert (not list(INVARIANTS.broken(found))) is right, (answer, events, shown, letters, for_good)
