"""docs/clauses.md and docs/commands.md, made from the code; ``python tests/reference_pages.py`` writes them anew."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from holdfast.clause import Clause
from holdfast.cli import OWN_COMMANDS, main
from holdfast.stack.patterns import CLAUSES
from holdfast.suites import EVERY_STACK, installed_clauses
from holdfast.verdict.model import Family
from holdfast_fixtures.catalogue import load_mutants, mutants, reference_stacks

DOCS = Path(__file__).resolve().parent.parent / "docs"
_FAMILIES = {
    Family.PERSISTENCE: "persistence before acknowledgement",
    Family.IDEMPOTENCY: "idempotency",
    Family.COMPENSATION: "compensation",
    Family.EVENTUAL: "eventual consistency",
    Family.RECOVERY: "recovery and isolation",
    Family.STATIC: "static configuration",
}
_TITLES = {
    "external-storage": "External Storage",
    "storage-first": "Storage-First",
    "saga": "Saga",
    "cqrs": "CQRS with event sourcing",
    "sidecar": "Sidecar",
    EVERY_STACK: "Every stack",
}
_SOURCES = {
    "external-storage": "docs.aws.amazon.com/lambda/latest/dg/with-sqs.html; docs.aws.amazon.com/wellarchitected"
    "/latest/serverless-applications-lens",
    "storage-first": "Hohpe & Woolf, Enterprise Integration Patterns, 2003 (Guaranteed Delivery, Transactional Client)",
    "saga": "Garcia-Molina & Salem, Sagas, SIGMOD 1987; Richardson, Microservices Patterns, 2018, chapter 4",
    "cqrs": "Gibbons & Korach, Testing Shared Memories, 1997; Terry et al., Session Guarantees, 1994; Herlihy & Wing, "
    "Linearizability, 1990",
    "sidecar": "Burns & Oppenheimer, Design Patterns for Container-based Distributed Systems, HotCloud 2016",
    EVERY_STACK: "docs.aws.amazon.com/lambda/latest/dg/best-practices.html",
}


def clauses_page() -> str:
    """Every clause with its family, what provokes it, and the planted bugs that it catches."""
    return "\n".join(_clauses()) + "\n"


def _clauses() -> Iterator[str]:
    yield "# The clauses"
    yield ""
    yield "<!-- made by `python tests/reference_pages.py`; a test compares it with the code -->"
    yield ""
    yield (
        "Every clause that an installed suite decides: its sentence, what provokes it, and the planted bugs of the "
        "reference stacks that it must catch (`pytest tests/test_matrix.py`)."
    )
    installed, caught = installed_clauses(), _caught()
    for pattern in (*CLAUSES, EVERY_STACK):
        if pattern not in installed:
            continue
        yield from ("", f"## {_TITLES[pattern]}", "", f"Sources: {_SOURCES[pattern]}.")
        for clause in installed[pattern]:
            yield from _clause(clause, caught)


def _clause(clause: Clause, caught: Mapping[str, list[str]]) -> Iterator[str]:
    yield from ("", f"### {clause.id}", "", clause.text, "")
    yield f"- family: {_FAMILIES[clause.family]}"
    needs = ", ".join(f"`{one.name}`" for one in clause.needs)
    yield f"- provoked by: {needs or 'nothing; the configuration is read'}"
    if clause.also:
        yield f"- judged as well, where it can be run: {', '.join(f'`{one.name}`' for one in clause.also)}"
    if clause.under_load is not None:
        yield "- decided by `holdfast load`, too"
    yield f"- catches: {', '.join(caught.get(clause.id, ())) or 'no planted bug of its own'}"


def _caught() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for stack in reference_stacks():
        for mutant in (*mutants(stack), *load_mutants(stack)):
            found.setdefault(mutant.clause, []).append(f"`{stack.name}/{mutant.name}`")
    return found


def commands_page() -> str:
    """Every command's own help, and the exit codes."""
    return "\n".join(_commands()) + "\n"


def _commands() -> Iterator[str]:
    yield "# The commands"
    yield ""
    yield "<!-- made by `python tests/reference_pages.py`; a test compares it with the code -->"
    installed = [entry.name for entry in entry_points(group="holdfast.commands")]
    for name in sorted({*OWN_COMMANDS, *installed}):
        yield from ("", f"## holdfast {name}", "", "```text", *_help(name).rstrip().splitlines(), "```")


def _help(name: str) -> str:
    """What a command says of itself, as wide as a page and without colours."""
    written = io.StringIO()
    before = {key: os.environ.get(key) for key in ("COLUMNS", "NO_COLOR")}
    os.environ.update(COLUMNS="100", NO_COLOR="1")
    try:
        with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
            main([name, "--help"])
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})
    return re.sub(r"[ \t]+\n", "\n", written.getvalue())


PAGES = {"clauses.md": clauses_page, "commands.md": commands_page}

if __name__ == "__main__":
    for page, made in PAGES.items():
        (DOCS / page).write_text(made(), encoding="utf-8")
