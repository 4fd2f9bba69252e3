"""Replay files: a fault schedule with its command, or a plan of sagas, and what came of it: enough to run it again."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError

from holdfast import __version__
from holdfast.errors import HoldfastError
from holdfast.provocations.saga_plans import BrokenPlan, Plan, PlannedFault, PlannedKind, PlannedSaga, about
from holdfast.redaction import Clean
from holdfast.stack.base import Part
from holdfast.stack.patterns import PatternName
from holdfast.sweep.coverage import Coverage, Violation
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Fault, Schedule
from holdfast.sweep.points import Caller, CallerType, Point
from holdfast.targets.base import TargetKind
from holdfast.verdict.document import without_secrets

VERSION: Literal[1] = 1
SUFFIX = ".replay.json"


class _CallerPart(Part):
    component: str
    type: CallerType
    source: str = ""


class _PointPart(Part):
    caller: _CallerPart
    service: str = ""
    operation: str = ""
    state: str = ""
    nth: Annotated[int, Field(ge=1)] = 1
    about: str = ""


class _FaultPart(Part):
    point: _PointPart
    kind: Kind


class _ExpectedPart(Part):
    verdict: Literal["violated"]
    title: str
    sentence: str


class _PlannedFaultPart(Part):
    step: str
    undo: bool
    kind: PlannedKind


class _PlannedSagaPart(Part):
    fields: dict[str, Any]
    wave: Annotated[int, Field(ge=0)]
    faults: list[_PlannedFaultPart]


class _ReplayPart(Part):
    version: Literal[1]
    holdfast: str
    descriptor: str
    stack: str
    pattern: PatternName
    target: TargetKind
    seed: int
    expected: _ExpectedPart
    reproduced: str


class _SchedulePart(_ReplayPart):
    kind: Literal["schedule"] = "schedule"
    fields: dict[str, Any]
    left_out: tuple[str, ...] = ()
    patient: bool
    faults: list[_FaultPart]


class _PlanPart(_ReplayPart):
    kind: Literal["plan"]
    sagas: Annotated[list[_PlannedSagaPart], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where and how a promise was broken.

    Attributes:
        descriptor: the stack's descriptor.
        stack: the stack's name.
        pattern: the pattern whose promise it was.
        target: kind of the target.
        seed: of the generated values.
        title: the kind of anomaly.
        sentence: how it showed.
        reproduced: how often it did when it was found, e.g. ``3 of 3``.
    """

    descriptor: Path
    stack: str
    pattern: PatternName
    target: TargetKind
    seed: int
    title: str
    sentence: str
    reproduced: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleReplay:
    """A fault schedule of a sweep, to run again.

    Attributes:
        found: where and how it broke a promise.
        fields: the generated fields of the command; key and value are fresh each time.
        schedule: the faults.
        left_out: fields that are secret, so that their values were not written; they are drawn anew.
    """

    found: Found
    fields: Mapping[str, Any]
    schedule: Schedule
    left_out: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What is run, in words."""
        anew = f"; drawn anew, since they are secret: {', '.join(self.left_out)}" if self.left_out else ""
        return f"schedule: {self.schedule}{anew}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReplay:
    """A generated plan of sagas, to run again.

    Attributes:
        found: where and how it broke a promise.
        plan: the sagas and their faults.
        inputs: the fields of each special input; the ordinary one, which has none, first.
    """

    found: Found
    plan: Plan
    inputs: tuple[Mapping[str, Any], ...]

    @property
    def told(self) -> str:
        """What is run, in words."""
        return f"plan: {self.plan.told(about(self.inputs))}"


Replay = ScheduleReplay | PlanReplay


def write(
    coverage: Coverage,
    violation: Violation,
    number: int,
    *,
    folder: Path,
    clean: Clean,
    hidden: Collection[str] = (),
) -> Path:
    """Write the replay file of a violation; returns where.

    A field that is secret is left out, and its name is written: a value in its place would be another command.

    Args:
        coverage: of the sweep that found it.
        violation: the violation.
        number: of the violation, for the file's name.
        folder: where to; made.
        clean: removes secrets from a text.
        hidden: generated fields whose values are secret.
    """
    left_out = secret_in(violation.fields, hidden, clean)
    found = found_of(coverage, violation)
    what = {
        "kind": "schedule",
        "fields": {name: value for name, value in violation.fields.items() if name not in left_out},
        **({"left_out": list(left_out)} if left_out else {}),
        "patient": violation.schedule.patient,
        "faults": [_fault(fault) for fault in violation.schedule.faults],
    }
    return _written(folder / f"{coverage.pattern}-{number}{SUFFIX}", found, what, clean)


def found_of(coverage: Coverage, violation: Violation) -> Found:
    """Where and how a violation of a sweep broke its promise."""
    return Found(
        descriptor=Path(coverage.descriptor),
        stack=coverage.stack,
        pattern=coverage.pattern,
        target=cast("TargetKind", coverage.target),
        seed=coverage.seed,
        title=violation.judgement.findings[0].title,
        sentence=violation.judgement.why,
        reproduced=f"{violation.violated} of {violation.runs}",
    )


def secret_in(fields: Mapping[str, Any], hidden: Collection[str], clean: Clean) -> tuple[str, ...]:
    """The fields whose values may not be written: those that are hidden, and those that hold another secret."""
    return tuple(name for name, value in fields.items() if name in hidden or _holds_secret(value, clean))


def _holds_secret(value: Any, clean: Clean) -> bool:
    return bool(without_secrets(value, clean) != value)


def plan_file(folder: Path, pattern: PatternName) -> Path:
    """Where the replay file of a pattern's generated plan is."""
    return folder / f"plan-{pattern}{SUFFIX}"


def write_plan(found: Found, broken: BrokenPlan, *, folder: Path, clean: Clean) -> Path:
    """Write the replay file of a generated plan; returns where.

    Args:
        found: where and how it broke a promise.
        broken: the plan.
        folder: where to; made.
        clean: removes secrets from a text.
    """
    what = {
        "kind": "plan",
        "sagas": [
            {
                "fields": dict(broken.inputs[saga.input]),
                "wave": saga.wave,
                "faults": [{"step": one.step, "undo": one.undo, "kind": one.kind} for one in saga.faults],
            }
            for saga in broken.plan.sagas
        ],
    }
    return _written(plan_file(folder, found.pattern), found, what, clean)


def _written(path: Path, found: Found, what: Mapping[str, Any], clean: Clean) -> Path:
    document = {
        "version": VERSION,
        "holdfast": __version__,
        # relative, so that a folder with both can be moved
        "descriptor": os.path.relpath(found.descriptor.resolve(), path.parent.resolve()),
        "stack": found.stack,
        "pattern": found.pattern,
        "target": found.target,
        "seed": found.seed,
        **what,
        "expected": {"verdict": "violated", "title": found.title, "sentence": found.sentence},
        "reproduced": found.reproduced,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(without_secrets(document, clean), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _fault(fault: Fault) -> dict[str, Any]:
    point, caller = fault.point, fault.point.caller
    return {
        "point": {
            "caller": {"component": caller.component, "type": caller.type, "source": caller.source},
            "service": point.service,
            "operation": point.operation,
            "state": point.state,
            "nth": point.nth,
            "about": point.about,
        },
        "kind": fault.kind.value,
    }


def read(path: Path) -> Replay:
    """Read a replay file.

    Raises:
        HoldfastError: it is none, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HoldfastError(
            f"The replay file {path} cannot be read.",
            cause=str(error),
            remedy="name a file that `holdfast sweep` or `holdfast verify` wrote, NAME.replay.json; those of earlier"
            " runs are in .holdfast/STACK/runs/RUN/replays",
        ) from error
    try:
        part = _PlanPart.model_validate_json(text) if _is_plan(text) else _SchedulePart.model_validate_json(text)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()[:3])
        raise HoldfastError(
            f"{path} is no replay file of this version of Holdfast.",
            cause=told,
            remedy="write it anew with `holdfast sweep`, or `holdfast verify` where it is a plan",
        ) from None
    found = Found(
        descriptor=(path.parent / part.descriptor).resolve(),
        stack=part.stack,
        pattern=part.pattern,
        target=part.target,
        seed=part.seed,
        title=part.expected.title,
        sentence=part.expected.sentence,
        reproduced=part.reproduced,
    )
    if isinstance(part, _PlanPart):
        return _plan_of(part, found)
    faults = tuple(
        Fault(
            Point(
                caller=Caller(
                    component=one.point.caller.component, type=one.point.caller.type, source=one.point.caller.source
                ),
                service=one.point.service,
                operation=one.point.operation,
                state=one.point.state,
                nth=one.point.nth,
                about=one.point.about,
            ),
            one.kind,
        )
        for one in part.faults
    )
    schedule = Schedule(faults=faults, patient=part.patient)
    return ScheduleReplay(found=found, fields=part.fields, schedule=schedule, left_out=part.left_out)


def _is_plan(text: str) -> bool:
    """Whether a document says that it is a plan; one that says nothing is a schedule."""
    try:
        document = json.loads(text)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("kind") == "plan"


def _plan_of(part: _PlanPart, found: Found) -> PlanReplay:
    inputs: list[dict[str, Any]] = [{}]
    for saga in part.sagas:
        if saga.fields not in inputs:
            inputs.append(saga.fields)
    plan = Plan(
        tuple(
            PlannedSaga(
                input=inputs.index(saga.fields),
                wave=saga.wave,
                faults=tuple(PlannedFault(one.step, undo=one.undo, kind=one.kind) for one in saga.faults),
            )
            for saga in part.sagas
        )
    )
    return PlanReplay(found=found, plan=plan, inputs=tuple(inputs))
