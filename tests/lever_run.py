"""A run in a process of its own, to be killed: pulls levers on somebody else's emulator, says so, and waits.

``python lever_run.py ENDPOINT JOURNAL_DIRECTORY RESOURCES [watched] [thread] [stubborn]``
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from holdfast.history.recorder import Recorder
from holdfast.levers import FunctionThrottle, Journal, MappingDisable, Pin, RoleDeny, interruptible, pulled, watched
from holdfast.levers.base import Lever, Snapshot
from holdfast.stack.resolve import Resource
from holdfast.targets import capabilities
from holdfast.targets.attached import AttachedTarget
from lever_stack import stack_of


def say(line: str) -> None:
    """Tell the test how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class SlowToHeal(FunctionThrottle):
    """Heals so slowly that a second signal comes meanwhile."""

    def heal(self, snapshot: Snapshot) -> None:
        """Say that it begins, and take a second."""
        say("healing")
        time.sleep(1)
        super().heal(snapshot)


def main(endpoint: str, directory: str, resources: str, *options: str) -> None:
    """Pull everything and wait for the end."""
    target = AttachedTarget(
        kind="localstack",
        endpoint_url=endpoint,
        account="123456789012",
        region="eu-west-1",
        supported=capabilities.EMBEDDED,
    )
    stack = stack_of(target, *(Resource(**resource) for resource in json.loads(resources)))
    throttle = SlowToHeal if "stubborn" in options else FunctionThrottle
    levers: list[Lever] = [
        throttle.on(stack, "worker"),
        *MappingDisable.on(stack, "worker"),
        RoleDeny.on(stack, "role", actions=("sqs:SendMessage",)),
    ]

    def window() -> None:
        with pulled(levers, stack=stack, journal=journal, recorder=Recorder()):
            say("pulled")
            threading.Event().wait(60)

    with Journal(Path(directory), Pin.of(stack)) as journal, ExitStack() as around:
        say(json.dumps(around.enter_context(watched(journal, enabled="watched" in options))))
        around.enter_context(interruptible())
        if "thread" in options:
            thread = threading.Thread(target=window, daemon=True)
            thread.start()
            thread.join()
        else:
            window()


if __name__ == "__main__":
    main(*sys.argv[1:])
