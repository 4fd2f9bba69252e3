"""A function sees the environment variables that AWS gives it and those of its configuration, nothing else.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime. MiniStack hands
its own whole environment on. Log output that is not UTF-8 no longer ends the reading of the log. Python functions are
forked from a process that has imported boto3 already (``emulator.zygote``): the same process, half a second sooner.
"""

from __future__ import annotations

import os
import subprocess
from functools import partial
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

from holdfast.targets.emulator.forked import Zygote, popen
from holdfast.targets.emulator.known import require

_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONUSERBASE", "HOME", "TMPDIR", "PYTHONUTF8")
"""What the interpreter itself needs, and where to write."""


def apply() -> None:
    """Filter what the processes of functions inherit."""
    require(lambda_runtime.Worker._spawn, "c55febf95656", "Worker._spawn")
    lambda_runtime.subprocess = SimpleNamespace(
        Popen=partial(_popen, Zygote() if hasattr(os, "fork") else None),
        PIPE=subprocess.PIPE,
        DEVNULL=subprocess.DEVNULL,
        STDOUT=subprocess.STDOUT,
    )


def _popen(zygote: Zygote | None, command: list[str], *, env: dict[str, str], **options: Any) -> Any:
    inherited = {name for name, value in os.environ.items() if env.get(name) == value and name not in _KEPT}
    given = {name: value for name, value in env.items() if name not in inherited}
    function = given.get("AWS_LAMBDA_FUNCTION_NAME", "")
    defaults = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function}",
        "AWS_EC2_METADATA_DISABLED": "true",  # there is none: do not wait for it
    }
    if options.get("text"):
        options["errors"] = "replace"
    return popen(command, zygote=zygote, env={**defaults, **given}, **options)
