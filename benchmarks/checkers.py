"""How fast histories are loaded and judged, beside Porcupine where it can be had; nothing missed, nothing invented.

    python benchmarks/checkers.py [--operations 1000000 10000000] [--concurrency 2 6.5 11] [--alarms 60000]
        [--anomalies 100] [--porcupine FOLDER] [--porcupine-operations 1000000 1000000 100000]
        [--porcupine-seconds 120] [--rounds 3]

Histories are of registers, a hundred operations a key, half of them writes, recorded as JSON lines with `HistoryFile`.
A process of its own loads each one, judges it in some rounds and tells its best round, the processor time and the peak
memory: neighbours on the machine show in seconds and hardly in processor seconds. Porcupine runs where `go` is
installed and its source can be had: in the folder named, or else as a Go module. It exits 1 when
something is missed or invented, or ten million operations take 10 s to load, 3 s to judge (one million 0.3 s) or 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from holdfast.checkers.columnar import register
from holdfast.history.columns import Columns
from holdfast.history.reading import read
from holdfast.history.writing import HistoryFile
from holdfast_fixtures.synthetic_histories import linearizable_history, plant_anomalies

OPERATIONS_A_KEY = 100
MOST_LOAD_SECONDS = {10_000_000: 10.0}
MOST_CHECK_SECONDS = {1_000_000: 0.3, 10_000_000: 3.0}
MOST_MEMORY_MIB = 2048.0
GO_MODULE = "github.com/anishathalye/porcupine"
GO_PROGRAM = Path(__file__).parent / "porcupine" / "main.go"
ROWS_A_BLOCK = 100_000


def record(history: Columns, path: Path) -> float:
    """Record a history as a recorder does, in large flushes; seconds per operation."""
    began = time.perf_counter()
    with HistoryFile(path, recorder="benchmark", origin_unix_ns=0, lines_per_flush=1_000) as file:
        for begin in range(0, len(history), ROWS_A_BLOCK):
            block = slice(begin, begin + ROWS_A_BLOCK)
            columns = (history.kind, history.key, history.value, history.invoked_ns, history.completed_ns)
            for kind, key, value, invoked, completed in zip(*(one[block].tolist() for one in columns), strict=True):
                shown = None if value < 0 else value
                file.add(history.kinds[kind], f"key-{key}", shown, invoked, completed, "ok", key % 64)
    return (time.perf_counter() - began) / len(history)


def measure_here(path: Path, rounds: int) -> dict[str, float | str]:
    """Load and judge a file in this process."""
    began, began_processor = time.perf_counter(), _processor_seconds()
    history = read(path).columns
    loaded: dict[str, float | str] = {
        "load_seconds": time.perf_counter() - began,
        "load_processor_seconds": _processor_seconds() - began_processor,
    }
    seconds, processor_seconds = [], []
    for _ in range(rounds):
        began, began_processor = time.perf_counter(), _processor_seconds()
        result = register.check(history)
        seconds.append(time.perf_counter() - began)
        processor_seconds.append(_processor_seconds() - began_processor)
    return loaded | {
        "check_seconds": min(seconds),
        "check_processor_seconds": min(processor_seconds),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "verdict": result.verdict.value,
    }


def _processor_seconds() -> float:
    """Processor time of this process and of those it has started and ended."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def measure(path: Path, rounds: int) -> dict[str, float | str]:
    """Load and judge a file in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(path), "--rounds", str(rounds)]
    measured: dict[str, float | str] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return measured


def speed(sizes: list[int], concurrency: float, rounds: int, folder: Path) -> bool:
    """Print how fast histories of some sizes are loaded and judged; whether every bound is kept."""
    kept = True
    for operations in sizes:
        keys = max(operations // OPERATIONS_A_KEY, 1)
        path = folder / f"{operations}.jsonl"
        history = linearizable_history(np.random.default_rng(1), operations, keys=keys, concurrency=concurrency)
        recorded = record(history, path)
        del history
        found = measure(path, rounds)
        print(
            f"{operations:>11,} operations, {keys:,} keys, {concurrency} in flight a key:"
            f" recorded in {recorded * 1e6:.2f} us an operation ({path.stat().st_size / operations:.0f} bytes),"
            f" loaded in {found['load_seconds']:.2f} s ({found['load_processor_seconds']:.2f} s of processors),"
            f" checked in {found['check_seconds']:.3f} s ({found['check_processor_seconds']:.3f} s of processors),"
            f" peak {found['memory_mib']:,.0f} MiB, {found['verdict']}",
            flush=True,
        )
        kept &= found["verdict"] == "holds"
        kept &= float(found["load_seconds"]) < MOST_LOAD_SECONDS.get(operations, float("inf"))
        kept &= float(found["check_seconds"]) < MOST_CHECK_SECONDS.get(operations, float("inf"))
        kept &= float(found["memory_mib"]) < MOST_MEMORY_MIB
        path.unlink()
    return kept


def planted(operations: int, concurrency: float, count: int) -> bool:
    """Print whether every planted anomaly is convicted with its read in the witness, and nothing else is."""
    chance = np.random.default_rng(2)
    keys = max(operations // OPERATIONS_A_KEY, 1)
    history = linearizable_history(chance, operations, keys=keys, concurrency=concurrency)
    history, rows = plant_anomalies(chance, history, count)
    began = time.perf_counter()
    result = register.check(history)
    seconds = time.perf_counter() - began
    shown = {int(one.id[1:]) - 1 for finding in result.findings for one in finding.witness}  # type: ignore[union-attr]
    convicted = sum(row in shown for row in rows.tolist())
    innocent = {finding.key for finding in result.findings} - {str(key) for key in history.key[rows].tolist()}
    print(
        f"{operations:>11,} operations: {convicted} of {len(rows)} planted anomalies convicted with their witness,"
        f" {len(innocent)} other keys convicted, in {seconds:.2f} s",
        flush=True,
    )
    return convicted == len(rows) == count and not innocent


def alarms(count: int, concurrency: float) -> bool:
    """Print how many of so many linearizable histories are convicted; each is a key of its own."""
    history = linearizable_history(np.random.default_rng(3), count * 20, keys=count, concurrency=concurrency)
    result = register.check(history)
    print(f"{count:>11,} linearizable histories: {int(result.figures['violations'])} false alarms", flush=True)
    return result.verdict == "holds"


def build_porcupine(source: Path | None, folder: Path) -> Path | str:
    """The program that runs Porcupine, or why there is none."""
    if shutil.which("go") is None:
        return "go is not installed (Debian: apt-get install golang-go)"
    shutil.copy(GO_PROGRAM, folder / "main.go")
    lines = ["module checkers", "go 1.16", f"require {GO_MODULE} v1.0.0"]
    if source is not None:
        lines.append(f"replace {GO_MODULE} => {source.resolve()}")
    (folder / "go.mod").write_text("\n".join(lines) + "\n", encoding="utf-8")
    built = subprocess.run(
        ["go", "build", "-mod=mod", "-o", "porcupine", "."], cwd=folder, capture_output=True, text=True, check=False
    )
    if built.returncode:
        reason = (built.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"Porcupine cannot be built ({reason}); name a folder with its source by --porcupine"
    return folder / "porcupine"


def beside_porcupine(
    program: Path, concurrencies: list[float], sizes: list[int], *, most_seconds: int, rounds: int, folder: Path
) -> None:
    """Print for each concurrency how long both take on the same history, and the ratio."""
    for concurrency, operations in zip(concurrencies, sizes, strict=True):
        keys = max(operations // OPERATIONS_A_KEY, 1)
        history = linearizable_history(np.random.default_rng(4), operations, keys=keys, concurrency=concurrency)
        table = np.stack((history.key, history.kind, history.value, history.invoked_ns, history.completed_ns), axis=1)
        path = folder / "history.csv"
        path.write_text("\n".join(",".join(map(str, row)) for row in table.tolist()) + "\n", encoding="utf-8")
        own = []
        for _ in range(rounds):
            began = time.perf_counter()
            verdict = register.check(history).verdict
            own.append(time.perf_counter() - began)
        said = subprocess.run(
            [program, str(path), str(most_seconds)], check=True, capture_output=True, text=True
        ).stdout.split()
        seconds, gave_up, ours = float(said[0]), said[1] == "Unknown", min(own)
        print(
            f"{operations:>11,} operations, {concurrency} in flight a key: Porcupine"
            f" {'gave up after' if gave_up else 'took'} {seconds:.1f} s ({said[1]}), holdfast {ours:.4f} s ({verdict}):"
            f" {'more than ' if gave_up else ''}{seconds / ours:,.0f} times as fast",
            flush=True,
        )
        path.unlink()


def main() -> int:
    """Measure everything that was asked for; 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--concurrency", type=float, nargs="+", default=[2, 6.5, 11])
    parser.add_argument("--alarms", type=int, default=60_000)
    parser.add_argument("--anomalies", type=int, default=100)
    parser.add_argument("--porcupine", type=Path, metavar="FOLDER", help="a folder with Porcupine's source")
    parser.add_argument("--porcupine-operations", type=int, nargs="+", default=[1_000_000, 1_000_000, 100_000])
    parser.add_argument("--porcupine-seconds", type=int, default=120, help="when Porcupine gives up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        print(json.dumps(measure_here(given.measure, given.rounds)))
        return 0
    middle = given.concurrency[len(given.concurrency) // 2]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kept = speed(given.operations, middle, given.rounds, folder)
        if given.operations:
            kept &= planted(max(given.operations), middle, given.anomalies)
        kept &= alarms(given.alarms, middle)
        program = build_porcupine(given.porcupine, folder)
        if isinstance(program, str):
            print(f"beside Porcupine: not measured, {program}")
        else:
            sizes = (given.porcupine_operations + given.porcupine_operations[-1:] * 9)[: len(given.concurrency)]
            limits = {"most_seconds": given.porcupine_seconds, "rounds": given.rounds}
            beside_porcupine(program, given.concurrency, sizes, **limits, folder=folder)
    print("every bound is kept" if kept else "a bound is missed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
