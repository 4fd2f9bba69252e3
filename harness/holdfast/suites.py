"""The clauses that installed suites bring, by pattern.

A suite announces itself as an entry point of the group ``holdfast.suites``: the name is the pattern (``any`` for
clauses that every stack owes), the value its module. The harness imports no suite by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points

from holdfast.clause import Clause, clause_of
from holdfast.errors import DescriptorError
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.patterns import PatternName

EVERY_STACK = "any"


@cache
def installed_clauses() -> Mapping[str, tuple[Clause, ...]]:
    """The clauses of each pattern, in the order of their suite."""
    found: dict[str, tuple[Clause, ...]] = {}
    for suite in entry_points(group="holdfast.suites"):
        module = importlib.import_module(suite.value)
        clauses = [clause_of(value) for value in vars(module).values()]
        found[suite.name] = tuple(clause for clause in clauses if clause is not None)
    return found


def clauses_of(descriptor: Descriptor) -> tuple[tuple[PatternName, Clause], ...]:
    """Every clause a stack owes, each with the pattern it is judged by.

    Raises:
        DescriptorError: a claimed pattern has no suite in this version.
    """
    installed = installed_clauses()
    missing = [pattern for pattern in descriptor.patterns if pattern not in installed]
    if missing:
        raise DescriptorError(
            f"The stack {descriptor.name} claims {', '.join(missing)}, and this version has no suite for it.",
            cause=f"installed suites: {', '.join(sorted(set(installed) - {EVERY_STACK})) or 'none'}",
            remedy="leave the pattern out of [patterns], or install a version that has the suite",
        )
    owed = [(pattern, clause) for pattern in descriptor.patterns for clause in installed[pattern]]
    first = next(iter(descriptor.patterns))
    return (*owed, *((first, clause) for clause in installed.get(EVERY_STACK, ())))


def choose(descriptor: Descriptor, ids: Sequence[str] = ()) -> tuple[tuple[PatternName, Clause], ...]:
    """The clauses a stack owes, or those of given ids.

    Raises:
        DescriptorError: an id names no clause that the stack owes.
    """
    owed = clauses_of(descriptor)
    known = [clause.id for _, clause in owed]
    unknown = [id_ for id_ in ids if id_ not in known]
    if unknown:
        meant = next((id_.upper() for id_ in unknown if id_.upper() in known), "")
        raise DescriptorError(
            f"The stack {descriptor.name} owes no clause {', '.join(unknown)}.",
            remedy=f"did you mean {meant}?" if meant else f"it owes {', '.join(known)}",
        )
    return tuple((pattern, clause) for pattern, clause in owed if not ids or clause.id in ids)
