"""What can be decided about a stack here, clause by clause, and why not the rest; nothing is sent or changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.clause import Clause
from holdfast.history.recorder import Recorder
from holdfast.levers.journal import Journal, Pin
from holdfast.opening import Options, resolved, started
from holdfast.permissions import (
    Grant,
    of_deployment,
    of_load,
    of_pointing,
    of_ports,
    of_provocation,
    of_reading,
    policy,
)
from holdfast.ports.ports import Ports
from holdfast.progress import Say
from holdfast.provocations.faults import requirements_of
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import Requirement, Situation, Supported, unmet
from holdfast.provocations.sidecar_requirements import NO_SIDECAR
from holdfast.simulation import Permitted, permitted
from holdfast.stack.configuration import read_configuration
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import PatternName
from holdfast.stack.prefixes import new_prefix
from holdfast.stack.resolve import Stack
from holdfast.suites import choose
from holdfast.targets.base import Capability, Support, Target

TOLD_AGAIN = 150
"""A reason of so many characters at most is told in full at each clause that it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decidable:
    """Whether one clause can be decided here.

    Attributes:
        id: the clause.
        text: the normative sentence.
        waived: why it is waived; empty when it is not.
        blocked: why it cannot be decided at all.
        open: why it cannot hold, though it may be found violated.
        without: what it is judged without, though it can be decided.
        rests_on: the target's capabilities that its evidence rests on.
    """

    id: str
    text: str
    waived: str = ""
    blocked: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    rests_on: tuple[Capability, ...] = ()

    @property
    def decidable(self) -> bool:
        """Whether its verdict can be holds as well as violated, or it is waived."""
        return bool(self.waived) or not (self.blocked or self.open)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What can be decided about one stack on one target.

    Attributes:
        stack: name of the stack.
        target: kind of the target.
        place: account and region, and the endpoint of an emulator.
        clauses: each clause.
        capabilities: what the target can do, as far as some clause rests on it.
        permitted: what IAM says about the caller.
    """

    stack: str
    target: str
    place: str
    clauses: tuple[Decidable, ...]
    capabilities: dict[Capability, Support]
    permitted: Permitted

    @property
    def complete(self) -> bool:
        """Whether every clause can be decided."""
        return all(clause.decidable for clause in self.clauses)


@contextmanager
def examined(
    path: Path,
    *,
    options: Options,
    ids: Sequence[str] = (),
    target: Target | None = None,
    say: Say,
) -> Iterator[tuple[Stack, tuple[tuple[Clause, Situation], ...]]]:
    """A stack that was found, with its clauses; its template is deployed only where ``verify`` would deploy it.

    Args:
        path: the descriptor's file.
        options: how.
        ids: the clauses; all that the stack owes when empty.
        target: a target that somebody else started and ends; opened here when None.
        say: told what goes on.

    Raises:
        HoldfastError: as `holdfast.verification.opened`.
    """
    descriptor = load_descriptor(path, options.environ)
    chosen = choose(descriptor, ids)
    with resolved(path, descriptor, options=options, target=target, say=say) as stack:
        say("reading the configuration")
        configuration = read_configuration(stack)
        situations: dict[PatternName, Situation] = {
            name: Situation(stack=stack, pattern=pattern, configuration=configuration)
            for name, pattern in descriptor.patterns.items()
        }
        yield stack, tuple((clause, situations[pattern]) for pattern, clause in chosen)


def diagnose(
    path: Path,
    *,
    options: Options,
    ids: Sequence[str] = (),
    target: Target | None = None,
    say: Say,
) -> Diagnosis:
    """Say what can be decided, after checking that every port can be used; reads only.

    The processes of its descriptor are started for that, and ended.

    Raises:
        HoldfastError: the descriptor is wrong, the target does not answer, a resource is missing, or a port answers
            what it must not.
    """
    with examined(path, options=options, ids=ids, target=target, say=say) as (stack, clauses):
        with (
            Journal(options.journal_folder(), Pin.of(stack)) as journal,
            started(stack, journal, options=options, say=say) as running,
            closing(Ports(running, Recorder())) as ports,
        ):
            say("checking the ports")
            ports.check(receiving=False)
        say("asking for the permissions")
        allowed = permitted(stack.target, needed(clauses))
        found = tuple(decidable(clause, situation, allowed.denied) for clause, situation in clauses)
        resting = {capability for one in found for capability in one.rests_on}
        there = stack.target
        return Diagnosis(
            stack=stack.descriptor.name,
            target=there.kind,
            place=f"account {there.account}, region {there.region}"
            + (f", {there.endpoint_url}" if there.endpoint_url else ""),
            clauses=found,
            capabilities={one: there.supports(one) for one in Capability if one in resting},
            permitted=allowed,
        )


def least_policy(path: Path, *, options: Options, ids: Sequence[str] = (), say: Say) -> dict[str, Any]:
    """The least-privilege IAM policy for judging these clauses, by a verification and by a load run.

    Raises:
        HoldfastError: as `diagnose`.
    """
    with examined(path, options=options, ids=ids, say=say) as (stack, clauses):
        grants = needed(clauses)
        if options.deploys(stack.target.kind) and stack.descriptor.deploy is not None:
            grants |= of_deployment(stack.cloudformation or f"{stack.descriptor.name}-{new_prefix()}", stack)
        return policy(grants, needed_under_load(clauses))


def needed(clauses: Iterable[tuple[Clause, Situation]]) -> frozenset[Grant]:
    """All permissions that judging these clauses takes; waived ones take none of their own."""
    grants: set[Grant] = set()
    for clause, situation in clauses:
        grants |= of_reading(situation) | of_ports(situation.stack)
        if clause.id not in situation.stack.descriptor.waive:
            for provocation in (*clause.needs, *clause.also):
                grants |= of_provocation(provocation, situation)
            if clause.needs or clause.also:
                grants |= of_pointing(situation.stack)
    return frozenset(grants)


def needed_under_load(clauses: Iterable[tuple[Clause, Situation]]) -> frozenset[Grant]:
    """What a load run that judges these clauses takes beside; nothing where it can decide none of them."""
    return frozenset(
        grant
        for clause, situation in clauses
        if clause.under_load is not None and clause.id not in situation.stack.descriptor.waive
        for grant in of_load(situation.stack, situation.pattern)
    )


def decidable(clause: Clause, situation: Situation, denied: frozenset[Grant] = frozenset()) -> Decidable:
    """Whether one clause can be decided; pure.

    Args:
        clause: the clause.
        situation: the stack and the pattern.
        denied: what the caller may not do.
    """
    waived = situation.stack.descriptor.waive.get(clause.id, "")
    if waived:
        return Decidable(id=clause.id, text=clause.text, waived=waived)
    blocked = list(unmet((*clause.requires, *clause.provoked_if), situation))
    gaps = list(unmet(clause.leaves_open, situation))
    resting = [*clause.requires, *clause.provoked_if, *clause.leaves_open]
    for provocation in clause.needs:
        blocked += _why_not(provocation, situation, denied)
        gaps += unmet(provocation.leaves_open, situation)
        resting += requirements_of(provocation)
    without = []
    for provocation in clause.also:
        missing = _why_not(provocation, situation, denied)
        if NO_SIDECAR in missing:
            continue  # what belongs to another pattern is not lacking here
        without += [f"{provocation.name}: {reason}" for reason in missing]
        resting += () if missing else requirements_of(provocation)
    return Decidable(
        id=clause.id,
        text=clause.text,
        blocked=tuple(dict.fromkeys(blocked)),
        open=tuple(dict.fromkeys(gaps)),
        without=tuple(dict.fromkeys(without)),
        rests_on=_capabilities(resting, situation),
    )


def _why_not(provocation: Provocation, situation: Situation, denied: frozenset[Grant]) -> list[str]:
    missing = list(unmet(requirements_of(provocation), situation))
    refused = sorted(of_provocation(provocation, situation) & denied, key=lambda one: (one.action, one.resource))
    return missing + [f"the caller may not {one.action} on {one.resource}" for one in refused]


def _capabilities(requirements: Iterable[Requirement], situation: Situation) -> tuple[Capability, ...]:
    """The capabilities that requirements ask for and that matter for this stack."""
    found = [one.capability for one in requirements if isinstance(one, Supported) and one.when(situation)]
    return tuple(dict.fromkeys(found))


_KNOWN_FROM = {
    "probe": "verified on the emulator",
    "documentation": "written to the documentation",
}


def described(diagnosis: Diagnosis) -> Iterator[str]:
    """The diagnosis for a person, line by line."""
    able = sum(clause.decidable for clause in diagnosis.clauses)
    yield (
        f"{diagnosis.stack} on {diagnosis.target} ({diagnosis.place}): "
        f"{able} of {len(diagnosis.clauses)} clauses can be decided"
    )
    yield ""
    told: dict[str, str] = {}
    for clause in diagnosis.clauses:
        yield from _of_clause(clause, told)
    for known_from, title in _KNOWN_FROM.items():
        resting = {c: s for c, s in diagnosis.capabilities.items() if s.known_from == known_from}
        if resting:
            yield ""
            yield f"{title}:"
            for capability, support in resting.items():
                yield f"  {'yes' if support.supported else 'no '}  {capability}" + (
                    f": {support.reason}" if support.reason else ""
                )
    yield ""
    yield from _of_permissions(diagnosis.permitted)


def _of_clause(clause: Decidable, told: dict[str, str]) -> Iterator[str]:
    """One clause, and what keeps it from being decided: else what it is judged without.

    Args:
        clause: the clause.
        told: the clause at which each long reason was told in full.
    """
    if clause.waived:
        yield f"  {clause.id:<6} waived       {clause.waived}"
        return
    kind = "undecidable" if clause.blocked else "in part" if clause.open else "decidable"
    reasons = [
        reason if told.setdefault(reason, clause.id) == clause.id or len(reason) <= TOLD_AGAIN else f"as {told[reason]}"
        for reason in clause.blocked
    ]
    if not clause.blocked:
        reasons += [f"violations only: {reason}" for reason in clause.open] or [clause.text]
        reasons += [f"without {reason}" for reason in clause.without]
    first, *rest = reasons
    yield f"  {clause.id:<6} {kind:<12} {first}"
    for reason in rest:
        yield f"  {'':<6} {'':<12} {reason}"


def _of_permissions(found: Permitted) -> Iterator[str]:
    if found.unknown:
        yield f"permissions: {found.unknown}; `holdfast doctor --iam` prints what is needed"
    elif found.denied:
        yield f"permissions of {found.caller} that are missing:"
        for one in sorted(found.denied, key=lambda one: (one.action, one.resource)):
            yield f"  {one.action} on {one.resource}"
    else:
        yield f"permissions: nothing that is needed is denied to {found.caller}"
