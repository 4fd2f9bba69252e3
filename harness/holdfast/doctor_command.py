"""``holdfast doctor``: what can be decided about a stack here, and what a verification would be allowed to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.doctor import described, diagnose, least_policy
from holdfast.errors import ExitCode
from holdfast.opening import Options
from holdfast.option_types import add_target_options
from holdfast.progress import telling
from holdfast.pytest_plugin import SUFFIX
from holdfast.verify_command import need_stacks


def doctor_command(arguments: Sequence[str]) -> int:
    """Say which clauses can be decided here, and why not the rest: ``holdfast doctor NAME.stack.toml``."""
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
    add_target_options(parser.add_argument, opt_in="use real AWS")
    parser.add_argument(
        "--intercept", action="store_true", default=None, help="as verify --intercept would do; nothing is pointed yet"
    )
    parser.add_argument("--no-intercept", dest="intercept", action="store_false", help="as verify --no-intercept")
    own = parser.parse_args(list(arguments))
    need_stacks([own.stack], "doctor")
    path, _, clause = own.stack.partition("::")
    options = Options.of(own, intercept=own.intercept)
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
