"""``holdfast verify``: pytest underneath, so every option of pytest passes through; our own exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from holdfast.errors import ExitCode, HoldfastError
from holdfast.progress import telling

if TYPE_CHECKING:
    from holdfast.session import Session

PYTEST_OPTIONS = (
    # Locust's own pytest plugin patches the process with gevent, which breaks ssl under boto3.
    *("-p", "no:locust"),
    "--no-header",
    # This command has imported holdfast already, so pytest cannot rewrite its assertions; it has none to rewrite.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    # One stack that cannot be read does not keep the others from being verified.
    "--continue-on-collection-errors",
    # The scorecard gives the reason of every clause; a project's -ra would give them twice.
    "-rN",
)

VERIFY_HELP = """\
usage: holdfast verify NAME.stack.toml... [options] [pytest options]

Deploys each stack, breaks it while it works, heals every fault, and judges the data that is left.
NAME.stack.toml::SF-1 verifies one clause.

  --strict                exit 3 when a clause is inconclusive
  --dry-run               print what would be sent and broken, and do neither
  --target KIND           embedded, localstack or aws, instead of the descriptor's default
  --deploy, --no-deploy   deploy the template first and remove it afterwards (default on the embedded target only)
  --cloudformation NAME   the deployed CloudFormation stack to use
  --intercept             LocalStack whose functions run on this machine: point them at an interceptor while verifying,
                          so that faults can be aimed at one command (--no-intercept: not, whatever the descriptor says)
  --allow-aws             opt in to break parts of a stack on real AWS
  --side-by-side N        stacks verified at once (default: 4)
  --minutes N             stop and heal when the run has taken this long
  --dollars N             stop and heal before the run of a stack costs more, at list prices
  --holdfast-seed N       seed of the generated values
  --holdfast-folder DIR   journals, verdicts and runs (default: .holdfast)
  --holdfast-runs N       runs of a stack that are kept (default: 20)
  -k EXPRESSION           only some clauses, e.g. -k "SF-1 or SF-2"; this and all others are pytest's: pytest --help

exit codes: 0 nothing violated, 1 violated, 2 usage, descriptor, target or port, 3 inconclusive with --strict,
4 a fault could not be healed, 5 ended by a stop condition and healed, 7 ended by its budget and healed,
130 or 143 interrupted and healed
"""


def verify_command(arguments: Sequence[str]) -> int:
    """Deploy, break and judge a stack: ``holdfast verify NAME.stack.toml``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--stack", action="append", default=[])
    parser.add_argument("-h", "--help", action="store_true")
    own, rest = parser.parse_known_args(list(arguments))
    if own.help:
        sys.stdout.write(VERIFY_HELP)
        return ExitCode.HELD
    rest += own.stack
    need_stacks(rest, "verify")
    if own.dry_run:
        rest.append("--holdfast-dry-run")
    return run(rest).exit_code(strict=own.strict)


def need_stacks(arguments: Sequence[str], command: str) -> None:
    """Refuse arguments that name no descriptor, one that does not exist, or a clause that its stack does not owe.

    Raises:
        HoldfastError: with what to name instead.
    """
    from holdfast.pytest_plugin import SUFFIX

    stacks = [argument for argument in arguments if argument.split("::")[0].endswith(SUFFIX)]
    if not stacks:
        others = [argument for argument in arguments if Path(argument).is_file()]
        raise HoldfastError(
            "No stack descriptor was named.",
            cause=f"{others[0]} is none: the name of one ends in {SUFFIX}" if others else "",
            remedy=f"holdfast {command} NAME{SUFFIX} [options]; holdfast {command} --help lists the options",
        )
    missing = [stack for stack in stacks if not Path(stack.split("::")[0]).is_file()]
    if missing:
        raise HoldfastError(
            f"There is no file {', '.join(missing)}.",
            cause=f"it was looked for from {Path.cwd()}",
            remedy=f"name an existing stack descriptor, NAME{SUFFIX}",
        )
    _need_clauses([stack.partition("::") for stack in stacks if "::" in stack])


def _need_clauses(named: Sequence[tuple[str, str, str]]) -> None:
    from holdfast.stack.loading import load_descriptor
    from holdfast.suites import choose

    for path, _, clause in named:
        choose(load_descriptor(Path(path), os.environ), [clause])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one pytest ended, and what its session found.

    Attributes:
        pytest_code: pytest's own exit code.
        session: what was found; None where pytest did not come to a session, and has said why.
        interrupted: name of the signal that ended it; empty for none.
    """

    pytest_code: int
    session: Session | None
    interrupted: str = ""

    def exit_code(self, *, strict: bool) -> int:
        """Our exit code; the gravest cause wins."""
        import pytest

        if self.session is None:
            return ExitCode.USAGE
        code = self.session.exit_code(strict=strict)
        if self.interrupted:
            return code if code is ExitCode.NOT_HEALED else 128 + signal.Signals[self.interrupted]
        if self.pytest_code == pytest.ExitCode.NO_TESTS_COLLECTED and code is ExitCode.HELD:
            sys.stderr.write(
                "holdfast: No clause was selected.\n"
                "  remedy: holdfast verify NAME.stack.toml --collect-only -q lists the clauses\n"
            )
        if code is ExitCode.HELD and self.pytest_code == pytest.ExitCode.TESTS_FAILED:
            return ExitCode.VIOLATED  # an ordinary test that was named beside the stack
        if code in (ExitCode.HELD, ExitCode.INCONCLUSIVE) and self.pytest_code > pytest.ExitCode.TESTS_FAILED:
            return ExitCode.USAGE
        return code


def run(arguments: Sequence[str]) -> Ran:
    """Run pytest on stack descriptors.

    Args:
        arguments: descriptors and options of pytest and of its plugin.
    """
    import pytest

    with ExitStack() as collecting:
        # pytest captures standard error while it collects, so a copy of it is written to
        terminal = collecting.enter_context(_terminal())
        say = collecting.enter_context(telling(partial(print, file=terminal)))
        say("importing what is needed and reading the descriptors")
        seen = _Watcher(collecting.close)
        code = pytest.main([*PYTEST_OPTIONS, *arguments], plugins=[seen])
    if code == pytest.ExitCode.USAGE_ERROR and seen.session is None:
        sys.stderr.write(
            "holdfast: An option cannot be used.\n"
            "  remedy: holdfast verify --help lists those of Holdfast, pytest --help all others\n"
        )
    interrupted = (seen.session.interrupted if seen.session else "") or seen.interrupted
    return Ran(pytest_code=int(code), session=seen.session, interrupted=interrupted)


def _terminal() -> TextIO:
    """A copy of standard error that shows what its encoding does not have; nowhere where that is no file, or closed."""
    try:
        copied = os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return Path(os.devnull).open("w", encoding="utf-8")
    return os.fdopen(copied, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


class _Watcher:
    """Keeps the plugin's session, so that it outlives pytest."""

    def __init__(self, collected: Callable[[], None]) -> None:
        self.session: Session | None = None
        self.interrupted = ""
        self._collected = collected

    def pytest_collection_finish(self) -> None:
        """Pytest's hook."""
        self._collected()

    def pytest_sessionfinish(self, session: Any) -> None:
        """Pytest's hook."""
        from holdfast.session import session_of

        self.session = session_of(session.config)

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        """Pytest's hook; also told of what pytest itself ends early, which is no signal."""
        # where a worker of pytest-xdist was faster, its controller is told of it by this text
        if excinfo.type is KeyboardInterrupt or "received keyboard-interrupt" in str(excinfo.value):
            self.interrupted = "SIGINT"
