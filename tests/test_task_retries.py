"""How long a retry waits on the embedded target."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json
from ministack.services import stepfunctions
from holdfast.targets.emulator.patches import task_retries

slow = {"ErrorEquals": ["Busy"], "IntervalSeconds": 30, "BackoffRate": 2.0, "MaxAttempts": 5}
slept = []
stepfunctions._scaled_sleep = slept.append
task_retries.apply()
found = []
for run in (None, object()):
    task_retries.RUN.set(run)
    retrier, index = stepfunctions._find_matching_retrier([slow], "Busy", {0: 2})
    found.append([index, retrier["IntervalSeconds"], retrier["BackoffRate"], list(slept)])
print(json.dumps(found))
"""
"""In a process of its own: what MiniStack imports changes the limits of the one that it is in."""


def test_a_retry_waits_longer_than_a_minute_where_its_policy_says_so() -> None:
    """MiniStack cuts a wait at a minute, so the rest of it is waited before; a state that is only tested waits not."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    tested, executed = json.loads(ended.stdout.splitlines()[-1])
    assert tested == [0, 120.0, 1.0, []]
    assert executed == [0, 120.0, 1.0, [60.0]]
