"""Who attends a run: breaks parts while load is on, and judges what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable

from holdfast.errors import ExitCode
from holdfast.opening import Ready
from holdfast.runs import RunFolder
from holdfast_load.plan import LoadPlan, LoadProgress, RunClock, RunHooks, RunRecord


def hooks_of(ready: Ready, plan: LoadPlan, folder: RunFolder) -> RunHooks:
    """The hooks of one run; made before its clock starts.

    Args:
        ready: the stack, its ports, the journal that undoes faults.
        plan: what the run is to do.
        folder: where verdicts are written, and the history is.

    Raises:
        HoldfastError: the fault timeline cannot be used.
    """
    del ready, plan, folder
    return _Recording()


class _Recording:
    """Says what was recorded, and judges nothing."""

    def on_start(self, clock: RunClock, stop: Callable[[str], None]) -> None:
        """Nothing to begin."""

    def on_tick(self, progress: LoadProgress) -> str:  # noqa: ARG002 - of the interface
        """Nothing to add."""
        return ""

    def on_over(self) -> None:
        """Nothing to heal."""

    def on_end(self, record: RunRecord) -> int:
        """Say what is missing."""
        for sentence in record.missing:
            sys.stdout.write(f"missing: {sentence}\n")
        return ExitCode.HELD if record.complete and not record.invalid else ExitCode.INCONCLUSIVE
