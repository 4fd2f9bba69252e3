"""What closes the gate, in the forms in which CI systems show it beside the code. Pure.

GitHub: docs.github.com/actions/reference/workflows-and-actions/workflow-commands. Azure Pipelines:
learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands. TeamCity:
jetbrains.com/help/teamcity/service-messages.html. GitLab: docs.gitlab.com/ci/testing/code_quality.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.gate.judging import Decision, Standing
from holdfast.stack.patterns import CLAUSES


class System(StrEnum):
    """A CI system."""

    GITHUB = "github"
    GITLAB = "gitlab"
    AZURE = "azure"
    TEAMCITY = "teamcity"
    NONE = "none"


_SIGNS: Mapping[str, System] = {
    "GITHUB_ACTIONS": System.GITHUB,
    "GITLAB_CI": System.GITLAB,
    "TF_BUILD": System.AZURE,
    "TEAMCITY_VERSION": System.TEAMCITY,
}
"""The variable that each system sets in its jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One remark about a place in a file.

    Attributes:
        path: the descriptor, relative to the checkout.
        line: counted from one.
        title: the clause and how it stands.
        message: why, one sentence, then the counterexample.
        error: whether it closes the gate.
        identity: the same for the same clause in every run.
    """

    path: str
    line: int
    title: str
    message: str
    error: bool
    identity: str


def detected(environ: Mapping[str, str]) -> System:
    """The CI system whose job this is."""
    return next((system for name, system in _SIGNS.items() if environ.get(name)), System.NONE)


def annotation(decision: Decision, *, path: str, text: str) -> Annotation:
    """The remark about one clause.

    Args:
        decision: the clause at the gate.
        path: path of the descriptor as it is to be shown.
        text: the descriptor's text, in which the pattern's table is looked for.
    """
    finding = decision.clause.findings[0] if decision.clause.findings else None
    counterexample = f" Counterexample: {finding.sentence}" if finding is not None else ""
    return Annotation(
        path=path,
        line=_line(text, decision.clause.id),
        title=f"{decision.stack} {decision.clause.id} {decision.standing}",
        message=decision.why + counterexample,
        error=decision.red,
        identity=f"{decision.stack}/{decision.clause.id}",
    )


def _line(text: str, clause_id: str) -> int:
    """The line of the table of the pattern that a clause belongs to; the first where it is not found."""
    prefix = clause_id.partition("-")[0]
    pattern = next((name for name, (letters, _) in CLAUSES.items() if letters == prefix), None)
    heads = (f"[patterns.{pattern}]", f'[patterns."{pattern}"]')
    lines = [line.partition("#")[0].replace(" ", "").rstrip() for line in text.splitlines()]
    return next((at for at, line in enumerate(lines, 1) if line in heads), 1)


def worth_showing(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The decisions that a person should see: what closes the gate, and what is let pass for a while."""
    shown = (Standing.ACCEPTED, Standing.TOLERATED)
    return tuple(decision for decision in decisions if decision.red or decision.standing in shown)


def log_lines(annotations: Iterable[Annotation], system: System) -> tuple[str, ...]:
    """The remarks as lines of the job's log, for the systems that read it."""
    return tuple(_FORMATS[system](one) for one in annotations) if system in _FORMATS else ()


def _github(one: Annotation) -> str:
    level = "error" if one.error else "warning"
    where = f"file={_escaped(one.path, _PROPERTY)},line={one.line},title={_escaped(one.title, _PROPERTY)}"
    return f"::{level} {where}::{_escaped(one.message, _DATA)}"


def _azure(one: Annotation) -> str:
    level = "error" if one.error else "warning"
    path, message = _escaped(one.path, _AZURE), _escaped(f"{one.title}: {one.message}", _AZURE)
    return f"##vso[task.logissue type={level};sourcepath={path};linenumber={one.line};]{message}"


def _teamcity(one: Annotation) -> str:
    text = _escaped(f"{one.path}:{one.line}: {one.title}: {one.message}", _TEAMCITY)
    if not one.error:
        return f"##teamcity[message text='{text}' status='WARNING']"
    # the identity may have 60 characters and no blanks
    identity = hashlib.sha256(one.identity.encode()).hexdigest()[:40]
    return f"##teamcity[buildProblem description='{text}' identity='{identity}']"


def code_quality(annotations: Iterable[Annotation]) -> str:
    """The remarks as GitLab's code quality report, JSON."""
    return json.dumps(
        [
            {
                "description": f"{one.title}: {one.message}",
                "check_name": one.identity,
                "fingerprint": hashlib.sha256(f"{one.identity} {one.error}".encode()).hexdigest(),
                "severity": "critical" if one.error else "info",
                "location": {"path": one.path, "lines": {"begin": one.line}},
            }
            for one in annotations
        ],
        indent=2,
    )


_DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_PROPERTY = (*_DATA, (":", "%3A"), (",", "%2C"))
_AZURE = (("%", "%AZP25"), ("\r", "%0D"), ("\n", "%0A"), (";", "%3B"), ("]", "%5D"))
_TEAMCITY = (("|", "||"), ("'", "|'"), ("\n", "|n"), ("\r", "|r"), ("[", "|["), ("]", "|]"))
_FORMATS = {System.GITHUB: _github, System.AZURE: _azure, System.TEAMCITY: _teamcity}


def _escaped(text: str, by: Iterable[tuple[str, str]]) -> str:
    for plain, escaped in by:
        text = text.replace(plain, escaped)
    return text
