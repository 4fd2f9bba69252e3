"""The pure parts of provocations."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.provocations.bench import HITS_OF_PROGRESS, Aim
from holdfast.provocations.malformed import malformed_variants
from holdfast.provocations.payloads import shell_quoted
from holdfast.provocations.tracing import Trace, calls_of_one_handling
from holdfast.provocations.windows import most_at_once
from holdfast.stack.commands import Command
from holdfast.stack.prefixes import new_prefix
from holdfast.suites import installed_clauses
from holdfast.targets.base import Rule, TracedCall, TracedInvocation


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 1), (1, 2)], 1),
        ([(0, 2), (1, 3), (2, 4)], 2),
        ([(0, 9), (1, 2), (3, 4), (3, 4)], 3),
    ],
)
def test_concurrency_counts_open_spans(spans: list[tuple[float, float]], most: int) -> None:
    """A span that ends where another begins does not overlap it."""
    assert most_at_once(spans) == most


@pytest.mark.parametrize("text", ["", "plain", "it's", "a\\b\n\x00 \x7f 'q' é 😀", "\udcff"])
def test_a_payload_is_quoted_byte_for_byte(text: str) -> None:
    """What bash makes of the quoted payload is the payload, NUL apart: no word of a shell can hold it."""
    wanted = text.replace("\x00", "").encode("utf-8", "surrogateescape")
    script = f"printf %s {shell_quoted(text.replace(chr(0), ''))}"
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout == wanted


def test_prefixes_follow_time() -> None:
    """Keys of a later run begin with a prefix that sorts after it, in characters that every store admits."""
    early, late = new_prefix(lambda: 1_700_000_000.0), new_prefix(lambda: 1_700_000_000.001)
    assert early < late
    assert early.isalnum()
    assert early == early.lower()


def test_two_runs_of_one_millisecond_have_prefixes_of_their_own() -> None:
    """Jobs that begin at the same time are told apart by random digits."""
    one, other = (new_prefix(lambda: 1_700_000_000.0, lambda _, drawn=drawn: drawn) for drawn in ("0a1b", "0a1c"))
    assert (one[-4:], other[-4:]) == ("0a1b", "0a1c")
    assert one[:-4] == other[:-4]


def test_a_trace_takes_each_function_once() -> None:
    """A request that was handled twice has the fault points of one handling, and a failed handling has none."""

    def invocation(function: str, request: str, *, failed: bool = False) -> TracedInvocation:
        return TracedInvocation(
            function=function, request_id=request, started_seconds=1.0, ended_seconds=2.0, failed=failed, event="{}"
        )

    def call(function: str, request: str, operation: str, index: int) -> TracedCall:
        return TracedCall(
            function=function, request_id=request, index=index, service="dynamodb", operation=operation, status=200
        )

    trace = Trace(
        (invocation("f", "r1", failed=True), invocation("f", "r2"), invocation("f", "r3"), invocation("g", "r4")),
        (
            call("f", "r1", "GetItem", 1),
            call("f", "r2", "GetItem", 1),
            call("f", "r2", "PutItem", 2),
            call("f", "r2", "PutItem", 3),
            call("f", "r3", "GetItem", 1),
            call("g", "r4", "PutItem", 1),
        ),
    )
    points = calls_of_one_handling(trace, {"f": "worker"})
    assert points == [
        ("worker", "dynamodb", "GetItem", 1),
        ("worker", "dynamodb", "PutItem", 1),
        ("worker", "dynamodb", "PutItem", 2),
    ]


def test_malformed_variants_break_the_body_and_nothing_else() -> None:
    """Every variant differs from the command in its last call's body only."""
    command = Command.model_validate(
        {"calls": [{"kind": "http", "url": "http://127.0.0.1/", "json": {"id": "{key}", "note": "{value}"}}]}
    )
    variants = malformed_variants(command)
    assert {"truncated", "empty", "another type", "not JSON", "without id", "without note"} == set(variants)
    without = variants["without id"].calls[-1]
    assert without.kind == "http"
    assert without.json_body == {"note": "{value}"}
    assert all(variant.calls[-1].kind == "http" for variant in variants.values())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("external-storage", [f"ES-{number}" for number in range(1, 17)]),
        ("storage-first", [f"SF-{number}" for number in range(1, 11)]),
        ("any", ["XX-1", "XX-2"]),
    ],
)
def test_every_clause_of_the_contract_has_a_test(pattern: str, expected: list[str]) -> None:
    """The installed suites hold every clause of their pattern, in order, each with a text and a family."""
    clauses = installed_clauses()[pattern]
    assert [clause.id for clause in clauses] == expected
    assert all(clause.text.endswith(".") for clause in clauses)


def test_a_fault_that_hits_again_is_progress_until_it_hits_for_ever() -> None:
    """Each delivery of what fails for good tells that work goes on; one fault alone cannot tell it without end."""
    hits = {"once": 1, "for-good": 0}
    interceptor = cast("Any", SimpleNamespace(hits=hits.__getitem__))
    aim = Aim(interceptor, tuple(Rule(id=name, action="fail") for name in hits))
    seen = []
    for count in range(HITS_OF_PROGRESS + 3):
        hits["for-good"] = count
        seen.append(aim.progress())
    assert seen == sorted(seen)
    assert len(set(seen)) == HITS_OF_PROGRESS + 1
    assert seen[-3] == seen[-1]
    assert aim.bitten() == 2
