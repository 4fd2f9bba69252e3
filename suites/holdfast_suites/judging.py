"""Small questions that several clauses ask of their evidence."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.campaign import Campaign
from holdfast.checkers import Compare, idempotency, persistence, recovery
from holdfast.clause import Holds, conclude
from holdfast.history import FaultWindow, History, Outcome
from holdfast.provocations.model import Evidence
from holdfast.provocations.requirements import Situation
from holdfast.provocations.steady import STEADY
from holdfast.provocations.windows import STORAGE_DENIED
from holdfast.targets.base import Capability
from holdfast.verdict import Finding


def acknowledged(history: History) -> int:
    """How many keys were acknowledged."""
    return len({operation.key for operation in history.operations if operation.outcome is Outcome.OK})


def vacuous(history: History, what: str = "command") -> tuple[str, ...]:
    """A reason when nothing was acknowledged, so that a clause about acknowledged commands says nothing."""
    return () if acknowledged(history) else (f"no {what} was acknowledged",)


def dead_lettered(evidence: Evidence, *roles: str) -> tuple[Finding, ...]:
    """The requests of these roles that failed as often as they are delivered are dead letters, with their originals."""
    return recovery.dead_lettered(evidence.decided.role(*roles), letters=evidence.dead_letters)


def original(of: Campaign | Situation) -> Compare:
    """What of a command the system must keep: the value or the exact body."""
    return of.stack.descriptor.commands[of.pattern.command].original


def shows(of: Campaign | Situation, effect: str) -> Compare | None:
    """What the effect port shows of the original: its body, its value, or nothing.

    A target that rewrites bodies on their way is asked for values only: its rewriting is no bug of the stack.
    """
    sources = of.stack.descriptor.effects[effect].sources
    wanted = original(of)
    if not of.stack.target.supports(Capability.BODY_UNCHANGED).supported:
        wanted = "value"
    if wanted == "body" and any(source.body is not None or source.kind.startswith("s3") for source in sources):
        return "body"
    return "value" if any(source.value is not None for source in sources) else None


def compared(campaign: Campaign, effect: str) -> Compare:
    """What the effect port shows of the original, for clauses that require it to show something."""
    found = shows(campaign, effect)
    assert found is not None
    return found


def aimed(evidences: Iterable[Evidence]) -> tuple[FaultWindow, ...]:
    """The fault windows of several pieces of evidence, but for those aimed at keys left open that did not bite."""
    return tuple(
        window
        for evidence in evidences
        for window in evidence.windows
        if window.bit or window.key not in evidence.open_keys
    )


def notes(*evidences: Evidence) -> tuple[str, ...]:
    """The notes and figures of several pieces of evidence, a line each."""
    lines: list[str] = []
    for evidence in evidences:
        lines += evidence.notes
        lines += [f"{name} = {value:g}" for name, value in evidence.figures.items()]
    return tuple(lines)


def recovered(history: History, effect: str) -> tuple[str, ...]:
    """How many commands took effect although nobody was told so; allowed, and worth knowing."""
    count = len(persistence.recovered(history, effect))
    return (f"{count} commands without an answer took effect",) if count else ()


def conclude_on(
    findings: Iterable[Finding],
    *evidences: Evidence,
    holds: str,
    undecided: Iterable[str] = (),
    bite: bool = True,
    evidence: Iterable[str] = (),
    acknowledging: bool = True,
) -> Holds:
    """Conclude on evidence: its notes and gaps are added, and its fault windows when they have to bite.

    Args:
        findings: the counterexamples.
        evidences: what they were looked for in.
        holds: why the clause holds, where there are none.
        undecided: further gaps.
        bite: whether the fault windows have to have bitten.
        evidence: further evidence, a line each.
        acknowledging: whether evidence in which nothing was acknowledged is a gap.
    """
    gaps = [*undecided]
    for one in evidences:
        gaps += (*one.undecided, *(vacuous(one.history) if acknowledging else ()))
    return conclude(
        tuple(findings),
        holds=holds,
        bite=aimed(evidences) if bite else None,
        undecided=tuple(dict.fromkeys(gaps)),
        evidence=(*evidence, *notes(*evidences)),
    )


def none_lost(campaign: Campaign, evidence: Evidence, *, holds: str) -> Holds:
    """Every acknowledged request reached its effect, whatever struck it; ``holds`` may say how many with {count}."""
    effect = campaign.pattern.effect
    return conclude_on(
        persistence.acknowledged_and_lost(evidence.history, effect=effect),
        evidence,
        undecided=persistence.undecided(evidence.history, effect=effect),
        evidence=recovered(evidence.history, effect),
        holds=holds.format(count=acknowledged(evidence.history)),
    )


def exactly_once(campaign: Campaign, *evidences: Evidence) -> Holds:
    """Every acknowledged request took effect once, and no request more than once."""
    effect = campaign.pattern.effect
    history = sum((evidence.history for evidence in evidences), History())
    return conclude_on(
        idempotency.exactly_once(history, effect=effect),
        *evidences,
        undecided=idempotency.undecided(history, effect=effect),
        evidence=recovered(history, effect),
        holds=f"each of {acknowledged(history)} requests submitted or delivered more than once took effect once",
    )


def told_when_storage_refuses(campaign: Campaign) -> Holds:
    """No acknowledgement without effect and no effect of what was refused, while storing is denied (ES-11, SF-2)."""
    calm, evidence = campaign.evidence(STEADY), campaign.evidence(STORAGE_DENIED)
    effect = campaign.pattern.effect
    history = evidence.history
    told = [one for one in history.operations if one.outcome is not Outcome.OK and one.completed_seconds is not None]
    findings = [
        *persistence.acknowledged_and_lost(history, effect=effect),
        *persistence.phantoms(history, effect=effect),
    ]
    undisturbed = [one for one in calm.history.operations if one.outcome is not Outcome.OK]
    return conclude(
        findings,
        holds=f"{len(told)} of {len(history.operations)} clients got an error, and none was acknowledged in vain",
        bite=evidence.windows,
        undecided=[
            *persistence.undecided(history, effect=effect),
            *evidence.undecided,
            *(("commands failed before anything was denied",) if undisturbed or not calm.history.operations else ()),
            *(() if told else ("no client was answered otherwise, so the denial was not felt",)),
        ],
        evidence=notes(evidence),
    )
