"""What generated plans visited is laid out by step and kind of fault, and blames no fault for another's harm."""

from __future__ import annotations

from holdfast.provocations.saga_coverage import PlanCoverage, covered, to_json
from holdfast.provocations.saga_plans import Plan, PlannedFault, PlannedSaga, PlanRun
from holdfast.verdict.model import Finding

LOST = PlannedFault("car", undo=False, kind="answer lost")
FAILS = PlannedFault("car", undo=False, kind="fail")
UNDOING = PlannedFault("flight", undo=True, kind="fail once")
AFTER = PlannedFault("flight", undo=False, kind="fail after")
POSSIBLE = [AFTER, UNDOING, LOST, FAILS]


def plan(*faults: tuple[PlannedFault, ...]) -> Plan:
    """A plan of sagas with these faults."""
    return Plan(tuple(PlannedSaga(faults=each) for each in faults))


def half(key: str) -> Finding:
    """A saga that was left half done."""
    return Finding(title="half done", sentence=f"{key} is half done.", key=key)


def marks(coverage: PlanCoverage) -> dict[tuple[str, str], str]:
    """The mark of each place and kind."""
    return {(cell.point, cell.kind): cell.mark for cell in coverage.cells}


def test_each_fault_that_could_be_drawn_has_one_cell() -> None:
    """Held where a saga met it and was whole, missed where no plan had it or it did not hit."""
    run = PlanRun(keys=("a", "b"), missed=("b",), unhit=frozenset({("b", LOST)}))
    found = covered([(plan((FAILS, UNDOING), (LOST,)), run)], POSSIBLE)
    assert marks(found) == {
        ("flight", "fail after"): "unreached",
        ("compensation of flight", "fail once"): "held",
        ("car", "answer lost"): "unreached",
        ("car", "fail"): "held",
    }
    assert (found.plans, found.sagas, found.smallest) == (1, 2, "")
    assert {cell.why for cell in found.cells if cell.mark == "unreached"} == {
        "no plan had it",
        "aimed at 1 saga: 1 not hit",
    }


def test_only_the_faults_of_the_smallest_plan_are_blamed() -> None:
    """What was beside it in a saga that was left half done is not told, unless it was seen to hold elsewhere."""
    runs = [
        (plan((FAILS, UNDOING)), PlanRun(keys=("a",), findings=(half("a"),))),
        (plan((FAILS, LOST)), PlanRun(keys=("b",), findings=(half("b"),))),
        (plan((LOST,)), PlanRun(keys=("c",))),
        (plan((FAILS,)), PlanRun(keys=("d",), findings=(half("d"),))),
    ]
    found = covered(runs, POSSIBLE, smallest=plan((FAILS,)), told="ordinary, fail at car")
    assert marks(found) == {
        ("flight", "fail after"): "unreached",
        ("compensation of flight", "fail once"): "inconclusive",
        ("car", "answer lost"): "held",
        ("car", "fail"): "violated",
    }
    assert next(cell.why for cell in found.cells if cell.mark == "violated") == "aimed at 3 sagas: 3 left half done"


def test_a_saga_without_a_fault_of_the_smallest_plan_blames_its_own() -> None:
    """A second bug is not hidden by the first, and a late saga tells nothing."""
    runs = [
        (plan((AFTER,)), PlanRun(keys=("a",), findings=(half("a"),))),
        (plan((LOST,)), PlanRun(keys=("b",), late=("b",))),
    ]
    found = marks(covered(runs, POSSIBLE, smallest=plan((FAILS,))))
    assert found["flight", "fail after"] == "violated"
    assert found["car", "answer lost"] == "inconclusive"


def test_the_document_has_every_pattern_with_its_cells() -> None:
    """plans.json is what the reports read."""
    document = to_json({"saga": covered([(plan((FAILS,)), PlanRun(keys=("a",)))], [FAILS])})
    (one,) = document["patterns"]
    assert (one["pattern"], one["plans"], one["sagas"]) == ("saga", 1, 1)
    assert list(one["cells"]) == [
        {"point": "car", "kind": "fail", "mark": "held", "why": "aimed at 1 saga: 1 done or undone as a whole"}
    ]
