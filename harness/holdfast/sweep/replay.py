"""Replay files: a fault schedule, the command it broke and what came of it, enough to run it again anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from holdfast import __version__
from holdfast.errors import HoldfastError
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


class _ReplayPart(Part):
    version: Literal[1]
    holdfast: str
    descriptor: str
    stack: str
    pattern: PatternName
    target: TargetKind
    seed: int
    fields: dict[str, Any]
    patient: bool
    faults: list[_FaultPart]
    expected: _ExpectedPart
    reproduced: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A schedule to run again.

    Attributes:
        descriptor: the stack's descriptor.
        stack: the stack's name.
        pattern: the pattern whose promise it broke.
        target: kind of the target it broke it on.
        seed: of the generated values.
        fields: the generated fields of the command; key and value are fresh each time.
        schedule: the faults.
        title: the kind of anomaly that is expected.
        sentence: how it showed.
        reproduced: how often it did when it was found, e.g. ``3 of 3``.
    """

    descriptor: Path
    stack: str
    pattern: PatternName
    target: TargetKind
    seed: int
    fields: Mapping[str, Any]
    schedule: Schedule
    title: str
    sentence: str
    reproduced: str


def write(coverage: Coverage, violation: Violation, number: int, *, folder: Path, clean: Callable[[str], str]) -> Path:
    """Write the replay file of a violation; returns where.

    Args:
        coverage: of the sweep that found it.
        violation: the violation.
        number: of the violation, for the file's name.
        folder: where to; made.
        clean: removes secrets from a text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{coverage.pattern}-{number}{SUFFIX}"
    document = {
        "version": VERSION,
        "holdfast": __version__,
        # relative, so that a folder with both can be moved
        "descriptor": os.path.relpath(Path(coverage.descriptor).resolve(), folder.resolve()),
        "stack": coverage.stack,
        "pattern": coverage.pattern,
        "target": coverage.target,
        "seed": coverage.seed,
        "fields": dict(violation.fields),
        "patient": violation.schedule.patient,
        "faults": [_fault(fault) for fault in violation.schedule.faults],
        "expected": {
            "verdict": "violated",
            "title": violation.judgement.findings[0].title,
            "sentence": violation.judgement.why,
        },
        "reproduced": f"{violation.violated} of {violation.runs}",
    }
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
            remedy="name a file that `holdfast sweep` wrote, NAME.replay.json",
        ) from error
    try:
        part = _ReplayPart.model_validate_json(text)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()[:3])
        raise HoldfastError(
            f"{path} is no replay file of this version of Holdfast.",
            cause=told,
            remedy="write it anew with `holdfast sweep`",
        ) from None
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
    return Replay(
        descriptor=(path.parent / part.descriptor).resolve(),
        stack=part.stack,
        pattern=part.pattern,
        target=part.target,
        seed=part.seed,
        fields=part.fields,
        schedule=Schedule(faults=faults, patient=part.patient),
        title=part.expected.title,
        sentence=part.expected.sentence,
        reproduced=part.reproduced,
    )
