"""What leaves a run is without secrets: verdicts with their witnesses, and errors, whoever writes them down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

from holdfast.errors import HealError, HoldfastError
from holdfast.history.model import FaultWindow, Observation, Operation, Outcome
from holdfast.ports.redact import REDACTED, SECRET_NAME, Redactor
from holdfast.stack.descriptor import Descriptor
from holdfast.targets.base import TargetKind
from holdfast.verdict.model import ClauseVerdict, Family, Finding, Verdict

Clean = Callable[[str], str]

_OWN_WORDS: frozenset[str] = frozenset({*get_args(TargetKind), *Verdict, *Family, *Outcome})
"""What the files of a run are made of; a secret that is one of these words tells nothing."""


def cleaning(descriptor: Descriptor, *secrets: str | None) -> Clean:
    """Removes from a text what came from the environment into a descriptor, its marked fields, and what else is given.

    Where the stack is stays readable, even where the environment says it: account, region, profile, endpoint, names.

    Args:
        descriptor: the descriptor.
        secrets: further values, e.g. the target's secret key.
    """
    pin = descriptor.target.aws
    places = {descriptor.name, descriptor.cloudformation, descriptor.target.localstack_endpoint} | _OWN_WORDS
    places |= {pin.account, pin.region, pin.profile} if pin is not None else set()
    places |= {name for part in _parts(descriptor) for name in part}
    for component in descriptor.components.values():
        places |= {component.logical_id, component.output, component.name, component.stage}
    return Redactor(secrets, declared=descriptor.secrets - places, marked=descriptor.marked).clean


def _parts(descriptor: Descriptor) -> Iterator[Mapping[str, object]]:
    """All that a descriptor gives a name: every finding and every file speaks by it."""
    yield from (descriptor.components, descriptor.channels, descriptor.commands, descriptor.effects)
    yield from (descriptor.statuses, descriptor.dead_letters, descriptor.logs, descriptor.views, descriptor.conserved)


def cleaned(verdict: ClauseVerdict, clean: Clean) -> ClauseVerdict:
    """A verdict without secrets in its reason, its evidence and its witnesses."""
    return replace(
        verdict,
        reason=clean(verdict.reason),
        evidence=tuple(map(clean, verdict.evidence)),
        findings=tuple(
            Finding(
                title=finding.title,
                sentence=clean(finding.sentence),
                key=finding.key,
                witness=tuple(_event(event, clean) for event in finding.witness),
            )
            for finding in verdict.findings
        ),
    )


def cleaned_arguments(arguments: Sequence[str], clean: Clean) -> tuple[str, ...]:
    """A command line without secrets: also the value of an option goes whose name speaks of one."""
    shown: list[str] = []
    hidden = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        speaks = argument.startswith("-") and SECRET_NAME.search(name) is not None
        if hidden and not argument.startswith("-"):
            shown.append(REDACTED)
        elif speaks and equals:
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(clean(argument))
        hidden = speaks and not equals
    return tuple(shown)


def _event(event: Operation | Observation | FaultWindow, clean: Clean) -> Operation | Observation | FaultWindow:
    if isinstance(event, Operation):
        body = None if event.body is None else clean(event.body)
        value = None if event.value is None else clean(event.value)
        return replace(event, body=body, value=value, status=clean(event.status), answer=clean(event.answer))
    if isinstance(event, Observation):
        return replace(
            event,
            values=tuple(map(clean, event.values)),
            bodies=tuple(map(clean, event.bodies)),
            state=clean(event.state),
        )
    return replace(event, proof=clean(event.proof), healed_proof=clean(event.healed_proof))


@contextmanager
def clean_errors(clean: Clean) -> Iterator[None]:
    """Have errors raised without secrets; the command that heals by hand stays as it is, for it has to work."""
    try:
        yield
    except HoldfastError as error:
        error.what = clean(error.what)
        error.cause = clean(error.cause)
        if not isinstance(error, HealError):
            error.remedy = clean(error.remedy)
        error.args = (error.what,)
        raise
