"""Verdicts as JSON, versioned: ``verdict.json``, written and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast import __version__
from holdfast.verdict.describe import describe, span_seconds
from holdfast.verdict.model import ClauseVerdict, Family, Finding, StackReport, Verdict

VERSION = 1
"""Version of the verdict file; its schema is in docs/verdict.md."""


def report_to_json(report: StackReport) -> dict[str, Any]:
    """The document of ``verdict.json``."""
    counts = {verdict.value: 0 for verdict in Verdict}
    for clause in report.clauses:
        counts[clause.verdict.value] += 1
    return {
        "version": VERSION,
        "holdfast": __version__,
        "stack": report.stack,
        "descriptor": report.descriptor,
        "target": report.target,
        "seed": report.seed,
        "seconds": report.seconds,
        "complete": report.complete,
        "run": report.run,
        "counts": counts,
        "measures": report.measures,
        "clauses": [verdict_to_json(clause) for clause in report.clauses],
    }


def verdict_to_json(verdict: ClauseVerdict) -> dict[str, Any]:
    """One clause of ``verdict.json``."""
    return {
        "id": verdict.id,
        "text": verdict.text,
        "family": verdict.family.value,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason,
        "evidence": list(verdict.evidence),
        "findings": [
            {
                "title": finding.title,
                "sentence": finding.sentence,
                "key": finding.key,
                "span_seconds": span_seconds(finding),
                "explanation": list(describe(finding)),
            }
            for finding in verdict.findings
        ],
        "seconds": verdict.seconds,
    }


def verdict_from_json(document: Mapping[str, Any]) -> ClauseVerdict:
    """A clause of ``verdict.json`` read back; findings keep their sentences, their events stay in the file."""
    return ClauseVerdict(
        id=document["id"],
        text=document.get("text", ""),
        family=Family(document["family"]),
        verdict=Verdict(document["verdict"]),
        reason=document["reason"],
        evidence=tuple(document["evidence"]),
        findings=tuple(
            Finding(title=one["title"], sentence=one["sentence"], key=one["key"]) for one in document["findings"]
        ),
        seconds=document["seconds"],
    )


def verdict_path(folder: Path, stack: str) -> Path:
    """Where the verdicts of a stack are written."""
    return folder / stack / "verdict.json"


def write(report: StackReport, folder: Path) -> Path:
    """Write ``verdict.json`` of a stack, whole or not at all."""
    path = verdict_path(folder, report.stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps(report_to_json(report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def read(path: Path) -> StackReport:
    """Read ``verdict.json`` back."""
    return report_from_json(json.loads(path.read_text(encoding="utf-8")))


def report_from_json(document: Mapping[str, Any]) -> StackReport:
    """The document of ``verdict.json`` read back."""
    return StackReport(
        stack=document["stack"],
        descriptor=document["descriptor"],
        target=document["target"],
        clauses=tuple(verdict_from_json(clause) for clause in document["clauses"]),
        seed=document["seed"],
        seconds=document["seconds"],
        measures=dict(document["measures"]),
        complete=document["complete"],
        run=document.get("run", ""),
    )


def without_secrets(value: Any, clean: Callable[[str], str]) -> Any:
    """A JSON document with every text in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {name: without_secrets(one, clean) for name, one in value.items()}
    if isinstance(value, list):
        return [without_secrets(one, clean) for one in value]
    return value
