"""A bench for provocations whose ports, journal and stop conditions only pretend."""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace
from typing import Any, cast

from holdfast.history.recorder import Recorder
from holdfast.provocations.bench import Bench
from holdfast.provocations.requirements import Situation


def pretended_bench(there: Situation, recorder: Recorder, ports: object = None) -> Bench:
    """A bench in a room for all; without ports it draws, and sends nothing."""
    return Bench(
        name="p",
        stack=there.stack,
        pattern=there.pattern,
        ports=cast("Any", ports),
        recorder=recorder,
        journal=cast("Any", None),
        prefix="hf",
        random=random.Random(1),
        waiting=lambda *_: None,
        configuration=there.configuration,
        room=threading.Semaphore(8),
        stopping=cast("Any", SimpleNamespace(command=lambda: None, answered=lambda _: None, check=lambda: None)),
    )
