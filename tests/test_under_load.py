"""The evidence of a load run, judged: literal histories, their full verdicts, and an oracle that looks key by key."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.checkers import idempotency, persistence
from holdfast.checkers.projections import Stream
from holdfast.checkers.saga import all_or_nothing
from holdfast.clause import clause_of, decide_under_load
from holdfast.history.columns import FAIL, NANOSECONDS, NEVER_NS, NOTHING, OK, UNKNOWN, Columns, Names
from holdfast.history.logs import Event, LogRead, ViewRead
from holdfast.history.model import ErrorClass, FaultWindow
from holdfast.ports.folding import folding
from holdfast.stack.configuration import Configuration
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import CqrsPattern, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.under_load import LoadEvidence, Looked
from holdfast.verdict import Verdict
from holdfast.verdict.model import ClauseVerdict
from holdfast_fixtures.catalogue import reference_stacks
from holdfast_suites import test_cqrs as cqrs_suite
from holdfast_suites import test_cross_cutting as cross_cutting
from holdfast_suites import test_saga as saga_suite
from holdfast_suites import test_storage_first as suite

(WEBHOOKS,) = (stack for stack in reference_stacks() if stack.name == "webhooks")
DESCRIPTOR = load_descriptor(WEBHOOKS.descriptor, {})
PATTERN = DESCRIPTOR.patterns["storage-first"]
DEAD = FaultWindow(
    lever="function-throttle",
    component="worker",
    error_class=ErrorClass.THROTTLE,
    started_seconds=10.0,
    ended_seconds=20.0,
    proof="it read back 0",
    healed_proof="it read back absent",
    provocation="COMPUTE_DEAD",
)


def evidence(
    outcomes: list[int],
    counts: list[int],
    *,
    windows: tuple[FaultWindow, ...] = (DEAD,),
    unseen: frozenset[int] = frozenset(),
    latency_seconds: float = 0.01,
    **more: Any,
) -> LoadEvidence:
    """One operation a key, one a second, with its outcome and how often its effect was seen."""
    size = len(outcomes)
    codes = np.arange(size)
    intended = codes * NANOSECONDS
    done = intended + round(latency_seconds * NANOSECONDS)
    outcome = np.array(outcomes, np.uint8)
    target: Any = None
    return LoadEvidence(
        stack=Stack(DESCRIPTOR, WEBHOOKS.descriptor, target, {}),
        pattern=PATTERN,
        configuration=Configuration((), ()),
        operations=Columns(
            kinds=("place_order",),
            kind=np.zeros(size, np.uint8),
            key=codes,
            value=codes,
            invoked_ns=intended,
            completed_ns=np.where(outcome == UNKNOWN, NEVER_NS, done),
            outcome=outcome,
            session=np.full(size, NOTHING),
            keys=Names([f"k{code}" for code in codes]),
            values=Names([f"k{code}" for code in codes]),
        ),
        intended_ns=intended,
        done_ns=done,
        sent=np.ones(size, np.bool_),
        keys=tuple(f"k{code}" for code in codes),
        looked={
            "entered": Looked(
                count=np.array(counts), observed=np.array([code not in unseen for code in codes]), reason="it was late"
            )
        },
        looked_ns=(1000 * NANOSECONDS, 1001 * NANOSECONDS),
        windows=windows,
        **more,
    )


def decided(name: str, of: LoadEvidence) -> ClauseVerdict:
    """The verdict of a Storage-First clause."""
    clause = clause_of(getattr(suite, f"test_{name.lower().replace('-', '_')}"))
    assert clause is not None
    return decide_under_load(clause, of, lambda: 0.0)


def test_all_that_was_acknowledged_is_there() -> None:
    """With compute dead for ten seconds and every effect seen, SF-1 holds and says how many were acknowledged then."""
    verdict = decided("SF-1", evidence([OK] * 30, [1] * 30))
    assert (verdict.verdict, verdict.reason) == (
        Verdict.HOLDS,
        "all 30 acknowledged requests took effect, 11 of them acknowledged while every worker was throttled to zero",
    )


def test_what_was_acknowledged_and_is_absent_is_lost() -> None:
    """One absent effect of an acknowledged key violates SF-1; one of unknown outcome does not."""
    verdict = decided("SF-1", evidence([OK, OK, UNKNOWN], [1, 0, 0]))
    assert verdict.verdict is Verdict.VIOLATED
    assert [(one.title, one.key) for one in verdict.findings] == [("acknowledged and lost", "k1")]


def test_a_lost_key_is_found_where_nothing_else_took_effect() -> None:
    """That no effect is there at all is no excuse."""
    verdict = decided("SF-1", evidence([OK], [0]))
    assert [one.key for one in verdict.findings] == ["k0"]


def test_what_was_not_looked_at_proves_nothing() -> None:
    """A key that was not observed makes the clause inconclusive, and is never counted as absent."""
    verdict = decided("SF-1", evidence([OK] * 30, [0, *[1] * 29], unseen=frozenset({0})))
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "1 of 30 keys were not looked at: it was late" in verdict.reason


def test_an_absence_before_the_stack_is_at_rest_proves_nothing() -> None:
    """Where silence did not come, what is absent may come yet; what is there twice is proven."""
    late = evidence([OK] * 30, [0, *[1] * 29], quiet=False)
    assert decided("SF-1", late).verdict is Verdict.INCONCLUSIVE
    twice = evidence([OK] * 30, [2, *[1] * 29], quiet=False)
    assert decided("SF-5", twice).verdict is Verdict.VIOLATED


def test_no_green_without_bite() -> None:
    """Without the fault that a clause is about it does not hold, whatever was seen; a counterexample counts."""
    calm = decided("SF-1", evidence([OK] * 5, [1] * 5, windows=()))
    assert (calm.verdict, calm.reason) == (
        Verdict.INCONCLUSIVE,
        "observation did not finish: the timeline put no such fault on (every worker was throttled to zero), so nothing"
        " was provoked",
    )
    assert decided("SF-1", evidence([OK] * 5, [1, 1, 0, 1, 1], windows=())).verdict is Verdict.VIOLATED


def test_a_run_with_something_missing_never_holds() -> None:
    """What is not recorded may be what breaks it; a counterexample in the rest still does."""
    gone = ("worker-2 was lost",)
    assert decided("SF-1", evidence([OK] * 30, [1] * 30, missing=gone)).verdict is Verdict.INCONCLUSIVE
    assert decided("SF-1", evidence([OK] * 30, [0, *[1] * 29], missing=gone)).verdict is Verdict.VIOLATED


def test_acknowledgements_that_wait_for_processing_are_found() -> None:
    """SF-3 compares the 99th percentile within the fault with that without."""
    slow = evidence([OK] * 300, [1] * 300, windows=(_dead(100.0, 200.0),))
    slow.done_ns[101:199] += 5 * NANOSECONDS
    verdict = decided("SF-3", slow)
    assert verdict.verdict is Verdict.VIOLATED
    assert verdict.findings[0].title == "acknowledgement waits"
    even = evidence([OK] * 300, [1] * 300, windows=(_dead(100.0, 200.0),))
    assert decided("SF-3", even).reason == "acknowledged in p99 10 ms with compute dead, 10 ms without a fault"


def test_an_invalid_run_says_nothing_of_latency() -> None:
    """Where the client was late, SF-3 is inconclusive."""
    late = evidence([OK] * 300, [1] * 300, windows=(_dead(100.0, 200.0),), invalid="worker-1: too slow")
    assert decided("SF-3", late).verdict is Verdict.INCONCLUSIVE


def _dead(begin: float, end: float) -> FaultWindow:
    return FaultWindow(
        lever=DEAD.lever,
        component=DEAD.component,
        error_class=DEAD.error_class,
        started_seconds=begin,
        ended_seconds=end,
        proof=DEAD.proof,
    )


@pytest.mark.parametrize("seed", range(20))
def test_columns_and_records_find_the_same(seed: int, tmp_path: Path) -> None:
    """The findings about loss and repeats are those of the checkers that judge one key at a time."""
    rng = random.Random(seed)
    outcomes = [rng.choice([OK, OK, FAIL, UNKNOWN]) for _ in range(40)]
    counts = [rng.choice([0, 1, 1, 1, 2]) for _ in range(40)]
    of = evidence(outcomes, counts)
    records = of.records_of(range(40), "entered")
    wanted = Counter(
        (one.title, one.key)
        for one in (
            *persistence.acknowledged_and_lost(records, effect="entered"),
            *idempotency.duplicated(records, effect="entered"),
            *persistence.phantoms(records, effect="entered"),
        )
    )
    renamed = {"refused and there": "phantom"}
    found = Counter((renamed.get(one.title, one.title), one.key) for one in of.ledger("entered").findings)
    # a refused key that is there twice is a phantom to the one and both to the other
    both = {key for title, key in wanted if title == "phantom"}
    assert found == Counter({(t, k): n for (t, k), n in wanted.items() if not (t == "duplicated" and k in both)})


DENIED = FaultWindow(
    lever="role-deny",
    component="gateway_role",
    error_class=ErrorClass.DENIED,
    started_seconds=100.0,
    ended_seconds=119.0,
    proof="IAM answers explicitDeny",
    provocation="STORAGE_DENIED",
)


def test_clients_are_told_when_storage_refuses() -> None:
    """SF-2 holds when those in the window were answered otherwise, and one failure in hundreds elsewhere is chance."""
    outcomes = [OK] * 100 + [UNKNOWN] * 20 + [OK] * 300
    outcomes[350] = UNKNOWN
    verdict = decided("SF-2", evidence(outcomes, [int(one == OK) for one in outcomes], windows=(DENIED,)))
    assert (verdict.verdict, verdict.reason) == (
        Verdict.HOLDS,
        "20 of 20 clients got an error, and none was acknowledged in vain",
    )


def test_a_denial_that_nobody_felt_decides_nothing() -> None:
    """All were acknowledged and took effect, so the denial was not felt; failing all the time is not felt either."""
    calm = decided("SF-2", evidence([OK] * 300, [1] * 300, windows=(DENIED,)))
    assert "the denial was not felt" in calm.reason
    failing = [UNKNOWN if number % 2 else OK for number in range(300)]
    noisy = decided("SF-2", evidence(failing, [int(one == OK) for one in failing], windows=(DENIED,)))
    assert "failed while nothing was denied" in noisy.reason


def test_what_is_refused_and_there_is_a_phantom() -> None:
    """A refused request that took effect violates SF-2."""
    verdict = decided("SF-2", evidence([FAIL, OK], [1, 1], windows=(DENIED,)))
    assert [(one.title, one.key) for one in verdict.findings] == [("refused and there", "k0")]


def after(verdict_of: list[int], **more: Any) -> ClauseVerdict:
    """XX-1 of a run with a fault from 100 s to 119 s."""
    clause = clause_of(cross_cutting.test_xx_1)
    assert clause is not None
    return decide_under_load(clause, evidence(verdict_of, [1] * len(verdict_of), windows=(DENIED,), **more))


def test_a_stack_that_is_itself_again_is_steady() -> None:
    """XX-1 compares what was sent before the first fault with what was sent when the bound had passed."""
    bound = int(DESCRIPTOR.bounds.recovery_seconds)
    struck = [OK] * 100 + [UNKNOWN] * 20
    assert after([*struck, *[UNKNOWN] * bound, *[OK] * 100]).verdict is Verdict.HOLDS
    late = after([*struck, *[OK] * bound, *[UNKNOWN] * 100])
    assert late.verdict is Verdict.VIOLATED
    assert late.findings[0].title == "not steady"


def test_a_load_that_ends_before_the_bound_accuses_nobody() -> None:
    """Sooner than the bound a stack may still be recovering; that it has recovered can be seen."""
    struck = [OK] * 100 + [UNKNOWN] * 20
    assert after([*struck, *[UNKNOWN] * 24]).verdict is Verdict.INCONCLUSIVE
    assert after([*struck, *[OK] * 44]).verdict is Verdict.HOLDS


# -- sagas and views ---------------------------------------------------------------------------------------------------

(TRANSFER,) = (stack for stack in reference_stacks() if stack.name == "transfer")
TRANSFERS = load_descriptor(TRANSFER.descriptor, {})


def sagas_of(debited: list[int], returned: list[int], credited: list[int]) -> LoadEvidence:
    """Transfers that were all acknowledged, with what their steps left."""
    size = len(debited)
    target: Any = None
    counts = {"debited": debited, "returned": returned, "credited": credited}
    return replace(
        evidence([OK] * size, [1] * size, windows=()),
        stack=Stack(TRANSFERS, TRANSFER.descriptor, target, {}),
        pattern=TRANSFERS.patterns["saga"],
        looked={port: Looked(count=np.array(each), observed=np.ones(size, np.bool_)) for port, each in counts.items()},
    )


def test_sagas_are_all_or_nothing() -> None:
    """One committed and one compensated saga hold; a debit without its credit or return is half done."""
    check = clause_of(saga_suite.test_sg_1)
    assert check is not None
    held = decide_under_load(check, sagas_of([1, 1], [0, 1], [1, 0]))
    assert (held.verdict, held.reason) == (
        Verdict.HOLDS,
        "of 2 sagas under load 1 committed and 1 compensated",
    )
    half = decide_under_load(check, sagas_of([1, 1, 1], [0, 1, 0], [1, 0, 0]))
    assert half.verdict is Verdict.VIOLATED
    assert [one.key for one in half.findings] == ["k2"]
    assert decide_under_load(check, sagas_of([1], [0], [1])).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("seed", range(10))
def test_sagas_in_columns_and_as_records_find_the_same(seed: int) -> None:
    """The findings are those of the checker that judges one saga at a time, over all of them."""
    rng = random.Random(seed)
    of = sagas_of(*([rng.choice([0, 1, 1, 2]) for _ in range(30)] for _ in range(3)))
    saga = of.pattern
    assert isinstance(saga, SagaPattern)
    wanted = all_or_nothing(of.records_of(range(30), "debited", "returned", "credited"), saga)
    check = clause_of(saga_suite.test_sg_1)
    assert check is not None
    assert decide_under_load(check, of).findings == wanted


def test_a_view_that_is_not_the_fold_of_its_log_is_found() -> None:
    """CQ-1 compares what each view shows at rest with the log that was read before it."""
    (accounts,) = (stack for stack in reference_stacks() if stack.name == "accounts")
    descriptor = load_descriptor(accounts.descriptor, {})
    target: Any = None
    event = Event(sequence=1, identity="e", command="k0", data={"type": "x", "amount": 5, "note": "n", "tag": "t"})
    log = LogRead(port="accounts", aggregate="a", started_seconds=900, completed_seconds=901, events=(event,))

    def of(state: Any) -> LoadEvidence:
        views = tuple(
            ViewRead(port=port, aggregate="a", state=state, started_seconds=902, completed_seconds=903, reader="r")
            for port in ("balances", "balance_query")
        )
        base = evidence([OK], [1], windows=())
        return replace(
            base,
            stack=Stack(descriptor, accounts.descriptor, target, {}),
            pattern=descriptor.patterns["cqrs"],
            looked={"recorded": base.looked["entered"]},
            streams=(Stream(aggregate="a", logs=(log,), views=views),),
        )

    check = clause_of(cqrs_suite.test_cq_1)
    assert check is not None
    pattern = descriptor.patterns["cqrs"]
    assert isinstance(pattern, CqrsPattern)
    right = folding(pattern, accounts.descriptor)([event.data])
    assert decide_under_load(check, of(right)).verdict is Verdict.HOLDS
    wrong = decide_under_load(check, of({**right, "balance": 6}))
    assert [one.title for one in wrong.findings] == ["not converged"] * 2
