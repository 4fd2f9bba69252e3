"""A process of its own that submits a descriptor's commands with the cheap client: pytest must never run gevent.

Standard input: ``{url, folder, commands}`` a line; standard output: a line with outcome, status and whether an answer
came of each command, and with what kept one from being sent.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gevent import monkey

monkey.patch_all()

from holdfast.redaction import cleaning  # noqa: E402 - Locust patches first as well
from holdfast_load.plan import LoadPlan  # noqa: E402
from holdfast_load.submitting import Submitter  # noqa: E402
from holdfast_load.worker import cheap  # noqa: E402
from load_rig import stack_at  # noqa: E402


def main() -> None:
    """Submit what each line asks for."""
    for line in sys.stdin:
        asked = json.loads(line)
        stack = stack_at(asked["url"], Path(asked["folder"]))
        plan = LoadPlan(descriptor=stack.path, commands=tuple(asked["commands"]), duration_seconds=1, prefix="hfabc")
        transports = cheap(stack.target, on_aws=False)
        submitter = Submitter(stack, plan, transports=transports, clean=cleaning(stack.descriptor))
        replies = [submitter.send(submitter.command(number)) for number in range(len(plan.commands))]
        made = [[str(reply.outcome), reply.status, reply.answered] for reply in replies]
        print(json.dumps({"made": made, "problem": str(submitter.problem or "")}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
