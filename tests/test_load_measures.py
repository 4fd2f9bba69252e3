"""What a run measured, against figures worked out by hand; bounds, and what a run costs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from holdfast.errors import HoldfastError
from holdfast.history.columns import NANOSECONDS, NOTHING, OK, UNKNOWN, Columns, Names
from holdfast.history.model import ErrorClass, FaultWindow
from holdfast.pricing.metering import Bill, Budget, Meter
from holdfast.pricing.prices import read_prices
from holdfast.stack.commands import Command
from holdfast.stack.configuration import Configuration, FunctionConfiguration
from holdfast.stack.descriptor import LoadBounds, Stop
from holdfast.targets.base import TracedTotals
from holdfast_load.judging import probing
from holdfast_load.judging.measures import joined, measure
from holdfast_load.judging.rows import Rows
from holdfast_load.judging.thresholds import missed
from holdfast_load.plan import LoadProgress
from holdfast_load.stopping import Stops


def rows(latency_ms: list[float], outcomes: list[int] | None = None, *, per_second: int = 10) -> Rows:
    """Operations at a steady rate, with their latencies."""
    size = len(latency_ms)
    intended = (np.arange(size) * NANOSECONDS // per_second).astype(np.int64)
    done = intended + np.array(latency_ms) * 1_000_000
    codes = np.arange(size)
    return Rows(
        operations=Columns(
            kinds=("c",),
            kind=np.zeros(size, np.uint8),
            key=codes,
            value=codes,
            invoked_ns=intended + 1_000_000,
            completed_ns=done.astype(np.int64),
            outcome=np.array(outcomes or [OK] * size, np.uint8),
            session=np.full(size, NOTHING),
            keys=Names([f"k{code}" for code in codes]),
        ),
        intended_ns=intended,
        done_ns=done.astype(np.int64),
        sent=np.ones(size, np.bool_),
        missing=(),
    )


def window(begin: float, end: float, *, component: str = "worker", proof: str = "it bit") -> FaultWindow:
    """A fault window."""
    return FaultWindow(
        lever="function-throttle",
        component=component,
        error_class=ErrorClass.THROTTLE,
        started_seconds=begin,
        ended_seconds=end,
        proof=proof,
    )


def test_latency_is_told_inside_and_outside_of_each_fault() -> None:
    """Ten seconds of 10 ms, ten of 1 s while the fault is on, three more until it has recovered, and ten as before."""
    of = rows([10.0] * 100 + [1000.0] * 130 + [10.0] * 100)
    found = measure(of, [window(10.0, 20.0)])
    assert found.overall.count == 330
    assert found.outside.by_percent[50.0] == pytest.approx(10.0)
    assert found.inside.by_percent[50.0] == pytest.approx(1000.0)
    (during,) = found.during
    assert during.latency.count == 101
    assert during.recovery_seconds == 3.0
    assert found.slip_p99_ms == pytest.approx(1.0)
    assert found.goodput_per_second == pytest.approx(330 / 32.91, rel=1e-3)


def test_a_stack_that_does_not_recover_has_no_recovery_time() -> None:
    """Errors until the end: None, and a bound on it is not kept."""
    of = rows([10.0] * 300, [OK] * 100 + [UNKNOWN] * 200)
    found = measure(of, [window(10.0, 20.0)])
    assert found.during[0].recovery_seconds is None
    (one,) = missed(LoadBounds(recovery_seconds=60), found, 1.0)
    assert str(one) == "load.recovery_seconds could not be measured, and 60 is demanded"


def test_faults_that_overlap_are_one() -> None:
    """Their names come together; what did not bite is no fault."""
    windows = [window(5, 9, component="b"), window(1, 6), window(20, 21), window(30, 31, proof="")]
    assert joined(windows) == [
        (1, 9, "function-throttle on worker, function-throttle on b"),
        (20, 21, "function-throttle on worker"),
    ]


def test_bounds_are_compared_with_what_was_measured() -> None:
    """Each bound by itself: those that are kept are not told."""
    found = measure(rows([10.0] * 90 + [500.0] * 10, [OK] * 95 + [UNKNOWN] * 5), [])
    bounds = LoadBounds(
        p95_ms=400, p99_ms=501, error_share=0.01, goodput_per_second=100, drain_seconds=5, recovery_seconds=1
    )
    assert [one.name for one in missed(bounds, found, 4.0)] == ["p95_ms", "error_share", "goodput_per_second"]
    assert [one.name for one in missed(LoadBounds(drain_seconds=5), found, None)] == ["drain_seconds"]


def test_time_to_effect_counts_from_the_acknowledgement() -> None:
    """Of three probes one was never acknowledged, and one was there before its acknowledgement."""
    of = rows([10.0] * 3, [OK, OK, UNKNOWN])
    assert probing.figures({"k0": 2.01, "k1": 0.0, "k2": 9.0}, of) == {
        "time_to_effect_probes": 2.0,
        "time_to_effect_p50_seconds": 0.0,
        "time_to_effect_p99_seconds": 2.0,
        "time_to_effect_max_seconds": 2.0,
    }


def test_a_probe_is_told_with_its_last_look_in_vain() -> None:
    """A key seen at the first look has one observation, another two; one that was never seen has none."""
    looks = probing.Probing(look=lambda _: True, interval_seconds=1.0, longest_seconds=1.0)
    looks.seen_seconds.update(k0=2.0, k1=3.0)
    looks.missed_seconds.update(k1=2.5, k2=9.0)
    found = probing.observations(looks, lambda key: f"port-of-{key}")
    assert [(one.port, one.key, one.count, one.completed_seconds) for one in found] == [
        ("port-of-k0", "k0", 1, 2.0),
        ("port-of-k1", "k1", 0, 2.5),
        ("port-of-k1", "k1", 1, 3.0),
    ]


def meter(totals: list[TracedTotals] | None, **load: Any) -> Meter:
    """A meter of a stack with an HTTP command to a REST API and a worker of 512 MB behind a queue."""
    command = Command.model_validate({"calls": [{"kind": "http", "api": "api", "path": "/x"}]})
    interceptor = None if totals is None else SimpleNamespace(totals=lambda: totals.pop(0))
    mapping = SimpleNamespace(source_arn="arn:aws:sqs:us-east-1:000000000000:q")
    stack: Any = SimpleNamespace(
        target=SimpleNamespace(region="us-east-1", interceptor=interceptor, interceptor_url=None),
        descriptor=SimpleNamespace(commands={"c": command}, load=LoadBounds(**load)),
        resource=lambda name: SimpleNamespace(
            name=f"the-{name}", arn="arn:aws:apigateway:us-east-1::/restapis/x" if name == "api" else ""
        ),
    )
    worker = FunctionConfiguration(component="worker", timeout_seconds=1, mappings=(mapping,), memory_megabytes=512)  # type: ignore[arg-type]
    return Meter(stack, Configuration((), (worker,)), read_prices())


def test_what_an_interceptor_counted_is_priced() -> None:
    """A million commands, worked out by hand with the prices of the table."""
    million = 1_000_000
    before = TracedTotals(calls={"sqs:SendMessage": 5}, invocations={"the-worker": 2}, running_seconds={})
    after = TracedTotals(
        calls={"sqs:SendMessage": million + 5, "dynamodb:PutItem": 2 * million, "kinesis:PutRecord": 3},
        invocations={"the-worker": million + 2},
        running_seconds={"the-worker": 200_000.0},
    )
    bill = meter([before, after]).bill({"c": million})
    assert bill.by_unit == {
        "api-rest-request": pytest.approx(3.50),
        "sqs-request": pytest.approx(0.40 * 3),
        "dynamodb-write": pytest.approx(0.625 * 2),
        "lambda-request": pytest.approx(0.20),
        "lambda-gigabyte-second": pytest.approx(16.6667 * 0.1),
    }
    assert bill.dollars_per_1000_commands == pytest.approx(bill.dollars / 1000)
    assert bill.unpriced == {"kinesis:PutRecord": 3}
    assert "counted by the interceptor" in bill.notes()[0]


def test_without_an_interceptor_the_bill_says_what_it_rests_on() -> None:
    """The client's calls are counted, and what the descriptor says lies behind a command."""
    alone = meter(None).bill({"c": 1000})
    assert alone.counted == {"api-rest-request": 1000}
    assert "nobody sees it" in alone.how
    told = meter(None, calls_per_command={"dynamodb:PutItem": 2}).bill({"c": 1000})
    assert told.counted == {"api-rest-request": 1000, "dynamodb-write": 2000}


def test_a_table_that_is_none_is_told(tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "prices.toml"
    path.write_text("version = 1")
    with pytest.raises(HoldfastError, match=r"prices\.toml cannot be used"):
        read_prices(path)


def bill(progress: LoadProgress) -> Bill:
    """A cent for ten commands."""
    return Bill(
        dollars=progress.sent * 0.001,
        commands=progress.sent,
        by_unit={},
        counted={},
        region="us-east-1",
        as_of="",
        how="",
        unpriced={},
    )


def stops(*, budget: float | None = None, **conditions: Any) -> Stops:
    """Stop conditions without an alarm."""
    return Stops(
        conditions=Stop(**conditions),
        check=lambda: None,
        budget=None if budget is None else Budget(budget),
        bill=bill,
    )


def test_the_budget_stops_before_it_is_passed() -> None:
    """What is in flight and what will be sent until the next look counts as spent."""
    of = stops(budget=1.0)
    assert of.reason(LoadProgress(seconds=1, sent=700, rate_per_second=100, in_flight=50)) == ""
    assert of.reason(LoadProgress(seconds=2, sent=760, rate_per_second=100, in_flight=50)).startswith(
        "the budget of $1"
    )


def test_the_most_commands_are_not_passed() -> None:
    """Two seconds of the rate are kept free."""
    of = stops(commands=1000)
    assert of.reason(LoadProgress(seconds=1, sent=799, rate_per_second=100)) == ""
    assert of.reason(LoadProgress(seconds=1, sent=800, rate_per_second=100)) != ""


def test_the_error_rate_looks_back_on_the_last_commands() -> None:
    """Errors long ago do not stop a run; as many among the last commands do."""
    of = stops(error_rate=0.5, over_commands=100)
    assert of.reason(LoadProgress(seconds=1, unknown=40)) == ""
    assert of.reason(LoadProgress(seconds=2, unknown=40, acknowledged=1000)) == ""
    assert of.reason(LoadProgress(seconds=3, unknown=80, acknowledged=1050)) == ""
    assert "of the last" in of.reason(LoadProgress(seconds=4, unknown=180, acknowledged=1060))


def test_an_alarm_stops_the_run() -> None:
    """Whatever the check raises is the reason."""

    def check() -> None:
        raise HoldfastError("The run was stopped.", cause="an alarm")

    of = Stops(conditions=Stop(), check=check, budget=None, bill=bill)
    assert of.reason(LoadProgress(seconds=0)) == "The run was stopped: an alarm"
