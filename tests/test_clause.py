"""How a check becomes a verdict: violated > inconclusive > holds, and never a pass by default."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.campaign import Campaign
from holdfast.clause import Clause, Holds, Undecided, Violated, clause, clause_of, conclude, decide
from holdfast.errors import HealError, Inconclusive
from holdfast.history import ErrorClass, FaultWindow
from holdfast.stack.descriptor import MetBy
from holdfast.verdict import ClauseVerdict, Family, Finding, Verdict

LOST = Finding(title="lost", sentence="k-1 was acknowledged and is gone", key="k-1")


def window(proof: str) -> FaultWindow:
    return FaultWindow(
        lever="function-throttle",
        component="worker",
        error_class=ErrorClass.THROTTLE,
        started_seconds=1.0,
        ended_seconds=2.0,
        proof=proof,
    )


@dataclass
class FakeCampaign:
    waive: dict[str, str] = field(default_factory=dict)
    starved_keys: frozenset[str] = frozenset()
    met_by: dict[str, MetBy] = field(default_factory=dict)
    letters: frozenset[str] = frozenset()

    def dead_letter_keys(self) -> frozenset[str]:
        return self.letters

    def starved(self, key: str) -> bool:
        return key in self.starved_keys

    @property
    def stack(self) -> Any:
        return SimpleNamespace(descriptor=SimpleNamespace(waive=self.waive, met_by=self.met_by))


def judged(check: Any, waive: dict[str, str] | None = None, starved: frozenset[str] = frozenset()) -> Any:
    declared = clause("SF-1", Family.PERSISTENCE)(check)
    found = clause_of(declared)
    assert found is not None
    return decide(found, cast("Campaign", FakeCampaign(waive or {}, starved)))


def test_a_proven_fault_and_no_finding_hold() -> None:
    """No finding, a complete observation and a fault that bit make a clause hold, with the proof as evidence."""
    held = conclude((), holds="all survived", bite=[window("reads back 0")])
    assert held == Holds("all survived", ("function-throttle on worker: reads back 0",))


def test_a_fault_that_did_not_bite_decides_nothing() -> None:
    """No green without bite."""
    with pytest.raises(Undecided, match="not shown to bite: function-throttle on worker"):
        conclude((), holds="all survived", bite=[window("")])


def test_no_fault_at_all_decides_nothing() -> None:
    """A clause whose provocation is a fault cannot hold when none was put in place."""
    with pytest.raises(Undecided, match="no fault was put in place"):
        conclude((), holds="all survived", bite=[])


def test_a_gap_in_the_observation_decides_nothing() -> None:
    """What was not observed to the end cannot hold."""
    with pytest.raises(Undecided, match="observation did not finish: k-1, k-2, k-3 and 1 more"):
        conclude((), holds="all survived", undecided=["k-1", "k-2", "k-3", "k-4"])


def test_a_finding_outweighs_every_gap() -> None:
    """Violated comes before inconclusive: one counterexample is proof enough."""
    with pytest.raises(Violated) as violated:
        conclude([LOST], holds="", bite=[window("")], undecided=["k-9"])
    assert violated.value.findings == (LOST,)


def test_the_smallest_witness_comes_first() -> None:
    """Findings are shown smallest witness first."""
    larger = Finding(title="lost", sentence="larger", witness=(window("x"), window("y")))
    with pytest.raises(Violated) as violated:
        conclude([larger, LOST], holds="")
    assert [finding.sentence for finding in violated.value.findings] == [LOST.sentence, "larger"]


def test_a_crashed_check_is_inconclusive() -> None:
    """A check that crashes is no pass and no violation."""

    def check(campaign: Campaign) -> Holds:
        raise ZeroDivisionError("half of nothing")

    verdict = judged(check)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason == "the check crashed: ZeroDivisionError: half of nothing"


def test_a_reason_from_the_harness_is_kept() -> None:
    """Why a clause cannot be decided is its reason, word for word."""

    def check(campaign: Campaign) -> Holds:
        raise Inconclusive("the target has no interceptor")

    assert judged(check).reason == "the target has no interceptor"


def test_a_finding_about_a_starved_key_is_no_proof() -> None:
    """When the machine did not run the function in time, what it shows says nothing about the stack."""

    def check(campaign: Campaign) -> Holds:
        return conclude([LOST], holds="")

    assert judged(check).verdict is Verdict.VIOLATED
    starved = judged(check, starved=frozenset({"k-1"}))
    assert starved.verdict is Verdict.INCONCLUSIVE
    assert starved.reason.startswith("the machine was too busy")


BY_DEAD_LETTER = {"ES-3": MetBy(how="dead-letter", reason="an operator decides")}


def met_by_dead_letter(title: str, letters: frozenset[str], **options: Any) -> ClauseVerdict:
    """The verdict on one finding about k-1, where the descriptor says that the clause is met by dead letters."""

    @clause("ES-3", Family.RECOVERY)
    def check(campaign: Campaign) -> Holds:
        return conclude([Finding(title=title, sentence="k-1 is wrong", key="k-1")], holds="all is well", **options)

    found = clause_of(check)
    assert found is not None
    return decide(found, cast("Campaign", FakeCampaign(met_by=BY_DEAD_LETTER, letters=letters)))


@pytest.mark.parametrize("title", ["acknowledged and lost", "late"])
def test_a_declared_way_to_meet_a_clause_counts_where_it_is_kept(title: str) -> None:
    """What is declared to be surfaced in the dead letters is no violation there, and one anywhere else."""
    kept = met_by_dead_letter(title, frozenset({"k-1"}))
    assert (kept.verdict, kept.reason) == (
        Verdict.HOLDS,
        "what did not take effect is in the dead letters, as declared: an operator decides",
    )
    broken = met_by_dead_letter(title, frozenset())
    assert broken.verdict is Verdict.VIOLATED
    assert broken.evidence[0] == "declared limit, met by dead-letter: an operator decides"


def test_a_dead_letter_excuses_no_second_effect() -> None:
    """A key in the dead letters may be lost on the way, but not doubled."""
    assert met_by_dead_letter("duplicated", frozenset({"k-1"})).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("gap", [{"undecided": ["k-2"]}, {"bite": []}], ids=["unfinished", "no-bite"])
def test_what_is_met_by_dead_letters_still_needs_its_proof(gap: dict[str, Any]) -> None:
    """A loss that is excused makes no green of an observation that did not finish, or of a fault that did not bite."""
    assert met_by_dead_letter("late", frozenset({"k-1"}), **gap).verdict is Verdict.INCONCLUSIVE


def test_a_finding_about_another_key_still_counts() -> None:
    """One starved key does not excuse the others."""

    def check(campaign: Campaign) -> Holds:
        return conclude([LOST, Finding(title="lost", sentence="k-2 is gone", key="k-2")], holds="")

    verdict = judged(check, starved=frozenset({"k-1"}))
    assert verdict.verdict is Verdict.VIOLATED
    assert [finding.key for finding in verdict.findings] == ["k-2"]


def test_a_fault_that_cannot_be_healed_stops_everything() -> None:
    """An error a person must act on is never folded into a verdict."""

    def check(campaign: Campaign) -> Holds:
        raise HealError("worker is still throttled", remedy="aws lambda delete-function-concurrency")

    with pytest.raises(HealError):
        judged(check)


def test_a_waived_clause_is_not_run() -> None:
    """A waived clause is shown as waived with its reason; its check is not asked."""

    def check(campaign: Campaign) -> Holds:
        raise AssertionError("must not run")

    verdict = judged(check, {"SF-1": "no compute here"})
    assert (verdict.verdict, verdict.reason) == (Verdict.WAIVED, "no compute here")


def test_a_clause_is_its_docstring() -> None:
    """The docstring is the clause's text."""

    @clause("SF-2", Family.PERSISTENCE)
    def check(campaign: Campaign) -> Holds:
        """Nothing is acknowledged that was not stored."""
        return Holds("")

    found = clause_of(check)
    assert isinstance(found, Clause)
    assert found.text == "Nothing is acknowledged that was not stored."
