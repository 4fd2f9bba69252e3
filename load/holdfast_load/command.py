"""``holdfast load``: arrivals or users against a stack, on this machine or many, recorded and judged."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from holdfast.errors import ExitCode, HoldfastError
from holdfast.opening import DEFAULT_FOLDER, Options, ready
from holdfast.option_types import add_target_options, at_least_one, positive
from holdfast.progress import telling
from holdfast.redaction import Clean, cleaned_arguments, cleaning
from holdfast.runs import Run, RunFolder, at_end, begin
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.loading import load_descriptor
from holdfast.stack.prefixes import new_prefix
from holdfast.stack.resolve import Stack
from holdfast_load.collecting import place_of
from holdfast_load.dispatcher import DRAIN_SECONDS, MOST_IN_FLIGHT, SLIP_BUDGET_SECONDS
from holdfast_load.hooks import hooks_of
from holdfast_load.plan import LoadPlan, RunRecord
from holdfast_load.processes import check_installed
from holdfast_load.running import LOOPBACK, Launch, run, serve_workers
from holdfast_load.shapes import NAMES, REPLAY, arrivals_of, shape_of
from holdfast_load.show import Shown

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
MASTER_PORT = 5557
WEB_PORT = 8089

EPILOG = """\
What comes after -- goes to Locust's master as it is, e.g. -- --html report.html --csv out.

exit codes: 0 nothing violated, 1 violated, 2 usage, descriptor, target or port, 3 a part of the record is
missing or latencies are invalid, 4 a fault could not be healed, 5 ended by a stop condition or the budget and healed,
6 a bound of [load] was missed, 130 or 143 interrupted and healed. docs/load.md has the rest.
"""


def command(arguments: Sequence[str]) -> int:
    """Drive a stack with load, break parts of it meanwhile, and judge every operation."""
    given = list(arguments)
    split = given.index("--") if "--" in given else len(given)
    own = _parser().parse_args(given[:split])
    if not own.stack.is_file():
        raise HoldfastError(
            f"There is no file {own.stack}.",
            cause=f"it was looked for from {Path.cwd()}",
            remedy="holdfast load NAME.stack.toml --rate 100 -t 1m",
        )
    check_installed()
    if own.worker:
        return _work(own)
    return _drive(own, tuple(given[split + 1 :]), ("holdfast", "load", *given))


def _drive(own: argparse.Namespace, locust: tuple[str, ...], line: tuple[str, ...]) -> int:
    options = Options.of(
        own,
        intercept=False,  # the functions under load are left as they are
        seed=own.seed,
        folder=own.holdfast_folder,
    )
    descriptor = load_descriptor(own.stack, options.environ)
    plan = _plan(own, descriptor)
    launch = _launch(own, locust)
    shown = Shown(sys.stderr)
    started = time.monotonic()
    with ExitStack() as exits:
        say = exits.enter_context(telling(shown.line))
        ready_stack = exits.enter_context(ready(own.stack, descriptor, options=options, say=say))
        _, secret_key, token = ready_stack.stack.target.credentials()
        clean = cleaning(descriptor, secret_key, token)
        folder = _folder(options, ready_stack.stack, cleaned_arguments(line, clean), clean)
        exits.enter_context(at_end(lambda: folder.end(time.monotonic() - started)))
        hooks = hooks_of(ready_stack, plan, folder, say=say)
        record = run(
            plan,
            ready_stack.stack,
            folder=folder.path,
            history=folder.history,
            hooks=hooks,
            launch=launch,
            shown=shown,
            say=say,
        )
        _say(record)
        code = hooks.on_end(record)
    sys.stdout.write(f"written: {folder.path}\n")
    if record.signal:
        raise KeyboardInterrupt(record.signal)
    return code


def _plan(own: argparse.Namespace, descriptor: Descriptor) -> LoadPlan:
    if (own.rate is None) == (own.users is None):
        raise HoldfastError(
            "Give either a rate or users.",
            remedy="--rate N for arrivals that wait for no answer, or -u N for users who do",
        )
    names = tuple(own.command or dict.fromkeys(pattern.command for pattern in descriptor.patterns.values()))
    unknown = [name for name in names if name not in descriptor.commands]
    if unknown:
        raise HoldfastError(
            f"The stack {descriptor.name} has no command {', '.join(unknown)}.",
            remedy=f"it has {', '.join(descriptor.commands)}",
        )
    if own.users is not None and own.shape != "constant":
        raise HoldfastError("Shapes are of arrivals.", remedy="give --rate N instead of -u N")
    if own.locustfile is not None and own.users is None:
        raise HoldfastError("A locustfile is of users.", remedy="give -u N instead of --rate N")
    plan = LoadPlan(
        descriptor=own.stack,
        commands=names,
        duration_seconds=own.time,
        rate_per_second=own.rate or 0.0,
        users=own.users or 0,
        shape=own.shape,
        spacing=own.spacing,
        workers=_workers(own)[1],
        seed=own.seed,
        prefix=new_prefix(),
        client=own.client,
        most_in_flight=own.most_in_flight,
        slip_budget_seconds=own.slip_budget_ms / 1e3,
        drain_seconds=own.drain_seconds,
        faults=own.faults,
        budget_dollars=own.budget,
        collect=f"{own.collect.rstrip('/')}/{new_prefix()}" if own.collect else "",
    )
    if plan.collect:
        place_of(plan.collect)
    if not plan.is_open:
        return plan
    if plan.shape.startswith(REPLAY):
        last = max((int(chunk[-1]) for chunk in arrivals_of(plan)), default=0)
        return replace(plan, duration_seconds=last / 1e9)
    return replace(plan, duration_seconds=shape_of(plan).seconds)


def _workers(own: argparse.Namespace) -> tuple[int, int]:
    """Workers of this machine, and of all machines together."""
    local = own.workers if own.workers is not None else 0 if own.master else 1
    expected = own.expect_workers if own.expect_workers is not None else max(1, local)
    if expected < local or (expected > local and not own.master):
        raise HoldfastError(
            f"{local} workers on this machine cannot be {expected} in all.",
            remedy="give --master --expect-workers N, at least as many as --workers",
        )
    return local, expected


def _launch(own: argparse.Namespace, locust: tuple[str, ...]) -> Launch:
    local, expected = _workers(own)
    return Launch(
        local_workers=local,
        expected_workers=expected,
        bind_host=own.master_bind_host if own.master else LOOPBACK,
        bind_port=own.master_bind_port if own.master else 0,
        web_port=own.web,
        web_host=own.web_host,
        spawn_rate=own.spawn_rate,
        locustfile=own.locustfile,
        arguments=locust,
    )


def _folder(options: Options, stack: Stack, line: tuple[str, ...], clean: Clean) -> RunFolder:
    return begin(
        options.folder,
        Run(
            kind="load",
            stack=stack.descriptor.name,
            descriptor=str(stack.path),
            patterns=tuple(stack.descriptor.patterns),
            target=stack.target.kind,
            seed=options.seed,
            command=line,
        ),
        clean=clean,
    )


def _say(record: RunRecord) -> None:
    """What was recorded, and what was not."""
    operations = sum(max(0, worker.operations) for worker in record.workers)
    lines = [
        f"recorded: {operations} operations of {len(record.workers)} workers in {record.seconds:.1f} s,"
        f" clocks within {record.uncertainty_ns / 1e6:.2f} ms"
    ]
    lines += [f"ended early: {record.ended}"] if record.ended else []
    lines += [f"missing: {sentence}" for sentence in record.missing]
    lines += [f"invalid latencies: {record.invalid}"] if record.invalid else []
    sys.stdout.write("".join(f"{text}\n" for text in lines))


def _work(own: argparse.Namespace) -> int:
    """Workers for a master on another machine."""
    spool = own.holdfast_folder / "load" / new_prefix()
    problems = serve_workers(
        own.stack,
        count=own.workers or 1,
        host=own.master_host,
        port=own.master_port,
        spool=spool,
        launch=Launch(locustfile=own.locustfile),
        say=Shown(sys.stderr).line,
    )
    for problem in problems:
        sys.stderr.write(f"holdfast load: {problem}\n")
    return ExitCode.USAGE if problems else ExitCode.HELD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast load",
        description="Drive a stack with arrivals at a set rate, or with users; break parts of it on a timeline, heal\n"
        "them, and judge every operation afterwards. Locust runs underneath, in processes of its own.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stack", metavar="NAME.stack.toml", type=Path)
    load = parser.add_argument_group("what is sent")
    load.add_argument("--rate", type=positive, metavar="N", help="arrivals per second, whatever becomes of answers")
    load.add_argument("-u", "--users", type=at_least_one, metavar="N", help="users who wait for each answer, instead")
    load.add_argument("-r", "--spawn-rate", type=positive, default=100.0, metavar="N", help="users begin per second")
    load.add_argument("-t", "--time", type=duration_seconds, default=60.0, metavar="10m", help="how long")
    load.add_argument("--command", action="append", metavar="NAME", help="of the descriptor (default: the patterns')")
    load.add_argument(
        "--shape", default="constant", metavar="SHAPE", help=f"{', '.join(NAMES)}; e.g. spike:peak=500,at=10,for=5"
    )
    load.add_argument("--spacing", choices=("poisson", "even"), default="poisson", help="of arrivals")
    load.add_argument("--seed", type=int, default=0, metavar="N", help="of arrivals and generated values")
    load.add_argument("--client", choices=("cheap", "boto3"), default="cheap", help="boto3 is the reference")
    load.add_argument("--locustfile", type=Path, metavar="FILE", help="your own, with ContractUser; with -u")
    breaking = parser.add_argument_group("what is broken and judged")
    breaking.add_argument("--faults", type=Path, metavar="PLAN.toml", help="faults on a timeline")
    breaking.add_argument("--budget", type=positive, metavar="DOLLARS", help="stop before the run costs more")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--most-in-flight", type=at_least_one, default=MOST_IN_FLIGHT, metavar="N", help="of one worker"
    )
    limits.add_argument(
        "--slip-budget-ms",
        type=positive,
        default=SLIP_BUDGET_SECONDS * 1e3,
        metavar="N",
        help="how late 1 operation in 100 may be sent before latencies are invalid (default: %(default)g)",
    )
    limits.add_argument("--drain-seconds", type=positive, default=DRAIN_SECONDS, metavar="N", help="wait for answers")
    many = parser.add_argument_group("processes and machines")
    many.add_argument(
        "--workers", type=at_least_one, metavar="N", help="processes that send (default: 1; none with --master)"
    )
    many.add_argument("--master", action="store_true", help="wait for workers of other machines")
    many.add_argument(
        "--expect-workers", type=at_least_one, metavar="N", help="begin when so many are there, own included"
    )
    many.add_argument("--master-bind-host", default=LOOPBACK, metavar="HOST", help="where it listens; * for everywhere")
    many.add_argument("--master-bind-port", type=int, default=MASTER_PORT, metavar="PORT")
    many.add_argument("--worker", action="store_true", help="send for a master on another machine")
    many.add_argument("--master-host", default=LOOPBACK, metavar="HOST")
    many.add_argument("--master-port", type=int, default=MASTER_PORT, metavar="PORT")
    many.add_argument("--collect", default="", metavar="s3://BUCKET/PREFIX", help="workers hand their files over there")
    many.add_argument("--web", type=int, nargs="?", const=WEB_PORT, metavar="PORT", help="Locust's web UI")
    many.add_argument("--web-host", default=LOOPBACK, metavar="HOST")
    where = parser.add_argument_group("where")
    add_target_options(where.add_argument, opt_in="send to a stack on real AWS, and break it")
    where.add_argument("--holdfast-folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="journals and runs")
    return parser


def duration_seconds(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``10m`` or ``1h30m``."""
    found = _DURATION.fullmatch(text)
    parts = found.groups() if found else (None, None, None)
    seconds = 3600 * float(parts[0] or 0) + 60 * float(parts[1] or 0) + float(parts[2] or 0)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no duration, e.g. 90s, 10m or 1h30m")
    return seconds
