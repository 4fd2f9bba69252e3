"""``holdfast check HISTORY --model MODEL``: judge a recorded history, print its smallest witnesses and draw them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from holdfast import check
from holdfast.checkers.columnar.drawing import as_svg, as_text
from holdfast.checkers.columnar.isolation import LEVELS
from holdfast.checkers.columnar.result import Result
from holdfast.errors import ExitCode, HoldfastError
from holdfast.history.columns import Columns
from holdfast.history.opening import FORMATS, open_history
from holdfast.progress import telling
from holdfast.verdict.describe import describe
from holdfast.verdict.explain import FINDINGS_SHOWN
from holdfast.verdict.model import Verdict

NANOSECONDS_PER_MS = 1_000_000

MODELS: Mapping[str, Callable[[Columns, argparse.Namespace], Result]] = {
    "register": lambda columns, given: check.register(columns, budget=_budget(given)),
    "set": lambda columns, given: check.set_full(columns, fresh=given.fresh),
    "queue": lambda columns, _: check.queue(columns),
    "fifo": lambda columns, given: check.search(columns, model="queue", budget=_budget(given)),
    "effects": lambda columns, _: check.effects(columns),
    "counter": lambda columns, _: check.counter(columns),
    "bank": lambda columns, given: check.bank(columns, total=given.total),
    "sequence": lambda columns, given: check.sequence(columns, first=given.first),
    "sessions": lambda columns, _: check.sessions(columns),
    "staleness": lambda columns, given: check.staleness(
        columns, bound_versions=given.bound_versions, bound_ms=given.bound_ms
    ),
    "convergence": lambda columns, given: check.convergence(columns, bound_ms=given.bound_ms),
    "isolation": lambda columns, given: check.isolation(columns, level=given.level),
}
"""Each model with what judges it."""

EXIT_CODES = {
    Verdict.HOLDS: ExitCode.HELD,
    Verdict.VIOLATED: ExitCode.VIOLATED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


def check_command(arguments: Sequence[str]) -> int:
    """Judge a recorded history: ``holdfast check HISTORY --model register``."""
    given = _parser().parse_args(list(arguments))
    uncertainty = None if given.uncertainty_ms is None else round(given.uncertainty_ms * NANOSECONDS_PER_MS)
    with telling() as say:
        say(f"reading {', '.join(map(str, given.history))}")
        columns = open_history(given.history, written_as=given.format, uncertainty_ns=uncertainty, keyed=given.keyed)
        say(f"judging {len(columns):,} rows as a {given.model}")
        result = MODELS[given.model](columns, given)
    if given.draw is not None:
        _draw(result, given.draw)
    text = json.dumps(_document(result), indent=2) if given.json else "\n".join(_lines(result, columns))
    sys.stdout.write(text + "\n")
    return EXIT_CODES[result.verdict]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast check",
        description="Judge a recorded history. Several files that Holdfast recorded, or a folder of them, are merged.",
        epilog="exit codes: 0 holds, 1 violated, 2 usage or a history that cannot be read, 3 inconclusive."
        " docs/check.md has the formats and the rows of each model.",
    )
    parser.add_argument("history", nargs="+", metavar="HISTORY", help="a file, or a folder of *.jsonl files")
    parser.add_argument("--model", required=True, choices=MODELS, help="what the history is of")
    parser.add_argument("--format", choices=FORMATS, help="the file's format, when its beginning does not tell")
    parser.add_argument("--keyed", action="store_true", help="values of a Jepsen history are [key value]")
    parser.add_argument("--uncertainty-ms", type=float, help="by how much each recorder's clock may be wrong")
    parser.add_argument("--draw", type=Path, metavar="OUT.svg", help="draw the witnesses")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--budget", type=int, metavar="STEPS", help="register, fifo: what a search may cost")
    parser.add_argument("--fresh", action="store_true", help="set: a read must show what was acknowledged before it")
    parser.add_argument("--total", type=int, help="bank: the sum of all balances (default: that of the first read)")
    parser.add_argument("--first", type=int, default=1, help="sequence: position of the first event (default: 1)")
    parser.add_argument("--bound-ms", type=float, help="staleness, convergence: most milliseconds")
    parser.add_argument("--bound-versions", type=int, help="staleness: most versions")
    parser.add_argument("--level", choices=LEVELS, default="serializable", help="isolation: what is promised")
    return parser


def _budget(given: argparse.Namespace) -> check.Budget:
    return check.Budget() if given.budget is None else check.Budget(steps=given.budget)


def _draw(result: Result, path: Path) -> None:
    try:
        path.write_text(as_svg(result.findings[:FINDINGS_SHOWN]), encoding="utf-8")
    except OSError as error:
        raise HoldfastError(
            f"The drawing {path} cannot be written.", cause=str(error), remedy="name a file in a folder that exists"
        ) from error


def _lines(result: Result, columns: Columns) -> list[str]:
    """The verdict, the smallest witnesses with their drawings, the figures."""
    lines = [f"{result.model} {result.verdict}: {result.reason}"]
    for finding in result.findings[:FINDINGS_SHOWN]:
        drawn = as_text(finding)
        lines += ["", *describe(finding), *(["", *("  " + line for line in drawn.splitlines())] if drawn else [])]
    more = int(result.figures["violations"]) - FINDINGS_SHOWN
    if more > 0:
        lines += ["", f"and {more:,} more"]
    for note in dict.fromkeys((*columns.notes, *result.undecided)):
        lines += ["", f"note: {note}"]
    return [*lines, "", ", ".join(f"{name} {value:,.10g}" for name, value in result.figures.items())]


def _document(result: Result) -> dict[str, object]:
    return {
        "model": result.model,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "findings": [
            {
                "title": finding.title,
                "sentence": finding.sentence,
                "key": finding.key,
                "explanation": list(describe(finding)),
            }
            for finding in result.findings
        ],
        "undecided": list(result.undecided),
        "figures": dict(result.figures),
    }
