"""``python -m holdfast.targets.table``: the capability tables as docs/targets.md, with the probes that prove them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from holdfast.targets import capabilities
from holdfast.targets.base import Capability, Support
from holdfast.targets.probes import PROBES

_INTERCEPTED_COLUMN = "localstack `--intercept`"
COLUMNS: Mapping[str, Mapping[Capability, Support]] = {
    "embedded": capabilities.EMBEDDED,
    "localstack": capabilities.LOCALSTACK,
    _INTERCEPTED_COLUMN: capabilities.LOCALSTACK_INTERCEPTED,
    "aws": capabilities.AWS,
}

_KNOWN_FROM = {"probe": "verified on the emulator", "documentation": "written to the documentation"}

_INTRODUCTION = """\
# What each target can do

A clause holds or is violated on a target only if the target has what its evidence rests on; else it is inconclusive,
with the reason given here. `holdfast doctor NAME.stack.toml` says it for one stack, clause by clause. This page is
written by `python -m holdfast.targets.table`, and a test compares it with the code.

Whatever is said of an emulator, also what it lacks, is shown by the probes named in the last column: small experiments
on the emulator itself, run on the embedded target by `pytest tests/test_conformance.py`, and on a LocalStack 4.14 by
`HOLDFAST_TEST_LOCALSTACK=http://127.0.0.1:4566 pytest tests/test_conformance_localstack.py`.
"""

_INTERCEPTED = """\

## LocalStack with the interceptor in front

`--intercept`, or `intercept = true` in `[target]`, starts a reverse proxy on this machine's loopback and points the
functions of the stack at it by `AWS_ENDPOINT_URL` for the length of the run. The change is a journalled lever on each
function: it is put back whatever ends the run, and `holdfast heal` undoes it after a SIGKILL. It is off by default,
because it changes the configuration of every function, which begins with a cold start then, and because a function in
a container cannot reach this machine's loopback. Functions that do not reach it are noticed with the first commands,
before anything is broken, and end the run with exit code 2.

The proxy sees the calls of functions, not their invocations. So

- a delivery fails because its first call about the request is refused (`AccessDeniedException`, which no SDK repeats);
- it is repeated after its effect because the call is performed and answered with an error;
- a crash is a SIGKILL before or after a call.

A call is aimed at by its key, so it must carry it. Where a worker is given batches it has to report single failures, or
a fault would befall the neighbours. Crashes come one after another, with nothing else under way. What needs the event
of an invocation (the same delivery twice at one moment), its end (how many run at once) or its batch is inconclusive.
"""

_DEVIATIONS = """\

## Where LocalStack does otherwise

Differences that take no capability away, by the probe that shows them:

| probe | what LocalStack does |
|---|---|
"""


def page() -> str:
    """The whole page, Markdown."""
    return _INTRODUCTION + "\n" + "".join(_lines()) + _INTERCEPTED + _DEVIATIONS + "".join(_of_deviations())


def _lines() -> Iterator[str]:
    heads = [f"{name}<br>{_known_from(table)}" for name, table in COLUMNS.items()]
    yield f"| capability | {' | '.join(heads)} | probes |\n"
    yield f"|---|{'---|' * (len(COLUMNS) + 1)}\n"
    for capability in Capability:
        cells = [_cell(table[capability]) for table in COLUMNS.values()]
        if capabilities.LOCALSTACK_INTERCEPTED[capability] == capabilities.LOCALSTACK[capability]:
            cells[list(COLUMNS).index(_INTERCEPTED_COLUMN)] = "the same"
        probes = ", ".join(f"`{probe.name}`" for probe in PROBES if probe.capability is capability)
        yield f"| {capability} | {' | '.join(cells)} | {probes} |\n"


def _known_from(table: Mapping[Capability, Support]) -> str:
    return " / ".join(sorted({_KNOWN_FROM[support.known_from] for support in table.values()}))


def _cell(support: Support) -> str:
    said = "yes" if support.supported else "no"
    return f"{said}: {support.reason}" if support.reason else said


def _of_deviations() -> Iterator[str]:
    own = capabilities.LOCALSTACK_DEVIATIONS
    behind = {f"{name}`, `--intercept": why for name, why in capabilities.LOCALSTACK_INTERCEPTED_DEVIATIONS.items()}
    for name, why in {**own, **behind}.items():
        yield f"| `{name}` | {why} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
