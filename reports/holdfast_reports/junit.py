"""Verdicts as JUnit XML, for whatever reads test results: a clause, or a fault of a sweep, is a test case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from holdfast.verdict.model import Verdict
from holdfast_reports.documents import ClauseRead, SweepRead
from holdfast_reports.story import Story

FINDINGS_SHOWN = 3

# XML 1.0 has no way to write these, not even escaped
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(stories: Sequence[Story]) -> str:
    """One document with a test suite for each run.

    Args:
        stories: the runs.
    """
    root = ElementTree.Element("testsuites", name="holdfast")
    for story in stories:
        cases = [*map(_clause, story.clauses), *(case for sweep in story.sweeps for case in _cells(sweep))]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_text(story.run.stack),
            tests=str(len(cases)),
            failures=str(sum(case.find("failure") is not None for case in cases)),
            errors="0",
            skipped=str(sum(case.find("skipped") is not None for case in cases)),
            time=f"{story.run.seconds or 0:.3f}",
            timestamp=story.run.started.isoformat(),
        )
        properties = ElementTree.SubElement(suite, "properties")
        told = {"kind": story.run.kind, "target": story.run.target, "seed": str(story.run.seed), **story.run.versions}
        for name, value in told.items():
            ElementTree.SubElement(properties, "property", name=_text(name), value=_text(value))
        for case in cases:
            case.set("classname", _text(f"{story.run.stack}.{case.get('classname', '')}"))
        suite.extend(cases)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clause(clause: ClauseRead) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname="clauses", name=_text(clause.id), time=f"{clause.seconds:.3f}")
    if clause.verdict is Verdict.VIOLATED:
        failure = ElementTree.SubElement(case, "failure", type="violated", message=_text(clause.reason))
        lines = [clause.text, *("\n".join(one.explanation) for one in clause.findings[:FINDINGS_SHOWN])]
        failure.text = _text("\n\n".join(line for line in lines if line))
    elif clause.verdict is not Verdict.HOLDS:
        ElementTree.SubElement(case, "skipped", message=_text(f"{clause.verdict}: {clause.reason}"))
    if clause.evidence:
        ElementTree.SubElement(case, "system-out").text = _text("\n".join(clause.evidence))
    return case


def _cells(sweep: SweepRead) -> Iterator[ElementTree.Element]:
    for cell in sweep.cells:
        if cell.mark == "inapplicable":
            continue
        case = ElementTree.Element("testcase", classname=_text(sweep.pattern), name=_text(f"{cell.point} {cell.kind}"))
        if cell.mark == "violated":
            ElementTree.SubElement(case, "failure", type="violated", message=_text(cell.why))
        elif cell.mark != "held":
            ElementTree.SubElement(case, "skipped", message=_text(f"{cell.mark}: {cell.why}"))
        yield case


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
