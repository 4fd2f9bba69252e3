"""The command line: ``holdfast verify``, ``sweep``, ``doctor``, ``heal``, ``check``, ``lint`` and more."""

from __future__ import annotations

import difflib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from holdfast import __version__
from holdfast.errors import ExitCode, HoldfastError

Command = Callable[[Sequence[str]], int]
"""A command takes its arguments and returns an exit code."""


@dataclass(frozen=True, slots=True)
class Own:
    """A command of the harness; its module is imported only when it is called.

    Attributes:
        module: under ``holdfast``, with a function ``NAME_command``.
        about: one sentence for the help.
    """

    module: str
    about: str


OWN_COMMANDS: Mapping[str, Own] = {
    "init": Own(
        "inference.command",
        "Write a first descriptor for a stack: holdfast init --template FILE, or --cloudformation NAME.",
    ),
    "verify": Own("verify_command", "Deploy, break and judge a stack: holdfast verify NAME.stack.toml."),
    "gate": Own(
        "gate.command",
        "Verify for a pipeline: inconclusive is red, what is accepted expires: holdfast gate NAME.stack.toml.",
    ),
    "doctor": Own(
        "doctor_command",
        "Say which clauses can be decided here, and why not the rest: holdfast doctor NAME.stack.toml.",
    ),
    "sweep": Own(
        "sweep.command", "Break every fault point of one command in every way: holdfast sweep NAME.stack.toml."
    ),
    "replay": Own("sweep.command", "Run a fault schedule that a sweep found again: holdfast replay NAME.replay.json."),
    "heal": Own("heal_command", "Undo whatever a killed run left, from its journal alone."),
    "lint": Own("definition_lint", "Judge state machines by their definitions alone: holdfast lint FILE.asl.json."),
    "check": Own("check_command", "Judge a recorded history: holdfast check HISTORY --model register."),
    "schema": Own("schema_command", "Print the JSON Schema of stack descriptors, for editors."),
}


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
        function: Command = getattr(import_module(f"holdfast.{own.module}"), f"{name}_command")
        return function
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


def _about(name: str) -> str:
    if name in OWN_COMMANDS:
        return OWN_COMMANDS[name].about
    try:
        return (_command(name).__doc__ or "").split("\n")[0].replace("``", "")
    except HoldfastError as error:
        return error.what


def _help() -> str:
    return "\n".join(
        [
            "usage: holdfast COMMAND [options]",
            "",
            "Finds out whether a deployed serverless stack keeps the promises of the patterns it claims.",
            "",
            "commands:",
            *(f"  {name:<8} {_about(name)}" for name in sorted({*OWN_COMMANDS, *_installed()})),
            "",
            "holdfast COMMAND --help says more; holdfast --version prints the version",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
