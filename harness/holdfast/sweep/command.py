"""``holdfast sweep`` and ``holdfast replay``."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.errors import ExitCode, HoldfastError, Inconclusive
from holdfast.levers.signals import interruptible
from holdfast.opening import DEFAULT_FOLDER, Options
from holdfast.option_types import add_target_options, at_least_one, count, positive
from holdfast.progress import listening
from holdfast.redaction import Clean
from holdfast.reporting import report_run
from holdfast.runs import KEPT
from holdfast.sweep.coverage import VERSION, Coverage, to_json
from holdfast.sweep.judging import Mark
from holdfast.sweep.replay import SUFFIX, read, write
from holdfast.sweep.replaying import replayed
from holdfast.sweep.sweeping import Budget, Swept, sweep
from holdfast.sweep.table import show
from holdfast.verdict.document import without_secrets

FILE = "sweep.json"
_MARKS = ", ".join(mark.value for mark in (Mark.HELD, Mark.VIOLATED, Mark.UNREACHED, Mark.INCONCLUSIVE))


def sweep_command(arguments: Sequence[str]) -> int:
    """Break every fault point of one command in every way, then the pairs that matter."""
    budget = Budget()
    parser = argparse.ArgumentParser(
        prog="holdfast sweep",
        description="Trace one command, put every kind of fault at every one of its fault points, all together and "
        "each aimed at a command of its own, then pairs of faults, and judge the data that is left. Prints which "
        f"points were {_MARKS}, and writes for each violation the smallest fault schedule to a replay file.",
        epilog="exit codes: 0 nothing violated, 1 violated, 2 usage, descriptor, target or port, 3 no command could "
        "be traced, or, with --strict, not every point was reached and decided, 4 a fault could not be healed, 5 ended "
        "by a stop condition and healed, 130 or 143 interrupted and healed",
    )
    parser.add_argument("stack", metavar="NAME.stack.toml", type=Path)
    parser.add_argument(
        "--budget-seconds",
        type=positive,
        default=budget.seconds,
        metavar="N",
        help="begin no part that would end later (default: %(default)g)",
    )
    parser.add_argument(
        "--pairs", type=count, default=budget.pairs, metavar="N", help="the most pairs (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of generated values and the order of pairs")
    parser.add_argument(
        "-k",
        dest="expression",
        default="",
        metavar="WORDS",
        help='only points whose name has all these words, or kinds of that name, e.g. -k "worker PutItem delayed"',
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit 3 when a fault point, or a pair that was run, was not reached or decided",
    )
    _target_options(parser)
    own = parser.parse_args(list(arguments))
    _need_file(own.stack, "sweep", "NAME.stack.toml")
    options = replace(_options(own), seed=own.seed)
    with listening() as listener:
        try:
            swept = sweep(
                own.stack,
                options=options,
                budget=Budget(seconds=own.budget_seconds, pairs=own.pairs, expression=own.expression),
                listener=listener,
            )
        except Inconclusive as reason:
            return _inconclusive(reason)
    clean = swept.clean
    folder = options.folder / swept.coverages[0].stack
    if swept.run is not None:
        kept = [_with_files(coverage, swept.run.path / "replays", swept) for coverage in swept.coverages]
        swept.run.coverage(_document(kept))
    coverages = [_with_files(coverage, folder / "replays", swept) for coverage in swept.coverages]
    path = _written(coverages, folder, clean)
    show(coverages, write_line=lambda line: _print(clean(line)), color=sys.stdout.isatty())
    _print(f"written: {path}")
    if swept.run is not None:
        report_run(swept.run.path, write_line=_print)
    signal_name = next((coverage.interrupted for coverage in coverages if coverage.interrupted), "")
    if signal_name:
        _print(_interrupted(signal_name, coverages, arguments))
        return 128 + signal.Signals[signal_name]
    return _exit_code(coverages, strict=own.strict)


def _inconclusive(reason: Inconclusive) -> int:
    _print(f"inconclusive: {reason}")
    return ExitCode.INCONCLUSIVE


def _interrupted(signal_name: str, coverages: Sequence[Coverage], arguments: Sequence[str]) -> str:
    cells = [cell for coverage in coverages for cell in coverage.cells if cell.mark is not Mark.INAPPLICABLE]
    decided = sum(cell.mark in (Mark.HELD, Mark.VIOLATED) for cell in cells)
    pairs = sum(len(coverage.pairs) for coverage in coverages)
    return (
        f"interrupted by {signal_name}; every fault that was in place is healed; "
        f"{decided} of {len(cells)} single faults and {pairs} pairs were decided\n"
        f"  all single faults are in flight together, so a sweep begins anew: holdfast sweep {shlex.join(arguments)}"
    )


def _exit_code(coverages: Sequence[Coverage], *, strict: bool) -> int:
    if any(coverage.violations or coverage.unexplained for coverage in coverages):
        return ExitCode.VIOLATED
    if strict and not all(coverage.decided for coverage in coverages):
        return ExitCode.INCONCLUSIVE
    return ExitCode.HELD


def _with_files(coverage: Coverage, folder: Path, swept: Swept) -> Coverage:
    """The coverage with a replay file for each violation; those of an earlier sweep are gone."""
    for old in folder.glob(f"{coverage.pattern}-*{SUFFIX}"):
        old.unlink()
    if not coverage.aimed:
        return coverage  # a replay aims its faults, which is not possible there
    file = partial(write, coverage, folder=folder, clean=swept.clean, hidden=swept.hidden)
    violations = [replace(one, file=str(file(one, number))) for number, one in enumerate(coverage.violations, start=1)]
    return replace(coverage, violations=tuple(violations))


def _document(coverages: Sequence[Coverage]) -> dict[str, Any]:
    return {"version": VERSION, "sweeps": [to_json(coverage) for coverage in coverages]}


def _written(coverages: Sequence[Coverage], folder: Path, clean: Clean) -> Path:
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(without_secrets(_document(coverages), clean), indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
    except OSError as error:
        raise HoldfastError(
            f"The coverage cannot be written to {path}.",
            cause=str(error),
            remedy="name another folder with --holdfast-folder",
        ) from error
    return path


def replay_command(arguments: Sequence[str]) -> int:
    """Run what broke a promise again, a fault schedule or a plan of sagas, and say whether it agrees."""
    parser = argparse.ArgumentParser(
        prog="holdfast replay",
        description="Run the fault schedule, or the plan of sagas, of a replay file again, on fresh commands, and say "
        "whether it breaks the same promise.",
        epilog="exit codes: 0 nothing violated, 1 violated, 2 usage, descriptor, target or port, 3 the faults were not "
        "reached, or what came of them could not be told, 4 a fault could not be healed, 5 ended by a stop condition "
        "and healed, 130 or 143 interrupted and healed",
    )
    parser.add_argument("file", metavar=f"NAME{SUFFIX}", type=Path)
    parser.add_argument("--times", type=at_least_one, default=1, metavar="N", help="run it N times")
    parser.add_argument("--stack", type=Path, metavar="NAME.stack.toml", help="another descriptor than the file names")
    _target_options(parser)
    own = parser.parse_args(list(arguments))
    replay = read(own.file)
    found = replay.found
    descriptor = own.stack or found.descriptor
    _need_file(descriptor, "replay", "its descriptor, or give another one with --stack")
    options = replace(_options(own), seed=found.seed, target=own.target or found.target)
    with interruptible(), listening() as listener:
        try:
            judgements = replayed(descriptor, replay=replay, times=own.times, options=options, listener=listener)
        except Inconclusive as reason:
            return _inconclusive(reason)
    _print(replay.told)
    _print(f"expected: violated ({found.title}: {found.sentence}; {found.reproduced} when it was found)")
    agreeing = 0
    for judgement in judgements:
        titles = [finding.title for finding in judgement.findings]
        agrees = judgement.mark is Mark.VIOLATED and found.title in titles
        agreeing += agrees
        _print(f"{'agrees' if agrees else 'disagrees'}: {judgement.mark.value}: {judgement.why}")
    _print(f"{agreeing} of {len(judgements)} agree")
    marks = {judgement.mark for judgement in judgements}
    if Mark.VIOLATED in marks:
        return ExitCode.VIOLATED
    return ExitCode.HELD if marks == {Mark.HELD} else ExitCode.INCONCLUSIVE


def _target_options(parser: argparse.ArgumentParser) -> None:
    add_target_options(parser.add_argument, opt_in="break parts of a stack on real AWS")
    parser.add_argument(
        "--holdfast-folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="journals, coverage, replay files"
    )
    parser.add_argument(
        "--holdfast-runs", type=at_least_one, default=KEPT, metavar="N", help="runs of a stack that are kept"
    )


def _options(own: argparse.Namespace) -> Options:
    return Options.of(
        own,
        intercept=False,  # on LocalStack it sees calls alone, which is too little for a trace
        folder=own.holdfast_folder,
        kept_runs=own.holdfast_runs,
    )


def _need_file(path: Path, command: str, what: str) -> None:
    if path.name.partition("::")[2]:
        raise HoldfastError(
            f"holdfast {command} takes no clause: {path}",
            remedy="name the descriptor alone, and choose fault points with -k; `holdfast verify` takes a clause",
        )
    if path.is_dir():
        raise HoldfastError(f"{path} is a folder.", remedy=f"name {what} in it")
    if not path.is_file():
        raise HoldfastError(
            f"There is no file {path}.",
            cause=f"it was looked for from {Path.cwd()}",
            remedy=f"name {what}",
        )


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
