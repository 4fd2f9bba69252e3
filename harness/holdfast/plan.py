"""What a verification would do, phase by phase: provocations, faults, bounds, commands; nothing is sent or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.doctor import examined
from holdfast.levers.base import Lever
from holdfast.levers.pointing import pointing
from holdfast.opening import Options
from holdfast.progress import Say
from holdfast.provocations.faults import levers_of, requirements_of
from holdfast.provocations.model import Moment, Provocation, Window
from holdfast.provocations.requirements import CALL_FAULTS, INVOCATION_FAULTS, Situation, unmet
from holdfast.redaction import cleaning
from holdfast.stack.commands import AnyCall, HttpCall
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault that would be put in place.

    Attributes:
        lever: name of the lever.
        component: the component's name in the descriptor.
        resource: ARN or id of what it changes.
        about: the error class, or what it does to one key.
        longest_seconds: how long it may take to be felt; 0 where it waits for its key.
    """

    lever: str
    component: str
    resource: str
    about: str
    longest_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Provocations that would be run together.

    Attributes:
        title: when, or inside which fault.
        faults: the faults on everything, in the order of their injection.
        provocations: names, with the commands of each and its aimed faults.
    """

    title: str
    faults: tuple[Fault, ...]
    provocations: tuple[tuple[str, int, tuple[Fault, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a verification of one stack would do.

    Attributes:
        stack: name of the stack.
        target: kind of the target.
        place: where.
        clauses: ids of the clauses that would be judged.
        waived: ids of those that are waived.
        phases: in their order.
        left_out: provocations that cannot be run here, with the reasons.
        commands: what is sent, by name of the command: its calls.
        bounds: the declared bounds that limit how long anything is waited for.
        stops: what would end the run early.
    """

    stack: str
    target: str
    place: str
    clauses: tuple[str, ...]
    waived: tuple[str, ...]
    phases: tuple[Phase, ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...]
    commands: tuple[tuple[str, tuple[str, ...]], ...]
    bounds: tuple[tuple[str, object], ...]
    stops: tuple[str, ...]

    @property
    def sent(self) -> int:
        """How many commands are sent when all goes well."""
        return sum(count for phase in self.phases for _, count, _ in phase.provocations)


def planned(
    path: Path,
    *,
    options: Options,
    ids: Sequence[str] = (),
    target: Target | None = None,
    say: Say,
) -> Plan:
    """Make the plan; reads only.

    Raises:
        HoldfastError: the descriptor is wrong, the target does not answer, or a resource is missing.
    """
    with examined(path, options=options, ids=ids, target=target, say=say) as (stack, clauses):
        waived = [clause.id for clause, _ in clauses if clause.id in stack.descriptor.waive]
        asked = [(clause, situation) for clause, situation in clauses if clause.id not in waived]
        wanted = {
            (id(situation), provocation.name): (provocation, situation)
            for clause, situation in asked
            for provocation in (*clause.needs, *clause.also)
        }
        missing = {at: unmet(requirements_of(one), situation) for at, (one, situation) in wanted.items()}
        run = [wanted[at] for at, reasons in missing.items() if not reasons]
        clean = cleaning(stack.descriptor)
        commands = dict.fromkeys(situation.pattern.command for _, situation in asked)
        return Plan(
            stack=stack.descriptor.name,
            target=stack.target.kind,
            place=f"account {stack.target.account}, region {stack.target.region}",
            clauses=tuple(clause.id for clause, _ in asked),
            waived=tuple(waived),
            phases=tuple([*_pointing(stack), *_phases(run)] if run else ()),
            left_out=tuple((name, reasons) for (_, name), reasons in missing.items() if reasons),
            commands=tuple(
                (name, tuple(clean(_said(call)) for call in stack.descriptor.commands[name].calls)) for name in commands
            ),
            bounds=tuple(stack.descriptor.bounds.model_dump().items()),
            stops=tuple(
                f"{name} = {value}" for name, value in stack.descriptor.stop.model_dump(exclude_unset=True).items()
            ),
        )


def _pointing(stack: Stack) -> Iterator[Phase]:
    """What lasts the whole run: the functions pointed at the interceptor, where they have to be."""
    url = stack.target.interceptor_url
    if url is not None:
        faults = [_of_lever(lever, f"{lever.variable} points at an interceptor here") for lever in pointing(stack, url)]
        yield Phase(title="for the whole run", faults=tuple(faults), provocations=())


def _phases(run: Sequence[tuple[Provocation, Situation]]) -> Iterator[Phase]:
    """The phases in the order of `holdfast.campaign.Campaign`."""
    yield from _phase(str(Moment.FIRST), [one for one in run if one[0].moment is Moment.FIRST])
    middle = [one for one in run if one[0].moment is Moment.MIDDLE]
    for window in Window:
        inside = [one for one in middle if one[0].window is window]
        patterns = {id(situation): situation for _, situation in inside}.values()
        levers = [lever for situation in patterns for lever in levers_of(window, situation, "plan")]
        faults = dict.fromkeys(_of_lever(lever, lever.error_class) for lever in levers)
        yield from _phase(f"fault window: {window}", inside, tuple(faults))
    aimed = [one for one in middle if one[0].window is None]
    alone = [one for one in aimed if one[0].exclusive or one[0].alone(one[1])]
    yield from _phase(str(Moment.MIDDLE), [one for one in aimed if one not in alone])
    yield from _phase("one after another, with nothing else under way", alone)
    yield from _phase(str(Moment.SCARRING), [one for one in run if one[0].moment is Moment.SCARRING])
    yield from _phase(str(Moment.LAST), [one for one in run if one[0].moment is Moment.LAST])


def _of_lever(lever: Lever, about: str) -> Fault:
    return Fault(
        lever=lever.name,
        component=lever.component,
        resource=lever.resource,
        about=about,
        longest_seconds=lever.propagation_seconds,
    )


def _phase(title: str, run: Sequence[tuple[Provocation, Situation]], faults: Sequence[Fault] = ()) -> Iterator[Phase]:
    if run:
        yield Phase(
            title=title,
            faults=tuple(faults),
            provocations=tuple(
                (
                    provocation.name,
                    provocation.way(situation).commands(situation),
                    (*_struck(provocation, situation), *_aimed(provocation, situation)),
                )
                for provocation, situation in run
            ),
        )


def _aimed(provocation: Provocation, situation: Situation) -> Iterator[Fault]:
    possible = not unmet((INVOCATION_FAULTS, CALL_FAULTS), situation)
    for aimed in (*provocation.way(situation).aims, *(provocation.may_aim if possible else ())):
        for component in aimed.at(situation):
            yield Fault(
                lever="invocation-fault",
                component=component,
                resource=situation.stack.resource(component).arn,
                about=f"{aimed.action}, {'AWS calls' if aimed.point == 'call' else 'invocations'} of one key each",
            )


def _struck(provocation: Provocation, situation: Situation) -> Iterator[Fault]:
    for strike in provocation.strikes:
        yield Fault(lever=strike.lever, component=strike.on(situation), resource="", about=strike.about)


def _said(call: AnyCall) -> str:
    """A call without anything that may be secret: its kind and where it goes."""
    if isinstance(call, HttpCall):
        where = f"{call.api}{call.path}" if call.api is not None else "a URL of the descriptor"
        return f"{call.method} {where}"
    for attribute in ("queue", "topic", "bus", "function", "state_machine", "bucket", "callable"):
        named = getattr(call, attribute, None)
        if named is not None:
            return f"{call.kind} {named}"
    return call.kind


def described(plan: Plan) -> Iterator[str]:
    """The plan for a person, line by line."""
    yield f"{plan.stack} on {plan.target} ({plan.place}): {len(plan.clauses)} clauses, {plan.sent} commands or more"
    yield f"  judged: {', '.join(plan.clauses) or 'none'}"
    if plan.waived:
        yield f"  waived: {', '.join(plan.waived)}"
    for name, calls in plan.commands:
        yield f"  command {name}: {', then '.join(calls)}"
    for phase in plan.phases:
        yield ""
        yield f"  {phase.title}"
        for fault in phase.faults:
            yield f"    fault {_fault(fault)}, felt within {fault.longest_seconds:g} s"
        for name, count, faults in phase.provocations:
            yield f"    {name}: {count} commands"
            for fault in faults:
                yield f"      {_fault(fault)}"
    if plan.left_out:
        yield ""
        yield "  not run here"
        for name, reasons in plan.left_out:
            yield f"    {name}: {'; '.join(reasons)}"
    yield ""
    yield f"  bounds: {', '.join(f'{name} = {value}' for name, value in plan.bounds if value is not None)}"
    yield f"  ended early by: {', '.join(plan.stops) or 'nothing but a signal'}"
    yield "  nothing was sent, and nothing was broken"


def _fault(fault: Fault) -> str:
    resource = f" ({fault.resource})" if fault.resource else ""
    return f"{fault.lever} on {fault.component}{resource}: {fault.about}"
