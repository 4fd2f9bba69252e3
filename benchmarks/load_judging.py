"""A recorded load run, judged: two workers' files read and merged, clauses decided and latency measured, in columns.

    python benchmarks/load_judging.py [--operations 1000000]

Two files are written as two workers record them, with a fault in the middle, one operation acknowledged and lost,
and one effect twice. Both must be found, and nothing else; else it exits 1. How often each key took effect
is given as an array: what a scan of a table costs depends on the table. Peak memory is of this process; reading uses
others beside it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.clause import decide_under_load
from holdfast.history.model import ErrorClass, FaultWindow, Outcome
from holdfast.history.writing import HistoryFile
from holdfast.provocations.model import Window
from holdfast.stack.configuration import Configuration
from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import Stack
from holdfast.suites import clauses_of
from holdfast.under_load import LoadEvidence, Looked
from holdfast.verdict import Verdict
from holdfast_load.judging.measures import measure
from holdfast_load.judging.rows import Rows, read
from holdfast_load.recorder import LOAD_COLUMNS

WORKERS = 2
PER_SECOND = 10_000
ORIGIN_NS = 1_700_000_000_000_000_000
DESCRIPTOR = """
name = "orders"

[components]
queue = { type = "queue", name = "orders" }
worker = { type = "function", name = "worker" }
ledger = { type = "table", name = "ledger" }

[commands.place_order]
calls = [{ kind = "sqs", queue = "queue", json = { id = "{key}", note = "{value}" } }]

[effects.entered]
sources = [{ kind = "dynamodb-query", table = "ledger", partition = { id = "{key}" } }]

[patterns.storage-first]
command = "place_order"
effect = "entered"
workers = ["worker"]
store = "queue"
"""


def write(path: Path, worker: int, operations: int) -> None:
    """One worker's file: every second operation of the run, a hundredth of them without an answer."""
    with HistoryFile(
        path, recorder=f"worker-{worker}", origin_unix_ns=ORIGIN_NS, lines_per_flush=1_000, columns=LOAD_COLUMNS
    ) as file:
        for number in range(worker, operations, WORKERS):
            intended = number * 1_000_000_000 // PER_SECOND
            sent, done = intended + 100_000, intended + 2_000_000 + number % 997 * 1_000
            ok = number % 100 != 99
            file.add_row(
                (
                    "place_order",
                    f"hfbench-{number}",
                    f"v-hfbench-{number}",
                    sent,
                    done if ok else None,
                    Outcome.OK if ok else Outcome.UNKNOWN,
                    None,
                    None,
                    intended,
                    done,
                    "200" if ok else "timeout",
                )
            )


def evidence(rows: Rows, folder: Path, window: FaultWindow) -> LoadEvidence:
    """What a run leaves behind: one acknowledged operation lost, one effect twice."""
    path = folder / "orders.stack.toml"
    path.write_text(DESCRIPTOR, encoding="utf-8")
    descriptor = load_descriptor(path, {})
    target: Any = None
    codes = np.unique(rows.operations.key)
    counts = np.ones(len(codes), np.int64)
    counts[0], counts[1] = 0, 2
    return LoadEvidence(
        stack=Stack(descriptor, path, target, {}),
        pattern=descriptor.patterns["storage-first"],
        configuration=Configuration((), ()),
        operations=rows.operations,
        intended_ns=rows.intended_ns,
        done_ns=rows.done_ns,
        sent=rows.sent,
        keys=tuple(str(rows.operations.keys.label(code)) for code in codes.tolist()),
        looked={"entered": Looked(count=counts, observed=np.ones(len(codes), np.bool_))},
        looked_ns=(int(rows.done_ns.max()) + 1, int(rows.done_ns.max()) + 2),
        windows=(window,),
    )


def main() -> None:
    """Write, read, judge, and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000)
    operations = parser.parse_args().operations
    seconds = operations / PER_SECOND
    window = FaultWindow(
        lever="function-throttle",
        component="worker",
        error_class=ErrorClass.THROTTLE,
        started_seconds=seconds * 0.4,
        ended_seconds=seconds * 0.5,
        proof="it read back 0",
        provocation=Window.COMPUTE_DEAD.name,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"worker-{worker}.jsonl" for worker in range(WORKERS)]
        for worker, path in enumerate(files):
            write(path, worker, operations)
        began = time.monotonic()
        rows = read(files, origin_unix_ns=ORIGIN_NS)
        assert rows is not None
        merged = time.monotonic()
        of = evidence(rows, folder, window)
        owed = [clause for _, clause in clauses_of(of.stack.descriptor) if clause.under_load is not None]
        verdicts = [decide_under_load(clause, of) for clause in owed]
        judged = time.monotonic()
        measures = measure(rows, [window])
        measured = time.monotonic()
    for verdict in verdicts:
        print(f"{verdict.id:6} {verdict.verdict:13} {verdict.seconds:6.2f} s  {verdict.reason[:90]}")
    print(f"read      {len(rows):,} operations of {WORKERS} workers, merged: {merged - began:.2f} s")
    print(f"judged    {len(owed)} clauses: {judged - merged:.2f} s")
    print(f"measured  p99 {measures.overall.at(99.0):.2f} ms: {measured - judged:.2f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    found = {(one.title, one.key) for verdict in verdicts for one in verdict.findings}
    wanted = {("acknowledged and lost", of.keys[0]), ("duplicated", of.keys[1])}
    violated = {verdict.id for verdict in verdicts if verdict.verdict is Verdict.VIOLATED}
    if found != wanted or violated != {"SF-1", "SF-2", "SF-5"}:
        sys.exit(f"found {sorted(found)} by {sorted(violated)} instead of {sorted(wanted)}")


if __name__ == "__main__":
    main()
