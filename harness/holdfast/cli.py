"""The command line: ``holdfast verify``, ``sweep``, ``doctor``, ``heal``, ``check``, ``lint`` and more."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from holdfast import __version__
from holdfast.errors import ExitCode, HealError, HoldfastError

Command = Callable[[Sequence[str]], int]
"""A command takes its arguments and returns an exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; anything a person can cause ends in a message, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return ExitCode.HELD
    if given[0] == "--version":
        sys.stdout.write(f"holdfast {__version__}\n")
        return ExitCode.HELD
    name = given[0]
    try:
        command = _command(name)
        code = command(given[1:])
        sys.stdout.flush()
    except HoldfastError as error:
        sys.stderr.write(f"holdfast {name}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(
            "\nholdfast: interrupted; every fault that was in place is healed\n"
            f"  to begin anew: {shlex.join(('holdfast', *given))}\n"
        )
        return 128 + (signal.SIGTERM if str(interrupt) == "SIGTERM" else signal.SIGINT)
    except BrokenPipeError:
        # whoever read our output has had enough, e.g. `| head`; Python would complain once more when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.HELD
    return code


def _command(name: str) -> Command:
    """A command by its name: one of our own, or of the entry point group ``holdfast.commands``."""
    own = OWN_COMMANDS.get(name)
    if own is not None:
        return own
    installed = _installed()
    if name not in installed:
        known = sorted({*OWN_COMMANDS, *installed})
        close = difflib.get_close_matches(name, known, n=1)
        raise HoldfastError(
            f"There is no command {name}.",
            remedy=f"did you mean {close[0]}?" if close else f"the commands are {', '.join(known)}",
        )
    try:
        command: Command = installed[name].load()
    except Exception as error:
        raise HoldfastError(
            f"The command {name} cannot be loaded.",
            cause=f"{installed[name].value}: {type(error).__name__}: {error}",
            remedy="install the package that brings it anew",
        ) from error
    return command


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="holdfast.commands")}


def verify_command(arguments: Sequence[str]) -> int:
    """Deploy, break and judge a stack: ``holdfast verify NAME.stack.toml``."""
    from holdfast.verify_command import verify_command as command

    return command(arguments)


def gate_command(arguments: Sequence[str]) -> int:
    """Verify for a pipeline: inconclusive is red, what is accepted expires: ``holdfast gate NAME.stack.toml``."""
    from holdfast.gate.command import gate_command as command

    return command(arguments)


def doctor_command(arguments: Sequence[str]) -> int:
    """Say which clauses can be decided here, and why not the rest: ``holdfast doctor NAME.stack.toml``."""
    from holdfast.doctor import described, diagnose, least_policy
    from holdfast.opening import Options
    from holdfast.progress import telling
    from holdfast.pytest_plugin import SUFFIX
    from holdfast.verify_command import need_stacks

    parser = argparse.ArgumentParser(
        prog="holdfast doctor",
        description="Say clause by clause what can be decided here and why not the rest; no command is sent and "
        "nothing is broken. On the embedded target the template is deployed to an emulator of its own.",
        epilog="exit codes: 0 everything can be decided, 2 usage, descriptor, target or port, 3 not everything, with "
        "--strict",
    )
    parser.add_argument("stack", metavar=f"NAME{SUFFIX}", nargs="?", default="", help=f"NAME{SUFFIX}::SF-1: one clause")
    parser.add_argument("--iam", action="store_true", help="print the least-privilege IAM policy for the plan, as JSON")
    parser.add_argument("--strict", action="store_true", help="exit 3 when a clause cannot be decided")
    parser.add_argument(
        "--target", choices=("embedded", "localstack", "aws"), help="instead of the descriptor's default"
    )
    parser.add_argument(
        "--deploy", action="store_true", default=None, help="deploy the template first, remove it after"
    )
    parser.add_argument("--no-deploy", dest="deploy", action="store_false", help="the stack is deployed already")
    parser.add_argument("--cloudformation", metavar="NAME", help="the deployed CloudFormation stack to use")
    parser.add_argument(
        "--intercept", action="store_true", default=None, help="as verify --intercept would do; nothing is pointed yet"
    )
    parser.add_argument("--no-intercept", dest="intercept", action="store_false", help="as verify --no-intercept")
    parser.add_argument("--allow-aws", action="store_true", help="opt in to use real AWS")
    own = parser.parse_args(list(arguments))
    need_stacks([own.stack], "doctor")
    path, _, clause = own.stack.partition("::")
    options = Options(
        target=own.target,
        deploy=own.deploy,
        allow_aws=own.allow_aws,
        cloudformation=own.cloudformation,
        intercept=own.intercept,
    )
    ids = (clause,) if clause else ()
    if own.iam:
        with telling() as say:
            policy = least_policy(Path(path), options=options, ids=ids, say=say)
        sys.stdout.write(json.dumps(policy, indent=2) + "\n")
        return ExitCode.HELD
    with telling() as say:
        diagnosis = diagnose(Path(path), options=options, ids=ids, say=say)
    sys.stdout.write("\n".join(described(diagnosis)) + "\n")
    return ExitCode.HELD if diagnosis.complete or not own.strict else ExitCode.INCONCLUSIVE


def init_command(arguments: Sequence[str]) -> int:
    """Write a first descriptor for a stack: ``holdfast init --template FILE``, or ``--cloudformation NAME``."""
    from holdfast.inference.command import init_command as command

    return command(arguments)


def heal_command(arguments: Sequence[str]) -> int:
    """Undo whatever a killed run left, from its journal alone."""
    from holdfast.levers.healing import heal_all
    from holdfast.levers.journal import open_entries
    from holdfast.progress import telling
    from holdfast.verification import DEFAULT_FOLDER

    parser = argparse.ArgumentParser(prog="holdfast heal", description="Undo whatever a killed run left.")
    parser.add_argument("--holdfast-folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="folder of the run")
    own = parser.parse_args(list(arguments))
    folder = own.holdfast_folder / "journal"
    if own.holdfast_folder != DEFAULT_FOLDER and not own.holdfast_folder.is_dir():
        raise HoldfastError(
            f"There is no folder {own.holdfast_folder}.",
            cause=f"it was looked for from {Path.cwd()}",
            remedy="name the folder that the run was given, or begin where the run was begun",
        )
    for line in open_entries(folder).cut:
        sys.stdout.write(f"{line}\n")
    try:
        with telling() as say:
            results = heal_all(folder, say=say)
    except KeyboardInterrupt:
        left = [f"{entry.snapshot.lever} on {entry.snapshot.component}" for entry in open_entries(folder).entries]
        raise HealError(
            f"healing was interrupted; {', '.join(left) or 'nothing'} may still be in place",
            remedy="run `holdfast heal` again; what is healed already is left alone",
        ) from None
    for result in results:
        where = f"{result.entry.snapshot.lever} on {result.entry.snapshot.component} of {result.entry.pin.stack}"
        said = {"healed": result.proof, "running": "its run is still at work, so it was left alone"}
        sys.stdout.write(f"{result.outcome}: {where}: {said.get(result.outcome, result.reason)}\n")
        if result.remedy:
            sys.stdout.write(f"  remedy: {result.remedy}\n")
    unreadable = open_entries(folder).unreadable
    for line in unreadable:
        sys.stdout.write(f"failed: {folder / line}\n")
    if unreadable:
        sys.stdout.write(
            "  remedy: each may stand for a fault. It names a resource, what was found there and what was placed:\n"
            "  where what was placed still is, set it back to what was found; then remove the file\n"
        )
    if not results and not unreadable:
        sys.stdout.write(f"nothing to heal: no run left a fault in {folder}\n")
    failed = unreadable or any(result.outcome == "failed" for result in results)
    return ExitCode.NOT_HEALED if failed else ExitCode.HELD


def lint_command(arguments: Sequence[str]) -> int:
    """Judge state machines by their definitions alone: ``holdfast lint FILE.asl.json``."""
    from holdfast.definition_lint import lint_command as command

    return command(arguments)


def sweep_command(arguments: Sequence[str]) -> int:
    """Break every fault point of one command in every way: ``holdfast sweep NAME.stack.toml``."""
    from holdfast.sweep.command import sweep_command

    return sweep_command(arguments)


def replay_command(arguments: Sequence[str]) -> int:
    """Run a fault schedule that a sweep found again: ``holdfast replay NAME.replay.json``."""
    from holdfast.sweep.command import replay_command

    return replay_command(arguments)


def schema_command(arguments: Sequence[str]) -> int:
    """Print the JSON Schema of stack descriptors, for editors."""
    from holdfast.stack.schema import json_schema

    argparse.ArgumentParser(prog="holdfast schema", description="Print the JSON Schema of descriptors.").parse_args(
        list(arguments)
    )
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return ExitCode.HELD


def _help() -> str:
    lines = [
        "usage: holdfast COMMAND [options]",
        "",
        "Finds out whether a deployed serverless stack keeps the promises of the patterns it claims.",
        "",
        "commands:",
    ]
    for name in sorted({*OWN_COMMANDS, *_installed()}):
        try:
            about = (_command(name).__doc__ or "").split("\n")[0].replace("``", "")
        except HoldfastError as error:
            about = error.what
        lines.append(f"  {name:<8} {about}")
    return "\n".join([*lines, "", "holdfast COMMAND --help says more; holdfast --version prints the version", ""])


def check_command(arguments: Sequence[str]) -> int:
    """Judge a recorded history: ``holdfast check HISTORY --model register``."""
    from holdfast.check_command import check_command as run

    return run(arguments)


OWN_COMMANDS: Mapping[str, Command] = {
    "init": init_command,
    "verify": verify_command,
    "gate": gate_command,
    "doctor": doctor_command,
    "sweep": sweep_command,
    "replay": replay_command,
    "heal": heal_command,
    "lint": lint_command,
    "check": check_command,
    "schema": schema_command,
}

if __name__ == "__main__":
    sys.exit(main())
