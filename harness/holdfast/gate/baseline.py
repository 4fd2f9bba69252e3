"""What a team accepts for a while: violated or undecided clauses, each with a reason and the day on which it ends."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from holdfast.errors import BaselineError
from holdfast.stack.base import Part
from holdfast.verdict.model import ClauseVerdict

_REMEDY = "its keys are described in docs/gate.md"


class Accepted(Part):
    """One clause of one stack whose present verdict is accepted.

    Attributes:
        stack: name of the stack.
        clause: id of the clause.
        verdict: the verdict that is accepted.
        finding: title of the only kind of counterexample that is accepted; any when None.
        reason: why.
        until: the last day on which it is accepted.
    """

    stack: Annotated[str, Field(min_length=1)]
    clause: Annotated[str, Field(pattern=r"^(ES|SG|SF|CQ|SC|XX)-\d+$")]
    verdict: Literal["violated", "inconclusive"] = "violated"
    finding: str | None = None
    reason: Annotated[str, Field(min_length=1)]
    until: date

    def concerns(self, stack: str, verdict: ClauseVerdict) -> bool:
        """Whether it speaks of this clause of this stack, with the verdict that it has."""
        return self.stack == stack and self.clause == verdict.id and self.verdict == verdict.verdict.value

    def covers(self, verdict: ClauseVerdict) -> bool:
        """Whether every counterexample of a verdict is of the kind that is accepted."""
        return self.finding is None or all(finding.title == self.finding for finding in verdict.findings)


class Baseline(Part):
    """All that is accepted."""

    accept: list[Accepted] = Field(default_factory=list)


def load(path: Path) -> Baseline:
    """Read a baseline.

    Args:
        path: a TOML file.

    Raises:
        BaselineError: it cannot be read or used; every mistake is named with its entry.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(
            f"The baseline {path} cannot be read.",
            cause=str(error.strerror or error),
            remedy="correct the path, or make one with --write-baseline",
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BaselineError(f"The baseline {path} is not TOML.", cause=str(error), remedy=_REMEDY) from None
    try:
        return Baseline.model_validate(document)
    except ValidationError as error:
        mistakes = [f"{_place(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False)]
        raise BaselineError(f"The baseline {path} cannot be used.", cause="; ".join(mistakes), remedy=_REMEDY) from None


def _place(location: tuple[int | str, ...]) -> str:
    """Where a mistake is, with entries counted from one: ``accept #2, until``."""
    return ", ".join(f"#{step + 1}" if isinstance(step, int) else step for step in location).replace(", #", " #")


def written(accepted: Iterable[Accepted]) -> str:
    """A baseline as TOML, by stack and clause."""
    # a JSON text is a basic string of TOML (toml.io/en/v1.0.0#string), as long as it has no escaped solidus
    entries = []
    for one in sorted(accepted, key=lambda entry: (entry.stack, entry.clause)):
        lines = ["[[accept]]", f"stack = {json.dumps(one.stack)}", f"clause = {json.dumps(one.clause)}"]
        if one.verdict != "violated":
            lines.append(f"verdict = {json.dumps(one.verdict)}")
        if one.finding is not None:
            lines.append(f"finding = {json.dumps(one.finding)}")
        lines += [f"reason = {json.dumps(one.reason)}", f"until = {one.until.isoformat()}"]
        entries.append("\n".join(lines))
    return "\n\n".join(entries) + "\n"
